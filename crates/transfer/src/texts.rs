//! From a text to token ids.

use offshoot_data::{Input, Text, read_text};
use offshoot_tokens::{Encoded, Pieces, Span, TokenError, Tokenizer};

use crate::pictures::{Content, Unreadable};

/// How texts become the input of one source.
pub struct Texts {
    tokenizer: Tokenizer,
    lower_case: bool,
    left_out: Option<u32>,
}

impl Texts {
    /// Texts by this tokenizer; `lower_case` puts them in lower case before it, and the token `left_out`
    /// has no say.
    pub fn new(tokenizer: Tokenizer, lower_case: bool, left_out: Option<u32>) -> Self {
        Self { tokenizer, lower_case, left_out }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Everything that decides the tokens.
    pub fn description(&self) -> String {
        let case = if self.lower_case { " in lower case" } else { "" };
        let short: String = self.tokenizer.sha256().chars().take(16).collect();
        let known = if self.left_out.is_some() { ", known words only" } else { "" };
        format!("tokenizer {short}{case}{known}, {} tokens at most", self.tokenizer.limit())
    }

    /// Reads a sample into memory.
    pub fn read(&self, input: &Input) -> Result<Content, Unreadable> {
        match input {
            Input::Text(_) | Input::TextFile(_) | Input::Broken(_) => {
                Ok(Content::Text(read_text(input)?))
            }
            _ => Err(Unreadable::no_text()),
        }
    }

    /// The text's tokens.
    pub fn tokens(&self, text: &Text) -> Result<Encoded, Unreadable> {
        let [first, pair] = self.cased(text);
        let encoded = self.tokenizer.encode(&first.unwrap_or_default(), pair.as_deref());
        let mut encoded = encoded.map_err(unreadable)?;
        self.leave_out(&mut encoded, None);
        Ok(encoded)
    }

    /// Takes out the token of unknown words, where it has no say.
    fn leave_out(&self, encoded: &mut Encoded, spans: Option<&mut Vec<Option<Span>>>) {
        let Some(left_out) = self.left_out else { return };
        let stays: Vec<bool> = encoded.ids.iter().map(|id| *id != left_out).collect();
        let mut stay = stays.iter();
        encoded.types.retain(|_| stay.next() == Some(&true));
        let mut stay = stays.iter();
        spans.into_iter().for_each(|spans| spans.retain(|_| stay.next() == Some(&true)));
        encoded.ids.retain(|id| *id != left_out);
    }

    /// The text's tokens, and where in the text, as it is written, they are from.
    pub fn pieces(&self, text: &Text) -> Result<Pieces, Unreadable> {
        let [first, pair] = self.cased(text);
        let pieces = self.tokenizer.pieces(&first.unwrap_or_default(), pair.as_deref());
        let mut pieces = pieces.map_err(unreadable)?;
        self.leave_out(&mut pieces.encoded, Some(&mut pieces.spans));
        if self.lower_case {
            let parts = [&*text.text, text.pair.as_deref().unwrap_or_default()];
            let places = parts.map(Places::of);
            for span in pieces.spans.iter_mut().flatten() {
                let places = &places[span.part.min(1)];
                span.bytes = places.before(span.bytes.start)..places.before(span.bytes.end);
            }
        }
        Ok(pieces)
    }

    fn cased(&self, text: &Text) -> [Option<String>; 2] {
        [Some(&text.text), text.pair.as_ref()].map(|text| {
            text.map(|text| if self.lower_case { text.to_lowercase() } else { text.to_string() })
        })
    }
}

fn unreadable(error: TokenError) -> Unreadable {
    Unreadable { kind: "not-text".into(), detail: error.to_string() }
}

/// Where the characters of a text are once it is in lower case: some grow or shrink.
struct Places(Vec<(usize, usize)>);

impl Places {
    fn of(text: &str) -> Self {
        let mut lower = 0;
        let mut places = Vec::with_capacity(text.len() + 1);
        for (at, c) in text.char_indices() {
            places.push((lower, at));
            lower += c.to_lowercase().map(char::len_utf8).sum::<usize>();
        }
        places.push((lower, text.len()));
        Self(places)
    }

    /// The place in the text of one in its lower case.
    fn before(&self, lower: usize) -> usize {
        let next = self.0.partition_point(|(at, _)| *at < lower);
        self.0.get(next).or(self.0.last()).map_or(0, |(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_again_where_letters_change_their_length() {
        // The first letter takes two bytes and three in lower case, the fourth three and two.
        let text = "İa ẞb";
        let lower = text.to_lowercase();
        let places = Places::of(text);
        let back = |word: &str| {
            let at = lower.find(word).unwrap();
            &text[places.before(at)..places.before(at + word.len())]
        };
        assert_eq!((back("a"), back("ßb"), back("i\u{307}a")), ("a", "ẞb", "İa"));
    }
}
