//! Accuracy of every candidate on the target, against the source's classifier.

use super::super::document::AdaptReport;
use super::super::method::SOURCE_ONLY;
use crate::report::svg::Drawing;
use crate::report::words::{percent, points};

const WIDTH: f64 = 440.0;
const NAMES: f64 = 108.0;
const RIGHT: f64 = 62.0;
const TOP: f64 = 8.0;
const ROW: f64 = 24.0;
const BAR: f64 = 12.0;
const AXIS: f64 = 26.0;

/// `None` where no label of the target is known.
pub fn draw(report: &AdaptReport) -> Option<Drawing> {
    let before = report.candidates.iter().find(|c| c.name == SOURCE_ONLY)?.accuracy?;
    let mut rows: Vec<_> =
        report.candidates.iter().filter_map(|c| Some((c, c.accuracy?))).collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let said: Vec<String> = rows
        .iter()
        .map(|(c, accuracy)| {
            let shipped = if c.shipped { ", shipped" } else { "" };
            format!("{}: {} ({}{shipped})", c.name, percent(*accuracy), points(accuracy - before))
        })
        .collect();
    let height = TOP + ROW * rows.len() as f64 + AXIS;
    let title = "Right answers on the target, looked at after the choice";
    let mut drawing = Drawing::new("candidates", (WIDTH, height), title, &said.join("; "));
    let x = |share: f64| NAMES + share.clamp(0.0, 1.0) * (WIDTH - NAMES - RIGHT);
    let bottom = height - AXIS;
    for tick in [0.0, 0.5, 1.0] {
        drawing.line("grid", (x(tick), TOP), (x(tick), bottom));
        drawing.text("axis middle", (x(tick), bottom + 16.0), format!("{:.0} %", 100.0 * tick));
    }
    for (i, ((candidate, accuracy), said)) in rows.iter().zip(&said).enumerate() {
        let y = TOP + ROW * i as f64 + (ROW - BAR) / 2.0;
        let class = match (candidate.shipped, candidate.vetoes.is_empty()) {
            (true, _) => "bar ours",
            (_, false) => "bar miss",
            _ => "bar baseline",
        };
        drawing.text("label", (2.0, y + BAR - 1.5), &candidate.name);
        drawing.rect(class, (x(0.0), y), (x(*accuracy) - x(0.0), BAR), said);
        drawing.text("figure end", (WIDTH, y + BAR - 1.5), percent(*accuracy));
    }
    drawing.line("ideal", (x(before), TOP), (x(before), bottom));
    Some(drawing)
}
