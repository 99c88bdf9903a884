//! What the same head gets from other features on the same splits: was the transfer worth it?

use std::time::Instant;

use offshoot_data::Split;
use offshoot_stats::Probabilities;

use super::budget;
use super::probe::Probe;
use crate::cache::Cache;
use crate::documents::Baseline;
use crate::extract::{extract, vector_length};
use crate::plan::TrainPlan;
use crate::precision;
use crate::prepare::Prepared;
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, figures};

/// A measured baseline.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its figures.
    pub baseline: Baseline,
    /// On the test split.
    pub probabilities: Probabilities,
}

/// Measures the majority class always, and raw pixels and random weights where the plan says so.
pub fn measure(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: &Source,
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Vec<Measured>> {
    let mut names = Vec::new();
    if plan.baselines && vector_length(&prepared.dataset.samples)?.is_none() {
        if source.pictures().is_ok() {
            let side = source::PIXELS_SIZE;
            names.push(("pixels", format!("{side}×{side} raw pixels")));
        }
        if let Some((recipe, _)) = &source.network {
            names.push(("random", format!("{} with random weights", recipe.name)));
        }
    }
    watch.phase(Phase::Baselines, Some(names.len() * prepared.dataset.samples.len()), |watch| {
        let mut measured = vec![majority(plan, prepared)?];
        for (name, summary) in names {
            let start = Instant::now();
            let samples = &prepared.dataset.samples;
            let mut source = match name {
                "pixels" => source::open(source::PIXELS, plan.seed)?,
                _ => source::untrained(source, plan.seed)?,
            };
            precision::settle(&mut source, plan.precision, samples, watch)?;
            let extraction = extract(samples, &source, cache, plan.batch, Phase::Baselines, watch)?;
            let until = budget::baseline_until(plan, watch);
            let mut probe = Probe::fit(plan, prepared, &extraction, until, watch)?;
            let evaluated = probe.evaluate(plan, prepared, &extraction, watch)?;
            let seconds = start.elapsed().as_secs_f64();
            let figures = evaluated.figures;
            let baseline = Baseline { name: name.into(), summary, figures, seconds };
            measured.push(Measured { baseline, probabilities: evaluated.probabilities });
        }
        Ok(measured)
    })
}

/// Predicts the classes' shares of the training split for every sample.
fn majority(plan: &TrainPlan, prepared: &Prepared) -> Result<Measured> {
    let start = Instant::now();
    let samples = &prepared.dataset.samples;
    let classes = prepared.dataset.classes.len();
    // One count more each: a class without training samples still has a probability.
    let mut counts = vec![1.0; classes];
    let train = samples.iter().filter(|s| s.split == Some(Split::Train));
    train.filter_map(|s| s.label).for_each(|label| counts[label as usize] += 1.0);
    let total: f64 = counts.iter().sum();
    let shares: Vec<f64> = counts.iter().map(|c| c / total).collect();
    let labels: Vec<u32> =
        prepared.of(Split::Test).into_iter().filter_map(|i| samples[i].label).collect();
    let probabilities = Probabilities::new(classes, shares.repeat(labels.len()))
        .ok_or_else(|| TransferError::Internal("data without classes".into()))?;
    let baseline = Baseline {
        name: "majority".into(),
        summary: "always the most frequent class".into(),
        figures: figures::figures(&probabilities, &labels, plan.seed)?,
        seconds: start.elapsed().as_secs_f64(),
    };
    Ok(Measured { baseline, probabilities })
}
