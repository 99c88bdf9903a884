//! The confusion matrix: one row a true class, one column a predicted class. Shade is the share of
//! the row.

use super::super::data::ClassFigures;
use super::super::svg::Drawing;
use super::super::words::{counted, percent, shortened};

/// Above this many classes names are only shown when one points at a cell.
const MOST_NAMED: usize = 40;
const LONGEST_NAME: usize = 18;
/// Shades below would be mistaken for empty cells.
const FAINTEST: f64 = 0.12;

pub fn draw(classes: &[ClassFigures], counts: &[usize]) -> Option<Drawing> {
    let n = classes.len();
    if n == 0 || counts.len() != n * n {
        return None;
    }
    let named = n <= MOST_NAMED;
    let size = match n {
        0..=5 => 52.0,
        6..=12 => 38.0,
        13..=20 => 28.0,
        21..=MOST_NAMED => 20.0,
        _ => (640.0 / n as f64).max(1.0),
    };
    let names: Vec<String> = classes.iter().map(|c| shortened(&c.name, LONGEST_NAME)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    // 7 px a character is what the system fonts need at 12 px, with a little to spare.
    let room = if named { 14.0 + 7.0 * longest as f64 } else { 10.0 };
    let (left, top) = (room + 20.0, room + 20.0);
    let side = size * n as f64;

    let wrong: usize = wrong_pairs(counts, n).iter().map(|p| p.2).sum();
    let total: usize = counts.iter().sum();
    let description = format!(
        "{} of {} lie on the diagonal, where the prediction is right.",
        total - wrong,
        counted(total, "test sample", "test samples")
    );
    let title = "Confusion matrix";
    let mut drawing =
        Drawing::new("confusion", (left + side + 2.0, top + side + 2.0), title, &description);

    drawing.text("axis", (left, 12.0), "predicted →");
    drawing.text_upwards("axis end", (12.0, top), "← true");
    drawing.rect("frame", (left, top), (side, side), "");
    for (i, row) in counts.chunks(n).enumerate() {
        let of_class: usize = row.iter().sum();
        let y = top + size * i as f64;
        if named {
            drawing.text("label end", (left - 8.0, y + size / 2.0 + 4.0), &names[i]);
            let x = left + size * i as f64 + size / 2.0;
            drawing.text_upwards("label", (x + 4.0, top - 8.0), &names[i]);
        }
        for (j, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = count as f64 / of_class as f64;
            let opacity = FAINTEST + (1.0 - FAINTEST) * share;
            let at = (left + size * j as f64, y);
            let class = if i == j { "hit" } else { "miss" };
            let tip = format!(
                "{} taken for {}: {count} of {of_class} ({})",
                classes[i].name,
                if i == j { "what it is" } else { &classes[j].name },
                percent(share)
            );
            drawing.cell(class, at, size, opacity, &tip);
            if named {
                let class = if opacity > 0.5 { "number on-dark" } else { "number" };
                drawing.text(class, (at.0 + size / 2.0, at.1 + size / 2.0 + 4.0), count);
            }
        }
    }
    Some(drawing)
}

/// `(true, predicted, count)` of every confusion, the most frequent first.
pub fn wrong_pairs(counts: &[usize], n: usize) -> Vec<(usize, usize, usize)> {
    let cells = counts.iter().enumerate().map(|(cell, &count)| (cell / n, cell % n, count));
    let mut pairs: Vec<_> = cells.filter(|(i, j, count)| i != j && *count > 0).collect();
    pairs.sort_by_key(|&(i, j, count)| (std::cmp::Reverse(count), i, j));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confusions_are_sorted_by_count() {
        let counts = [5, 1, 0, 3, 9, 1, 0, 0, 0];
        assert_eq!(wrong_pairs(&counts, 3), [(1, 0, 3), (0, 1, 1), (1, 2, 1)]);
    }

    #[test]
    fn a_matrix_of_another_size_is_not_drawn() {
        assert!(draw(&vec![ClassFigures::default(); 2], &[1, 0, 0]).is_none());
        assert!(draw(&[], &[]).is_none());
    }
}
