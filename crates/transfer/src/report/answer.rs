//! The answer in plain language, before any evidence.

use super::data::{Gain, ReportData};
use super::plots::wrong_pairs;
use super::sources;
use super::words::{count, counted, percent, percent_range, points, points_range, shortened};
use crate::documents::Baseline;
use crate::guard::document::Gap;

/// What a hurried reader takes away.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The one number.
    pub figure: String,
    /// What the number is.
    pub headline: String,
    /// Full sentences, the most important first.
    pub sentences: Vec<String>,
}

/// Below this many test samples the page says that the interval is wide.
const FEW: usize = 100;
/// With fewer, the calibration error is mostly chance.
const MANY: usize = 300;
/// Characters of a class's name in a sentence.
const NAME: usize = 40;

impl Answer {
    /// Reads the figures.
    pub fn of(report: &ReportData) -> Self {
        let figures = &report.figures;
        let (one, many) = if report.data.pictures {
            ("test picture", "test pictures")
        } else {
            ("test sample", "test samples")
        };
        let trained = report.command != "eval";
        let headline = format!(
            "right ({}) on {}{}",
            percent_range(figures.accuracy_ci),
            counted(figures.n, one, many),
            if trained { " it never saw" } else { "" }
        );
        let sentences = [
            guarded(report),
            sources::sentence(report),
            bought(report),
            shift(report),
            weakest(report),
            trust(report),
            flawless(report),
            few(figures.n, many),
        ];
        let sentences = sentences.into_iter().flatten().collect();
        Self { figure: percent(figures.accuracy), headline, sentences }
    }
}

/// The hardest baseline to beat that says something about transfer.
fn telling(report: &ReportData) -> Option<&Baseline> {
    let named = |name: &str| report.baselines.iter().find(|b| b.name == name);
    let tuned = || named("probe");
    tuned()
        .or_else(|| named("pixels"))
        .or_else(|| named("words"))
        .or_else(|| named("random"))
        .or_else(|| named("majority"))
}

/// What the guard did, where it was needed.
fn guarded(report: &ReportData) -> Option<String> {
    let guard = report.guard.as_ref()?;
    let asked = guard.candidates.first()?;
    let stopped = guard.watch.as_ref().and_then(|watch| watch.stopped_after);
    let gap = guard.nt_gap.as_ref();
    let range =
        |gap: &Gap| format!("{} ({})", points(-gap.value), points_range([-gap.ci[1], -gap.ci[0]]));
    if guard.fell_back {
        let judged = gap.map_or(String::new(), |gap| {
            let than = match guard.verdict.as_str() {
                "hurts" => "the test agrees",
                "helps" => "the test disagrees",
                _ => "the test cannot tell",
            };
            format!("; {than}: with the source {} right, {}", percent(asked.accuracy), range(gap))
        });
        return Some(format!(
            "The source hurts here: shipped is {}, which needs none, as it was ahead on held-out \
             samples{judged}.",
            guard.shipped_summary()
        ));
    }
    if guard.verdict == "hurts" {
        let without = guard.candidates.iter().find(|c| Some(&c.name) == guard.without.as_ref())?;
        return Some(format!(
            "Held-out samples did not show it, but on the test the source hurts: {} against {}, which \
             needs no source.",
            range(gap?),
            without.summary
        ));
    }
    stopped.map(|epochs| {
        format!(
            "Tuning was stopped after {}, provably worse than the probe.",
            counted(epochs as usize, "epoch", "epochs")
        )
    })
}

fn bought(report: &ReportData) -> Option<String> {
    if report.guard.as_ref().is_some_and(|guard| guard.fell_back) {
        return None;
    }
    let baseline = telling(report)?;
    let reached = percent(baseline.figures.accuracy);
    let gain = report.gains.get(&baseline.name);
    let difference =
        gain.map_or(report.figures.accuracy - baseline.figures.accuracy, |g| g.accuracy);
    let what = match baseline.name.as_str() {
        "probe" => "The same source without tuning gets",
        "pixels" => "The same head on raw pixels gets",
        "words" => "The same head on words without meaning gets",
        "random" => "The same head on the untrained network gets",
        _ => "Always answering the most frequent class gets",
    };
    let (means, instead) = match baseline.name.as_str() {
        "probe" => ("tuning", "Without it (`--method probe`) the test would have gone better."),
        _ => ("transfer", "This source hurts here; another may not."),
    };
    if baseline.name == "majority" {
        return Some(format!("{what} {reached}: {}.", points(difference)));
    }
    let range = gain.map(|g| format!(" ({})", points_range(g.ci))).unwrap_or_default();
    Some(match verdict(gain, difference) {
        Verdict::Helped => {
            format!("{what} {reached}, so {means} bought {}{range}.", points(difference))
        }
        Verdict::Hurt => {
            format!("{what} {reached}: {means} cost {}{range}. {instead}", points(difference))
        }
        Verdict::Unclear => format!(
            "{what} {reached}. The difference of {}{range} is too small for this test set to tell \
             from none.",
            points(difference)
        ),
    })
}

enum Verdict {
    Helped,
    Hurt,
    Unclear,
}

fn verdict(gain: Option<&Gain>, difference: f64) -> Verdict {
    let [low, high] = gain.map_or([difference; 2], |g| g.ci);
    match (low > 0.0, high < 0.0) {
        (true, _) => Verdict::Helped,
        (_, true) => Verdict::Hurt,
        _ => Verdict::Unclear,
    }
}

fn shift(report: &ReportData) -> Option<String> {
    let worst =
        report.domains.iter().min_by(|a, b| a.figures.accuracy.total_cmp(&b.figures.accuracy))?;
    let there = percent(worst.figures.accuracy);
    let range = percent_range(worst.figures.accuracy_ci);
    let change = points(worst.figures.accuracy - report.figures.accuracy);
    Some(format!(
        "On {} it is right in {there} ({range}) of {} cases: {change}.",
        worst.name,
        count(worst.figures.n)
    ))
}

fn weakest(report: &ReportData) -> Option<String> {
    let measured = report.per_class.iter().enumerate().filter_map(|(i, c)| Some((i, c, c.recall?)));
    let (index, class, recall) = measured.min_by(|a, b| a.2.total_cmp(&b.2))?;
    if recall >= 1.0 {
        let unjudged = report.per_class.iter().filter(|c| c.recall.is_none()).count();
        return Some(match unjudged {
            0 => "Every test sample of every class was recognised.".into(),
            n => format!(
                "Every test sample was recognised; {} had none.",
                counted(n, "class", "classes")
            ),
        });
    }
    let n = report.per_class.len();
    let pairs = if report.confusion.len() == n * n {
        wrong_pairs(&report.confusion, n)
    } else {
        Vec::new()
    };
    let taken =
        pairs.iter().find(|(i, _, _)| *i == index).map(|(_, j, _)| &report.per_class[*j].name);
    let taken = taken
        .map(|name| format!(", most often taken for “{}”", shortened(name, NAME)))
        .unwrap_or_default();
    Some(format!(
        "The hardest class is “{}”: {} of its {} were recognised{taken}.",
        shortened(&class.name, NAME),
        percent(recall),
        counted(class.n, "test sample", "test samples")
    ))
}

fn trust(report: &ReportData) -> Option<String> {
    let calibration = report.calibration.as_ref()?;
    let n = report.figures.n;
    let off = percent(calibration.ece_after);
    // Bins of few samples are off by chance alone, so the figure is then too high.
    let verdict = match calibration.ece_after {
        e if n < FEW || (n < MANY && e >= 0.05) => {
            format!("; {} samples are few to measure that by", count(n))
        }
        e if e < 0.05 => ", so it can be taken at its word".into(),
        _ => "; treat it as a rough guide".into(),
    };
    Some(format!("Its stated confidence is off by {off} on average{verdict}."))
}

/// A bootstrap interval of nothing but right answers has no width, which is not what is known: n
/// right answers in a row happen in 5 % of the cases where the share of wrong ones is 1 − 0.05^(1/n).
fn flawless(report: &ReportData) -> Option<String> {
    let figures = &report.figures;
    (figures.accuracy >= 1.0 && figures.n > 0).then(|| {
        let possible = 1.0 - 0.05_f64.powf(1.0 / figures.n as f64);
        format!(
            "No mistake in {} answers still allows for {} of wrong ones in the long run.",
            count(figures.n),
            percent(possible)
        )
    })
}

fn few(n: usize, many: &str) -> Option<String> {
    (n < FEW).then(|| {
        format!("With {} {many} the intervals are wide; more would narrow them.", count(n))
    })
}
