//! How training went: losses and the metric on validation over epochs.

use super::super::data::{EpochPoint, TrainingCurves};
use super::super::svg::Drawing;
use super::super::words::percent;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 14.0;
const BETWEEN: f64 = 40.0;
const BOTTOM: f64 = 74.0;

/// Losses above, the watched metric below.
pub fn draw(curves: &TrainingCurves) -> Option<Drawing> {
    let points = &curves.epochs;
    if points.len() < 2 {
        return None;
    }
    let size = (LEFT + WIDTH + 20.0, TOP + 2.0 * HEIGHT + BETWEEN + BOTTOM);
    let best = points.iter().rfind(|p| p.best);
    let description = format!(
        "{} epochs. {}",
        points.len(),
        best.map_or_else(String::new, |b| format!(
            "The best weights are those of epoch {}.",
            b.epoch
        ))
    );
    let mut drawing = Drawing::new("learning", size, "How training went", &description);
    let last = points.iter().map(|p| p.epoch).fold(1.0, f64::max);
    let x = |epoch: f64| LEFT + WIDTH * epoch / last;
    let loss = |of: fn(&EpochPoint) -> Option<f64>| -> Vec<(f64, f64)> {
        points.iter().filter_map(|p| Some((p.epoch, of(p)?))).collect()
    };
    let (train, val) = (loss(|p| Some(p.train_loss)), loss(|p| p.val_loss));
    let highest = train.iter().chain(&val).map(|p| p.1).fold(1e-6, f64::max);
    panel(&mut drawing, TOP, "loss", |share| format!("{:.2}", share * highest));
    let scaled = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points.iter().map(|&(e, v)| (x(e), TOP + HEIGHT * (1.0 - v / highest))).collect()
    };
    series(&mut drawing, "before", &scaled(&train));
    series(&mut drawing, "after", &scaled(&val));

    let top = TOP + HEIGHT + BETWEEN;
    let (values, learned) = (loss(|p| p.val_metric), loss(|p| p.train_metric));
    let all = || values.iter().chain(&learned).map(|p| p.1);
    let shares = all().all(|v| (0.0..=1.0).contains(&v));
    let largest = if shares { 1.0 } else { all().fold(1e-6, f64::max) };
    let shown = |v: f64| if shares { percent(v) } else { format!("{v:.2}") };
    panel(&mut drawing, top, &curves.metric, |share| shown(share * largest));
    let metric = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points.iter().map(|&(e, v)| (x(e), top + HEIGHT * (1.0 - v / largest))).collect()
    };
    series(&mut drawing, "before", &metric(&learned));
    series(&mut drawing, "after", &metric(&values));
    for (name, epoch) in curves.phases.iter().skip(1) {
        drawing.line("ideal", (x(*epoch), TOP), (x(*epoch), top + HEIGHT));
        drawing.text("axis", (x(*epoch) + 4.0, TOP + 10.0), name);
    }
    if let Some(best) = best
        && let Some(value) = best.val_metric
    {
        let at = (x(best.epoch), top + HEIGHT * (1.0 - value / largest));
        let tip = format!("epoch {}: {}", best.epoch, shown(value));
        drawing.circle("after", at, 6.0, &tip);
    }
    let bottom = top + HEIGHT;
    let step = (last / 10.0).ceil().max(1.0);
    let mut epoch = 0.0;
    while epoch <= last {
        drawing.text("axis middle", (x(epoch), bottom + 16.0), format!("{epoch:.0}"));
        epoch += step;
    }
    drawing.text("axis middle", (LEFT + WIDTH / 2.0, bottom + 34.0), "epochs");
    let y = bottom + 60.0;
    drawing.circle("before", (LEFT + 6.0, y - 4.0), 5.0, "");
    drawing.text("label", (LEFT + 18.0, y), "training");
    drawing.circle("after", (LEFT + 116.0, y - 4.0), 5.0, "");
    let kept = if best.is_some() { "; the larger dot is what was kept" } else { "" };
    drawing.text("label", (LEFT + 128.0, y), format!("validation{kept}"));
    Some(drawing)
}

/// The sweep over learning rates, where there was one.
pub fn draw_finder(curves: &TrainingCurves) -> Option<Drawing> {
    let points = &curves.finder;
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 3 {
        return None;
    }
    let size = (LEFT + WIDTH + 20.0, TOP + HEIGHT + BOTTOM);
    let description = "Smoothed training loss while the learning rate grows from step to step.";
    let mut drawing = Drawing::new("finder", size, "Looking for a learning rate", description);
    let (low, high) = (first[0].log10(), last[0].log10());
    let x = |lr: f64| LEFT + WIDTH * (lr.log10() - low) / (high - low).max(1e-9);
    let highest = points.iter().map(|p| p[1]).fold(1e-6, f64::max);
    panel(&mut drawing, TOP, "loss", |share| format!("{:.2}", share * highest));
    let line: Vec<(f64, f64)> =
        points.iter().map(|p| (x(p[0]), TOP + HEIGHT * (1.0 - p[1] / highest))).collect();
    drawing.polyline("after line", &line);
    let bottom = TOP + HEIGHT;
    for power in low.ceil() as i32..=high.floor() as i32 {
        let at = x(10f64.powi(power));
        drawing.text("axis middle", (at, bottom + 16.0), format!("1e{power}"));
    }
    for (name, lr) in &curves.suggestions {
        drawing.line("ideal", (x(*lr), TOP), (x(*lr), bottom));
        drawing.text("axis", (x(*lr) + 4.0, TOP + 12.0), format!("{name} {lr:.1e}"));
    }
    drawing.text("axis middle", (LEFT + WIDTH / 2.0, bottom + 34.0), "learning rate");
    Some(drawing)
}

fn panel(drawing: &mut Drawing, top: f64, name: &str, label: impl Fn(f64) -> String) {
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = top + HEIGHT * (1.0 - share);
        drawing.line("grid", (LEFT, y), (LEFT + WIDTH, y));
        drawing.text("axis end", (LEFT - 6.0, y + 4.0), label(share));
    }
    drawing.text_upwards("axis middle", (11.0, top + HEIGHT / 2.0), name);
}

fn series(drawing: &mut Drawing, class: &str, points: &[(f64, f64)]) {
    drawing.polyline(&format!("{class} line"), points);
    points.iter().for_each(|&at| drawing.circle(class, at, 2.5, ""));
}
