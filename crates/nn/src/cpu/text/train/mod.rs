//! Fine-tuning of text encoders: forward with everything kept that the gradients need, and backward.
//!
//! As in the frozen plan nothing is padded, all rows pass the matrices together, and attention works on
//! each sequence; its probabilities are computed again in the backward pass. Sums over rows are formed
//! over chunks whose number depends on the batch alone and added in order, so gradients have the
//! same bits for any number of threads.

mod backward;
mod forward;
mod lower;
mod masked;
mod tensors;

use std::collections::BTreeSet;
use std::sync::Mutex;

use offshoot_kernels::{Activation, Attention, Isa, Linear, LinearGrad, Precision};

use super::TextPlan;
use crate::blocks::TokenPool;
use crate::cpu::Learned;
use crate::{NnError, Params, Recipe, Result, TextBatch, TextSpec};
pub use masked::{MASKED_HEAD, MaskedGradients, MaskedHead};
use rayon::prelude::*;
use tensors::Tensor;

/// How a trainer is made.
#[derive(Debug, Clone, Default)]
pub struct TrainOptions {
    /// Instruction level; `None` takes the best that this machine has.
    pub isa: Option<Isa>,
    /// How exactly matrices are multiplied.
    pub precision: Precision,
    /// Last stage that stays as it is; `None` trains all of them.
    pub frozen: Option<String>,
    /// Whether the caller brings the rows of that stage ([`TextTrainer::forward_from`]).
    pub from_activations: bool,
    /// Keys of what learns in the other stages; `None`: everything. What does not learn has no
    /// gradient.
    pub learns: Option<BTreeSet<String>>,
}

/// A text encoder that learns.
///
/// One step is [`TextTrainer::forward`], a loss on the features, [`TextTrainer::backward`] with the
/// loss's gradient, and an optimiser over [`TextTrainer::learned`].
pub struct TextTrainer {
    isa: Isa,
    input: TextSpec,
    features: usize,
    tensors: Vec<Tensor>,
    /// What stays as it is.
    prefix: Option<TextPlan>,
    /// `None` where the prefix holds it.
    embed: Option<Embed>,
    layers: Vec<Layer>,
    /// So many of the last layers' outputs are averaged before the pool.
    averaged: usize,
    pool: TokenPool,
    dense: Vec<Dense>,
    unit_length: bool,
    /// Of a vector.
    outputs: usize,
    /// Whether the packed matrices are older than the tensors.
    stale: bool,
    saved: Saved,
    work: backward::Work,
    /// Scratch of workers that have finished.
    idle: Mutex<Vec<Scratch>>,
}

/// A worker's buffers, reused from chunk to chunk.
#[derive(Default)]
struct Scratch {
    attention: Vec<f32>,
    linear: Vec<f32>,
    wide: Vec<f32>,
}

/// Places of the embedding's tensors.
struct Embed {
    words: usize,
    positions: Option<usize>,
    first_position: usize,
    types: Option<usize>,
    norm: Option<Norm>,
}

/// A fully connected layer on vectors.
struct Dense {
    matrix: Matrix,
    act: Activation,
}

/// Places of a layer norm's tensors.
#[derive(Clone, Copy)]
struct Norm {
    weight: usize,
    bias: usize,
    eps: f32,
}

/// A matrix with its bias: places of the tensors, and their packed forms.
struct Matrix {
    weight: usize,
    bias: usize,
    forward: Linear,
    grad: LinearGrad,
}

/// An encoder layer.
struct Layer {
    projections: Matrix,
    attention: Attention,
    output: Matrix,
    attention_norm: Norm,
    expand: Matrix,
    act: Activation,
    shrink: Matrix,
    norm: Norm,
}

/// Activations that the backward pass reads, rows of all sequences end to end.
#[derive(Default)]
struct Saved {
    /// Sums of embeddings before their norm.
    embed: Vec<f32>,
    /// One for each layer, and one more whose `input` is the last layer's output.
    layers: Vec<SavedLayer>,
    /// Mean of the last layers' outputs, where several are averaged.
    averaged: Vec<f32>,
    /// Vectors from the pool on: the input of each fully connected layer, and what is scaled to length 1.
    vectors: Vec<Vec<f32>>,
    /// What fully connected layers give before their activation.
    inner: Vec<Vec<f32>>,
    output: Vec<f32>,
}

#[derive(Default)]
struct SavedLayer {
    input: Vec<f32>,
    /// Queries, keys and values.
    projections: Vec<f32>,
    /// What attention gives.
    mixed: Vec<f32>,
    /// `input + output(mixed)`, before its norm and after.
    sum: Vec<f32>,
    attended: Vec<f32>,
    /// Before the activation.
    inner: Vec<f32>,
    /// `attended + shrink(act(inner))`, before its norm.
    total: Vec<f32>,
}

impl TextTrainer {
    /// Prepares `params`, which must hold every key of `recipe` (see [`crate::load`]).
    ///
    /// # Errors
    /// As [`TextPlan::new`], and [`NnError::Unsupported`] where nothing would learn.
    pub fn new(recipe: &Recipe, params: &Params, options: &TrainOptions) -> Result<Self> {
        lower::lower(recipe, params, options)
    }

    /// Length of a sequence's feature vector.
    pub fn feature_dim(&self) -> usize {
        self.outputs
    }

    /// Features `[sequences, feature_dim]` of a batch; keeps what [`TextTrainer::backward`] needs.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for a batch that the encoder cannot read ([`TextBatch::check`]).
    pub fn forward(&mut self, batch: &TextBatch) -> Result<&[f32]> {
        if self.prefix.is_none() && self.embed.is_none() {
            return Err(NnError::Unsupported(
                "activations of the frozen stages are missing".into(),
            ));
        }
        self.run(batch, None)
    }

    /// Likewise from what the last frozen stage gave, `[tokens, features]`; the trainer was made with
    /// [`TrainOptions::from_activations`].
    ///
    /// # Errors
    /// As above, and for rows of another length or a trainer that begins with tokens.
    pub fn forward_from(&mut self, batch: &TextBatch, rows: &[f32]) -> Result<&[f32]> {
        if self.prefix.is_some() || self.embed.is_some() {
            return Err(NnError::Unsupported("a trainer that begins with tokens".into()));
        }
        super::super::check_len("activations", rows.len(), batch.tokens(), self.features)?;
        self.run(batch, Some(rows))
    }

    fn run(&mut self, batch: &TextBatch, rows: Option<&[f32]>) -> Result<&[f32]> {
        batch.check(&self.input)?;
        self.pack()?;
        forward::run(self, batch, rows)?;
        forward::vectors(self, batch);
        Ok(&self.saved.output[..batch.len() * self.outputs])
    }

    /// Every token's features after the last layer, `[tokens, features]`; keeps what
    /// [`TextTrainer::backward_tokens`] needs.
    ///
    /// # Errors
    /// As [`TextTrainer::forward`].
    pub fn forward_tokens(&mut self, batch: &TextBatch) -> Result<&[f32]> {
        if self.prefix.is_none() && self.embed.is_none() {
            return Err(NnError::Unsupported(
                "activations of the frozen stages are missing".into(),
            ));
        }
        batch.check(&self.input)?;
        self.pack()?;
        forward::run(self, batch, None)?;
        Ok(&self.saved.layers[self.layers.len()].input[..batch.tokens() * self.features])
    }

    /// Gradients of everything that learns up to the last layer, from that of the tokens' features of the
    /// last [`TextTrainer::forward_tokens`], whose batch this is.
    ///
    /// # Errors
    /// As [`TextTrainer::backward`].
    pub fn backward_tokens(&mut self, batch: &TextBatch, gradient: &[f32]) -> Result<()> {
        super::super::check_len("gradient", gradient.len(), batch.tokens(), self.features)?;
        self.check_forward(batch)?;
        backward::from_tokens(self, batch, gradient);
        Ok(())
    }

    /// Adds to the gradient of the tensor that holds the array `key` alone, where it learns: a part that
    /// does not come through the network, such as that of a table that also decodes.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] where there is no such tensor, or it has another length.
    pub fn add_to_gradient(&mut self, key: &str, part: &[f32]) -> Result<()> {
        let found = self.tensors.iter().position(|tensor| tensor.keys == [key]);
        let place = found.ok_or_else(|| NnError::Unsupported(format!("no tensor `{key}`")))?;
        let tensor = &mut self.tensors[place];
        if !tensor.learns() {
            return Ok(());
        }
        super::super::check_len("gradient", part.len(), 1, tensor.gradient.len())?;
        tensor.gradient.par_iter_mut().zip(part).for_each(|(sum, g)| *sum += g);
        if self.embed.as_ref().is_some_and(|tables| tables.words == place) {
            self.work.forget_all_words();
        }
        Ok(())
    }

    /// Gradients of everything that learns, from that of the features of the last
    /// [`TextTrainer::forward`], whose batch this is.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for a gradient of another length, or a batch of another size than
    /// the last forward pass.
    pub fn backward(&mut self, batch: &TextBatch, gradient: &[f32]) -> Result<()> {
        super::super::check_len("gradient", gradient.len(), batch.len(), self.outputs)?;
        self.check_forward(batch)?;
        if self.saved.output.len() != gradient.len() {
            return Err(NnError::Unsupported("a backward pass without its forward pass".into()));
        }
        backward::run(self, batch, gradient);
        Ok(())
    }

    fn check_forward(&self, batch: &TextBatch) -> Result<()> {
        let kept = self.saved.layers.first().map_or(0, |layer| layer.input.len());
        if kept == padded(batch.tokens()) * self.features {
            return Ok(());
        }
        Err(NnError::Unsupported("a backward pass without its forward pass".into()))
    }

    /// Everything that learns, in the order of the network; values may be changed.
    pub fn learned(&mut self) -> impl Iterator<Item = Learned<'_>> {
        self.stale = true;
        let learn = self.tensors.iter_mut().filter(|tensor| tensor.learns());
        learn.map(|tensor| Learned {
            keys: &tensor.keys,
            role: tensor.role,
            value: &mut tensor.value,
            gradient: &tensor.gradient,
        })
    }

    /// Key and values of the table of words, where it is no part of the frozen stages.
    pub fn table(&self) -> Option<(&str, &[f32])> {
        let tensor = &self.tensors[self.embed.as_ref()?.words];
        Some((tensor.keys.first()?, &tensor.value))
    }

    /// How many values learn.
    pub fn learning(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.gradient.len()).sum()
    }

    /// Values of all stages that are not frozen, under the checkpoint's keys and in its shapes.
    pub fn params(&self) -> Params {
        self.tensors.iter().flat_map(|tensor| tensor.arrays(&tensor.value)).collect()
    }

    /// Takes over what [`TextTrainer::params`] gave.
    ///
    /// # Errors
    /// Where an array is missing or has another number of values.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        self.stale = true;
        self.tensors.iter_mut().try_for_each(|tensor| tensor.load(params))
    }

    /// Gradients of the last backward pass, likewise.
    pub fn gradients(&self) -> Params {
        let learn = self.tensors.iter().filter(|tensor| tensor.learns());
        learn.flat_map(|tensor| tensor.arrays(&tensor.gradient)).collect()
    }

    /// Brings the packed matrices up to date.
    fn pack(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.stale) {
            return Ok(());
        }
        for layer in &mut self.layers {
            let Layer { projections, output, expand, shrink, .. } = layer;
            for matrix in [projections, output, expand, shrink] {
                matrix.pack(&self.tensors)?;
            }
        }
        self.dense.iter_mut().try_for_each(|dense| dense.matrix.pack(&self.tensors))
    }
}

/// Rows of a buffer for `n` tokens: whole blocks, as sums over rows want them.
fn padded(n: usize) -> usize {
    n.div_ceil(LinearGrad::BLOCK) * LinearGrad::BLOCK
}

/// Gives `buffer` whole blocks for `n` rows of `width` values, zero beyond the last row.
fn size(buffer: &mut Vec<f32>, n: usize, width: usize) {
    buffer.resize(padded(n) * width, 0.0);
    buffer[n * width..].fill(0.0);
}
