//! What `templates/report.html` shows.

use std::collections::BTreeMap;

use askama::Template;

use super::answer::Answer;
use super::base64;
use super::data::{ClassCount, ClassFigures, Gain, Lengths, Mistake, ReportData};
use super::plots::{Plots, wrong_pairs};
use super::sources::{self, SourceRow};
use super::svg;
use super::words;
use crate::documents::Figures;
use crate::guard::document::{ClassGap, GuardReport};
use crate::guard::gap::LEVEL;

/// Classes in the table that is open from the start.
const SHOWN_CLASSES: usize = 15;
const SHOWN_CONFUSIONS: usize = 12;
const SHOWN_MISTAKES: usize = 24;

#[derive(Template)]
#[template(path = "report.html")]
pub struct Page<'a> {
    r: &'a ReportData,
    answer: Answer,
    plots: Plots,
    plot_style: &'static str,
    page_style: &'static str,
    comparison: Vec<Compared<'a>>,
    resamples: String,
    mistakes: Vec<Shown<'a>>,
    /// The same, where the samples are texts.
    misread: Vec<&'a Mistake>,
    length_line: String,
    guard_line: String,
    sources: Vec<SourceRow<'a>>,
    /// Classes in which the source hurts, beyond chance.
    harmed: Vec<&'a ClassGap>,
    confusions: Vec<(&'a str, &'a str, usize)>,
    data_line: String,
    hardest: Vec<Class<'a>>,
    easier: Vec<Class<'a>>,
    faults: Vec<Fault<'a>>,
}

/// A row of the table of features.
struct Compared<'a> {
    name: String,
    figures: &'a Figures,
    gain: Option<&'a Gain>,
}

struct Shown<'a> {
    told: &'a Mistake,
    image: Option<String>,
}

struct Class<'a> {
    figures: &'a ClassFigures,
    count: ClassCount,
}

/// Faults of one kind, with the first as an example.
struct Fault<'a> {
    kind: &'a str,
    n: usize,
    path: &'a str,
    detail: &'a str,
}

impl<'a> Page<'a> {
    pub fn of(report: &'a ReportData) -> Self {
        let mut hardest = classes(report);
        let easier = hardest.split_off(hardest.len().min(SHOWN_CLASSES));
        let mistakes = || report.mistakes.iter().take(SHOWN_MISTAKES);
        Self {
            r: report,
            answer: Answer::of(report),
            plots: Plots::of(report),
            plot_style: svg::STYLE,
            page_style: include_str!("../../templates/page.css"),
            comparison: comparison(report),
            resamples: resamples(report),
            misread: mistakes().filter(|told| !told.words.is_empty()).collect(),
            length_line: report.lengths.as_ref().map(length_line).unwrap_or_default(),
            mistakes: mistakes()
                .filter(|told| told.words.is_empty())
                .map(|told| Shown { told, image: base64::png_uri(&told.thumbnail) })
                .collect(),
            guard_line: report.guard.as_ref().map(guard_line).unwrap_or_default(),
            sources: sources::rows(report),
            harmed: report.guard.as_ref().map(harmed).unwrap_or_default(),
            confusions: confusions(report),
            data_line: data_line(report),
            hardest,
            easier,
            faults: faults(report),
        }
    }
}

fn comparison(report: &ReportData) -> Vec<Compared<'_>> {
    let this = Compared { name: report.network(), figures: &report.figures, gain: None };
    let baselines = report.baselines.iter().map(|b| Compared {
        name: b.summary.clone(),
        figures: &b.figures,
        gain: report.gains.get(&b.name),
    });
    let domains = report.domains.iter().map(|d| Compared {
        name: format!("the first, on {}", d.name),
        figures: &d.figures,
        gain: None,
    });
    std::iter::once(this).chain(baselines).chain(domains).collect()
}

/// How many draws the intervals rest on, in brackets; nothing where an older run does not tell.
fn resamples(report: &ReportData) -> String {
    let counts = comparison(report).into_iter().map(|row| row.figures.resamples);
    let counts: std::collections::BTreeSet<usize> = counts.filter(|&n| n > 0).collect();
    match (counts.first(), counts.last()) {
        (Some(&few), Some(&many)) if few < many => {
            format!(" ({} to {} resamples)", words::count(few), words::count(many))
        }
        (Some(&n), _) => format!(" ({} resamples)", words::count(n)),
        _ => String::new(),
    }
}

/// The verdict in plain language.
fn guard_line(guard: &GuardReport) -> String {
    let verdict = match (guard.verdict.as_str(), &guard.nt_gap) {
        ("helps", Some(gap)) => format!(
            "The source helps: {} fewer errors than without it ({}).",
            words::points(-gap.value).trim_start_matches('+'),
            words::points_range([-gap.ci[1], -gap.ci[0]])
        ),
        ("hurts", Some(gap)) => format!(
            "The source hurts: {} more errors than without it ({}).",
            words::points(gap.value).trim_start_matches('+'),
            words::points_range(gap.ci)
        ),
        (_, Some(gap)) => format!(
            "This test set cannot tell whether the source helps: {} of errors ({}).",
            words::points(gap.value),
            words::points_range(gap.ci)
        ),
        _ => "Nothing could be fitted without the source.".into(),
    };
    let stopped = guard.watch.as_ref().and_then(|watch| watch.stopped_after).map_or_else(
        String::new,
        |epochs| {
            let epochs = words::counted(epochs as usize, "epoch", "epochs");
            format!(" Training was stopped after {epochs}, provably worse than the probe.")
        },
    );
    format!(
        "{verdict} Shipped is {}: {}.{stopped} The guard took {} ({} of the time before it).",
        guard.shipped_summary(),
        guard.reason,
        words::seconds(guard.seconds),
        words::percent(guard.overhead)
    )
}

fn harmed(guard: &GuardReport) -> Vec<&ClassGap> {
    let hurts = |class: &&ClassGap| class.gap.hurts() && class.adjusted_p < LEVEL;
    guard.by_class.iter().filter(hurts).collect()
}

fn confusions(report: &ReportData) -> Vec<(&str, &str, usize)> {
    let n = report.per_class.len();
    if n == 0 || report.confusion.len() != n * n {
        return Vec::new();
    }
    let name = |class: usize| report.per_class[class].name.as_str();
    let pairs = wrong_pairs(&report.confusion, n).into_iter().take(SHOWN_CONFUSIONS);
    pairs.map(|(truth, called, times)| (name(truth), name(called), times)).collect()
}

/// The hardest class first; classes without test samples last.
fn classes(report: &ReportData) -> Vec<Class<'_>> {
    let counts: BTreeMap<&str, &ClassCount> =
        report.data.classes.iter().map(|c| (c.name.as_str(), c)).collect();
    let class = |figures| Class {
        figures,
        count: counts.get(figures.name.as_str()).map_or_else(ClassCount::default, |c| (*c).clone()),
    };
    let mut classes: Vec<Class<'_>> = report.per_class.iter().map(class).collect();
    let f1 = |c: &Class<'_>| c.figures.f1.unwrap_or(f64::INFINITY);
    classes.sort_by(|a, b| f1(a).total_cmp(&f1(b)));
    classes
}

fn data_line(report: &ReportData) -> String {
    let classes = &report.data.classes;
    let sum = |of: fn(&ClassCount) -> usize| words::count(classes.iter().map(of).sum());
    let unreadable = match report.data.unreadable {
        0 => String::new(),
        n => format!(" {} could not be read and took no part.", words::count(n)),
    };
    format!(
        "{} in {}: {} to train, {} to validate, {} to judge.{unreadable}",
        report.data.name,
        words::counted(classes.len(), "class", "classes"),
        sum(|c| c.train),
        sum(|c| c.val),
        sum(|c| c.test),
    )
}

fn length_line(lengths: &Lengths) -> String {
    let among = match lengths.measured < lengths.texts {
        true => format!(
            "Of {} texts, taken evenly among {}, ",
            words::count(lengths.measured),
            words::count(lengths.texts)
        ),
        false => "Of the texts ".to_owned(),
    };
    let read = match lengths.longer {
        0 => format!(
            "none is longer than the {} tokens that the encoder reads",
            words::count(lengths.limit)
        ),
        longer => format!(
            "{} ({}) {} longer than the {} tokens that the encoder reads; {} of all tokens are not \
             read",
            words::count(longer),
            words::percent(longer as f64 / lengths.measured.max(1) as f64),
            if longer == 1 { "is" } else { "are" },
            words::count(lengths.limit),
            words::percent(lengths.unread)
        ),
    };
    format!(
        "{among}{read}. The median is {} tokens, the longest has {}.",
        words::count(lengths.median),
        words::count(lengths.longest)
    )
}

fn faults(report: &ReportData) -> Vec<Fault<'_>> {
    let mut kinds: Vec<Fault<'_>> = Vec::new();
    for problem in &report.data.problems {
        match kinds.iter_mut().find(|f| f.kind == problem.kind) {
            Some(fault) => fault.n += 1,
            None => kinds.push(Fault {
                kind: &problem.kind,
                n: 1,
                path: &problem.path,
                detail: &problem.detail,
            }),
        }
    }
    kinds
}
