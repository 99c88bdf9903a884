//! How long texts are, beside what the encoder reads.

use super::super::data::Lengths;
use super::super::svg::Drawing;
use super::super::words::{count, counted};

const WIDTH: f64 = 440.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 60.0;
const ROW: f64 = 22.0;
const TOP: f64 = 6.0;

pub fn draw(lengths: &Lengths) -> Option<Drawing> {
    let n = |bin: &super::super::data::LengthBin| bin.fitted + bin.judged;
    let most = lengths.bins.iter().map(n).max().filter(|n| *n > 0)? as f64;
    let range = |from: usize, to: usize| format!("{}–{}", count(from), count(to));
    let said: Vec<String> = lengths
        .bins
        .iter()
        .map(|bin| {
            let texts = counted(n(bin), "text", "texts");
            format!("{} tokens: {texts}, {} of them to judge", range(bin.from, bin.to), bin.judged)
        })
        .collect();
    let size = (WIDTH, TOP + ROW * lengths.bins.len() as f64 + 6.0);
    let mut drawing = Drawing::new("lengths", size, "Tokens of the texts", &said.join("; "));
    for (i, (bin, said)) in lengths.bins.iter().zip(&said).enumerate() {
        let y = TOP + ROW * i as f64;
        drawing.text("label end", (LEFT - 10.0, y + 14.0), range(bin.from, bin.to));
        let length = (WIDTH - LEFT - RIGHT) * n(bin) as f64 / most;
        let class = if bin.from > lengths.limit { "bar miss" } else { "bar ours" };
        let shown = if n(bin) > 0 { length.max(1.0) } else { 0.0 };
        drawing.rect(class, (LEFT, y + 3.0), (shown, 14.0), said);
        drawing.text("figure", (LEFT + length + 8.0, y + 14.0), count(n(bin)));
    }
    Some(drawing)
}
