//! A text in pieces, each with how much it speaks for or against an answer.

use serde::{Deserialize, Serialize};

use crate::documents::{Explanation, Part};
use crate::report::words;

/// Steps from nothing to the strongest.
pub const STEPS: i8 = 4;
/// Log-odds that always have the strongest shade; where all are weaker, so are the shades.
const STRONG: f64 = 0.5;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shade {
    /// As it is written.
    pub text: String,
    /// From −[`STEPS`], strongly against, to [`STEPS`], strongly for.
    pub step: i8,
    /// Fall of the log-odds without it; `None` for what was not left out by itself.
    pub contribution: Option<f64>,
}

impl Shade {
    /// What a browser shows when one points at it.
    pub fn tip(&self) -> String {
        self.contribution.map(words::signed).unwrap_or_default()
    }
}

/// The texts of an explanation, whole, in pieces: spaces and signs between, words, and what was not
/// read at the end.
pub fn shades(told: &Explanation) -> Vec<Vec<Shade>> {
    let largest = told.words.iter().map(|p| p.contribution.abs()).fold(STRONG, f64::max);
    let texts = [("text", &told.text), ("pair", &told.pair)];
    let of = |(name, text): (&str, &Option<String>)| {
        let text = text.as_deref()?;
        let parts: Vec<&Part> = told.words.iter().filter(|p| p.of == name).collect();
        let mut pieces = Vec::new();
        let mut at = 0;
        for part in parts {
            push(&mut pieces, text.get(at..part.start), 0, None);
            let step = (f64::from(STEPS) * part.contribution / largest).round() as i8;
            push(&mut pieces, text.get(part.start..part.end), step, Some(part.contribution));
            at = part.end;
        }
        push(&mut pieces, text.get(at..), 0, None);
        Some(pieces)
    };
    texts.into_iter().filter_map(of).collect()
}

fn push(pieces: &mut Vec<Shade>, text: Option<&str>, step: i8, contribution: Option<f64>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        pieces.push(Shade { text: text.into(), step, contribution });
    }
}

/// Pieces next to each other of about `most` characters, those that speak loudest; an ellipsis stands
/// for what is left out.
pub fn excerpt(pieces: &[Shade], most: usize) -> Vec<Shade> {
    let length = |piece: &Shade| piece.text.chars().count();
    let (mut from, mut kept, mut loud) = (0, 0, 0.0);
    let mut best = (f64::NEG_INFINITY, 0..0);
    for (end, piece) in pieces.iter().enumerate() {
        kept += length(piece);
        loud += piece.contribution.unwrap_or(0.0).abs();
        while kept > most && from < end {
            kept -= length(&pieces[from]);
            loud -= pieces[from].contribution.unwrap_or(0.0).abs();
            from += 1;
        }
        // The first of those that are as loud: texts are read from their beginning.
        if loud > best.0 + 1e-12 || (from == best.1.start && loud >= best.0 - 1e-12) {
            best = (loud, from..end + 1);
        }
    }
    let range = best.1;
    let mut excerpt: Vec<Shade> = pieces.get(range.clone()).unwrap_or_default().to_vec();
    for piece in &mut excerpt {
        // One piece alone may be longer than everything that there is room for.
        if let Some((at, _)) = piece.text.char_indices().nth(most) {
            piece.text.truncate(at);
            piece.text.push('…');
        }
    }
    let ellipsis = |text: &str| Shade { text: text.into(), ..Shade::default() };
    if range.start > 0 {
        excerpt.insert(0, ellipsis("… "));
    }
    if range.end < pieces.len() {
        excerpt.push(ellipsis(" …"));
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, parts: &[(&str, f64)]) -> Explanation {
        let words = parts.iter().map(|&(word, contribution)| {
            let start = text.find(word).unwrap();
            Part {
                word: word.into(),
                of: "text".into(),
                start,
                end: start + word.len(),
                contribution,
                probability: 0.5,
            }
        });
        let words = words.collect();
        Explanation { text: Some(text.into()), words, ..Explanation::of("x") }
    }

    #[test]
    fn pieces_are_the_whole_text_and_the_strongest_has_the_strongest_shade() {
        let text = "a lovely, lonely <film> and more";
        let told = told(text, &[("a", 0.01), ("lovely", 2.0), ("lonely", -1.0), ("film", 0.4)]);
        let pieces = shades(&told).remove(0);
        assert_eq!(pieces.iter().map(|p| p.text.as_str()).collect::<String>(), text);
        let steps: Vec<(&str, i8)> =
            pieces.iter().filter(|p| p.step != 0).map(|p| (p.text.as_str(), p.step)).collect();
        assert_eq!(steps, [("lovely", 4), ("lonely", -2), ("film", 1)]);
    }

    #[test]
    fn where_nothing_speaks_loudly_no_shade_is_strong() {
        let told = told("so and so", &[("so", 0.02), ("and", -0.03)]);
        assert!(shades(&told)[0].iter().all(|piece| piece.step == 0));
    }

    #[test]
    fn an_excerpt_is_the_loudest_part() {
        let text = "one two three four five six seven";
        let told = told(text, &[("two", 0.1), ("five", 2.0), ("six", -2.0)]);
        let pieces = shades(&told).remove(0);
        let joined =
            |most| excerpt(&pieces, most).iter().map(|p| p.text.clone()).collect::<String>();
        assert_eq!(joined(9), "… five six …");
        assert_eq!(joined(200), text);
        assert_eq!(excerpt(&[], 9), []);
        let long = [Shade { text: "é".repeat(50), ..Shade::default() }];
        assert_eq!(excerpt(&long, 9)[0].text.chars().count(), 10);
    }
}
