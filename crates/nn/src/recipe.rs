//! What a network is, as data.

use crate::blocks::{Block, Linear};
use crate::{NnError, Result};

/// Filter that a source was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// Triangle filter, antialiased.
    Bilinear,
    /// Catmull–Rom (a = −0.5), antialiased.
    Bicubic,
}

/// Colour channels that a source expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One channel, luma (ITU-R 601).
    Grey,
    /// Three channels.
    Rgb,
}

impl Channels {
    /// 1 or 3.
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// How a picture becomes the network's input. Evaluation preprocessing, deterministic.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// Height and width in pixels.
    pub size: usize,
    /// Shorter side is resized to `size / crop_fraction`, then the centre is cropped;
    /// `None` resizes both sides to `size`, which keeps the whole picture.
    pub crop_fraction: Option<f32>,
    /// Resize filter.
    pub interpolation: Interpolation,
    /// Grey or RGB.
    pub channels: Channels,
    /// Subtracted, in units of 0..1, one a channel.
    pub mean: Vec<f32>,
    /// Divided by, in units of 0..1, one a channel.
    pub std: Vec<f32>,
}

/// What token sequences a text encoder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextSpec {
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Tokens of the longest sequence.
    pub longest: usize,
    /// Token types (segments); 1 where the encoder does not tell them apart.
    pub types: usize,
}

/// What a network reads.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelInput {
    /// Pictures.
    Picture(InputSpec),
    /// Token sequences.
    Text(TextSpec),
}

/// A named run of blocks; the places at which features can be read and training can be cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Unique within the recipe.
    pub name: &'static str,
    /// In order.
    pub blocks: Vec<Block>,
}

/// A backbone with an optional source classifier.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The word that a user types; also the file's name.
    pub name: &'static str,
    /// One line for `models list`.
    pub summary: &'static str,
    /// Where the architecture was published.
    pub paper: &'static str,
    /// What it reads; for pictures, the evaluation preprocessing of the usual weights.
    pub input: ModelInput,
    /// The backbone. The last stage yields one feature vector a sample, `[n, feature_dim]`.
    pub stages: Vec<Stage>,
    /// Length of the feature vector.
    pub feature_dim: usize,
    /// The source classifier, applied to the feature vector; absent where weights come without.
    pub head: Option<Linear>,
    /// Foreign key → key of this recipe; `None` for a key that it does not know. [`crate::load`]
    /// says when it is asked.
    pub rename: fn(&str) -> Option<String>,
}

impl Recipe {
    /// What pictures it reads.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for a text encoder.
    pub fn picture(&self) -> Result<&InputSpec> {
        match &self.input {
            ModelInput::Picture(spec) => Ok(spec),
            ModelInput::Text(_) => Err(NnError::Unsupported(format!(
                "`{}` is a text encoder: it reads token sequences, not pictures",
                self.name
            ))),
        }
    }

    /// The same network for pictures of `size` × `size` pixels.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for a text encoder, where a stage is left without pixels, and where the
    /// features would not be as many as the weights are for.
    pub fn at_size(mut self, size: usize) -> Result<Self> {
        let features = self.shapes(size, size)?.last().map(|(_, shape)| shape.len());
        if features != Some(self.feature_dim) {
            return Err(NnError::Unsupported(format!(
                "recipe `{}` cannot take {size}×{size} pixels: its weights are for {} features",
                self.name, self.feature_dim
            )));
        }
        if let ModelInput::Picture(spec) = &mut self.input {
            spec.size = size;
        }
        Ok(self)
    }

    /// What token sequences it reads.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for a network that reads pictures.
    pub fn text(&self) -> Result<&TextSpec> {
        match &self.input {
            ModelInput::Text(spec) => Ok(spec),
            ModelInput::Picture(_) => Err(NnError::Unsupported(format!(
                "`{}` reads pictures, not token sequences",
                self.name
            ))),
        }
    }
}
