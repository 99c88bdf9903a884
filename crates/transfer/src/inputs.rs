//! From a sample to what a source reads: normalised pixels, vectors, or tokens.

use std::sync::Arc;

use offshoot_data::{Input, Sample};
use offshoot_tokens::Encoded;

use crate::pictures::{Content, Pictures, Unreadable};
use crate::texts::Texts;
use crate::{Result, TransferError};

/// How samples become the input of one source.
#[derive(Clone)]
pub enum Inputs {
    /// Pictures, and vectors that the data holds.
    Pictures(Pictures),
    /// Texts and pairs of texts.
    Texts(Arc<Texts>),
}

/// One sample, ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// A normalised picture or a vector.
    Values(Vec<f32>),
    /// A text.
    Tokens(Encoded),
}

impl Inputs {
    /// Everything that decides what the network sees, as text.
    pub fn description(&self) -> String {
        match self {
            Self::Pictures(pictures) => pictures.description(),
            Self::Texts(texts) => texts.description(),
        }
    }

    /// Reads a sample into memory.
    pub fn read(&self, input: &Input) -> std::result::Result<Content, Unreadable> {
        match self {
            Self::Pictures(pictures) => pictures.read(input),
            Self::Texts(texts) => texts.read(input),
        }
    }

    /// What the network sees of it.
    pub fn ready(&self, content: Content) -> std::result::Result<Ready, Unreadable> {
        match (self, content) {
            (Self::Texts(texts), Content::Text(text)) => texts.tokens(&text).map(Ready::Tokens),
            (Self::Texts(_), _) => Err(Unreadable::no_text()),
            (Self::Pictures(pictures), content) => pictures.normalised(content).map(Ready::Values),
        }
    }

    /// Reads a sample and makes it ready.
    pub fn prepare(&self, input: &Input) -> std::result::Result<Ready, Unreadable> {
        self.ready(self.read(input)?)
    }

    /// Refuses data of another kind as a whole, before every sample is refused by itself.
    pub fn refuse_others(&self, name: &str, samples: &[Sample]) -> Result<()> {
        let is_text = |s: &Sample| matches!(s.input, Input::Text(_) | Input::TextFile(_));
        let Some(first) = samples.first() else { return Ok(()) };
        match (self, is_text(first)) {
            (Self::Pictures(_), true) => Err(TransferError::usage(
                format!("the data holds texts, and `{name}` reads pictures"),
                "name a text encoder: `offshoot models pull all-minilm-l6-v2`, then \
                 `--model all-minilm-l6-v2`; a Hugging Face folder also does",
            )),
            (Self::Texts(_), false) => Err(TransferError::usage(
                format!("the data holds no texts, and `{name}` reads nothing else"),
                "`offshoot models list` shows sources for pictures; a table of texts has columns \
                 such as `text,label`",
            )),
            _ => Ok(()),
        }
    }
}
