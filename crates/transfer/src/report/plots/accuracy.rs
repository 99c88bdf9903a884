//! Test accuracy of the run, its baselines and other data, with whiskers for the 95 % intervals.

use super::super::data::ReportData;
use super::super::svg::Drawing;
use super::super::words::{percent, percent_range, shortened};
use crate::documents::Figures;

const WIDTH: f64 = 440.0;
const LEFT: f64 = 2.0;
/// Room for the figure at the right end of a bar.
const RIGHT: f64 = 62.0;
const TOP: f64 = 8.0;
const ROW: f64 = 46.0;
const BAR: f64 = 14.0;
const AXIS: f64 = 26.0;

struct Row<'a> {
    class: &'static str,
    name: String,
    figures: &'a Figures,
}

pub fn draw(report: &ReportData) -> Drawing {
    let mut rows =
        vec![Row { class: "bar ours", name: report.network(), figures: &report.figures }];
    rows.extend(report.domains.iter().map(|d| Row {
        class: "bar elsewhere",
        name: format!("the same classifier on {}", d.name),
        figures: &d.figures,
    }));
    rows.extend(report.baselines.iter().map(|b| Row {
        class: "bar baseline",
        name: b.summary.clone(),
        figures: &b.figures,
    }));

    let said: Vec<String> = rows
        .iter()
        .map(|r| {
            format!(
                "{}: {} ({})",
                r.name,
                percent(r.figures.accuracy),
                percent_range(r.figures.accuracy_ci)
            )
        })
        .collect();
    let height = TOP + ROW * rows.len() as f64 + AXIS;
    let title = "Share of right answers";
    let mut drawing = Drawing::new("accuracy", (WIDTH, height), title, &said.join("; "));

    // Without a sample the figures are not numbers, and bars have no length.
    let inside = |share: f64| if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let x = |share: f64| LEFT + inside(share) * (WIDTH - LEFT - RIGHT);
    let bottom = height - AXIS;
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        drawing.line("grid", (x(tick), TOP), (x(tick), bottom));
        let anchor = if tick == 0.0 { "axis" } else { "axis middle" };
        drawing.text(anchor, (x(tick), bottom + 16.0), format!("{:.0} %", 100.0 * tick));
    }
    for (i, (Row { class, name, figures }, said)) in rows.iter().zip(&said).enumerate() {
        let y = TOP + ROW * i as f64;
        drawing.text("label", (LEFT, y + 14.0), shortened(name, 52));
        let bar = y + 20.0;
        drawing.rect(class, (x(0.0), bar), (x(figures.accuracy) - x(0.0), BAR), said);
        let [low, high] = figures.accuracy_ci.map(x);
        let middle = bar + BAR / 2.0;
        drawing.line("whisker", (low, middle), (high, middle));
        for end in [low, high] {
            drawing.line("whisker", (end, middle - 4.0), (end, middle + 4.0));
        }
        drawing.text("figure end", (WIDTH, middle + 4.5), percent(figures.accuracy));
    }
    drawing
}
