//! `report.html` of `rl transfer`. Whatever came from outside is escaped here or in the drawings.

use askama::Template;
use offshoot_transfer::report::svg::{self, Drawing};
use offshoot_transfer::report::{PAGE_STYLE, words};

use super::document::{MethodFigures, MethodReport, TransferReport, Verdict};
use super::{answer, curves};
use crate::{Result, RlError};

#[derive(Template)]
#[template(path = "rl_transfer.html")]
struct Page<'a> {
    r: &'a TransferReport,
    plot_style: &'static str,
    page_style: &'static str,
    curves: Option<Drawing>,
    films: &'a [Drawing],
    source: String,
    target: String,
    constants: Vec<Line>,
    rows: Vec<Row<'a>>,
    last_seconds: String,
}

/// A constant of either world.
struct Line {
    name: String,
    source: String,
    target: String,
    differs: bool,
}

/// A method's figures.
struct Row<'a> {
    method: &'a MethodReport,
    figures: &'a MethodFigures,
}

/// The page, and the drawings on it: the curves, then the films.
///
/// # Errors
/// None but a template that cannot be filled.
pub fn render(report: &TransferReport, films: &[Drawing]) -> Result<(String, Vec<Drawing>)> {
    let curves = curves::draw(report);
    let page = Page {
        r: report,
        plot_style: svg::STYLE,
        page_style: PAGE_STYLE,
        curves: curves.clone(),
        films,
        source: answer::world(&report.source, &report.target),
        target: answer::world(&report.target, &report.source),
        constants: constants(report),
        rows: report
            .methods
            .iter()
            .filter_map(|method| Some(Row { method, figures: method.figures.as_ref()? }))
            .collect(),
        last_seconds: words::seconds(report.seconds),
    };
    let text = page.render().map_err(|e| RlError::Unusable(format!("report.html: {e}")))?;
    Ok((text, curves.into_iter().chain(films.iter().cloned()).collect()))
}

fn constants(report: &TransferReport) -> Vec<Line> {
    let (source, target) = (&report.source.constants, &report.target.constants);
    let mut names: Vec<&String> = source.keys().chain(target.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let told = |value: Option<&f64>| value.map_or_else(|| "–".into(), |v| v.to_string());
    names
        .into_iter()
        .map(|name| Line {
            name: name.replace('_', " "),
            source: told(source.get(name)),
            target: told(target.get(name)),
            differs: source.get(name) != target.get(name),
        })
        .collect()
}

/// Steps as a person reads them.
fn steps(steps: Option<f64>) -> String {
    steps.map_or_else(|| "never".into(), |steps| words::count(steps.round() as usize))
}

/// A ratio of times.
fn ratio(value: Option<f64>, is_upper_bound: bool) -> String {
    let sign = if is_upper_bound { "≤ " } else { "" };
    value.map_or_else(|| "–".into(), |ratio| format!("{sign}{ratio:.2}"))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(
        || "–".into(),
        |ratio| format!("{:+.0}\u{202f}%", 100.0 * ratio).replace('-', "−"),
    )
}

fn is_harmful(verdict: Verdict) -> bool {
    verdict == Verdict::Hurts
}

fn whole(steps: u64) -> usize {
    steps as usize
}
