//! Text encoders: sequences of different lengths are laid end to end and nothing is padded.
//!
//! All rows (tokens) pass through the matrices together; attention works on each sequence. The
//! rows are cut into chunks; in one pass a worker takes its chunk through the attention and the
//! feed-forward network of a layer and on to the next layer's queries, keys and values, so a batch
//! waits for its workers once a layer. A row depends on its own sequence alone: neither the batch it came
//! in nor the number of threads changes a bit of it.

mod execute;
mod lower;
mod train;

use std::sync::Mutex;

use offshoot_kernels::{Isa, Precision};

use super::PlanOptions;
use crate::blocks::TokenPool;
use crate::{NnError, Params, Recipe, Result, TextBatch, TextSpec};
use execute::{Scratch, Whole};
use lower::{After, Embed, Layer};
pub use train::{MASKED_HEAD, MaskedGradients, MaskedHead, TextTrainer, TrainOptions};

/// A frozen text encoder, ready to run.
pub struct TextPlan {
    isa: Isa,
    precision: Precision,
    input: TextSpec,
    /// Of a token.
    features: usize,
    /// Of an output row.
    outputs: usize,
    /// `None` where the input is the rows of a layer.
    embed: Option<Embed>,
    layers: Vec<Layer>,
    /// So many of the last layers' outputs are averaged before the pool.
    averaged: usize,
    /// What follows the last layer; nothing where the plan stops at a layer.
    after: Vec<After>,
    /// Scratch of workers that have finished; taken up again by the next chunk of rows.
    idle: Mutex<Vec<Scratch>>,
    /// Buffers for all rows of a batch, likewise.
    whole: Mutex<Vec<Whole>>,
}

impl TextPlan {
    /// Packs `params`, which must hold every key of `recipe` (see [`crate::load`]).
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for a recipe that reads pictures, a stage that it does not have, a
    /// parameter that is missing, or a picture size in the options.
    pub fn new(recipe: &Recipe, params: &Params, options: &PlanOptions) -> Result<Self> {
        let input = *recipe.text()?;
        if options.size.is_some() {
            return Err(NnError::Unsupported("a picture size for a text encoder".into()));
        }
        let isa = options.isa.unwrap_or_else(Isa::detect);
        let last = super::stages_until(recipe, options.until.as_deref())?;
        let first = match &options.from {
            Some(stage) => super::stages_until(recipe, Some(stage))?,
            None => 0,
        };
        let stages = recipe.stages.get(first..last).unwrap_or_default();
        let blocks = stages.iter().flat_map(|stage| &stage.blocks);
        let lowered = lower::lower(isa, options.precision, params, blocks, first == 0)?;
        let outputs = lowered.after.iter().rev().find_map(|after| match after {
            After::Dense(dense) => Some(dense.matrix.outputs()),
            _ => None,
        });
        Ok(Self {
            isa,
            precision: options.precision,
            input,
            features: lowered.features,
            outputs: outputs.unwrap_or(lowered.features),
            embed: lowered.embed,
            layers: lowered.layers,
            averaged: lowered.averaged,
            after: lowered.after,
            idle: Mutex::new(Vec::new()),
            whole: Mutex::new(Vec::new()),
        })
    }

    /// Instruction level that the plan was packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How exactly the plan computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What it reads.
    pub fn input(&self) -> TextSpec {
        self.input
    }

    /// Values of an output row.
    pub fn feature_dim(&self) -> usize {
        self.outputs
    }

    /// Rows that [`TextPlan::features`] writes: one a sequence, or one a token where the plan stops
    /// before the pool.
    pub fn output_rows(&self, batch: &TextBatch) -> usize {
        if self.after.is_empty() { batch.tokens() } else { batch.len() }
    }

    /// Runs the sequences of `batch`; writes `[output_rows, feature_dim]`.
    ///
    /// Parallel over rows on the current rayon pool.
    ///
    /// # Errors
    /// [`NnError::Unsupported`] for a batch that the encoder cannot read ([`TextBatch::check`]) or
    /// features of another length.
    pub fn features(&self, batch: &TextBatch, features: &mut [f32]) -> Result<()> {
        if self.embed.is_none() {
            return Err(NnError::Unsupported("a plan that begins with a layer's rows".into()));
        }
        batch.check(&self.input)?;
        super::check_len("features", features.len(), self.output_rows(batch), self.outputs)?;
        execute::run(self, batch, None, features);
        Ok(())
    }

    /// Likewise from the rows `[tokens, features]` of the stage that [`PlanOptions::from`] named.
    ///
    /// # Errors
    /// As above, and for rows of another length or a plan that begins with tokens.
    pub fn features_from(
        &self,
        batch: &TextBatch,
        rows: &[f32],
        features: &mut [f32],
    ) -> Result<()> {
        if self.embed.is_some() {
            return Err(NnError::Unsupported("a plan that begins with tokens".into()));
        }
        batch.check(&self.input)?;
        super::check_len("activations", rows.len(), batch.tokens(), self.features)?;
        super::check_len("features", features.len(), self.output_rows(batch), self.outputs)?;
        execute::run(self, batch, Some(rows), features);
        Ok(())
    }
}

/// Scales a vector to length 1; one of zeros stays.
pub fn unit_length(vector: &mut [f32]) {
    execute::unit_length(vector);
}

/// One vector a sequence, `[sequences, features]`, from its tokens' `rows` `[tokens, features]`.
///
/// # Errors
/// [`NnError::Unsupported`] for rows or vectors of another length.
pub fn pool_tokens(
    pool: TokenPool,
    batch: &TextBatch,
    rows: &[f32],
    features: usize,
    vectors: &mut [f32],
) -> Result<()> {
    super::check_len("activations", rows.len(), batch.tokens(), features)?;
    super::check_len("features", vectors.len(), batch.len(), features)?;
    for (range, vector) in batch.sequences().zip(vectors.chunks_exact_mut(features.max(1))) {
        let own = &rows[range.start * features..range.end * features];
        execute::token_pool(pool, own, &batch.keep()[range], vector);
    }
    Ok(())
}
