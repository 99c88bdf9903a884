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
    /// Those of several sources, all of pictures or all of texts.
    Several(Vec<Inputs>),
}

/// One sample, ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// A normalised picture or a vector.
    Values(Vec<f32>),
    /// A text.
    Tokens(Encoded),
    /// As each of several sources reads it.
    Several(Vec<Ready>),
}

impl Ready {
    /// The tokens of a text, as the first of several sources cuts them.
    pub fn tokens(&self) -> Option<&Encoded> {
        match self {
            Self::Tokens(tokens) => Some(tokens),
            Self::Several(all) => all.first()?.tokens(),
            Self::Values(_) => None,
        }
    }
}

impl Inputs {
    /// Everything that decides what the network sees, as text.
    pub fn description(&self) -> String {
        match self {
            Self::Pictures(pictures) => pictures.description(),
            Self::Texts(texts) => texts.description(),
            Self::Several(all) => all.iter().map(Self::description).collect::<Vec<_>>().join(" | "),
        }
    }

    /// Those of the first of several sources.
    pub fn first(&self) -> &Self {
        match self {
            Self::Several(all) => all.first().map_or(self, Self::first),
            one => one,
        }
    }

    /// What reads texts, of the first of several sources; `None` where pictures are read.
    pub fn texts(&self) -> Option<&Arc<Texts>> {
        match self.first() {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// Reads a sample into memory.
    pub fn read(&self, input: &Input) -> std::result::Result<Content, Unreadable> {
        match self {
            Self::Pictures(pictures) => pictures.read(input),
            Self::Texts(texts) => texts.read(input),
            Self::Several(_) => match self.first() {
                Self::Several(_) => Err(Unreadable::no_picture()),
                first => first.read(input),
            },
        }
    }

    /// What the network sees of it.
    pub fn ready(&self, content: Content) -> std::result::Result<Ready, Unreadable> {
        match (self, content) {
            (Self::Several(all), content) => {
                let each = all.iter().map(|inputs| inputs.ready(content.clone()));
                Ok(Ready::Several(each.collect::<std::result::Result<_, _>>()?))
            }
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
        match (self.first(), is_text(first)) {
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
