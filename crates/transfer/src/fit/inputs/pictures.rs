//! Pictures, and the activations of the frozen part in the cache, computed once for each sample and view.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use offshoot_data::Sample;
use offshoot_data::augment::{Look, Pipeline, PipelineError};
use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{Params, Recipe, Shape};
use rayon::prelude::*;

use super::{Supply, View};
use crate::cache::{PENDING_ROWS, PENDING_VALUES, RowStore, Scope};
use crate::digest::Sha;
use crate::precision;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};

/// Prepared inputs of samples are kept in memory while all of them take no more than this.
const HELD_BYTES: usize = 1 << 30;
/// Samples that pass the network together, outside of training.
pub const BATCH: usize = 32;

/// What a user writes for augmentation; `None` for none.
pub fn pipeline(text: &str) -> Result<Option<Pipeline>> {
    let pipeline: Pipeline =
        text.parse().map_err(|e: PipelineError| TransferError::usage(e.to_string(), e.hint()))?;
    Ok((!pipeline.is_empty()).then_some(pipeline))
}

/// Inputs of a network that reads pictures, or vectors in their place.
pub struct PictureInputs<'a> {
    supply: &'a Supply<'a>,
    /// Sizes of a sample that enters the network.
    whole: [usize; 3],
    frozen: Option<Frozen>,
    /// Values a sample.
    len: usize,
    held: Vec<OnceLock<Vec<f32>>>,
}

/// The part before the boundary, and what it gave.
struct Frozen {
    plan: Plan,
    stage: String,
    stores: BTreeMap<View, RowStore>,
}

impl<'a> PictureInputs<'a> {
    pub fn new(
        supply: &'a Supply<'a>,
        recipe: &Recipe,
        params: &Params,
        boundary: Option<&str>,
        training: usize,
    ) -> Result<Self> {
        let source = supply.source;
        let spec = source.pictures()?.spec();
        let mut inputs = Self {
            supply,
            whole: [spec.size, spec.size, spec.channels.count()],
            frozen: None,
            len: source.pictures()?.len(),
            held: supply.samples.iter().map(|_| OnceLock::new()).collect(),
        };
        if let Some(stage) = boundary {
            let size = recipe.picture()?.size;
            let shape: Shape = recipe.shape_at_stage(stage, size, size)?;
            let views = if supply.augment.is_some() { supply.views + 1 } else { 1 };
            let bytes = (training * views * shape.len()) as u64 * 4;
            if bytes <= supply.cache_bytes / 2 {
                let options = PlanOptions {
                    precision: precision::of_network(&source.facts.precision),
                    until: Some(stage.to_string()),
                    ..PlanOptions::default()
                };
                let plan = Plan::new(recipe, params, &options)?;
                inputs.len = plan.feature_dim();
                let (stage, stores) = (stage.to_string(), BTreeMap::new());
                inputs.frozen = Some(Frozen { plan, stage, stores });
            }
        }
        Ok(inputs)
    }

    pub fn are_activations(&self) -> bool {
        self.frozen.is_some()
    }

    pub fn sizes(&self) -> [usize; 3] {
        match self.frozen.as_ref().map(|frozen| frozen.plan.output_shape()) {
            Some(Shape::Map { height, width, channels }) => [height, width, channels],
            Some(Shape::Vector(values)) => [1, 1, values],
            None => self.whole,
        }
    }

    pub fn view(&self, epoch: u64) -> View {
        match (&self.supply.augment, &self.frozen) {
            (None, _) => View::Plain,
            (Some(_), None) => View::Augmented(epoch),
            (Some(_), Some(_)) => View::Augmented(epoch % self.supply.views.max(1) as u64),
        }
    }

    pub fn views(&self) -> usize {
        match (&self.frozen, &self.supply.augment) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(_), Some(_)) => self.supply.views.max(1),
        }
    }

    /// Whether prepared samples stay in memory, as they are evaluated.
    fn holds(&self) -> bool {
        self.frozen.is_none() && 4 * self.len * self.supply.all <= HELD_BYTES
    }

    pub fn to_be_held(&self, samples: usize) -> u64 {
        let held = self.held.iter().filter(|held| held.get().is_some()).count();
        // Augmented samples are made anew each time; only validation is looked at as it is.
        let kept = self.holds() && self.supply.augment.is_none();
        let rows = |n: usize| 4 * (n * self.len).min(PENDING_VALUES) as u64;
        match &self.frozen {
            None if kept => 4 * (samples.saturating_sub(held) * self.len) as u64,
            None => 0,
            // Rows on their way to the cache.
            Some(_) => {
                rows(samples.min(PENDING_ROWS)) - rows(self.supply.samples.len().min(PENDING_ROWS))
            }
        }
    }

    pub fn ensure(
        &mut self,
        samples: &[usize],
        view: View,
        watch: &mut Watch<'_>,
    ) -> Result<usize> {
        let Some(frozen) = &mut self.frozen else { return Ok(0) };
        let supply = self.supply;
        if !frozen.stores.contains_key(&view) {
            let scope = Scope {
                stage: format!(
                    "{} until {} {} {}",
                    supply.source.facts.recipe,
                    frozen.stage,
                    frozen.plan.isa().name(),
                    supply.source.facts.precision
                ),
                augmentation: match view {
                    View::Plain => "eval".into(),
                    View::Augmented(id) => {
                        let pipeline = supply.augment.as_ref().map(ToString::to_string);
                        format!("{} seed {} view {id}", pipeline.unwrap_or_default(), supply.seed)
                    }
                },
                ..supply.source.scope.clone()
            };
            frozen.stores.insert(view, supply.cache.rows(&scope, self.len)?);
        }
        let Some(store) = frozen.stores.get_mut(&view) else { return Ok(0) };
        let mut missing: BTreeMap<Sha, usize> = BTreeMap::new();
        for &sample in samples {
            let key = row_key(supply, sample, view)?;
            if !store.contains(&key) {
                missing.insert(key, sample);
            }
        }
        let missing: Vec<(Sha, usize)> = missing.into_iter().collect();
        for (done, batch) in missing.chunks(BATCH).enumerate() {
            let places: Vec<usize> = batch.iter().map(|&(_, sample)| sample).collect();
            let input = pictures(supply, &places, view)?;
            let mut rows = vec![0.0; batch.len() * self.len];
            frozen.plan.features(&input, batch.len(), &mut rows)?;
            let keys: Vec<Sha> = batch.iter().map(|&(key, _)| key).collect();
            store.push(&keys, &rows)?;
            let progress =
                watch.progress(Phase::Cache, (done * BATCH) + batch.len(), missing.len(), 0);
            if progress.is_err() {
                store.flush()?;
            }
            progress?;
        }
        store.flush()?;
        Ok(missing.len())
    }

    pub fn batch(&self, samples: &[usize], view: View) -> Result<Vec<f32>> {
        if let Some(frozen) = &self.frozen {
            let store = frozen.stores.get(&view).ok_or_else(|| {
                TransferError::Internal(
                    "activations were asked for before they were computed".into(),
                )
            })?;
            let keys: Result<Vec<Sha>> =
                samples.iter().map(|&s| row_key(self.supply, s, view)).collect();
            let mut rows = vec![0.0; samples.len() * self.len];
            store.read(&keys?, &mut rows)?;
            return Ok(rows);
        }
        if view != View::Plain || !self.holds() {
            return pictures(self.supply, samples, view);
        }
        let missing: Vec<usize> =
            samples.iter().copied().filter(|&s| self.held[s].get().is_none()).collect();
        let prepared = pictures(self.supply, &missing, view)?;
        for (&sample, input) in missing.iter().zip(prepared.chunks_exact(self.len)) {
            let _ = self.held[sample].set(input.to_vec());
        }
        Ok(samples
            .iter()
            .flat_map(|&s| self.held[s].get().into_iter().flatten().copied())
            .collect())
    }
}

/// The name of a sample's row. Two samples of the same content are augmented differently.
fn row_key(supply: &Supply<'_>, sample: usize, view: View) -> Result<Sha> {
    let content = supply.extraction.key(sample)?;
    Ok(match view {
        View::Plain => content,
        View::Augmented(_) => Sha::of_texts(&[&content.to_string(), &sample.to_string()]),
    })
}

/// Reads, decodes and prepares pictures, side by side.
fn pictures(supply: &Supply<'_>, samples: &[usize], view: View) -> Result<Vec<f32>> {
    let pictures = supply.source.pictures()?;
    let one = |&sample: &usize| {
        let Sample { id, input, .. } = &supply.samples[sample];
        let prepared = match (view, &supply.augment) {
            (View::Augmented(view), Some(pipeline)) => {
                let look = Look { seed: supply.seed, sample: sample as u64, view };
                pictures.augmented(input, pipeline, look)
            }
            _ => pictures.read(input).and_then(|content| pictures.normalised(content)),
        };
        // It could be read when features were computed.
        prepared.map_err(|e| {
            TransferError::BadData(format!("{id}: {} (it changed during the run)", e.detail))
        })
    };
    let inputs: Result<Vec<Vec<f32>>> = samples.par_iter().map(one).collect();
    Ok(inputs?.concat())
}
