//! How often each class is answered, before and after, beside its estimated share.

use super::super::document::{AdaptReport, ClassChange};
use crate::report::svg::Drawing;
use crate::report::words::{percent, shortened};

const WIDTH: f64 = 440.0;
const NAMES: f64 = 108.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const ROW: f64 = 30.0;
const BAR: f64 = 9.0;
const AXIS: f64 = 46.0;
/// Classes shown: those whose share changes most.
const CLASSES: usize = 12;

pub fn draw(report: &AdaptReport) -> Option<Drawing> {
    let mut rows: Vec<&ClassChange> = report.classes.iter().collect();
    let change = |c: &ClassChange| (c.share - c.source_only_share).abs();
    rows.sort_by(|a, b| change(b).total_cmp(&change(a)));
    rows.truncate(CLASSES);
    if rows.is_empty() {
        return None;
    }
    let most = rows
        .iter()
        .flat_map(|c| [c.share, c.source_only_share, c.estimated_share.unwrap_or(0.0)])
        .fold(0.01, f64::max);
    let said: Vec<String> = rows
        .iter()
        .map(|c| {
            let estimated =
                c.estimated_share.map_or(String::new(), |e| format!(", estimated {}", percent(e)));
            format!(
                "{}: {} of answers before, {} after{estimated}",
                c.class,
                percent(c.source_only_share),
                percent(c.share)
            )
        })
        .collect();
    let height = TOP + ROW * rows.len() as f64 + AXIS;
    let title = "Share of each class among the answers";
    let mut drawing = Drawing::new("shares", (WIDTH, height), title, &said.join("; "));
    let x = |share: f64| NAMES + share / most * (WIDTH - NAMES - RIGHT);
    let bottom = height - AXIS;
    for tick in [0.0, most / 2.0, most] {
        drawing.line("grid", (x(tick), TOP), (x(tick), bottom));
        let anchor = if tick == most { "axis end" } else { "axis middle" };
        drawing.text(anchor, (x(tick), bottom + 16.0), percent(tick));
    }
    for (i, (class, said)) in rows.iter().zip(&said).enumerate() {
        let y = TOP + ROW * i as f64 + 4.0;
        drawing.text("label", (2.0, y + BAR + 3.0), shortened(&class.class, 15));
        let bar = |share: f64| (x(share) - x(0.0), BAR);
        drawing.rect("bar baseline", (x(0.0), y), bar(class.source_only_share), said);
        drawing.rect("bar ours", (x(0.0), y + BAR + 1.0), bar(class.share), said);
        if let Some(estimated) = class.estimated_share {
            let at = x(estimated);
            drawing.line("whisker", (at, y - 2.0), (at, y + 2.0 * BAR + 3.0));
        }
    }
    let y = bottom + 36.0;
    drawing.rect("bar baseline", (2.0, y - 9.0), (12.0, 9.0), "");
    drawing.text("label", (20.0, y), "source-only");
    drawing.rect("bar ours", (120.0, y - 9.0), (12.0, 9.0), "");
    drawing.text("label", (138.0, y), "shipped");
    drawing.line("whisker", (226.0, y - 11.0), (226.0, y + 2.0));
    drawing.text("label", (234.0, y), "estimated share in the target");
    Some(drawing)
}
