//! Accuracy on validation by wall time: how soon a source is as good as scratch at its best.

use super::super::cell::CoursePoint;
use super::super::document::TimeToScratch;
use super::super::plan::SCRATCH;
use super::{LONGEST_NAME, apart, bounds, colour, room, round_numbers};
use crate::report::svg::Drawing;
use crate::report::words::{percent, seconds, shortened};

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 46.0;
const BETWEEN: f64 = 46.0;

/// One source's courses on one target, a line a seed; what never trains a network is a dot.
pub fn draw(name: String, title: &str, times: &[(&TimeToScratch, usize)]) -> Option<Drawing> {
    let (first, _) = times.first()?;
    let mut series: Vec<(&str, &str, &Vec<Vec<CoursePoint>>)> =
        vec![(SCRATCH, colour(SCRATCH, 0), &first.scratch_courses)];
    series.extend(
        times.iter().map(|(t, place)| (t.method.as_str(), colour(&t.method, *place), &t.courses)),
    );
    let points = || series.iter().flat_map(|(_, _, courses)| courses.iter().flatten());
    let positive = || points().map(|p| p.seconds).filter(|s| *s > 0.0);
    let least = positive().min_by(f64::total_cmp)?;
    let most = positive().max_by(f64::total_cmp)?.max(least * 2.0);
    let (low, high) = bounds(points().map(|p| p.accuracy));
    let said: Vec<String> = times
        .iter()
        .map(|(t, _)| {
            format!(
                "{}: as good as scratch's best in {} of {} seeds{}.",
                t.method,
                t.reached,
                t.seeds,
                t.seconds.map_or_else(String::new, |s| format!(", after {}", seconds(s)))
            )
        })
        .collect();
    let right = room(series.iter().map(|(method, _, _)| *method));
    let size = (LEFT + WIDTH + right, TOP + HEIGHT + BOTTOM);
    let mut drawing = Drawing::new(name, size, title, &said.join(" "));
    let x = |s: f64| LEFT + 8.0 + (WIDTH - 8.0) * (s.max(least) / least).ln() / (most / least).ln();
    let y = |accuracy: f64| TOP + HEIGHT * (1.0 - (accuracy - low) / (high - low));
    let bottom = TOP + HEIGHT;
    let step = if high - low > 0.45 { 0.2 } else { 0.1 };
    let mut tick = low;
    while tick < high + 1e-9 {
        drawing.line("grid", (LEFT, y(tick)), (LEFT + WIDTH, y(tick)));
        drawing.text("axis end", (LEFT - 7.0, y(tick) + 4.0), format!("{:.0} %", 100.0 * tick));
        tick += step;
    }
    let mut free = f64::NEG_INFINITY;
    for round in round_numbers(least, most) {
        let at = x(round);
        drawing.line("grid", (at, bottom), (at, bottom + 4.0));
        if at - free >= BETWEEN {
            drawing.text("axis middle", (at, bottom + 17.0), seconds(round));
            free = at;
        }
    }
    drawing.text("quiet middle", (LEFT + WIDTH / 2.0, bottom + 37.0), "training time (log scale)");
    let best = y(first.scratch_best);
    drawing.line("savings", (LEFT, best), (LEFT + WIDTH, best));
    drawing.text(
        "quiet halo",
        (LEFT + 4.0, best - 5.0),
        format!("scratch at its best, {}", percent(first.scratch_best)),
    );
    for (method, class, courses) in &series {
        for course in courses.iter() {
            let line: Vec<(f64, f64)> =
                course.iter().map(|p| (x(p.seconds), y(p.accuracy))).collect();
            match line.as_slice() {
                [] => {}
                [only] => drawing.circle(class, *only, 4.5, &tip(method, &course[0])),
                line => {
                    drawing.polyline(&format!("{class} thin"), line);
                    let (at, point) = (line[0], &course[0]);
                    drawing.circle(class, at, 3.0, &tip(method, point));
                }
            }
        }
    }
    let ends: Vec<(usize, f64)> = series
        .iter()
        .enumerate()
        .filter_map(|(i, (_, _, courses))| {
            let ends: Vec<f64> =
                courses.iter().filter_map(|course| Some(y(course.last()?.accuracy))).collect();
            (!ends.is_empty()).then(|| (i, ends.iter().sum::<f64>() / ends.len() as f64 + 4.0))
        })
        .collect();
    let wanted: Vec<f64> = ends.iter().map(|end| end.1).collect();
    for ((i, _), at) in ends.iter().zip(apart(&wanted, 15.0, (TOP + 4.0, bottom))) {
        let (method, class, _) = series[*i];
        let name = shortened(method, LONGEST_NAME);
        drawing.text(&format!("{class} tag"), (LEFT + WIDTH + 9.0, at), name);
    }
    Some(drawing)
}

fn tip(method: &str, point: &CoursePoint) -> String {
    format!("{}: {} after {}", method, percent(point.accuracy), seconds(point.seconds))
}
