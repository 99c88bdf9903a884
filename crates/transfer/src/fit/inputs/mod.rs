//! Where a batch comes from: samples that are ready for the network, or the activations of its frozen
//! part, computed once for each sample and view.

mod pictures;
mod texts;

use offshoot_data::Sample;
use offshoot_data::augment::Pipeline;
use offshoot_nn::ModelInput;

use super::net::Brought;
use crate::cache::Cache;
use crate::extract::Extraction;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Result, TransferError};
use pictures::PictureInputs;
pub use pictures::pipeline;
use texts::TextInputs;

/// How a sample is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// As it is evaluated.
    Plain,
    /// Augmented, by the draws of this number.
    Augmented(u64),
}

/// What inputs are made from.
pub struct Supply<'a> {
    /// All samples of the data.
    pub samples: &'a [Sample],
    /// How many there are; a rehearsal is given fewer.
    pub all: usize,
    /// Names of their content.
    pub extraction: &'a Extraction,
    /// The network and its preprocessing.
    pub source: &'a Source,
    /// Where activations are kept.
    pub cache: &'a Cache,
    /// Bytes that the cache may take.
    pub cache_bytes: u64,
    /// Augmentation of training samples; only for pictures.
    pub augment: Option<Pipeline>,
    /// Views that serve in turn where activations are kept.
    pub views: usize,
    /// Keys the draws.
    pub seed: u64,
}

/// Inputs of one phase.
pub enum Inputs<'a> {
    /// Of a network that reads pictures, or vectors in their place.
    Pictures(PictureInputs<'a>),
    /// Of a text encoder.
    Texts(TextInputs<'a>),
}

impl<'a> Inputs<'a> {
    /// Inputs for a network of which everything until `boundary` is frozen. `training` samples are
    /// looked at each epoch; where their activations would take too much room, samples are given out as
    /// they are, and the frozen part runs each time.
    pub fn new(supply: &'a Supply<'a>, boundary: Option<&str>, training: usize) -> Result<Self> {
        let (recipe, params) =
            supply.source.network.as_ref().ok_or_else(|| {
                TransferError::Internal("inputs of a source without network".into())
            })?;
        match &recipe.input {
            ModelInput::Picture(_) => {
                PictureInputs::new(supply, recipe, params, boundary, training).map(Self::Pictures)
            }
            ModelInput::Text(_) => {
                TextInputs::new(supply, recipe, params, boundary).map(Self::Texts)
            }
        }
    }

    /// Whether batches are activations of the boundary.
    pub fn are_activations(&self) -> bool {
        match self {
            Self::Pictures(inputs) => inputs.are_activations(),
            Self::Texts(inputs) => inputs.are_activations(),
        }
    }

    /// Height, width and channels of a sample; `None` for texts, which have no common size.
    pub fn sizes(&self) -> Option<[usize; 3]> {
        match self {
            Self::Pictures(inputs) => Some(inputs.sizes()),
            Self::Texts(_) => None,
        }
    }

    /// How training samples are looked at in this epoch.
    pub fn view(&self, epoch: u64) -> View {
        match self {
            Self::Pictures(inputs) => inputs.view(epoch),
            Self::Texts(_) => View::Plain,
        }
    }

    /// Views of a sample whose activations are kept.
    pub fn views(&self) -> usize {
        match self {
            Self::Pictures(inputs) => inputs.views(),
            Self::Texts(inputs) => usize::from(inputs.are_activations()),
        }
    }

    /// Bytes that stay in memory once `samples` samples have been looked at, beyond those that do now.
    pub fn to_be_held(&self, samples: usize) -> u64 {
        match self {
            Self::Pictures(inputs) => inputs.to_be_held(samples),
            Self::Texts(inputs) => inputs.to_be_held(samples),
        }
    }

    /// Computes what is not there yet of the frozen part's activations. Returns how many samples
    /// passed it.
    pub fn ensure(
        &mut self,
        samples: &[usize],
        view: View,
        watch: &mut Watch<'_>,
    ) -> Result<usize> {
        match self {
            Self::Pictures(inputs) => inputs.ensure(samples, view, watch),
            Self::Texts(inputs) => inputs.ensure(samples, watch),
        }
    }

    /// The inputs of `samples`, end to end. Activations must be there ([`Inputs::ensure`]).
    pub fn batch(&self, samples: &[usize], view: View) -> Result<Brought> {
        match self {
            Self::Pictures(inputs) => inputs.batch(samples, view).map(Brought::Values),
            Self::Texts(inputs) => inputs.batch(samples),
        }
    }

    /// Samples that are evaluated together.
    pub fn together(&self) -> usize {
        match self {
            Self::Pictures(_) => pictures::BATCH,
            Self::Texts(_) => texts::BATCH,
        }
    }
}
