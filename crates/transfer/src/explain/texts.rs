//! Texts: one word left out at a time, or so many neighbours that the answers suffice.

use offshoot_data::Sample;
use offshoot_tokens::{Pieces, Word};

use super::{Occlusion, contribution, together};
use crate::Result;
use crate::documents::{Explanation, Part};
use crate::inputs::Ready;
use crate::pictures::{Content, Unreadable};
use crate::texts::Texts;

impl Occlusion<'_> {
    pub(super) fn explain_text(
        &self,
        all: &[&Texts],
        sample: &Sample,
        class: Option<usize>,
    ) -> Result<std::result::Result<(Explanation, usize), Unreadable>> {
        let Some(texts) = all.first() else { return Ok(Err(Unreadable::no_text())) };
        let text = match texts.read(&sample.input) {
            Ok(Content::Text(text)) => text,
            Ok(_) => return Ok(Err(Unreadable::no_text())),
            Err(reason) => return Ok(Err(reason)),
        };
        let mut cut = Vec::with_capacity(all.len());
        for texts in all {
            match texts.pieces(&text) {
                Ok(pieces) => cut.push(pieces),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let [pieces, others @ ..] = cut.as_slice() else { return Ok(Err(Unreadable::no_text())) };
        let both = [&*text.text, text.pair.as_deref().unwrap_or_default()];
        let words = pieces.words(both);
        let windows: Vec<&[Word]> = windows(&words, self.answers).collect();
        let whole = together(cut.iter().map(|p| Ready::Tokens(p.encoded.clone())).collect());
        let others: Vec<(&Pieces, Vec<Word>)> = others.iter().map(|p| (p, p.words(both))).collect();
        let part = |window: &&[Word]| {
            let other = |(pieces, words): &(&Pieces, Vec<Word>)| {
                without(
                    pieces,
                    &words.iter().filter(|word| touches(word, window)).collect::<Vec<_>>(),
                )
            };
            let first = without(pieces, &window.iter().collect::<Vec<_>>());
            together(std::iter::once(first).chain(others.iter().map(other)).collect())
        };
        if let Some(reason) = self.refuses(&whole) {
            return Ok(Err(reason));
        }
        let (mut explanation, class) = self.asked_about(&sample.id, &whole, class)?;
        let parts: Vec<Ready> = windows.iter().map(part).collect();
        let answers = self.answers(&parts, class)?;
        let of = |part: usize| if part == 0 { "text" } else { "pair" };
        explanation.words = windows
            .iter()
            .zip(answers)
            .filter_map(|(window, probability)| {
                let (first, last) = (&window.first()?.span, &window.last()?.span);
                let bytes = first.bytes.start..last.bytes.end;
                Some(Part {
                    word: both[first.part].get(bytes.clone())?.to_owned(),
                    of: of(first.part).into(),
                    start: bytes.start,
                    end: bytes.end,
                    contribution: contribution(explanation.class_probability, probability),
                    probability,
                })
            })
            .collect();
        explanation.cut = pieces.encoded.cut;
        explanation.text = Some(text.text.to_string());
        explanation.pair = text.pair.as_deref().map(str::to_owned);
        Ok(Ok((explanation, 1 + parts.len())))
    }
}

/// Neighbouring words of one text, as few as `most` windows allow.
fn windows(words: &[Word], most: usize) -> impl Iterator<Item = &[Word]> {
    let each = words.len().div_ceil(most.max(1)).max(1);
    words.chunk_by(|a, b| a.span.part == b.span.part).flat_map(move |part| part.chunks(each))
}

/// Whether a word of another tokenizer shares letters with a window.
fn touches(word: &Word, window: &[Word]) -> bool {
    let span = &word.span;
    window.iter().any(|other| {
        let other = &other.span;
        other.part == span.part
            && other.bytes.start < span.bytes.end
            && span.bytes.start < other.bytes.end
    })
}

fn without(pieces: &Pieces, window: &[&Word]) -> Ready {
    let inside = |token: usize| window.iter().any(|word| word.tokens.contains(&token));
    Ready::Tokens(pieces.encoded.without(inside))
}
