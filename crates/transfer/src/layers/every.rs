//! All layers of a text encoder in one pass, each under every pool.

use offshoot_nn::TextBatch;
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::cpu::{PlanOptions, TextPlan, pool_tokens};

use crate::encoder::EncoderFacts;
use crate::engine::{Engine, end_to_end};
use crate::inputs::Ready;
use crate::source::{self, Source};
use crate::{Result, TransferError, precision};

/// A source whose rows hold the vectors of every layer under every pool.
pub fn every_layer(source: &Source, facts: &EncoderFacts, pools: &[TokenPool]) -> Result<Source> {
    let Some((recipe, params)) = &source.network else {
        return Err(TransferError::Internal("the layers of a source without network".into()));
    };
    let mut plans = Vec::with_capacity(facts.layers);
    let mut from = None;
    for stage in recipe.stages.iter().filter(|stage| stage.name.starts_with("layer")) {
        let until = Some(stage.name.to_owned());
        let precision = precision::of_network(&source.facts.precision);
        // The first part also embeds.
        let own = PlanOptions { precision, from, until: until.clone(), ..PlanOptions::default() };
        plans.push(TextPlan::new(recipe, params, &own)?);
        from = until;
    }
    if plans.is_empty() {
        return Err(TransferError::Internal("an encoder without layers".into()));
    }
    let engine = EveryLayer { plans, pools: pools.to_vec(), features: facts.features };
    let mut all = source::reshaped(source, facts.clone())?;
    let names: Vec<&str> = pools.iter().map(|pool| pool.name()).collect();
    all.scope.stage =
        format!("{} every layer, {}, {}", recipe.name, names.join(" "), source.facts.precision);
    all.engine = Box::new(engine);
    Ok(all)
}

/// Tokens that pass through all layers together: the rows of two layers are held at a time.
const TOKENS: usize = 4096;

/// Gives out every layer's vectors, `[pools, layers, features]`.
struct EveryLayer {
    /// One layer each.
    plans: Vec<TextPlan>,
    pools: Vec<TokenPool>,
    features: usize,
}

impl EveryLayer {
    fn run_batch(&self, batch: &TextBatch, vectors: &mut [f32]) -> Result<()> {
        let (f, layers) = (self.features, self.plans.len());
        let mut rows = vec![0.0; batch.tokens() * f];
        let mut next = rows.clone();
        let mut pooled = vec![0.0; batch.len() * f];
        for (l, plan) in self.plans.iter().enumerate() {
            match l {
                0 => plan.features(batch, &mut next)?,
                _ => plan.features_from(batch, &rows, &mut next)?,
            }
            std::mem::swap(&mut rows, &mut next);
            for (p, pool) in self.pools.iter().enumerate() {
                pool_tokens(*pool, batch, &rows, f, &mut pooled)?;
                let places = vectors.chunks_exact_mut(self.dim());
                for (vector, pooled) in places.zip(pooled.chunks_exact(f)) {
                    vector[(p * layers + l) * f..][..f].copy_from_slice(pooled);
                }
            }
        }
        Ok(())
    }
}

impl Engine for EveryLayer {
    fn dim(&self) -> usize {
        self.pools.len() * self.plans.len() * self.features
    }
    fn input_bytes(&self) -> usize {
        self.plans.first().map_or(0, Engine::input_bytes)
    }
    fn step(&self, batch: usize) -> usize {
        self.plans.first().map_or(batch, |plan| plan.step(batch))
    }
    fn refuses(&self, input: &Ready) -> Option<String> {
        self.plans.first()?.refuses(input)
    }
    fn run(&self, inputs: &[&Ready], features: &mut [f32]) -> Result<()> {
        end_to_end(inputs, [TOKENS, self.dim()], features, |batch, features| {
            self.run_batch(batch, features)
        })
    }
}
