//! The answer in plain words: was transfer worth it?

use super::document::{
    Curve, CurvePoint, LabelCount, LabelSaving, LeftOut, MatrixCell, Relation, TargetReport,
    TimeToScratch, Verdict,
};
use super::plan::{PIXELS, SCRATCH};
use crate::report::words::{
    count, percent, percent_range, points, points_range, seconds, source, whole_percent,
};

/// What the headline calls a source that hurts.
const HARM: &str = "negative transfer";

/// What the page begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Large.
    pub figure: String,
    /// What it is a figure of.
    pub headline: String,
    /// The most important first.
    pub sentences: Vec<String>,
}

impl Answer {
    /// Everything as sentences.
    pub fn all(&self) -> Vec<String> {
        let first = format!("{}: {}.", self.figure, self.headline);
        std::iter::once(first).chain(self.sentences.iter().cloned()).collect()
    }
}

/// Before a number of labels in a table.
pub fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::AtMost => "≤ ",
        Relation::About => "",
        Relation::MoreThan => "> ",
    }
}

/// `480`, `at most 9`, `more than 226`.
fn labels(found: LabelCount) -> String {
    let number = count(found.labels.round() as usize);
    match found.relation {
        Relation::AtMost => format!("at most {number}"),
        Relation::About => number,
        Relation::MoreThan => format!("more than {number}"),
    }
}

/// `350–700`, `350 to more than 1,000`.
pub fn labels_range([low, high]: [LabelCount; 2]) -> String {
    match (low.relation, high.relation) {
        _ if low == high => labels(low),
        (Relation::About, Relation::About) => format!("{}–{}", labels(low), labels(high)),
        _ => format!("{} to {}", labels(low), labels(high)),
    }
}

/// `480`, `> 226` for a table.
pub fn labels_cell(found: LabelCount) -> String {
    format!("{}{}", sign(found.relation), count(found.labels.round() as usize))
}

/// `62 %`, or `12 × as many` where more are needed than without a source.
pub fn saved_cell(saved: f64) -> String {
    if saved < 0.0 { format!("{} × as many", times(saved)) } else { whole_percent(saved) }
}

/// The interval of that.
pub fn saved_range([low, high]: [f64; 2]) -> String {
    match high < 0.0 {
        // Where least is saved, most is needed.
        true => format!("{}–{} ×", times(high), times(low)),
        false => percent_range([low, high]),
    }
}

fn times(saved: f64) -> String {
    let needed = 1.0 - saved;
    if needed < 10.0 { format!("{needed:.1}") } else { format!("{needed:.0}") }
}

/// How a source was transferred, by name.
pub fn way(model: Option<&str>, method: &str) -> String {
    match (model, method) {
        (_, PIXELS) => "raw pixels".into(),
        (_, SCRATCH) => "from scratch".into(),
        (Some(model), method) => format!("{} ({method})", source(model)),
        (None, method) => method.into(),
    }
}

/// Cells that the time did not suffice for.
pub fn left_out(left: &LeftOut) -> String {
    format!(
        "{} with {} labels on {}: {} (about {})",
        way(Some(&left.model), &left.method),
        count(left.labels),
        left.data,
        crate::report::words::counted(left.cells, "training", "trainings"),
        seconds(left.seconds)
    )
}

fn point(curve: &Curve, labels: usize) -> Option<&CurvePoint> {
    curve.points.iter().find(|point| point.labels == labels)
}

/// Of a target's sources, the one that validation preferred.
fn preferred<'a>(report: &TargetReport, matrix: &'a [MatrixCell]) -> Option<&'a MatrixCell> {
    let val = |cell: &MatrixCell| {
        let mine = |c: &&Curve| c.model.as_ref() == Some(&cell.model) && c.method == cell.method;
        let point = report.curves.iter().find(mine).and_then(|c| point(c, cell.labels));
        point.and_then(|point| point.val_accuracy).unwrap_or(f64::NEG_INFINITY)
    };
    matrix
        .iter()
        .filter(|cell| cell.data == report.data)
        .reduce(|best, cell| if val(cell) > val(best) { cell } else { best })
}

/// The answer for one data set.
pub fn of_target(report: &TargetReport, matrix: &[MatrixCell]) -> Answer {
    let Some(best) = preferred(report, matrix) else {
        return Answer {
            figure: "No answer".into(),
            headline: "no level of labels is finished both with and without a source".into(),
            sentences: Vec::new(),
        };
    };
    let named = way(Some(&best.model), &best.method);
    let own = |model: &str, method: &str| *model == best.model && *method == best.method;
    let saving =
        report.savings.iter().find(|s| own(&s.model, &s.method) && s.versus == best.versus);
    let (figure, headline) = match saving {
        Some(saving) => saved(saving, best, &named),
        None => gap(best, &named),
    };
    let mut sentences = vec![with_all(report, best.labels)];
    let equivalent = report.equivalents.iter().rfind(|e| {
        own(&e.model, &e.method)
            && e.versus == best.versus
            && e.equivalent.relation == Relation::About
    });
    if let Some(e) = equivalent {
        sentences.push(format!(
            "With {} labels it is as good as {} with about {} (95 % CI {}).",
            count(e.labels),
            without(&e.versus),
            labels(e.equivalent),
            labels_range(e.equivalent_ci)
        ));
    }
    sentences.extend(report.times.iter().filter(|t| own(&t.model, &t.method)).map(time));
    let harmed: Vec<&MatrixCell> = matrix
        .iter()
        .filter(|cell| cell.data == report.data && cell.verdict == Verdict::Hurts)
        // The headline has told of the preferred one where it is the harm that it tells of.
        .filter(|cell| !(headline.contains(HARM) && own(&cell.model, &cell.method)))
        .collect();
    sentences.extend(harmed.iter().map(|cell| {
        format!(
            "Negative transfer on {}: {} is right {} less often than {} (95 % CI {}).",
            cell.data,
            way(Some(&cell.model), &cell.method),
            points(cell.gap).trim_start_matches('+'),
            way(None, &cell.versus),
            points_range(cell.gap_ci)
        )
    }));
    Answer { figure, headline, sentences }
}

fn saved(saving: &LabelSaving, best: &MatrixCell, named: &str) -> (String, String) {
    let all = count(saving.versus_labels);
    let as_good = format!("as good as {} with all {all}", without(&saving.versus));
    let interval = format!("95 % CI {}", labels_range(saving.needed_ci));
    match saving.needed.relation {
        Relation::MoreThan => {
            let (figure, told) = gap(best, named);
            (figure, format!("{told}; transfer saves no labels"))
        }
        _ if saving.saved_ci[0] <= 0.0 => (
            "Unclear".into(),
            format!(
                "whether transfer saves labels: {named} needs {} labels ({interval}) to be {as_good}",
                about(saving.needed)
            ),
        ),
        Relation::AtMost => (
            format!("≥ {}", whole_percent(saving.saved)),
            format!(
                "of the labels saved: with {} labels, the fewest tried, {named} is already {as_good} ({interval})",
                count(saving.needed.labels.round() as usize)
            ),
        ),
        Relation::About => (
            whole_percent(saving.saved),
            format!(
                "of the labels saved: with about {} labels ({interval}), {named} is {as_good}",
                count(saving.needed.labels.round() as usize)
            ),
        ),
    }
}

/// What needs no source, in a sentence.
fn without(method: &str) -> &str {
    match method {
        PIXELS => "a head on raw pixels",
        SCRATCH => "training from scratch",
        other => other,
    }
}

fn about(found: LabelCount) -> String {
    match found.relation {
        Relation::About => format!("about {}", labels(found)),
        _ => labels(found),
    }
}

fn gap(cell: &MatrixCell, named: &str) -> (String, String) {
    let other = without(&cell.versus);
    let figure = match cell.verdict {
        Verdict::Helps => points(-cell.gap),
        Verdict::Unclear => "Unclear".into(),
        Verdict::Hurts => points(-cell.gap),
    };
    let [low, high] = cell.gap_ci;
    let interval = format!("95 % CI {}", points_range([-high, -low]));
    let told = match cell.verdict {
        Verdict::Helps => format!(
            "of accuracy gained with {} labels: {named} beats {other} ({interval})",
            count(cell.labels)
        ),
        Verdict::Unclear => format!(
            "whether transfer helps: with {} labels, {named} differs from {other} by {} ({interval})",
            count(cell.labels),
            points(-cell.gap)
        ),
        Verdict::Hurts => format!(
            "of accuracy lost with {} labels, {HARM}: {named} is worse than {other} ({interval})",
            count(cell.labels)
        ),
    };
    (figure, told)
}

/// The accuracies of all ways with the most labels.
fn with_all(report: &TargetReport, labels: usize) -> String {
    let told: Vec<String> = report
        .curves
        .iter()
        .filter_map(|curve| {
            let point = point(curve, labels)?;
            Some(format!(
                "{} {} ({})",
                way(curve.model.as_deref(), &curve.method),
                percent(point.accuracy),
                percent_range(point.accuracy_ci)
            ))
        })
        .collect();
    format!("Right answers with {} labels (95 % CI): {}.", count(labels), told.join("; "))
}

fn time(time: &TimeToScratch) -> String {
    let scratch = format!(
        "training from scratch took {} and {:.0} epochs to its best validation accuracy, {}",
        seconds(time.scratch_seconds),
        time.scratch_epochs,
        percent(time.scratch_best)
    );
    let named = way(Some(&time.model), &time.method);
    match (time.seconds, time.epochs) {
        (Some(took), Some(epochs)) if time.reached == time.seeds => {
            let when = match epochs {
                e if e < 0.5 => "before its first epoch".into(),
                e => format!("in {e:.0} epochs"),
            };
            format!(
                "With {} labels, {scratch}; {named} was there after {}, {when}.",
                count(time.labels),
                seconds(took)
            )
        }
        _ => format!(
            "With {} labels, {scratch}; {named} was there in {} of {} seeds.",
            count(time.labels),
            time.reached,
            time.seeds
        ),
    }
}

/// The answer for all data.
pub fn whole(targets: &[TargetReport], matrix: &[MatrixCell]) -> Answer {
    if let [only] = targets {
        return of_target(only, matrix);
    }
    let of = |verdict: Verdict| matrix.iter().filter(|cell| cell.verdict == verdict).count();
    let (helps, hurts) = (of(Verdict::Helps), of(Verdict::Hurts));
    let harm = match hurts {
        0 => "it hurts in none".into(),
        n => format!("it hurts in {}", count(n)),
    };
    let sentences = targets
        .iter()
        .flat_map(|target| {
            let answer = of_target(target, matrix);
            let hurt = answer.sentences.into_iter().filter(|s| s.starts_with("Negative"));
            let first = format!("{}: {} {}.", target.data, answer.figure, answer.headline);
            std::iter::once(first).chain(hurt).collect::<Vec<_>>()
        })
        .collect();
    Answer {
        figure: format!("{} of {}", count(helps), count(matrix.len())),
        headline: format!("pairs of source and data in which transfer helps; {harm}"),
        sentences,
    }
}
