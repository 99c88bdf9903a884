//! How many classes a prediction set holds.

use super::super::svg::Drawing;
use super::super::words::{counted, percent, whole_percent};
use crate::trust::document::SetFigures;

/// Sizes with a bar of their own; larger ones share the last.
const BARS: usize = 8;
const WIDTH: f64 = 440.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 64.0;
const ROW: f64 = 22.0;
const TOP: f64 = 6.0;

pub fn draw(sets: &SetFigures) -> Option<Drawing> {
    let n: usize = sets.sizes.iter().sum();
    let largest = sets.sizes.iter().rposition(|&count| count > 0)? + 1;
    let mut bars: Vec<(String, usize)> = (0..largest.min(BARS))
        .map(|i| (counted(i + 1, "class", "classes"), sets.sizes[i]))
        .collect();
    if largest > BARS {
        bars.pop();
        let rest = sets.sizes[BARS - 1..].iter().sum();
        bars.push((format!("{BARS} or more"), rest));
    }
    let share = |count: usize| count as f64 / n.max(1) as f64;
    let said: Vec<String> =
        bars.iter().map(|(name, count)| format!("{name}: {}", percent(share(*count)))).collect();
    let title = format!("Classes in sets that promise {}", whole_percent(sets.promised));
    let size = (WIDTH, TOP + ROW * bars.len() as f64 + 6.0);
    let mut drawing = Drawing::new("sets", size, &title, &said.join("; "));
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1) as f64;
    for (i, ((name, count), said)) in bars.iter().zip(&said).enumerate() {
        let y = TOP + ROW * i as f64;
        drawing.text("label end", (LEFT - 10.0, y + 14.0), name);
        let length = (WIDTH - LEFT - RIGHT) * *count as f64 / most;
        let shown = if *count > 0 { length.max(1.0) } else { 0.0 };
        drawing.rect("bar ours", (LEFT, y + 3.0), (shown, 14.0), said);
        drawing.text("figure", (LEFT + length + 8.0, y + 14.0), percent(share(*count)));
    }
    Some(drawing)
}
