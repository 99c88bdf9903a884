//! What a run will take: memory, disk and time, from one measured batch.
//!
//! Measured against the peak of five runs on two cores (90 drawings, 314 emoji and 2,000 MNIST
//! pictures, the latter two also with baselines): memory within 12 % on either side.

use std::time::Instant;

use offshoot_data::Split;

use crate::cache::Cache;
use crate::documents::{DryRun, Estimate, SCHEMA};
use crate::guard::Guard;
use crate::inputs::Ready;
use crate::plan::TrainPlan;
use crate::prepare::{Prepared, prepare, split_counts};
use crate::run::RunFolder;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Observer, Phase, Result, extract, machine, train};

/// Samples of the measured batch.
const MEASURED: usize = 16;
/// Samples whose presence in the cache is looked up; the rest is extrapolated.
const LOOKED_UP: usize = 512;
/// Strengths times folds, and the final fit: how often cross-validation fits a logistic head.
const FITS: f64 = 7.0 * 5.0 + 1.0;
/// Passes over the training rows a fit, forwards and backwards.
const PASSES: f64 = 60.0;
/// Multiply-adds a second and thread that a fit reaches.
const FIT_SPEED: f64 = 4e9;
/// Square matrices of `f64` that are alive while folds are fitted side by side: between the five of
/// their moments and the ten with factors.
const FOLD_MATRICES: u64 = 7;
/// What asking for the worth of one of several sources takes, as a share of choosing a head's strength.
const ASKING: f64 = 0.17;
/// Batches of input that are read, normalised, or in the network at one time.
const BATCHES_ON_THEIR_WAY: usize = 4;
/// What the guard's own features and head take, as a share of what others of that size would.
const GUARDING: f64 = 0.3;
/// Rows of a chunk of the cache.
const CHUNK_ROWS: u64 = 1024;
/// Features beyond which a fit keeps no such matrices.
const DENSE: usize = 3000;
/// Bytes of tables and the report a sample.
const FOLDER_BYTES: u64 = 400;

/// Estimates a run whose data and source are open. Runs the network on a few samples and forgets
/// their features. `before` are the bytes that were resident before the source was opened.
pub fn estimate(
    prepared: &Prepared,
    source: &Source,
    cache: &Cache,
    plan: &TrainPlan,
    before: u64,
    watch: &mut Watch<'_>,
) -> Result<Estimate> {
    let samples = &prepared.dataset.samples;
    let dim = source.engine.dim();
    let mut stores = Vec::new();
    for source in source.each() {
        let rows = cache.rows(&source.scope, source.engine.dim())?;
        // Looking drops what is damaged, so that nobody else would tell.
        extract::warn_of_damage(&rows, watch)?;
        stores.push(rows);
    }
    let step = samples.len().div_ceil(LOOKED_UP).max(1);
    let (mut looked, mut hits) = (0usize, 0usize);
    for sample in samples.iter().step_by(step) {
        looked += 1;
        if let Ok(content) = source.inputs.read(&sample.input) {
            let key = content.sha();
            hits += usize::from(stores.iter().all(|rows| rows.contains(&key)));
        }
    }
    let cached = (samples.len() * hits).checked_div(looked).unwrap_or(0);
    let missing = samples.len() - cached;

    let seconds_per_batch =
        if missing == 0 { 0.0 } else { seconds_per_image(prepared, source)? * plan.batch as f64 };
    let classes = prepared.dataset.classes.len() as f64;
    let of = |split| prepared.of(split).len() as f64;
    let fitted = of(Split::Train) + if plan.refit { of(Split::Val) } else { 0.0 };
    let speed = FIT_SPEED * rayon::current_num_threads() as f64;
    // Fewer samples than features are rotated into their span before anything is fitted.
    let fit_seconds = |dim: usize| {
        let d = fitted.min(dim as f64);
        let factor = if dim <= DENSE { d * d * d / 3.0 } else { 0.0 };
        FITS * (PASSES * fitted * d * classes + factor) / speed
    };
    let now = machine::resident_bytes().unwrap_or(0);
    let network_seconds = missing as f64 / plan.batch.max(1) as f64 * seconds_per_batch;
    // Values a sample of each kind of features that is computed, kept and fitted.
    let mut widths = vec![dim];
    let mut seconds = network_seconds + fit_seconds(dim);
    if !source.parts.is_empty() {
        // One strength on all folds, with all sources and without each.
        seconds += ASKING * (source.parts.len() + 1) as f64 * fit_seconds(dim);
    }
    let mut second_network = 0;
    let side = train::baselines::side(plan, dim);
    let pixels = 3 * side * side;
    if plan.guard == Guard::On && !plan.baselines && source.network.is_some() {
        // Fewer strengths are tried, on fewer folds.
        seconds += GUARDING * (network_seconds + fit_seconds(pixels));
        widths.push(pixels);
    }
    if (plan.baselines || plan.guard == Guard::Full) && source.network.is_some() {
        widths.extend([dim, pixels]);
        seconds += fit_seconds(dim) + fit_seconds(pixels);
        seconds += network_seconds;
        second_network = now.saturating_sub(before);
    }
    let widest = widths.iter().copied().max().unwrap_or(dim);

    let d = widest as u64;
    // What is resident now holds the program, the weights, the data and the network's scratch. To
    // it come, while features are computed, batches of input on their way and a chunk of the cache
    // on its way to disk; and later, when those are gone, the training rows as they are and scaled,
    // and the fit's matrices, which are of samples where these are fewer than features.
    let on_their_way =
        BATCHES_ON_THEIR_WAY.saturating_mul(source.engine.step(plan.batch)).min(missing);
    let inputs = (on_their_way * source.engine.input_bytes()) as u64;
    let extracting = inputs + CHUNK_ROWS.min(missing as u64) * d * 8;
    let side = d.min(fitted as u64);
    let dense = if widest <= DENSE { FOLD_MATRICES * 8 * side * side } else { 0 };
    let fitting = 3 * fitted as u64 * d * 4 + dense;
    let memory_bytes = now + second_network + extracting.max(fitting);
    let rows: u64 = widths.iter().map(|&dim| 4 * dim as u64 + 32).sum();
    let disk_bytes = missing as u64 * rows + samples.len() as u64 * FOLDER_BYTES;
    let (samples, tuning) = (missing, None);
    Ok(Estimate { samples, cached, memory_bytes, disk_bytes, seconds, seconds_per_batch, tuning })
}

/// Wall time of reading, decoding and running one picture, from the second of two small batches.
pub fn seconds_per_image(prepared: &Prepared, source: &Source) -> Result<f64> {
    let samples: Vec<_> = prepared.dataset.samples.iter().take(MEASURED).collect();
    let mut best = f64::INFINITY;
    for _ in 0..2 {
        let start = Instant::now();
        let read = |s: &&offshoot_data::Sample| source.inputs.prepare(&s.input).ok();
        let inputs: Vec<Ready> = {
            use rayon::prelude::*;
            samples.par_iter().filter_map(read).collect()
        };
        let mut features = vec![0.0; inputs.len() * source.engine.dim()];
        if !inputs.is_empty() {
            source.engine.run(&inputs.iter().collect::<Vec<_>>(), &mut features)?;
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best / samples.len().max(1) as f64)
}

/// What [`crate::train`] would do and take, measured on one batch; leaves nothing behind but an
/// empty cache folder.
pub fn dry_run(plan: &TrainPlan, observer: &mut dyn Observer) -> Result<DryRun> {
    let mut watch = Watch::new(observer);
    train::check_plan(plan)?;
    let mut prepared = prepare(plan, &mut watch)?;
    let splits = split_counts(&prepared.dataset);
    let plan = &crate::rank::chosen(plan, &prepared, &mut watch)?;
    let before = machine::resident_bytes().unwrap_or(0);
    let source = train::source_of(plan, &prepared, &mut watch)?;
    let (cache, warning) = Cache::open(&plan.cache)?;
    if let Some(warning) = warning {
        watch.warn(warning)?;
    }
    let asking = train::teacher::rehearse(plan, &mut prepared, &source, &mut watch)?;
    let mut estimate = estimate(&prepared, &source, &cache, plan, before, &mut watch)?;
    estimate.seconds += asking;
    let before = estimate.seconds;
    estimate.tuning = train::rehearse::rehearse(plan, &prepared, &source, before, &mut watch)?;
    if let Some(tuning) = &estimate.tuning {
        estimate.seconds += tuning.seconds;
        if let Some(budget) = plan.finetune.time {
            estimate.seconds = estimate.seconds.min(budget);
        }
        estimate.memory_bytes = estimate.memory_bytes.max(tuning.memory_bytes);
        estimate.disk_bytes += tuning.disk_bytes;
    }
    let name =
        RunFolder::free_name(&plan.runs_dir, plan.name.as_deref(), &train::wish(plan, &prepared))?;
    Ok(DryRun {
        schema: SCHEMA,
        command: plan.command.clone(),
        run: plan.runs_dir.join(name),
        seconds: watch.seconds(),
        phases: phases(estimate.tuning.is_some()),
        splits,
        estimate,
    })
}

fn phases(tunes: bool) -> Vec<Phase> {
    let mut phases = vec![Phase::Read, Phase::Check, Phase::Load, Phase::Extract, Phase::Fit];
    phases.push(Phase::Calibrate);
    if tunes {
        phases.extend([Phase::Finetune, Phase::Extract]);
    }
    phases.extend([Phase::Evaluate, Phase::Baselines, Phase::Export, Phase::Report]);
    phases
}
