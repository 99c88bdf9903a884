//! Every source on every target: how much it helps or hurts.

use super::super::answer;
use super::super::document::{MatrixCell, Verdict};
use crate::report::svg::Drawing;
use crate::report::words::{self, points, points_range, shortened};

const LEFT: f64 = 150.0;
const TOP: f64 = 30.0;
const COLUMN: f64 = 124.0;
const ROW: f64 = 62.0;
const GAP: f64 = 4.0;
const LONGEST: usize = 22;
/// As dark as a cell may be without hiding its figure.
const DARKEST: f64 = 0.45;
/// Points of accuracy at which a cell is as dark as it may be.
const FULL: f64 = 0.3;

/// Rows are sources, columns targets. Nothing is drawn of an empty matrix.
pub fn draw(cells: &[MatrixCell]) -> Option<Drawing> {
    let mut models: Vec<&str> = Vec::new();
    let mut targets: Vec<&str> = Vec::new();
    for cell in cells {
        if !models.contains(&cell.model.as_str()) {
            models.push(&cell.model);
        }
        if !targets.contains(&cell.data.as_str()) {
            targets.push(&cell.data);
        }
    }
    if models.is_empty() {
        return None;
    }
    let size = (LEFT + COLUMN * targets.len() as f64 + 2.0, TOP + ROW * models.len() as f64 + 2.0);
    let said: Vec<String> = cells.iter().map(tip).collect();
    let title = "What each source does to accuracy on each target";
    let mut drawing = Drawing::new("matrix", size, title, &said.join("; "));
    for (column, name) in targets.iter().enumerate() {
        let at = LEFT + COLUMN * (column as f64 + 0.5);
        drawing.text("axis middle", (at, TOP - 12.0), shortened(name, 20));
    }
    for (row, name) in models.iter().enumerate() {
        let y = TOP + ROW * (row as f64 + 0.5) + 4.0;
        drawing.text("label", (0.0, y), shortened(&words::source(name), LONGEST));
    }
    for (cell, said) in cells.iter().zip(&said) {
        let place = |names: &[&str], name: &str| names.iter().position(|n| *n == name);
        let (Some(row), Some(column)) = (place(&models, &cell.model), place(&targets, &cell.data))
        else {
            continue;
        };
        let x = LEFT + COLUMN * column as f64 + GAP / 2.0;
        let y = TOP + ROW * row as f64 + GAP / 2.0;
        let (width, height) = (COLUMN - GAP, ROW - GAP);
        let opacity = (cell.gap.abs() / FULL).clamp(0.15, 1.0) * DARKEST;
        let (class, word) = match cell.verdict {
            Verdict::Helps => ("hit", "helps"),
            Verdict::Hurts => ("miss", "hurts"),
            Verdict::Unclear => ("unclear", "unclear"),
        };
        if cell.verdict == Verdict::Unclear {
            drawing.rect("unclear", (x, y), (width, height), said);
        } else {
            drawing.tinted(class, (x, y), (width, height), opacity, said);
        }
        if cell.verdict == Verdict::Hurts {
            // Harm is told by a frame and a word, too, and not by its colour alone.
            drawing.rect("harm", (x + 1.0, y + 1.0), (width - 2.0, height - 2.0), "");
        }
        let middle = x + width / 2.0;
        let figure = points(-cell.gap).replace(" points", "");
        drawing.text("gap", (middle, y + 22.0), figure);
        let [low, high] = cell.gap_ci;
        drawing.text("small", (middle, y + 37.0), points_range([-high, -low]));
        drawing.text("small", (middle, y + 51.0), format!("{word} · {}", cell.method));
    }
    Some(drawing)
}

fn tip(cell: &MatrixCell) -> String {
    let [low, high] = cell.gap_ci;
    format!(
        "{} on {}: {} of accuracy (95 % CI {}) against {}, with {} labels",
        answer::way(Some(&cell.model), &cell.method),
        cell.data,
        points(-cell.gap),
        points_range([-high, -low]),
        answer::way(None, &cell.versus),
        cell.labels
    )
}
