//! The findings as one page.

use askama::Template;

use super::document::ShiftReport;
use super::words as told;
use crate::report::{svg, words};
use crate::{Result, TransferError};

/// Classes shown.
const CLASSES: usize = 30;

#[derive(Template)]
#[template(path = "shift.html")]
struct Page<'a> {
    r: &'a ShiftReport,
    plot_style: &'static str,
    page_style: &'static str,
    size: String,
    classes: Vec<Class<'a>>,
    more_classes: usize,
}

struct Class<'a> {
    name: &'a str,
    source: String,
    target: String,
    distance: String,
    /// Width of a bar, percent.
    bar: String,
    p: String,
    accuracy: String,
    source_accuracy: String,
}

/// One offline file without a script.
pub fn render(report: &ShiftReport) -> Result<String> {
    let classes = report.classes.iter().take(CLASSES).map(|c| Class {
        name: &c.class,
        source: words::percent(c.source_share),
        target: words::percent(c.target_share),
        distance: c.distance.map_or("–".into(), words::decimal),
        bar: format!("{:.1}", 100.0 * c.distance.unwrap_or(0.0).clamp(0.0, 1.0)),
        p: c.p_value.map_or("–".into(), words::decimal),
        accuracy: c.accuracy.map_or("–".into(), words::whole_percent),
        source_accuracy: words::whole_percent(c.source_accuracy),
    });
    let page = Page {
        r: report,
        plot_style: svg::STYLE,
        page_style: include_str!("../../templates/page.css"),
        size: told::size(report),
        classes: classes.collect(),
        more_classes: report.classes.len().saturating_sub(CLASSES),
    };
    page.render().map_err(|e| TransferError::Internal(format!("shift.html: {e}")))
}
