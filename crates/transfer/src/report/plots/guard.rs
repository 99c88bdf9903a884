//! Negative-transfer gaps to everything that was fitted beside what was asked for.

use super::super::data::ReportData;
use super::super::svg::Drawing;
use super::super::words::{points, points_range, shortened};

const WIDTH: f64 = 440.0;
const RIGHT: f64 = 78.0;
const TOP: f64 = 8.0;
const ROW: f64 = 40.0;
const AXIS: f64 = 26.0;

pub fn draw(report: &ReportData) -> Option<Drawing> {
    let guard = report.guard.as_ref()?;
    let rows: Vec<_> = guard
        .candidates
        .iter()
        .filter_map(|c| Some((&c.summary, guard.gaps.get(&c.name)?)))
        .collect();
    let far = |gap: f64| if gap.is_finite() { gap.abs() } else { 0.0 };
    let reach = rows.iter().map(|(_, gap)| far(gap.ci[0]).max(far(gap.ci[1]))).fold(0.01, f64::max);
    let said: Vec<String> = rows
        .iter()
        .map(|(name, gap)| {
            format!("against {name}: {} ({})", points(gap.value), points_range(gap.ci))
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let height = TOP + ROW * rows.len() as f64 + AXIS;
    let title = "Errors with the source minus errors without it";
    let mut drawing = Drawing::new("guard", (WIDTH, height), title, &said.join("; "));
    let half = (WIDTH - RIGHT) / 2.0;
    let x = |gap: f64| {
        let inside = if gap.is_finite() { (gap / reach).clamp(-1.0, 1.0) } else { 0.0 };
        half + inside * (half - 8.0)
    };
    let bottom = height - AXIS;
    drawing.line("grid", (x(0.0), TOP), (x(0.0), bottom));
    drawing.text("axis middle", (x(0.0), bottom + 16.0), "0");
    drawing.text("axis", (0.0, bottom + 16.0), "helps");
    drawing.text("axis end", (WIDTH - RIGHT, bottom + 16.0), "hurts");
    for (i, ((name, gap), said)) in rows.iter().zip(&said).enumerate() {
        let y = TOP + ROW * i as f64;
        drawing.text("label", (2.0, y + 12.0), shortened(&format!("against {name}"), 52));
        let middle = y + 25.0;
        let [low, high] = gap.ci.map(x);
        drawing.line("whisker", (low, middle), (high, middle));
        for end in [low, high] {
            drawing.line("whisker", (end, middle - 4.0), (end, middle + 4.0));
        }
        let class = if gap.hurts() { "bar miss" } else { "bar ours" };
        drawing.circle(class, (x(gap.value), middle), 4.5, said);
        drawing.text("figure end", (WIDTH, middle + 4.5), points(gap.value));
    }
    Some(drawing)
}
