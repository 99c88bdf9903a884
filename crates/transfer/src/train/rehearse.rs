//! What tuning will take, from a rehearsal on a few samples: the real steps with real batches, in a folder
//! that goes afterwards.

use offshoot_data::{Dataset, Sample, Split};

use super::budget;
use super::probe::Probe;
use crate::cache::Cache;
use crate::documents::{PhaseEstimate, TuningEstimate};
use crate::extract::extract;
use crate::fit::{self, Job, Sizes};
use crate::plan::{Method, TrainPlan};
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, durable, estimate, machine, precision};

/// Batches to learn from.
const BATCHES: usize = 3;
/// Samples to learn from where batches are small, and of those that judge.
const LEAST: usize = 64;

/// Rehearses a plan on the first samples of each split, `before` seconds of whose run go by before tuning; `None`
/// where the network stays as it is.
pub fn rehearse(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: &Source,
    before: f64,
    watch: &mut Watch<'_>,
) -> Result<Option<TuningEstimate>> {
    if plan.method == Method::PROBE || source.network.is_none() {
        return Ok(None);
    }
    let sizes = Sizes::of(prepared);
    let few = few(plan, prepared, sizes);
    let place = tempfile::tempdir().map_err(|e| TransferError::io(std::env::temp_dir(), e))?;
    durable::create_dir(place.path())?;
    let folder = RunFolder::create(place.path(), None, "rehearsal")?;
    let cache = Cache::temporary()?;
    let mut plan = plan.clone();
    let budget = plan.finetune.time;
    // Every update is written down, as one of many is in the run itself.
    plan.finetune.checkpoint_every = 0.0;
    let samples = &few.dataset.samples;
    let extraction = extract(samples, source, &cache, plan.batch, Phase::Extract, watch)?;
    let probe = Probe::fit(&plan, &few, &extraction, None, watch)?;
    let ends = budget::after(&plan, prepared, source, &extraction, watch)?;
    // The run's clock is `before` when tuning begins, and this one is not.
    plan.finetune.time = budget.map(|budget| budget - before + watch.spent());
    let job = Job {
        folder: &folder,
        plan: &plan,
        prepared: &few,
        source,
        cache: &cache,
        extraction: &extraction,
        probe: &probe.on_train,
        refitted: &probe.trained.head,
        sizes,
        after: ends,
        fitting: probe.seconds,
        told: &[],
        teacher: None,
        alignment: None,
    };
    let Some(rehearsal) = fit::rehearse(&job, watch)? else { return Ok(None) };
    let mut tuned = source::tuned(source, rehearsal.tuned.params)?;
    precision::settle(&mut tuned, plan.precision, samples, watch)?;
    extract(samples, &tuned, &cache, plan.batch, Phase::Extract, watch)?;
    let pace = estimate::seconds_per_image(&few, &tuned)?;
    let after = budget::judging_and_writing(&plan, prepared, pace)?;
    let seconds = rehearsal.seconds + after;
    let phase =
        |(name, epochs, seconds_per_epoch)| PhaseEstimate { name, epochs, seconds_per_epoch };
    Ok(Some(TuningEstimate {
        phases: rehearsal.phases.into_iter().map(phase).collect(),
        refit: rehearsal.refit,
        seconds: budget.map_or(seconds, |budget| seconds.min(budget)),
        memory_bytes: machine::peak_resident_bytes().unwrap_or(0) + rehearsal.more_bytes,
        disk_bytes: 4 * rehearsal.tuned.values as u64,
    }))
}

/// The first samples of each split, spread over it.
fn few(plan: &TrainPlan, prepared: &Prepared, sizes: Sizes) -> Prepared {
    let batch = fit::batch(plan, sizes.train);
    let wanted = |split| match split {
        Split::Train => (BATCHES * batch).max(LEAST),
        Split::Val | Split::Test => LEAST,
    };
    let all = &prepared.dataset;
    let mut samples: Vec<Sample> = Vec::new();
    for split in [Split::Train, Split::Val, Split::Test] {
        let places = prepared.of(split);
        let step = places.len().div_ceil(wanted(split)).max(1);
        samples.extend(places.into_iter().step_by(step).map(|place| all.samples[place].clone()));
    }
    let dataset = Dataset {
        name: all.name.clone(),
        classes: all.classes.clone(),
        samples,
        notes: Vec::new(),
    };
    Prepared { dataset, problems: Vec::new() }
}
