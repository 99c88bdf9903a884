//! Where in a text its tokens are from.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::Encoded;

/// A text, or a pair of texts, as tokens that know where they are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    /// The tokens, as [`crate::Tokenizer::encode`] gives them.
    pub encoded: Encoded,
    /// Where each token is from; `None` for special ones around the texts.
    pub spans: Vec<Option<Span>>,
}

/// A part of one of the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 0 for the text, 1 for its pair.
    pub part: usize,
    /// On character boundaries of that text.
    pub bytes: Range<usize>,
}

/// A word of a text and its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// From its first to its last character, without spaces around it.
    pub span: Span,
    /// Indices into [`Pieces::spans`], ascending.
    pub tokens: Vec<usize>,
}

impl Pieces {
    /// The words that were read, in order, by the boundaries of Unicode's Standard Annex 29; signs
    /// between words are words of their own. Words that share a token are one. `texts` are those
    /// that the pieces are of.
    pub fn words(&self, texts: [&str; 2]) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let bounds = texts.map(|text| {
            let filled = |(_, word): &(usize, &str)| !word.trim().is_empty();
            let bound = |(at, word): (usize, &str)| at..at + word.len();
            text.split_word_bound_indices().filter(filled).map(bound).collect::<Vec<_>>()
        });
        let mut next = [0; 2];
        for (token, span) in self.spans.iter().enumerate() {
            let Some(Span { part, bytes }) = span else { continue };
            let Some(whole) = texts.get(*part).and_then(|text| text.get(bytes.clone())) else {
                continue;
            };
            // Tokens of a sentence piece begin with the space before it.
            let start = bytes.start + (whole.len() - whole.trim_start().len());
            let end = bytes.end.max(start);
            let bounds = &bounds[*part];
            let at = &mut next[*part];
            while bounds.get(*at).is_some_and(|word| word.end <= start) {
                *at += 1;
            }
            let touched = bounds[*at..].iter().take_while(|word| word.start < end.max(start + 1));
            let Some(own) = touched.cloned().reduce(|a, b| a.start..b.end) else { continue };
            match words.last_mut() {
                Some(last) if last.span.part == *part && own.start < last.span.bytes.end => {
                    last.span.bytes.end = last.span.bytes.end.max(own.end);
                    last.tokens.push(token);
                }
                _ => {
                    words.push(Word { span: Span { part: *part, bytes: own }, tokens: vec![token] })
                }
            }
        }
        words
    }
}

impl Encoded {
    /// Without the tokens for which `left_out` is true.
    pub fn without(&self, left_out: impl Fn(usize) -> bool) -> Encoded {
        let keep = |values: &[u32]| -> Vec<u32> {
            let kept = values.iter().enumerate().filter(|(i, _)| !left_out(*i));
            kept.map(|(_, &value)| value).collect()
        };
        Encoded { ids: keep(&self.ids), types: keep(&self.types), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of a text with these tokens.
    fn pieces(spans: &[(usize, usize)]) -> Pieces {
        let span = |&(start, end): &(usize, usize)| Some(Span { part: 0, bytes: start..end });
        let spans: Vec<Option<Span>> = spans.iter().map(span).collect();
        let n = spans.len();
        let encoded = Encoded { ids: vec![7; n], types: vec![0; n], cut: false, left: 0 };
        Pieces { encoded, spans }
    }

    fn words<'a>(text: &'a str, spans: &[(usize, usize)]) -> Vec<(&'a str, Vec<usize>)> {
        let words = pieces(spans).words([text, ""]);
        words.into_iter().map(|w| (&text[w.span.bytes], w.tokens)).collect()
    }

    #[test]
    fn tokens_of_a_word_go_together_and_signs_alone() {
        // don ' t stop , ever
        let spans = [(0, 3), (3, 4), (4, 5), (6, 8), (8, 10), (10, 11), (12, 16)];
        let found = words("don't stop, ever", &spans);
        let expected =
            [("don't", vec![0, 1, 2]), ("stop", vec![3, 4]), (",", vec![5]), ("ever", vec![6])];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_space_before_a_token_is_not_of_it() {
        assert_eq!(words("a film", &[(0, 1), (1, 6)]), [("a", vec![0]), ("film", vec![1])]);
        // One token over two words makes one of them.
        assert_eq!(
            words("a film now", &[(0, 6), (6, 10)]),
            [("a film", vec![0]), ("now", vec![1])]
        );
    }

    #[test]
    fn signs_without_spaces_are_words() {
        assert_eq!(words("好電影", &[(0, 3), (3, 6), (6, 9)]).len(), 3);
        // Bytes of one character, as some tokenizers have them.
        assert_eq!(words("好", &[(0, 3), (0, 3), (0, 3)]), [("好", vec![0, 1, 2])]);
    }

    #[test]
    fn what_is_left_out_is_gone_from_ids_and_types() {
        let encoded = Encoded { ids: vec![1, 2, 3], types: vec![0, 1, 1], cut: true, left: 5 };
        let without = encoded.without(|i| i == 1);
        assert_eq!((without.ids, without.types, without.left), (vec![1, 3], vec![0, 1], 5));
    }
}
