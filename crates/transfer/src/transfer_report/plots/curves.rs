//! Accuracy by the number of labels, on a log axis, each line with its band and its name.

use super::super::answer;
use super::super::document::{Curve, CurvePoint, LabelCount, LabelSaving, Relation};
use super::{LONGEST_NAME, apart, bounds, colour, room};
use crate::report::svg::Drawing;
use crate::report::words::{count, percent, percent_range, shortened};

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;
/// Least distance of two labels of the axis.
const BETWEEN: f64 = 34.0;
const NAME_ROOM: f64 = 15.0;

/// One source's curves on one target; `saving` is drawn as the way from one curve to the other.
pub fn draw(
    name: String,
    title: &str,
    curves: &[(&Curve, usize)],
    saving: Option<&LabelSaving>,
) -> Option<Drawing> {
    let points = || curves.iter().flat_map(|(curve, _)| &curve.points);
    let least = points().map(|p| p.labels).min()? as f64;
    let most = points().map(|p| p.labels).max()? as f64;
    let (low, high) = bounds(points().flat_map(|p| p.accuracy_ci));
    let said: Vec<String> = curves.iter().map(|(curve, _)| spoken(curve)).collect();
    let right = room(curves.iter().map(|(curve, _)| curve.method.as_str()));
    let size = (LEFT + WIDTH + right, TOP + HEIGHT + BOTTOM);
    let mut drawing = Drawing::new(name, size, title, &said.join(" "));

    let x = |labels: f64| match most > least {
        true => LEFT + 10.0 + (WIDTH - 10.0) * (labels / least).ln() / (most / least).ln(),
        false => LEFT + WIDTH / 2.0,
    };
    let y = |accuracy: f64| TOP + HEIGHT * (1.0 - (accuracy - low) / (high - low));
    let bottom = TOP + HEIGHT;
    let step = if high - low > 0.55 { 0.2 } else { 0.1 };
    let mut tick = low;
    while tick < high + 1e-9 {
        drawing.line("grid", (LEFT, y(tick)), (LEFT + WIDTH, y(tick)));
        drawing.text("axis end", (LEFT - 7.0, y(tick) + 4.0), format!("{:.0} %", 100.0 * tick));
        tick += step;
    }
    let mut levels: Vec<usize> = points().map(|p| p.labels).collect();
    levels.sort_unstable();
    levels.dedup();
    // The most labels matter most; the others where there is room.
    let mut free = f64::INFINITY;
    for &labels in levels.iter().rev() {
        let at = x(labels as f64);
        drawing.line("grid", (at, bottom), (at, bottom + 4.0));
        if free - at >= BETWEEN {
            drawing.text("axis middle", (at, bottom + 17.0), count(labels));
            free = at;
        }
    }
    drawing.text("quiet middle", (LEFT + WIDTH / 2.0, bottom + 37.0), "labels (log scale)");

    for (curve, place) in curves {
        let class = colour(&curve.method, *place);
        let upper = curve.points.iter().map(|p| (p, p.accuracy_ci[1]));
        let lower = curve.points.iter().rev().map(|p| (p, p.accuracy_ci[0]));
        let edge = |(p, v): (&CurvePoint, f64)| format!("{:.1} {:.1}", x(p.labels as f64), y(v));
        let path: Vec<String> = upper.chain(lower).map(edge).collect();
        drawing.path(&format!("{class} band"), &format!("M{}Z", path.join("L")), "");
    }
    for (curve, place) in curves {
        let class = colour(&curve.method, *place);
        let dash = if curve.method == "pixels" { " dashed" } else { "" };
        let line: Vec<(f64, f64)> =
            curve.points.iter().map(|p| (x(p.labels as f64), y(p.accuracy))).collect();
        drawing.polyline(&format!("{class} curve{dash}"), &line);
        for (point, &at) in curve.points.iter().zip(&line) {
            drawing.circle(class, at, 3.2, &tip(curve, point));
        }
    }
    if let Some(saving) = saving {
        draw_saving(&mut drawing, saving, &x, &y, least);
    }
    let ends: Vec<f64> = curves
        .iter()
        .filter_map(|(curve, _)| curve.points.last())
        .map(|p| y(p.accuracy) + 4.0)
        .collect();
    let places = apart(&ends, NAME_ROOM, (TOP + 8.0, bottom));
    for ((curve, place), at) in curves.iter().zip(places) {
        let class = colour(&curve.method, *place);
        let name = shortened(&curve.method, LONGEST_NAME);
        drawing.text(&format!("{class} tag"), (LEFT + WIDTH + 9.0, at), name);
    }
    Some(drawing)
}

/// From the last point without a source back to where the other curve is as good.
fn draw_saving(
    drawing: &mut Drawing,
    saving: &LabelSaving,
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(f64) -> f64,
    least: f64,
) {
    let LabelCount { relation, labels } = saving.needed;
    if relation == Relation::MoreThan || saving.saved_ci[0] <= 0.0 {
        return;
    }
    let height = y(saving.versus_accuracy);
    let (from, to) = (x(saving.versus_labels as f64), x(labels.max(least)));
    drawing.line("savings", (from - 6.0, height), (to, height));
    drawing.path("ink", &format!("M{:.1} {height:.1}l8 -4v8z", to), "");
    let text = match relation {
        Relation::AtMost => format!("{} labels are enough", answer::labels_cell(saving.needed)),
        _ => format!("about {} labels are as good", answer::labels_cell(saving.needed)),
    };
    drawing.text("quiet halo", (to + 12.0, height - 7.0), text);
}

fn tip(curve: &Curve, point: &CurvePoint) -> String {
    format!(
        "{}, {} labels: {} ({})",
        answer::way(curve.model.as_deref(), &curve.method),
        count(point.labels),
        percent(point.accuracy),
        percent_range(point.accuracy_ci)
    )
}

fn spoken(curve: &Curve) -> String {
    let points: Vec<String> = curve
        .points
        .iter()
        .map(|p| format!("{} with {} labels", percent(p.accuracy), count(p.labels)))
        .collect();
    let name = answer::way(curve.model.as_deref(), &curve.method);
    format!("{name}: {}.", points.join(", "))
}
