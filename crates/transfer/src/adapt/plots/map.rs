//! Samples of both sides on the first two principal components of their features.

use crate::report::data::{FeatureMap, MapPoint};
use crate::report::plots::feature_map::{
    COLUMNS, HEIGHT, LEGEND_ROW, WIDTH, coloured, mark, scale,
};
use crate::report::svg::Drawing;
use crate::report::words::{counted, percent, shortened};

/// What colours tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Source or target.
    Domain,
    /// The class: of source samples the label, of target samples the answer.
    Class,
}

/// Colours of both sides.
const SIDES: [usize; 2] = [0, 3];
/// Of [`MapPoint::split`].
pub const SOURCE: &str = "source";
pub const TARGET: &str = "target";

pub fn draw(
    name: &'static str,
    title: &str,
    map: &FeatureMap,
    by: By,
    classes: &[String],
) -> Option<Drawing> {
    let finite = |p: &&MapPoint| p.x.is_finite() && p.y.is_finite();
    let points: Vec<&MapPoint> = map.points.iter().filter(finite).collect();
    if points.is_empty() {
        return None;
    }
    let colours = match by {
        By::Domain => Vec::new(),
        By::Class => coloured(&points, classes.len()),
    };
    let others = by == By::Class && classes.len() > colours.len();
    let wrong = by == By::Class && points.iter().any(|p| p.correct == Some(false));
    let entries = match by {
        By::Domain => 2,
        By::Class => colours.len() + usize::from(others) + 1 + usize::from(wrong),
    };
    let legend = 14.0 + LEGEND_ROW * entries.div_ceil(COLUMNS) as f64;
    let [from_source, from_target] =
        [SOURCE, TARGET].map(|side| points.iter().filter(|p| p.split == side).count());
    let description = format!(
        "{} of the source and {} of the target in the plane of their first two principal components, which hold \
         {} of the variance.",
        counted(from_source, "sample", "samples"),
        counted(from_target, "sample", "samples"),
        percent(map.explained.iter().sum())
    );
    let mut drawing = Drawing::new(name, (WIDTH, HEIGHT + legend), title, &description);
    drawing.rect("frame", (0.5, 0.5), (WIDTH - 1.0, HEIGHT - 1.0), "");
    let place = scale(&points);
    // Both sides in turn, so that neither hides the other.
    let sides: [Vec<&&MapPoint>; 2] =
        [SOURCE, TARGET].map(|side| points.iter().filter(|p| p.split == side).collect());
    let longest = sides.iter().map(Vec::len).max().unwrap_or(0);
    for i in 0..longest {
        for side in &sides {
            let Some(point) = side.get(i) else { continue };
            let target = point.split == TARGET;
            let colour = match by {
                By::Domain => Some(SIDES[usize::from(target)]),
                By::Class => colours.iter().position(|&c| c == point.label as usize),
            };
            let class = classes.get(point.label as usize).map_or("?", String::as_str);
            let tip = match (target, point.correct) {
                (false, _) => format!("{class}, source"),
                (true, None) => format!("answered {class}, target"),
                (true, Some(true)) => format!("answered {class}, target: right"),
                (true, Some(false)) => format!("answered {class}, target: wrong"),
            };
            let mut style = format!("mark c{}", colour.map_or("x".into(), |c| c.to_string()));
            if target {
                style.push_str(" hollow");
            }
            let shape = if by == By::Domain { Some(0) } else { colour };
            mark(&mut drawing, &style, shape, place(point), &tip);
            if wrong && point.correct == Some(false) {
                drawing.circle("ring", place(point), 7.0, "");
            }
        }
    }

    let mut entry = 0;
    let mut next = || {
        let x = (entry % COLUMNS) as f64 * (WIDTH / COLUMNS as f64) + 8.0;
        let y = HEIGHT + 22.0 + LEGEND_ROW * (entry / COLUMNS) as f64;
        entry += 1;
        (x, y)
    };
    if by == By::Domain {
        for (side, style) in [(SOURCE, ""), (TARGET, " hollow")] {
            let (x, y) = next();
            let colour = SIDES[usize::from(side == TARGET)];
            mark(&mut drawing, &format!("mark c{colour}{style}"), Some(0), (x, y - 4.0), "");
            drawing.text("label", (x + 12.0, y), side);
        }
        return Some(drawing);
    }
    for (colour, &class) in colours.iter().enumerate() {
        let (x, y) = next();
        mark(&mut drawing, &format!("mark c{colour}"), Some(colour), (x, y - 4.0), "");
        drawing.text("label", (x + 12.0, y), shortened(&classes[class], 16));
    }
    if others {
        let (x, y) = next();
        mark(&mut drawing, "mark cx", None, (x, y - 4.0), "");
        drawing.text("label", (x + 12.0, y), "other classes");
    }
    let (x, y) = next();
    mark(&mut drawing, "mark cx hollow", None, (x, y - 4.0), "");
    drawing.text("label", (x + 12.0, y), "hollow: target");
    if wrong {
        let (x, y) = next();
        drawing.circle("ring", (x, y - 4.0), 6.0, "");
        drawing.text("label", (x + 12.0, y), "wrong answer");
    }
    Some(drawing)
}
