//! How strange test samples are, and where the alarm begins.

use super::super::data::TrustShown;
use super::super::svg::Drawing;
use super::super::words::counted;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 8.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;

pub fn draw(trust: &TrustShown) -> Option<Drawing> {
    let bins = &trust.strange;
    let most = bins.iter().map(|b| b.right + b.wrong).max().filter(|n| *n > 0)? as f64;
    let unfamiliar: usize =
        bins.iter().filter(|b| b.to > 1.0 + 1e-9).map(|b| b.right + b.wrong).sum();
    let description = format!(
        "{} to the right of the threshold, where inputs are called unfamiliar.",
        counted(unfamiliar, "test sample", "test samples")
    );
    let size = (WIDTH, TOP + HEIGHT + BOTTOM);
    let mut drawing = Drawing::new("strange", size, "How strange test samples are", &description);
    let width = (WIDTH - 2.0 * LEFT) / bins.len() as f64;
    let floor = TOP + HEIGHT;
    let mut border = WIDTH - LEFT;
    for (i, bin) in bins.iter().enumerate() {
        let x = LEFT + width * i as f64;
        if bin.to > 1.0 + 1e-9 {
            border = border.min(x);
        }
        let height = |n: usize| HEIGHT * n as f64 / most;
        let (wrong, right) = (height(bin.wrong), height(bin.right));
        let tip = format!(
            "{}, {} not recognised",
            counted(bin.right + bin.wrong, "sample", "samples"),
            bin.wrong
        );
        let bar = (width - 1.0).max(0.5);
        drawing.rect("bar miss", (x, floor - wrong), (bar, wrong), &tip);
        drawing.rect("bar ours", (x, floor - wrong - right), (bar, right), &tip);
    }
    drawing.line("grid", (LEFT, floor), (WIDTH - LEFT, floor));
    drawing.line("ideal", (border - 0.5, TOP - 6.0), (border - 0.5, floor));
    // The words stand where there is room beside the line.
    match border > 0.6 * WIDTH {
        true => {
            drawing.text("axis end", (border - 6.0, TOP - 8.0), "called unfamiliar from here →")
        }
        false => drawing.text("axis", (border + 4.0, TOP - 8.0), "called unfamiliar from here →"),
    }
    drawing.text("axis", (LEFT, floor + 16.0), "familiar");
    drawing.text("axis end", (WIDTH - LEFT, floor + 16.0), "strange");
    drawing.rect("bar ours", (LEFT, floor + 27.0), (10.0, 10.0), "");
    drawing.text("label", (LEFT + 16.0, floor + 36.0), "recognised");
    drawing.rect("bar miss", (LEFT + 110.0, floor + 27.0), (10.0, 10.0), "");
    drawing.text("label", (LEFT + 126.0, floor + 36.0), "not recognised");
    Some(drawing)
}
