//! Mean return by steps: the median of the seeds and the half of them around it.

use offshoot_transfer::report::svg::Drawing;
use offshoot_transfer::report::words::{count, shortened};
use offshoot_transfer::transfer_report::{apart, colour};

use super::answer::{decimal, is_scratch};
use super::document::{MethodReport, ReturnPoint, TransferReport};

const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 54.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// Characters of a method's name beside its line.
const LONGEST_NAME: usize = 16;
/// Least distance of two names.
const NAME_ROOM: f64 = 15.0;

/// All methods in one drawing; `None` without points.
pub fn draw(report: &TransferReport) -> Option<Drawing> {
    let points = || report.methods.iter().flat_map(|m| &m.curve);
    let first = points().map(|p| p.steps).fold(f64::INFINITY, f64::min);
    let last = points().map(|p| p.steps).fold(f64::NEG_INFINITY, f64::max);
    let heights = points().flat_map(|p| p.quartiles).chain(report.threshold);
    let (low, high) = heights
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if !(first < last && low.is_finite() && high.is_finite()) {
        return None;
    }
    let step = tick((high - low).max(1e-9), 6.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let high = if high > low { high } else { low + step };
    let longest = report.methods.iter().map(|m| m.method.chars().count()).max().unwrap_or(0);
    let right = 14.0 + 7.2 * longest.min(LONGEST_NAME) as f64;
    let said: Vec<String> = report.methods.iter().filter_map(spoken).collect();
    let size = (LEFT + WIDTH + right, TOP + HEIGHT + BOTTOM);
    let mut drawing = Drawing::new("curves", size, "Mean return by steps", &said.join(" "));

    let x = |steps: f64| LEFT + WIDTH * (steps - first) / (last - first);
    let y = |value: f64| TOP + HEIGHT * (1.0 - (value - low) / (high - low));
    let bottom = TOP + HEIGHT;
    let mut at = low;
    while at < high + 1e-9 * step {
        drawing.line("grid", (LEFT, y(at)), (LEFT + WIDTH, y(at)));
        drawing.text("axis end", (LEFT - 7.0, y(at) + 4.0), axis(at, step));
        at += step;
    }
    let across = tick(last - first, 5.0);
    let mut at = (first / across).ceil() * across;
    while at < last + 1e-9 * across {
        drawing.line("grid", (x(at), bottom), (x(at), bottom + 4.0));
        drawing.text("axis middle", (x(at), bottom + 17.0), count(at.round() as usize));
        at += across;
    }
    drawing.text("quiet middle", (LEFT + WIDTH / 2.0, bottom + 37.0), "steps in the target");
    if let Some(threshold) = report.threshold {
        drawing.line("ideal", (LEFT, y(threshold)), (LEFT + WIDTH, y(threshold)));
        let told = format!("solved at {}", decimal(threshold));
        drawing.text("quiet halo", (LEFT + 6.0, y(threshold) - 5.0), told);
    }
    // Scratch has no place among the colours.
    let coloured = || report.methods.iter().enumerate();
    let class = |(i, m): (usize, &MethodReport)| colour(&m.method, i.saturating_sub(1));
    for (i, method) in coloured() {
        let upper = method.curve.iter().map(|p| (p.steps, p.quartiles[1]));
        let lower = method.curve.iter().rev().map(|p| (p.steps, p.quartiles[0]));
        let path: Vec<String> =
            upper.chain(lower).map(|(s, v)| format!("{:.1} {:.1}", x(s), y(v))).collect();
        let path = format!("M{}Z", path.join("L"));
        drawing.path(&format!("{} band", class((i, method))), &path, "");
    }
    for (i, method) in coloured() {
        let line: Vec<(f64, f64)> =
            method.curve.iter().map(|p| (x(p.steps), y(p.median))).collect();
        let dash = if is_scratch(&method.method) { " dashed" } else { "" };
        drawing.polyline(&format!("{} curve{dash}", class((i, method))), &line);
    }
    let ends: Vec<f64> =
        report.methods.iter().filter_map(|m| m.curve.last()).map(|p| y(p.median) + 4.0).collect();
    let places = apart(&ends, NAME_ROOM, (TOP + 8.0, bottom));
    for ((i, method), at) in coloured().zip(places) {
        let name = shortened(&method.method, LONGEST_NAME);
        drawing.text(&format!("{} tag", class((i, method))), (LEFT + WIDTH + 9.0, at), name);
    }
    Some(drawing)
}

/// 1, 2 or 5 times a power of ten, so that about `n` of them make `span`.
fn tick(span: f64, n: f64) -> f64 {
    let power = 10f64.powf((span / n).log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power * n >= span);
    digit.unwrap_or(10.0) * power
}

/// A label with as many decimals as the distance of two of them needs.
fn axis(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let text = format!("{:.decimals$}", value.abs());
    let is_zero = text.chars().all(|c| c == '0' || c == '.');
    if value < 0.0 && !is_zero { format!("−{text}") } else { text }
}

fn spoken(method: &MethodReport) -> Option<String> {
    let point = |p: &ReturnPoint| {
        format!("{} after {} steps", decimal(p.median), count(p.steps.round() as usize))
    };
    let (first, last) = (method.curve.first()?, method.curve.last()?);
    let middle = method.curve.get(method.curve.len() / 2)?;
    Some(format!("{}: {}, {}, {}.", method.method, point(first), point(middle), point(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(tick(500.0, 6.0), 100.0);
        assert_eq!(tick(90_000.0, 5.0), 20_000.0);
        assert_eq!(tick(1.1, 6.0), 0.2);
        assert_eq!(axis(-0.2, 0.1), "−0.2");
        assert_eq!(axis(-1e-17, 0.1), "0.0");
        assert_eq!(axis(300.0, 100.0), "300");
    }
}
