//! The reliability diagram: on the diagonal, what is said with 80 % confidence is right in 80 % of
//! the cases.

use super::super::data::{Calibration, CalibrationBin};
use super::super::svg::Drawing;
use super::super::words::{counted, percent};

const SIDE: f64 = 300.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 10.0;
const LEGEND: f64 = 82.0;

pub fn draw(calibration: &Calibration) -> Option<Drawing> {
    let Calibration { before, after, ece_before, ece_after } = calibration;
    if after.is_empty() {
        return None;
    }
    let size = (LEFT + SIDE + 22.0, TOP + SIDE + LEGEND);
    let description = format!(
        "Expected calibration error {} before and {} after temperature scaling.",
        percent(*ece_before),
        percent(*ece_after)
    );
    let mut drawing = Drawing::new("reliability", size, "Confidence against truth", &description);
    let place = |confidence: f64, accuracy: f64| {
        let [c, a] = [confidence, accuracy].map(|v| v.clamp(0.0, 1.0));
        (LEFT + SIDE * c, TOP + SIDE * (1.0 - a))
    };
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        drawing.line("grid", place(tick, 0.0), place(tick, 1.0));
        drawing.line("grid", place(0.0, tick), place(1.0, tick));
        let text = format!("{:.0} %", 100.0 * tick);
        let (x, y) = place(tick, 0.0);
        drawing.text("axis middle", (x, y + 16.0), &text);
        let (x, y) = place(0.0, tick);
        drawing.text("axis end", (x - 6.0, y + 4.0), &text);
    }
    let bottom = TOP + SIDE;
    drawing.text("axis middle", (LEFT + SIDE / 2.0, bottom + 34.0), "confidence");
    drawing.text_upwards("axis middle", (11.0, TOP + SIDE / 2.0), "right answers");
    drawing.line("ideal", place(0.0, 0.0), place(1.0, 1.0));

    let largest = before.iter().chain(after).map(|b| b.n).max().unwrap_or(1).max(1) as f64;
    let mut series = |class: &str, bins: &[CalibrationBin]| {
        let points: Vec<(f64, f64)> =
            bins.iter().map(|b| place(b.confidence, b.accuracy)).collect();
        drawing.polyline(&format!("{class} line"), &points);
        for (bin, at) in bins.iter().zip(points) {
            let tip = format!(
                "{} at {} confidence: {} right",
                counted(bin.n, "sample", "samples"),
                percent(bin.confidence),
                percent(bin.accuracy)
            );
            drawing.circle(class, at, 2.5 + 3.5 * (bin.n as f64 / largest).sqrt(), &tip);
        }
    };
    series("before", before);
    series("after", after);

    let y = bottom + 56.0;
    drawing.circle("after", (LEFT + 6.0, y - 4.0), 5.0, "");
    drawing.text("label", (LEFT + 18.0, y), format!("as shipped, off by {}", percent(*ece_after)));
    if !before.is_empty() {
        drawing.circle("before", (LEFT + 6.0, y + 14.0), 5.0, "");
        let text = format!("without temperature, off by {}", percent(*ece_before));
        drawing.text("label", (LEFT + 18.0, y + 18.0), text);
    }
    Some(drawing)
}
