//! Samples on the first two principal components of their features. Colour and shape tell the
//! class, a ring a wrong answer, a pale mark a sample of the training split.

use super::super::data::{ClassFigures, FeatureMap, MapPoint};
use super::super::svg::Drawing;
use super::super::words::{counted, percent, shortened};

/// As many as colours that can be told apart.
const MOST_COLOURS: usize = 10;
/// A file with more becomes slow to open; every k-th is shown.
const MOST_POINTS: usize = 3000;
pub const WIDTH: f64 = 440.0;
pub const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 10.0;
pub const COLUMNS: usize = 3;
pub const LEGEND_ROW: f64 = 20.0;

pub fn draw(map: &FeatureMap, classes: &[ClassFigures]) -> Option<Drawing> {
    let finite = |p: &&MapPoint| p.x.is_finite() && p.y.is_finite();
    let usable: Vec<&MapPoint> = map.points.iter().filter(finite).collect();
    let step = usable.len().div_ceil(MOST_POINTS).max(1);
    let mut points: Vec<&MapPoint> = usable.iter().step_by(step).copied().collect();
    if points.is_empty() {
        return None;
    }
    // Judged samples lie on top, wrong ones on top of all.
    points.sort_by_key(|p| p.correct.map_or(0, |right| if right { 1 } else { 2 }));
    let wrong = points.iter().filter(|p| p.correct == Some(false)).count();
    let coloured = coloured(&points, classes.len());
    let others = classes.len() > coloured.len();

    let entries = coloured.len() + usize::from(others) + 1 + usize::from(wrong > 0);
    let legend = 14.0 + LEGEND_ROW * entries.div_ceil(COLUMNS) as f64;
    let description = format!(
        "{} in the plane of the first two principal components, which hold {} of the variance; {} \
         answered wrong.",
        counted(points.len(), "sample", "samples"),
        percent(map.explained.iter().sum()),
        counted(wrong, "is", "are")
    );
    let title = "Feature map";
    let mut drawing = Drawing::new("feature-map", (WIDTH, HEIGHT + legend), title, &description);
    drawing.rect("frame", (0.5, 0.5), (WIDTH - 1.0, HEIGHT - 1.0), "");

    let place = scale(&points);
    let first_domain = points.iter().find_map(|p| p.domain.as_deref());
    for point in &points {
        let at = place(point);
        let colour = coloured.iter().position(|&c| c == point.label as usize);
        let known = |label: u32| classes.get(label as usize).map_or("?", |c| &c.name);
        let answer = match point.correct {
            Some(true) => ", right",
            Some(false) => ", wrong",
            None => "",
        };
        let tip = format!("{}, {}{answer}", known(point.label), point.split);
        let mut class = format!("mark c{}", colour.map_or("x".into(), |c| c.to_string()));
        if point.correct.is_none() {
            class.push_str(" pale");
        }
        if point.domain.as_deref() != first_domain {
            class.push_str(" hollow");
        }
        mark(&mut drawing, &class, colour, at, &tip);
        if point.correct == Some(false) {
            drawing.circle("ring", at, 7.0, "");
        }
    }

    let mut entry = 0;
    let mut next = || {
        let at = (entry % COLUMNS) as f64 * (WIDTH / COLUMNS as f64) + 8.0;
        let y = HEIGHT + 22.0 + LEGEND_ROW * (entry / COLUMNS) as f64;
        entry += 1;
        (at, y)
    };
    for (colour, &label) in coloured.iter().enumerate() {
        let (x, y) = next();
        mark(&mut drawing, &format!("mark c{colour}"), Some(colour), (x, y - 4.0), "");
        drawing.text("label", (x + 12.0, y), shortened(&classes[label].name, 16));
    }
    if others {
        let (x, y) = next();
        mark(&mut drawing, "mark cx", None, (x, y - 4.0), "");
        drawing.text("label", (x + 12.0, y), "other classes");
    }
    let (x, y) = next();
    mark(&mut drawing, "mark cx pale", None, (x, y - 4.0), "");
    drawing.text("label", (x + 12.0, y), "pale: trained on");
    if wrong > 0 {
        let (x, y) = next();
        drawing.circle("ring", (x, y - 4.0), 6.0, "");
        drawing.text("label", (x + 12.0, y), "wrong answer");
    }
    Some(drawing)
}

/// Classes that get a colour: all, or where there are too many those with most wrong answers.
pub fn coloured(points: &[&MapPoint], n: usize) -> Vec<usize> {
    if n <= MOST_COLOURS {
        return (0..n).collect();
    }
    let mut wrong = vec![(0_usize, 0_usize); n];
    for point in points {
        if let Some((errors, shown)) = wrong.get_mut(point.label as usize) {
            *errors += usize::from(point.correct == Some(false));
            *shown += 1;
        }
    }
    let mut classes: Vec<usize> = (0..n).collect();
    classes.sort_by_key(|&c| (std::cmp::Reverse(wrong[c]), c));
    classes.truncate(MOST_COLOURS);
    classes.sort_unstable();
    classes
}

/// Keeps the aspect ratio, because distances are what the map shows.
pub fn scale(points: &[&MapPoint]) -> impl Fn(&MapPoint) -> (f64, f64) {
    let range = |of: fn(&MapPoint) -> f32| {
        let values = points.iter().map(|p| f64::from(of(p)));
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        ((low + high) / 2.0, (high - low).max(1e-12))
    };
    let (middle_x, spread_x) = range(|p| p.x);
    let (middle_y, spread_y) = range(|p| p.y);
    let inner = |length: f64| length - 2.0 * MARGIN;
    let factor = (inner(WIDTH) / spread_x).min(inner(HEIGHT) / spread_y);
    move |p| {
        let x = WIDTH / 2.0 + (f64::from(p.x) - middle_x) * factor;
        let y = HEIGHT / 2.0 - (f64::from(p.y) - middle_y) * factor;
        (x, y)
    }
}

/// Shapes repeat after four, colours do not.
pub fn mark(
    drawing: &mut Drawing,
    class: &str,
    colour: Option<usize>,
    (x, y): (f64, f64),
    tip: &str,
) {
    let path = |d: [(f64, f64); 4]| {
        let [a, b, c, e] = d.map(|(dx, dy)| format!("{:.1} {:.1}", x + dx, y + dy));
        format!("M{a}L{b}L{c}L{e}Z")
    };
    match colour.map(|c| c % 4) {
        None | Some(0) => drawing.circle(class, (x, y), 3.4, tip),
        Some(1) => drawing.rect(class, (x - 3.0, y - 3.0), (6.0, 6.0), tip),
        Some(2) => {
            let d = path([(0.0, -4.2), (4.0, 3.0), (-4.0, 3.0), (0.0, -4.2)]);
            drawing.path(class, &d, tip);
        }
        Some(_) => {
            let d = path([(0.0, -4.4), (4.4, 0.0), (0.0, 4.4), (-4.4, 0.0)]);
            drawing.path(class, &d, tip);
        }
    }
}
