//! A tokenizer that is ready, and what it makes of texts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sha2::{Digest, Sha256};
use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper, TruncationDirection};

use crate::pieces::{Pieces, Span};
use crate::{Result, TokenError, document, folder, refused, shown};

/// Bytes of text a token of the limit that are looked at first; English has about five.
const BYTES_A_TOKEN: usize = 16;
/// A text without any space is cut after so many bytes, which are always far more than can be kept.
const MOST_BYTES: usize = 1 << 18;

/// Turns texts into token ids, at most so many a text.
pub struct Tokenizer {
    /// Without what it would do at the end: it would keep every part that is cut off, and of a pair
    /// every part of one text beside every part of the other.
    inner: tokenizers::Tokenizer,
    /// Puts special tokens around texts that were cut.
    finish: Option<PostProcessorWrapper>,
    json: String,
    sha256: String,
    limit: usize,
    /// Special tokens of a text, and of a pair.
    specials: [usize; 2],
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
    /// About how many tokens were left out: exactly those of what was looked at, and in proportion
    /// of what was not.
    pub left: usize,
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
        let finish = inner.get_post_processor().cloned();
        inner.with_post_processor(None::<PostProcessorWrapper>);
        let added = |pair| finish.as_ref().map_or(0, |p| p.added_tokens(pair));
        let specials = [added(false), added(true)];
        if limit <= specials[1] {
            let detail = format!("{} special tokens do not fit into {limit}", specials[1]);
            return Err(refused(place, detail));
        }
        let ids = inner.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1);
        let sha256 = Sha256::digest(json.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        let tokenizer = Self { inner, finish, json, sha256, limit, specials, ids };
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

    /// The same without the special tokens that are put around every text.
    ///
    /// # Errors
    /// As [`Tokenizer::from_json`]; `place` names the tokenizer in messages.
    pub fn without_special_tokens(self, place: &str) -> Result<Self> {
        let mut document: serde_json::Value = serde_json::from_str(&self.json)
            .map_err(|error| refused(place, shown(&error.to_string())))?;
        document["post_processor"] = serde_json::Value::Null;
        Self::from_value(place, document, self.limit)
    }

    /// The id of what stands for unknown words, where the model has such a token.
    pub fn unknown(&self) -> Option<u32> {
        use tokenizers::ModelWrapper;
        match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => self.id(&model.unk_token),
            ModelWrapper::BPE(model) => self.id(model.unk_token.as_deref()?),
            _ => None,
        }
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
        let (encoding, left) = self.encoding(text, pair, false)?;
        Ok(encoded(&encoding, left))
    }

    /// As [`Tokenizer::encode`], and where in the texts each token is from.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn pieces(&self, text: &str, pair: Option<&str>) -> Result<Pieces> {
        let (encoding, left) = self.encoding(text, pair, true)?;
        let span = |(&(start, end), part): (&(usize, usize), Option<usize>)| {
            let part = part?;
            let whole = if part == 0 { text } else { pair.unwrap_or_default() };
            let (start, end) = (whole.floor_char_boundary(start), whole.ceil_char_boundary(end));
            Some(Span { part, bytes: start..end.max(start) })
        };
        let parts = encoding.get_sequence_ids();
        let spans = encoding.get_offsets().iter().zip(parts).map(span).collect();
        Ok(Pieces { encoded: encoded(&encoding, left), spans })
    }

    /// Cut and with special tokens; beside it, how many tokens were left out, where any were.
    fn encoding(
        &self,
        text: &str,
        pair: Option<&str>,
        offsets: bool,
    ) -> Result<(Encoding, Option<usize>)> {
        let texts = [text, pair.unwrap_or_default()];
        let room = self.limit - self.specials[usize::from(pair.is_some())];
        let mut bytes = BYTES_A_TOKEN.saturating_mul(self.limit);
        loop {
            let parts = texts.map(|text| beginning(text, bytes));
            let unread = parts.map(|(_, left)| left);
            let first = self.raw(parts[0].0, offsets)?;
            let second = pair.map(|_| self.raw(parts[1].0, offsets)).transpose()?;
            let found = [first.len(), second.as_ref().map_or(0, Encoding::len)];
            let kept = shares(found, room);
            let cut = found != kept;
            // What is left out cannot matter where what was read is too long already. Of a pair the
            // longer text is cut, so one with half of the room is certain to keep no more; but which
            // of two long ones has the odd token depends on all of both.
            let settled = match unread {
                [false, false] => true,
                [true, true] => false,
                _ if pair.is_none() => cut,
                _ => cut && (0..2).all(|i| !unread[i] || kept[i] >= room.div_ceil(2)),
            };
            if settled || bytes >= MOST_BYTES {
                let left: usize = (0..2)
                    .map(|i| {
                        let looked_at = parts[i].0.len().max(1) as f64;
                        let rest = (texts[i].len() - parts[i].0.len()) as f64;
                        found[i] - kept[i] + (found[i] as f64 * rest / looked_at).round() as usize
                    })
                    .sum();
                let left = (cut || unread != [false; 2]).then_some(left);
                return Ok((self.finished(first, second, kept)?, left));
            }
            bytes = bytes.saturating_mul(4);
        }
    }

    /// All tokens of one text, without special ones around it.
    fn raw(&self, text: &str, offsets: bool) -> Result<Encoding> {
        let encoding = guarded(|| match offsets {
            true => self.inner.encode(text, false),
            false => self.inner.encode_fast(text, false),
        });
        told(encoding)
    }

    /// The first `kept` tokens of each text, with special tokens around them.
    fn finished(
        &self,
        mut first: Encoding,
        mut second: Option<Encoding>,
        kept: [usize; 2],
    ) -> Result<Encoding> {
        for (encoding, kept) in [Some(&mut first), second.as_mut()].into_iter().flatten().zip(kept)
        {
            encoding.truncate(kept, 0, TruncationDirection::Right);
            encoding.take_overflowing();
        }
        if let Some(second) = &mut second {
            second.set_type_ids(vec![1; second.len()]);
        }
        told(guarded(|| match &self.finish {
            Some(finish) => finish.process(first, second, true),
            None => {
                // Tells which token is of which text, too.
                let all = [Some(first), second].into_iter().flatten().collect();
                let joined = <dyn PostProcessor>::default_process(all, true);
                joined.map(|mut joined| joined.pop().unwrap_or_default())
            }
        }))
    }
}

fn told(result: Option<tokenizers::Result<Encoding>>) -> Result<Encoding> {
    match result {
        Some(Ok(encoding)) => Ok(encoding),
        Some(Err(error)) => Err(TokenError::Text(shown(&error.to_string()))),
        None => Err(TokenError::Text("the tokenizer failed on this text".into())),
    }
}

fn encoded(encoding: &Encoding, left: Option<usize>) -> Encoded {
    Encoded {
        ids: encoding.get_ids().to_vec(),
        types: encoding.get_type_ids().to_vec(),
        cut: left.is_some(),
        left: left.unwrap_or(0),
    }
}

/// How many tokens of each text are kept where all have to fit into `room`: `longest_first` of
/// Hugging Face's tokenizers, which cuts the longer one, and both to the half where both are longer.
fn shares([first, second]: [usize; 2], room: usize) -> [usize; 2] {
    if first + second <= room {
        return [first, second];
    }
    let (short, half) = (first.min(second), room / 2);
    let (short, long) = if short <= half { (short, room - short) } else { (half, room - half) };
    if first <= second { [short, long] } else { [long, short] }
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
    fn the_longer_text_of_a_pair_is_cut() {
        assert_eq!(shares([3, 4], 7), [3, 4]);
        assert_eq!(shares([3, 9], 7), [3, 4]);
        assert_eq!(shares([9, 2], 7), [5, 2]);
        assert_eq!(shares([9, 9], 7), [3, 4]);
        assert_eq!(shares([9, 8], 7), [4, 3]);
        assert_eq!(shares([9, 0], 7), [7, 0]);
    }

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
