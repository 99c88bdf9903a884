//! How a network was adapted: what it learned from, what is left of the source, and what validators say of its states.

use std::collections::BTreeMap;

use super::super::document::{AdaptReport, CandidateReport};
use crate::report::svg::Drawing;
use crate::report::words::{count, percent};

const WIDTH: f64 = 250.0;
const HEIGHT: f64 = 92.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 26.0;
const BETWEEN: f64 = 42.0;
const BOTTOM: f64 = 36.0;
const COLUMNS: usize = 2;
/// The least span of an axis of shares.
const LEAST: f64 = 0.1;
/// What decides among candidates, so that its course is worth a look.
const DECIDES: &str = "likelihood";

/// A curve over updates.
struct Curve {
    name: String,
    is_share: bool,
    points: Vec<(f64, f64)>,
}

/// One drawing for each method that tuned a network and left more than one moment.
pub fn draw(report: &AdaptReport) -> Vec<Drawing> {
    let mut methods: Vec<&str> = Vec::new();
    let networks = || report.candidates.iter().filter(|c| c.family == "network");
    for candidate in networks() {
        if !methods.contains(&method(candidate)) {
            methods.push(method(candidate));
        }
    }
    let of = |name: &str| {
        let states: Vec<&CandidateReport> = networks().filter(|c| method(c) == name).collect();
        one(name, &states)
    };
    methods.into_iter().filter_map(of).collect()
}

/// States of one method share its name before the `@`.
fn method(candidate: &CandidateReport) -> &str {
    candidate.name.split_once('@').map_or(candidate.name.as_str(), |(method, _)| method)
}

fn one(name: &str, states: &[&CandidateReport]) -> Option<Drawing> {
    let curves = curves(states);
    if curves.is_empty() {
        return None;
    }
    let inside: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let rows = curves.len().div_ceil(COLUMNS);
    let size = (
        COLUMNS as f64 * (LEFT + WIDTH + 12.0),
        rows as f64 * (TOP + HEIGHT) + (rows - 1) as f64 * (BETWEEN - TOP) + BOTTOM,
    );
    let said: Vec<String> = curves
        .iter()
        .map(|c| {
            let shown = |v: f64| if c.is_share { percent(v) } else { format!("{v:.3}") };
            let (first, last) = (c.points[0].1, c.points[c.points.len() - 1].1);
            format!("{}: {} to {}", c.name, shown(first), shown(last))
        })
        .collect();
    let title = format!("{name}, update by update");
    let mut drawing = Drawing::new(format!("course-{inside}"), size, &title, &said.join("; "));
    let last = curves.iter().flat_map(|c| &c.points).map(|p| p.0).fold(1.0, f64::max);
    for (place, curve) in curves.iter().enumerate() {
        let left = LEFT + (place % COLUMNS) as f64 * (LEFT + WIDTH + 12.0);
        let top = TOP + (place / COLUMNS) as f64 * (HEIGHT + BETWEEN);
        panel(&mut drawing, curve, (left, top), last);
        if place + COLUMNS >= curves.len() {
            let bottom = top + HEIGHT;
            drawing.text("axis", (left, bottom + 16.0), "0");
            let end = (left + WIDTH, bottom + 16.0);
            drawing.text("axis end", end, format!("{} updates", count(last as usize)));
        }
    }
    Some(drawing)
}

/// What is known at two moments or more: of the training of an aligned network, or of the states that it left.
fn curves(states: &[&CandidateReport]) -> Vec<Curve> {
    let mut found: BTreeMap<(u8, String), Vec<(f64, f64)>> = BTreeMap::new();
    let mut add = |order: u8, name: &str, at: f64, value: f64| {
        if value.is_finite() {
            found.entry((order, name.to_string())).or_default().push((at, value));
        }
    };
    for state in states {
        for moment in &state.course {
            for (name, &value) in &moment.values {
                let (order, name) = match name.as_str() {
                    "loss" => (0, "loss"),
                    "source_accuracy" => (2, SOURCE),
                    term => (1, term),
                };
                add(order, name, moment.step as f64, value);
            }
        }
        if states.len() > 1 {
            let at = state.facts.get("updates").copied().unwrap_or(0.0);
            for (name, &value) in state.facts.iter().filter(|(name, _)| *name != "updates") {
                add(1, name, at, value);
            }
            add(2, SOURCE, at, state.source_accuracy);
            if let Some(&score) = state.scores.get(DECIDES) {
                add(3, DECIDES, at, score);
            }
            if let Some(accuracy) = state.accuracy {
                add(4, TARGET, at, accuracy);
            }
        }
    }
    // A count that stays 0 is no curve.
    let is_curve = |points: &[(f64, f64)]| points.len() > 1 && points.iter().any(|p| p.1 != 0.0);
    let all = found.into_iter().filter(|(_, points)| is_curve(points));
    all.map(|((_, name), points)| {
        let shares = ["labelled", "kept", "classes_left", SOURCE, TARGET];
        Curve { is_share: shares.contains(&name.as_str()), name, points }
    })
    .collect()
}

const SOURCE: &str = "source, held out";
const TARGET: &str = "target, looked at afterwards";

fn panel(drawing: &mut Drawing, curve: &Curve, (left, top): (f64, f64), last: f64) {
    let values = || curve.points.iter().map(|p| p.1);
    let (mut low, mut high) =
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    // What hardly moves is not to look as if it did.
    if curve.is_share && high - low < LEAST {
        let middle = 0.5 * (high + low);
        (low, high) = (middle - 0.5 * LEAST, middle + 0.5 * LEAST);
    }
    if high - low < 1e-9 {
        (low, high) = (low - 0.5 * low.abs().max(0.01), high + 0.5 * high.abs().max(0.01));
    }
    let shown = |v: f64| match curve.is_share {
        true => format!("{:.0} %", 100.0 * v),
        false if v.abs() >= 100.0 => format!("{v:.0}"),
        false => format!("{v:.2}"),
    };
    let y = |v: f64| top + HEIGHT * (1.0 - (v - low) / (high - low));
    drawing.text("label", (left, top - 8.0), &curve.name);
    for value in [low, high] {
        drawing.line("grid", (left, y(value)), (left + WIDTH, y(value)));
        drawing.text("axis end", (left - 6.0, y(value) + 4.0), shown(value));
    }
    let points: Vec<(f64, f64)> =
        curve.points.iter().map(|&(step, v)| (left + WIDTH * step / last, y(v))).collect();
    drawing.polyline("after line", &points);
    for (&at, (step, value)) in points.iter().zip(&curve.points) {
        drawing.circle("after", at, 3.0, &format!("after {step:.0} updates: {}", shown(*value)));
    }
}
