//! The answer in plain language.

use super::document::{AdaptReport, ClassChange};
use super::method::SOURCE_ONLY;
use crate::report::words::{
    count, counted, open_set, percent, percent_range, points, points_range,
};
use offshoot_stats::shift::Action;

/// Classes that are named, at most.
const NAMED: usize = 4;
/// Labels of the target that tell how right answers are, to about ten points.
const TO_LABEL: usize = 100;
/// Share of a class's share in the source below which it seems to be absent from the target.
const SCARCE: f64 = 0.1;

/// What a hurried reader takes away: a figure, and what it is.
pub fn headline(report: &AdaptReport) -> (String, String) {
    match (&report.target_figures, report.fell_back || report.method == SOURCE_ONLY) {
        (Some(figures), _) => (
            percent(figures.accuracy),
            format!(
                "right ({}) on {} of the target, whose labels took part in no choice",
                percent_range(figures.accuracy_ci),
                counted(figures.n, "sample", "samples")
            ),
        ),
        (None, true) => (
            "unchanged".into(),
            "the source's classifier is shipped as it is; no label of the target tells how right it is".into(),
        ),
        (None, false) => (
            report.method.clone(),
            format!(
                "was chosen and answers {} of {} otherwise; no label of the target tells how right it is",
                percent(report.changed),
                counted(report.target.used, "target sample", "target samples")
            ),
        ),
    }
}

/// Full sentences, the most important first.
pub fn sentences(report: &AdaptReport) -> Vec<String> {
    let (figure, headline) = headline(report);
    let mut out = vec![format!("{figure} {headline}.")];
    out.extend(judged(report));
    out.push(chosen(report));
    out.push(format!("{} {}", report.mismatch.sentence, size(report)));
    out.extend(absent(report));
    out.extend(unknown(report));
    out.extend(domains(report));
    out.extend(by_class(report));
    out.extend(home(report));
    out.extend(sets(report));
    out.extend(run(report));
    out
}

fn judged(report: &AdaptReport) -> Option<String> {
    let (gap, before) = (report.gap?, report.source_only_accuracy?);
    let range = format!("{} ({})", points(-gap.value), points_range([-gap.ci[1], -gap.ci[0]]));
    let before = format!("The source's classifier as it is gets {}", percent(before));
    if report.method == SOURCE_ONLY {
        return Some(format!("{before}, and that is what is shipped."));
    }
    Some(match report.verdict.as_str() {
        "helps" => format!("{before}, so adapting by {} bought {range}.", report.method),
        "hurts" => format!(
            "{before}: adapting by {} cost {range}, which nothing told without labels. Use the source's \
             classifier, or label a few target samples.",
            report.method
        ),
        _ => format!(
            "{before}. The difference of {range} is too small for these labels to tell from none."
        ),
    })
}

fn chosen(report: &AdaptReport) -> String {
    let tried = report.candidates.len().saturating_sub(1);
    let tried = counted(tried, "method was", "methods were");
    match (report.fell_back, report.method == SOURCE_ONLY) {
        (true, _) => format!("{tried} tried and none is shipped: {}.", report.reason),
        (false, true) => format!("Nothing is adapted: {}.", report.reason),
        _ => format!("{tried} tried; {} is shipped: {}.", report.method, report.reason),
    }
}

fn size(report: &AdaptReport) -> String {
    let Some(accuracy) = report.mismatch.told_apart else { return String::new() };
    format!(
        "The mismatch is {}: a linear classifier tells source from target in {} of cases.",
        report.mismatch.size.word(),
        percent(accuracy.max(0.5))
    )
}

/// Classes that the target seems to lack.
fn absent(report: &AdaptReport) -> Option<String> {
    let lacking: Vec<String> = report
        .classes
        .iter()
        .filter(|class| class.weight < ABSENT)
        .map(|class| format!("“{}” ({})", class.class, percent(class.weight)))
        .collect();
    let more = match lacking.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {}", counted(rest, "more", "more")),
    };
    let named = lacking.get(..NAMED.min(lacking.len())).unwrap_or_default().join(", ");
    (!lacking.is_empty()).then(|| {
        format!(
            "The target seems to lack classes of the source, of whose samples only a share was adapted with: {named}{more}."
        )
    })
}

/// What is called unknown, and what that is worth.
fn unknown(report: &AdaptReport) -> Option<String> {
    let found = report.unknown.as_ref()?;
    let rule = match found.expected {
        Some(_) => "the share that was named",
        None => "those that are less sure than the mean",
    };
    let mut text = format!(
        "{} of the target's samples are called unknown, of no class of the source ({rule}).",
        percent(found.share)
    );
    if let Some(figures) = &found.figures {
        text.push(' ');
        text.push_str(&open_set(figures));
    }
    if let Some(harmonic) = found.source_only_figures.and_then(|own| own.harmonic) {
        text.push_str(&format!(" Without adapting, the harmonic mean is {}.", percent(harmonic)));
    }
    Some(text)
}

/// Share of a class below which it is called absent.
const ABSENT: f64 = 0.5;

/// Which domain of the source is nearest, and which harm.
fn domains(report: &AdaptReport) -> Option<String> {
    let nearest = report.domains.first()?;
    let mut text = format!(
        "Of {} domains of the source, “{}” is nearest to the target ({} of the mixture that comes nearest).",
        report.domains.len(),
        nearest.domain,
        percent(nearest.share)
    );
    let harm = harmful(report);
    if !harm.is_empty() {
        let names: Vec<String> = harm.iter().take(NAMED).map(|name| format!("“{name}”")).collect();
        text.push_str(&format!(
            " Without {}, the other domains are recognised better, beyond chance.",
            names.join(" or ")
        ));
    }
    Some(text)
}

/// Domains that cost the others accuracy.
fn harmful(report: &AdaptReport) -> Vec<&str> {
    let harms = report.domains.iter().filter(|d| d.elsewhere.is_some_and(|gap| gap.hurts()));
    harms.map(|d| d.domain.as_str()).collect()
}

fn by_class(report: &AdaptReport) -> Option<String> {
    let named = |harm: bool| -> Vec<String> {
        let touched = report.by_class.iter().filter(|c| {
            c.adjusted_p < crate::guard::gap::LEVEL
                && if harm { c.gap.hurts() } else { c.gap.helps() }
        });
        touched.map(|c| format!("“{}” ({})", c.class, points(-c.gap.value))).collect()
    };
    let told = |names: Vec<String>, what: &str| {
        (!names.is_empty()).then(|| {
            let rest = names.len().saturating_sub(NAMED);
            let more = if rest > 0 {
                format!(" and {}", counted(rest, "more", "more"))
            } else {
                String::new()
            };
            let names: Vec<String> = names.into_iter().take(NAMED).collect();
            format!("{what} {}{more}", names.join(", "))
        })
    };
    let parts: Vec<String> =
        [told(named(false), "better recognised than before:"), told(named(true), "worse:")]
            .into_iter()
            .flatten()
            .collect();
    (!parts.is_empty()).then(|| format!("Beyond chance, classes are {}.", parts.join("; ")))
}

fn home(report: &AdaptReport) -> Option<String> {
    let figures = report.home_figures.as_ref()?;
    Some(format!(
        "On {} of the source that took no part it is right in {} ({}).",
        counted(figures.n, "sample", "samples"),
        percent(figures.accuracy),
        percent_range(figures.accuracy_ci)
    ))
}

fn sets(report: &AdaptReport) -> Option<String> {
    let sets = report.sets.as_ref()?;
    Some(format!(
        "Prediction sets, which promise the right class in {}, held it for {} ({}) of the target's labels, with {:.1} \
         classes each.",
        percent(sets.promised),
        percent(sets.coverage),
        percent_range(sets.coverage_ci),
        sets.mean_size
    ))
}

fn run(report: &AdaptReport) -> Option<String> {
    let accuracy = report.run_accuracy?;
    Some(format!("The run's own classifier gets {} on the target.", percent(accuracy)))
}

/// Which part the target's labels had.
pub fn labels(judging: usize, transductive: bool) -> String {
    match (judging, transductive) {
        (0, _) => {
            "the target has no labels that could judge; nothing here says how right the answers are"
                .into()
        }
        (n, true) => format!(
            "{} judge; no choice, fit or threshold saw any of them, and their inputs were adapted to",
            counted(n, "label of the target", "labels of the target")
        ),
        (n, false) => format!(
            "{} of the target's test split judge; neither they nor their inputs were seen before",
            counted(n, "label", "labels")
        ),
    }
}

/// What to do next.
pub fn next(report: &AdaptReport) -> Vec<String> {
    let mut out = Vec::new();
    let target = &report.target;
    let unmeasured = report.target_figures.is_none();
    if unmeasured {
        let which = match target.samples {
            n if n <= 2 * TO_LABEL => {
                format!("the {}", counted(n, "target sample", "target samples"))
            }
            n => format!("about {TO_LABEL} of the {} target samples, drawn at random,", count(n)),
        };
        out.push(format!(
            "Label {which} and run `offshoot eval` with them: no score without labels is a measurement."
        ));
    }
    if report.verdict == "hurts" {
        out.push("Ship the source's classifier: `--method source-only`.".into());
    }
    let poor = report
        .accuracy
        .is_some_and(|a| report.home_figures.as_ref().is_some_and(|home| a < home.accuracy - 0.1));
    if poor || (unmeasured && report.fell_back) {
        out.push(
            "Train on a few target labels (`offshoot train` on them, with the same model): a hundred labels often \
             do more than any adaptation."
                .into(),
        );
    }
    if poor {
        out.push(
            "Try another source of features (`offshoot rank` on the labelled target samples): features that look \
             alike on both sides need no adaptation."
                .into(),
        );
    }
    if report.prescription.then.contains(&Action::CollectLabels)
        && report.prescription.action == Action::ReweightLabels
    {
        out.push("Classes differ in frequency as well as in looks: check the shares of answers below against what is known of the target.".into());
    }
    if let Some(trust) = &report.trust {
        out.push(format!(
            "Before relying on `predict --sets`: {trust}. `offshoot eval` with a few labels tells how far."
        ));
    }
    // Where inputs look different, a class may be hidden and not absent.
    let seen = report.mismatch.verdict == ["label"];
    let scarce = |class: &&ClassChange| {
        seen && class.weight >= 1.0
            && class.estimated_share.is_some_and(|share| share < SCARCE * class.source_share)
    };
    if let Some(class) = report.classes.iter().find(scarce) {
        out.push(format!(
            "The target seems to lack “{}”. If it lacks classes of the source, say so: `--classes partial` leaves them out \
             of the adaptation.",
            class.class
        ));
    }
    if report.unknown.as_ref().is_some_and(|found| found.expected.is_none()) {
        out.push(
            "How many samples are unknown no score without labels can tell: look at some of those that are called so, and \
             say what share is right by `--unknown-share`."
                .into(),
        );
    }
    if let Some(name) = harmful(report).first() {
        out.push(format!(
            "Look at the labels of domain “{name}”: with it, the others are recognised worse. Leave it out, or correct it."
        ));
    }
    if out.is_empty() {
        out.push(
            "Watch the answers' shares of classes in use: where they move, adapt again.".into(),
        );
    }
    out
}
