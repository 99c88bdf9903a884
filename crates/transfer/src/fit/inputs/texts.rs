//! Texts as tokens, and as the rows that the frozen layers of an encoder make of them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use offshoot_nn::cpu::{PlanOptions, TextPlan};
use offshoot_nn::{Params, Recipe, TextBatch};
use offshoot_tokens::Encoded;
use rayon::prelude::*;

use super::Supply;
use crate::fit::net::Brought;
use crate::inputs::Ready;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, precision};

/// Texts that pass the encoder together, outside of training.
pub const BATCH: usize = 64;
/// Rows of frozen layers are kept while they take no more than this. They have as many rows as a text
/// has tokens, and the encoder reads texts faster than a disk gives their rows back, so they stay in
/// memory.
const HELD_BYTES: usize = 1 << 30;

/// Inputs of a text encoder.
pub struct TextInputs<'a> {
    supply: &'a Supply<'a>,
    tokens: Vec<OnceLock<Encoded>>,
    frozen: Option<Frozen>,
}

/// The layers before the boundary, and what they gave, by sample.
struct Frozen {
    plan: TextPlan,
    rows: BTreeMap<usize, Vec<f32>>,
}

impl<'a> TextInputs<'a> {
    pub fn new(
        supply: &'a Supply<'a>,
        recipe: &Recipe,
        params: &Params,
        boundary: Option<&str>,
    ) -> Result<Self> {
        let tokens = supply.samples.iter().map(|_| OnceLock::new()).collect();
        let mut inputs = Self { supply, tokens, frozen: None };
        if let Some(stage) = boundary {
            let options = PlanOptions {
                precision: precision::of_network(&supply.source.facts.precision),
                until: Some(stage.into()),
                ..PlanOptions::default()
            };
            let plan = TextPlan::new(recipe, params, &options)?;
            let all = inputs.encoded(&supply.extraction.readable())?;
            let tokens: usize = all.iter().map(|text| text.ids.len()).sum();
            let tokens = tokens * supply.all / all.len().max(1);
            if 4 * tokens * plan.feature_dim() <= HELD_BYTES {
                inputs.frozen = Some(Frozen { plan, rows: BTreeMap::new() });
            }
        }
        Ok(inputs)
    }

    pub fn are_activations(&self) -> bool {
        self.frozen.is_some()
    }

    pub fn to_be_held(&self, samples: usize) -> u64 {
        let Some(frozen) = &self.frozen else { return 0 };
        let values: usize = frozen.rows.values().map(Vec::len).sum();
        let each = 4 * values / frozen.rows.len().max(1);
        (each * samples.saturating_sub(frozen.rows.len())) as u64
    }

    pub fn ensure(&mut self, samples: &[usize], watch: &mut Watch<'_>) -> Result<usize> {
        let Some(mut frozen) = self.frozen.take() else { return Ok(0) };
        let mut missing: Vec<usize> =
            samples.iter().copied().filter(|s| !frozen.rows.contains_key(s)).collect();
        missing.sort_unstable();
        missing.dedup();
        for (done, samples) in missing.chunks(BATCH).enumerate() {
            let batch = self.joined(samples)?;
            let dim = frozen.plan.feature_dim();
            let mut rows = vec![0.0; batch.tokens() * dim];
            frozen.plan.features(&batch, &mut rows)?;
            for (&sample, range) in samples.iter().zip(batch.sequences()) {
                frozen.rows.insert(sample, rows[range.start * dim..range.end * dim].to_vec());
            }
            watch.progress(Phase::Cache, done * BATCH + samples.len(), missing.len(), 0)?;
        }
        self.frozen = Some(frozen);
        Ok(missing.len())
    }

    pub fn batch(&self, samples: &[usize]) -> Result<Brought> {
        let batch = self.joined(samples)?;
        let Some(frozen) = &self.frozen else { return Ok(Brought::Tokens(batch)) };
        let mut rows = Vec::with_capacity(batch.tokens() * frozen.plan.feature_dim());
        for sample in samples {
            rows.extend_from_slice(frozen.rows.get(sample).ok_or_else(|| {
                TransferError::Internal("rows were asked for before they were computed".into())
            })?);
        }
        Ok(Brought::Rows(batch, rows))
    }

    /// The samples' tokens, end to end.
    fn joined(&self, samples: &[usize]) -> Result<TextBatch> {
        let mut batch = TextBatch::new();
        for text in self.encoded(samples)? {
            batch.push_masked(&text.ids, &text.types, &vec![true; text.ids.len()])?;
        }
        Ok(batch)
    }

    /// Tokens of samples, each cut once.
    fn encoded(&self, samples: &[usize]) -> Result<Vec<&Encoded>> {
        let one = |&sample: &usize| {
            let place = &self.tokens[sample];
            if let Some(tokens) = place.get() {
                return Ok(tokens);
            }
            let known = &self.supply.samples[sample];
            match self.supply.source.inputs.prepare(&known.input) {
                Ok(Ready::Tokens(tokens)) => Ok(place.get_or_init(|| tokens)),
                Ok(_) => Err(TransferError::Internal("an encoder was given no text".into())),
                Err(error) => Err(TransferError::BadData(format!(
                    "{}: {} (it changed during the run)",
                    known.id, error.detail
                ))),
            }
        };
        samples.par_iter().map(one).collect()
    }
}
