//! What the same head gets from other features on the same splits: was the transfer worth it?

use std::time::Instant;

use offshoot_data::Split;
use offshoot_stats::Probabilities;

use super::budget;
use super::probe::Probe;
use super::tuning::Frozen;
use crate::cache::Cache;
use crate::documents::Baseline;
use crate::extract::{extract, vector_length};
use crate::guard::Guard;
use crate::head::Care;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, figures, precision};

/// Sides of the pictures whose pixels the guard compares where it has little time.
const GUARD_SIDES: (usize, usize) = (10, 16);
/// Values of such a picture for each of the source's features: they decide what a head costs.
const GUARD_VALUES: f64 = 0.6;

/// A measured baseline.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its figures.
    pub baseline: Baseline,
    /// On the test split.
    pub probabilities: Probabilities,
}

/// Features that need no source, and a head on them. The test split is still closed.
pub struct Fitted {
    /// `pixels`, `words` or `random`.
    pub name: &'static str,
    /// One line.
    pub summary: String,
    /// The features and the head.
    pub frozen: Frozen,
    /// Wall time of extraction and fitting.
    pub seconds: f64,
    /// Whether only the guard asked for it.
    pub for_guard: bool,
}

/// What there is to fit, and with how much care.
struct Wanted {
    name: &'static str,
    summary: String,
    care: Care,
    for_guard: bool,
}

/// The guard of a plan, where there is a source to guard against: vectors, pixels and a network from
/// scratch are transferred from nothing.
pub fn guard(plan: &TrainPlan, prepared: &Prepared, source: &Source) -> Result<Guard> {
    let nothing = (source.network.is_none() && source.parts.is_empty())
        || plan.method.name() == "scratch"
        || vector_length(&prepared.dataset.samples)?.is_some();
    Ok(if nothing { Guard::Off } else { plan.guard })
}

/// Side of the pictures of the baseline `pixels`, beside features of length `dim`.
pub fn side(plan: &TrainPlan, dim: usize) -> usize {
    if plan.baselines || plan.guard == Guard::Full {
        return source::PIXELS_SIZE;
    }
    let (least, most) = GUARD_SIDES;
    ((GUARD_VALUES * dim as f64 / 3.0).sqrt() as usize).clamp(least, most)
}

fn wanted(plan: &TrainPlan, prepared: &Prepared, source: &Source) -> Result<Vec<Wanted>> {
    let guard = guard(plan, prepared, source)?;
    let mut wanted = Vec::new();
    if vector_length(&prepared.dataset.samples)?.is_some() {
        return Ok(wanted);
    }
    let care = if guard == Guard::Full { Care::Whole } else { Care::Brief };
    if source.pictures().is_ok() && (plan.baselines || guard != Guard::Off) {
        let side = side(plan, source.engine.dim());
        wanted.push(Wanted {
            name: source::PIXELS,
            summary: format!("{side}×{side} raw pixels"),
            care: if plan.baselines { Care::Whole } else { care },
            for_guard: !plan.baselines,
        });
    }
    if source.texts().is_some() && guard != Guard::Off {
        wanted.push(Wanted {
            name: source::WORDS,
            summary: "words without meaning (random vectors)".into(),
            care,
            for_guard: true,
        });
    }
    if let Some((recipe, _)) = &source.network
        && (plan.baselines || guard == Guard::Full)
    {
        wanted.push(Wanted {
            name: "random",
            summary: format!("{} with random weights", recipe.name),
            care: Care::Whole,
            for_guard: !plan.baselines,
        });
    }
    Ok(wanted)
}

/// Fits raw pixels or words where the guard asks for it, and raw pixels and random weights where the plan
/// says so.
pub fn fit(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: &Source,
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Vec<Fitted>> {
    let wanted = wanted(plan, prepared, source)?;
    let samples = wanted.len() * prepared.dataset.samples.len();
    watch.phase(Phase::Baselines, Some(samples), |watch| {
        let one = |wanted: Wanted| {
            let other = match wanted.name {
                source::PIXELS => {
                    let side = side(plan, source.engine.dim());
                    source::open_at(wanted.name, Some(side), plan.seed)?
                }
                source::WORDS => source::words(source, plan.seed)?,
                _ => source::untrained(source, plan.seed)?,
            };
            fit_on(other, wanted, plan, prepared, cache, watch)
        };
        wanted.into_iter().map(one).collect()
    })
}

/// Raw pixels as large as they are compared where there is time: what is shipped in a source's place is worth it.
/// `None` where `few`, which were enough to see that the source hurts, are as large, or tell more of samples that
/// are held out: more pixels of the same few samples are not always better.
///
/// Neighbouring pixels say nearly the same, so that a picture of twice as many has a Gram matrix nearly twice as
/// large: a strength that grows likewise means the same, and need not be chosen again. Both were asked about the
/// same samples, and their losses are less subject to chance than the right answers.
pub fn more_pixels(
    plan: &TrainPlan,
    prepared: &Prepared,
    few: &Frozen,
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Option<Fitted>> {
    let side = source::PIXELS_SIZE;
    let Frozen { source, probe, .. } = few;
    let dim = source.engine.dim();
    if dim >= 3 * side * side {
        return Ok(None);
    }
    watch.phase(Phase::Baselines, Some(prepared.dataset.samples.len()), |watch| {
        let pixels = source::open_at(source::PIXELS, Some(side), plan.seed)?;
        let more = pixels.engine.dim() as f64 / dim as f64;
        let wanted = Wanted {
            name: source::PIXELS,
            summary: format!("{side}×{side} raw pixels"),
            // Heads without a strength have nothing to choose.
            care: probe.lambda.map_or(Care::Brief, |lambda| Care::BriefAt(more * lambda)),
            for_guard: true,
        };
        let fitted = fit_on(pixels, wanted, plan, prepared, cache, watch)?;
        let losses = probe.held_out_loss.zip(fitted.frozen.probe.held_out_loss);
        Ok(losses.is_none_or(|(few, more)| more <= few).then_some(fitted))
    })
}

fn fit_on(
    mut source: Source,
    wanted: Wanted,
    plan: &TrainPlan,
    prepared: &Prepared,
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Fitted> {
    let Wanted { name, summary, care, for_guard } = wanted;
    let samples = &prepared.dataset.samples;
    let start = Instant::now();
    precision::settle(&mut source, plan.precision, samples, watch)?;
    let extraction = extract(samples, &source, cache, plan.batch, Phase::Baselines, watch)?;
    let until = budget::baseline_until(plan, watch);
    let probe = Probe::fit_with(plan, prepared, &extraction, (care, until), watch)?;
    let frozen = Frozen { source, extraction, probe };
    let seconds = start.elapsed().as_secs_f64();
    Ok(Fitted { name, summary, frozen, seconds, for_guard })
}

/// Predicts the classes' shares of the training split for every sample.
pub fn majority(plan: &TrainPlan, prepared: &Prepared) -> Result<Measured> {
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
