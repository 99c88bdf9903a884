//! A tokenizer that is ready, and what it makes of texts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sha2::{Digest, Sha256};
use tokenizers::{TruncationDirection, TruncationParams, TruncationStrategy};

use crate::{Result, TokenError, document, folder, refused, shown};

/// Bytes of text a token of the limit that are looked at first; English has about five.
const BYTES_A_TOKEN: usize = 16;
/// A text without any space is cut after so many bytes, which are always far more than can be kept.
const MOST_BYTES: usize = 1 << 18;

/// Turns texts into token ids, at most so many a text.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    json: String,
    sha256: String,
    limit: usize,
    /// Special tokens of a pair.
    specials: usize,
    ids: usize,
}

/// A text, or a pair of texts, as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Ids with those of special tokens.
    pub ids: Vec<u32>,
    /// Which text each token is of: 0, or 1 for the second of a pair where the tokenizer tells them
    /// apart.
    pub types: Vec<u32>,
    /// Whether the text was longer than the limit.
    pub cut: bool,
}

impl Tokenizer {
    /// The tokenizer of a Hugging Face folder; texts give at most `limit` tokens, special tokens
    /// included.
    ///
    /// # Errors
    /// Where there is none, or it is damaged, hostile, or of a kind that is not computed here.
    pub fn read_folder(path: &Path, limit: usize) -> Result<Self> {
        let (place, document) = folder::document(path)?;
        Self::from_value(&place, document, limit)
    }

    /// The tokenizer of a document in the form of `tokenizer.json`.
    ///
    /// # Errors
    /// As [`Tokenizer::read_folder`].
    pub fn from_json(place: &str, json: &[u8], limit: usize) -> Result<Self> {
        if json.len() as u64 > document::MAX_BYTES {
            return Err(refused(place, format!("{} bytes are too many", json.len())));
        }
        let document = serde_json::from_slice(json)
            .map_err(|error| refused(place, shown(&error.to_string())))?;
        Self::from_value(place, document, limit)
    }

    fn from_value(place: &str, document: serde_json::Value, limit: usize) -> Result<Self> {
        let document = document::checked(place, document)?;
        let json = document.to_string();
        drop(document);
        // What the checks did not foresee must not end the process.
        let loaded = guarded(|| tokenizers::Tokenizer::from_bytes(json.as_bytes()));
        let mut inner = match loaded {
            Some(Ok(inner)) => inner,
            Some(Err(error)) => return Err(refused(place, shown(&error.to_string()))),
            None => return Err(refused(place, "its parts contradict each other")),
        };
        let specials = inner.get_post_processor().map_or(0, |p| {
            use tokenizers::PostProcessor;
            p.added_tokens(true)
        });
        if limit <= specials {
            let detail = format!("{specials} special tokens do not fit into {limit}");
            return Err(refused(place, detail));
        }
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: limit,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        inner
            .with_truncation(Some(truncation))
            .map_err(|error| refused(place, shown(&error.to_string())))?;
        let ids = inner.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1);
        let sha256 = Sha256::digest(json.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        let tokenizer = Self { inner, json, sha256, limit, specials, ids };
        // Words of the post-processor that are in no vocabulary show here and not in a user's text.
        for pair in [None, Some("b")] {
            let encoded = tokenizer
                .encode("a \u{10fffd}", pair)
                .map_err(|error| refused(place, error.to_string()))?;
            if let Some(id) = encoded.ids.iter().find(|id| **id as usize >= tokenizer.ids) {
                return Err(refused(place, format!("gives id {id}, which no token has")));
            }
        }
        Ok(tokenizer)
    }

    /// The document, checked and in one line: what to keep beside a model.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// SHA-256 of [`Tokenizer::json`].
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The most tokens a text.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The id of a token, where there is one of this very form.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Ids are below this.
    pub fn ids(&self) -> usize {
        self.ids
    }

    /// The tokens of a text, or of a pair. Of a pair that is too long the longer text is cut.
    ///
    /// Takes time in proportion to what is kept, not to the text.
    ///
    /// # Errors
    /// [`TokenError::Text`] for a text that holds what the tokenizer has no token for.
    pub fn encode(&self, text: &str, pair: Option<&str>) -> Result<Encoded> {
        let mut bytes = BYTES_A_TOKEN.saturating_mul(self.limit);
        loop {
            let (text, text_left) = beginning(text, bytes);
            let (pair, pair_left) = match pair.map(|p| beginning(p, bytes)) {
                Some((pair, left)) => (Some(pair), left),
                None => (None, false),
            };
            let (encoded, kept) = self.encode_whole(text, pair)?;
            let left = [text_left, pair_left];
            if left == [false; 2] {
                return Ok(encoded);
            }
            // What is left out cannot matter where what was read is too long already. Of a pair the
            // longer text is cut, so one with half of the room is certain to keep no more; but which
            // of two long ones has the odd token depends on all of both.
            let half = (self.limit - self.specials).div_ceil(2);
            let settled = match pair {
                None => encoded.cut,
                Some(_) if left == [true; 2] => false,
                Some(_) => encoded.cut && (0..2).all(|part| !left[part] || kept[part] >= half),
            };
            if settled || bytes >= MOST_BYTES {
                return Ok(Encoded { cut: true, ..encoded });
            }
            bytes = bytes.saturating_mul(4);
        }
    }

    /// The tokens, and how many of them are of each text.
    fn encode_whole(&self, text: &str, pair: Option<&str>) -> Result<(Encoded, [usize; 2])> {
        let encoded = guarded(|| match pair {
            Some(pair) => self.inner.encode_fast((text, pair), true),
            None => self.inner.encode_fast(text, true),
        });
        match encoded {
            Some(Ok(encoding)) => {
                let of = encoding.get_sequence_ids();
                let kept = [0, 1].map(|part| of.iter().filter(|s| **s == Some(part)).count());
                let encoded = Encoded {
                    ids: encoding.get_ids().to_vec(),
                    types: encoding.get_type_ids().to_vec(),
                    cut: !encoding.get_overflowing().is_empty(),
                };
                Ok((encoded, kept))
            }
            Some(Err(error)) => Err(TokenError::Text(shown(&error.to_string()))),
            None => Err(TokenError::Text("the tokenizer failed on this text".into())),
        }
    }
}

/// `None` where `work` panicked.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    // Whatever state the panic left is dropped or was only read.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// At least `bytes` bytes of `text`, up to a space behind a word, and whether anything is left.
fn beginning(text: &str, bytes: usize) -> (&str, bool) {
    if text.len() <= bytes {
        return (text, false);
    }
    let most = text.len().min(bytes.max(MOST_BYTES));
    let end = text
        .char_indices()
        .skip_while(|(at, _)| *at < bytes.min(most))
        .take_while(|(at, _)| *at < most)
        .find(|(at, c)| c.is_whitespace() && !text[..*at].ends_with(char::is_whitespace))
        .map_or_else(|| text.floor_char_boundary(most), |(at, _)| at);
    (&text[..end], end < text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_behind_a_word() {
        assert_eq!(beginning("one two three", 4), ("one two", true));
        assert_eq!(beginning("one  two", 3), ("one", true));
        assert_eq!(beginning("one  two", 4), ("one  two", false));
        assert_eq!(beginning("one two", 100), ("one two", false));
        let long = "字".repeat(MOST_BYTES);
        let (part, left) = beginning(&long, 100);
        assert!(left && part.len() <= MOST_BYTES && part.len() > MOST_BYTES - 3);
    }
}
