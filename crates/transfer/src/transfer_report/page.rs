//! `report.html` of a transfer report. Whatever came from outside is escaped here or in the drawings.

use askama::Template;

use super::answer;
use super::document::{
    Curve, LabelEquivalent, LabelSaving, MatrixCell, TargetReport, TimeToScratch, TransferReport,
    Verdict,
};
use super::plan::is_without_source;
use super::plots;
use crate::report::svg::{self, Drawing};
use crate::report::words;
use crate::{Result, TransferError};

#[derive(Template)]
#[template(path = "transfer_report.html")]
struct Page<'a> {
    r: &'a TransferReport,
    plot_style: &'static str,
    page_style: &'static str,
    targets: Vec<Shown<'a>>,
    matrix: Option<Drawing>,
    /// Whether there is more than one cell to show.
    several: bool,
    harmed: usize,
    left_out: Vec<String>,
    few_seeds: String,
    /// Whether the answer is a loss.
    harmful: bool,
    /// Curves that stand beside the answer, where there are only these.
    first: Option<Drawing>,
}

/// A target and its drawings.
struct Shown<'a> {
    told: &'a TargetReport,
    /// Source, curves and courses.
    charts: Vec<Charts<'a>>,
    rows: Vec<Row<'a>>,
}

/// One source on one target.
struct Charts<'a> {
    /// Without the folders that it lies in, and whole where that says more.
    model: String,
    whole: Option<&'a str>,
    curves: Drawing,
    course: Option<Drawing>,
    savings: Vec<&'a LabelSaving>,
    equivalents: Vec<&'a LabelEquivalent>,
    times: Vec<&'a TimeToScratch>,
    time_caption: String,
    /// Labels, seconds and epochs of the courses from scratch.
    from_scratch: [String; 3],
}

/// A line of the table of all figures.
struct Row<'a> {
    name: String,
    point: &'a super::document::CurvePoint,
}

/// The page, and the drawings on it.
pub fn render(report: &TransferReport) -> Result<(String, Vec<Drawing>)> {
    let targets: Vec<Shown<'_>> =
        report.targets.iter().enumerate().map(|(i, t)| shown(report, t, i)).collect();
    let mut drawings: Vec<Drawing> = Vec::new();
    for charts in targets.iter().flat_map(|target| &target.charts) {
        drawings.push(charts.curves.clone());
        drawings.extend(charts.course.clone());
    }
    let matrix = plots::matrix(&report.matrix);
    drawings.extend(matrix.clone());
    let all: Vec<&Charts<'_>> = targets.iter().flat_map(|target| &target.charts).collect();
    let first = match all.as_slice() {
        [only] => Some(only.curves.clone()),
        _ => None,
    };
    let page = Page {
        r: report,
        first,
        plot_style: svg::STYLE,
        page_style: include_str!("../../templates/page.css"),
        targets,
        matrix,
        several: report.matrix.len() > 1,
        harmed: report.matrix.iter().filter(|cell| cell.verdict == Verdict::Hurts).count(),
        left_out: report.left_out.iter().map(answer::left_out).collect(),
        few_seeds: few_seeds(report.seeds),
        harmful: report.figure.starts_with('−'),
    };
    let text = page.render().map_err(|e| TransferError::Internal(format!("report.html: {e}")))?;
    Ok((text, drawings))
}

/// Sources of a target, in the order of its curves.
fn models(target: &TargetReport) -> Vec<&str> {
    let mut models: Vec<&str> = Vec::new();
    for curve in target.curves.iter().filter(|curve| !is_without_source(&curve.method)) {
        if let Some(model) = curve.model.as_deref()
            && !models.contains(&model)
        {
            models.push(model);
        }
    }
    models
}

/// Methods that transfer, in the order of the curves: their places are their colours.
fn place(target: &TargetReport, method: &str) -> usize {
    let mut methods: Vec<&str> = Vec::new();
    for curve in target.curves.iter().filter(|curve| !is_without_source(&curve.method)) {
        if !methods.contains(&curve.method.as_str()) {
            methods.push(&curve.method);
        }
    }
    methods.iter().position(|m| *m == method).unwrap_or(0)
}

fn shown<'a>(report: &'a TransferReport, target: &'a TargetReport, number: usize) -> Shown<'a> {
    let cell = |model: &str| -> Option<&MatrixCell> {
        report.matrix.iter().find(|cell| cell.data == target.data && cell.model == model)
    };
    let charts = models(target)
        .into_iter()
        .enumerate()
        .filter_map(|(i, model)| {
            let own = |curve: &&Curve| curve.model.as_deref() == Some(model);
            // Scratch is trained once for all sources of an architecture, under the first one's name.
            let scratch = target.curves.iter().find(|c| c.method == "scratch" && own(c));
            let scratch = scratch.or_else(|| target.curves.iter().find(|c| c.method == "scratch"));
            let pixels = target.curves.iter().find(|c| c.method == "pixels");
            let own = target.curves.iter().filter(|c| c.method != "scratch").filter(own);
            let curves: Vec<(&Curve, usize)> = pixels
                .into_iter()
                .chain(scratch)
                .chain(own)
                .map(|curve| (curve, place(target, &curve.method)))
                .collect();
            let method = cell(model).map(|cell| cell.method.as_str());
            let savings: Vec<&LabelSaving> =
                target.savings.iter().filter(|s| s.model == model).collect();
            let versus = cell(model).map(|cell| cell.versus.as_str());
            let best = savings
                .iter()
                .copied()
                .find(|s| Some(s.method.as_str()) == method && Some(s.versus.as_str()) == versus);
            let times: Vec<&TimeToScratch> =
                target.times.iter().filter(|t| t.model == model).collect();
            let coloured: Vec<(&TimeToScratch, usize)> =
                times.iter().map(|t| (*t, place(target, &t.method))).collect();
            let title = format!("Accuracy by labels: {} on {}", words::source(model), target.data);
            let curves = plots::curves(format!("curves-{number}-{i}"), &title, &curves, best)?;
            let title =
                format!("Validation accuracy by time: {} on {}", words::source(model), target.data);
            Some(Charts {
                model: words::source(model),
                whole: Some(model).filter(|model| words::source(model) != *model),
                curves,
                course: plots::course(format!("course-{number}-{i}"), &title, &coloured),
                savings,
                time_caption: times.first().map(|t| time_caption(t)).unwrap_or_default(),
                from_scratch: times.first().map(|t| from_scratch(t)).unwrap_or_default(),
                equivalents: target.equivalents.iter().filter(|e| e.model == model).collect(),
                times,
            })
        })
        .collect();
    let rows = target
        .curves
        .iter()
        .flat_map(|curve| {
            let name = answer::way(curve.model.as_deref(), &curve.method);
            curve.points.iter().map(move |point| Row { name: name.clone(), point })
        })
        .collect();
    Shown { told: target, charts, rows }
}

fn time_caption(time: &TimeToScratch) -> String {
    format!(
        "To scratch's best on validation ({}), mean over seeds, least and most in brackets",
        words::percent(time.scratch_best)
    )
}

fn from_scratch(time: &TimeToScratch) -> [String; 3] {
    [
        words::count(time.labels),
        words::seconds(time.scratch_seconds),
        format!("{:.0}", time.scratch_epochs),
    ]
}

/// `all 251 from scratch (12.7 %)`.
fn versus(saving: &LabelSaving) -> String {
    format!(
        "{}, {} labels ({})",
        answer::way(None, &saving.versus),
        words::count(saving.versus_labels),
        words::percent(saving.versus_accuracy)
    )
}

/// What an interval over so many seeds does not say.
fn few_seeds(seeds: usize) -> String {
    match seeds {
        0 | 1 => "One seed says nothing about other draws of labels.".into(),
        n => format!(
            "Few seeds say little about other draws of labels: {n} of them show {} of the variance.",
            words::whole_percent((n - 1) as f64 / n as f64)
        ),
    }
}

/// Epochs as a person reads them.
fn epochs(time: &TimeToScratch) -> String {
    match (time.epochs, time.epochs_range) {
        (Some(mean), Some([low, high])) if low < high => format!("{mean:.0} ({low:.0}–{high:.0})"),
        (Some(mean), _) => format!("{mean:.0}"),
        _ => "–".into(),
    }
}

/// Seconds as a person reads them.
fn took(time: &TimeToScratch) -> String {
    match (time.seconds, time.seconds_range) {
        (Some(mean), Some([low, high])) if low < high => {
            format!("{} ({}–{})", words::seconds(mean), words::seconds(low), words::seconds(high))
        }
        (Some(mean), _) => words::seconds(mean),
        _ => "never".into(),
    }
}
