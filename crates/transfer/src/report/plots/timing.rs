//! Where the time went, phase by phase.

use super::super::svg::Drawing;
use super::super::words::seconds;
use crate::run::record::PhaseSeconds;

const WIDTH: f64 = 440.0;
const LEFT: f64 = 142.0;
const RIGHT: f64 = 84.0;
const ROW: f64 = 24.0;

pub fn draw(phases: &[PhaseSeconds]) -> Option<Drawing> {
    let longest = phases.iter().map(|p| p.seconds).fold(0.0, f64::max);
    if longest <= 0.0 {
        return None;
    }
    let said: Vec<String> =
        phases.iter().map(|p| format!("{} {}", p.phase.verb(), seconds(p.seconds))).collect();
    let size = (WIDTH, ROW * phases.len() as f64 + 4.0);
    let mut drawing = Drawing::new("timing", size, "Wall time of each phase", &said.join("; "));
    for (i, (phase, said)) in phases.iter().zip(&said).enumerate() {
        let y = ROW * i as f64 + 4.0;
        drawing.text("label end", (LEFT - 10.0, y + 13.0), phase.phase.verb());
        let length = (WIDTH - LEFT - RIGHT) * phase.seconds.max(0.0) / longest;
        drawing.rect("bar ours", (LEFT, y + 2.0), (length.max(1.0), 14.0), said);
        drawing.text("figure", (LEFT + length + 8.0, y + 13.0), seconds(phase.seconds));
    }
    Some(drawing)
}
