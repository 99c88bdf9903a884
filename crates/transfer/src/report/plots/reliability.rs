//! The reliability diagram: on the diagonal, what is said with 80 % confidence is right in 80 % of
//! the cases.

use super::super::data::{Calibration, CalibrationBin};
use super::super::svg::Drawing;
use super::super::words::{counted, percent};

/// A dot of fewer samples shows chance rather than calibration.
const LEAST: usize = 12;

const SIDE: f64 = 300.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 10.0;
const LEGEND: f64 = 82.0;

/// Joins neighbouring bins until each holds enough samples; `bins` rise in confidence.
pub fn merged(bins: &[CalibrationBin]) -> Vec<CalibrationBin> {
    let mut joined: Vec<CalibrationBin> = Vec::new();
    for bin in bins.iter().filter(|bin| bin.n > 0) {
        match joined.last_mut().filter(|last| last.n < LEAST) {
            Some(last) => *last = join(last, bin),
            None => joined.push(*bin),
        }
    }
    // What is left over at the end goes to its neighbour.
    if joined.len() > 1
        && let Some(rest) = joined.pop_if(|last| last.n < LEAST)
        && let Some(last) = joined.last_mut()
    {
        *last = join(last, &rest);
    }
    joined
}

fn join(a: &CalibrationBin, b: &CalibrationBin) -> CalibrationBin {
    let n = a.n + b.n;
    let mean = |x: f64, y: f64| (x * a.n as f64 + y * b.n as f64) / n as f64;
    let confidence = mean(a.confidence, b.confidence);
    CalibrationBin { n, confidence, accuracy: mean(a.accuracy, b.accuracy) }
}

pub fn draw(calibration: &Calibration) -> Option<Drawing> {
    let Calibration { before, after, ece_before, ece_after } = calibration;
    let [before, after] = [before, after].map(|bins| merged(bins));
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

    let largest = before.iter().chain(&after).map(|b| b.n).max().unwrap_or(1).max(1) as f64;
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
    series("before", &before);
    series("after", &after);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_bins_hold_enough_and_keep_the_means() {
        let bin = |n, confidence, accuracy| CalibrationBin { n, confidence, accuracy };
        let bins = [
            bin(6, 0.2, 0.0),
            bin(0, 0.3, 0.0),
            bin(6, 0.4, 1.0),
            bin(20, 0.9, 0.9),
            bin(2, 1.0, 1.0),
        ];
        let joined = merged(&bins);
        assert_eq!(joined.iter().map(|b| b.n).collect::<Vec<_>>(), [12, 22]);
        assert!((joined[0].confidence - 0.3).abs() < 1e-12 && joined[0].accuracy == 0.5);
        let mean =
            |bins: &[CalibrationBin]| -> f64 { bins.iter().map(|b| b.n as f64 * b.accuracy).sum() };
        assert!((mean(&joined) - mean(&bins)).abs() < 1e-12);
        assert_eq!(merged(&[bin(3, 0.5, 1.0)]).len(), 1);
    }
}
