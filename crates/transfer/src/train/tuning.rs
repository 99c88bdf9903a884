//! From a frozen network with a head to a tuned one, where the method tunes it.

use std::collections::BTreeMap;
use std::time::Instant;

use offshoot_data::{Sample, Split};
use offshoot_nn::Params;
use offshoot_stats::heads::{Head, Linear};
use offshoot_weights::Precision::F32;

use super::probe::{Before, Own, Probe};
use crate::cache::Cache;
use crate::documents::Tuning;
use crate::extract::{Extraction, extract};
use crate::fit::distill::Teacher;
use crate::fit::{self, Job, Sizes, Tuned};
use crate::guard::sequential::Looks;
use crate::monitor::History;
use crate::plan::{Method, TrainPlan};
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::source::{self, Source};
use crate::trust::calibrate::Labelled;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, durable, precision};

/// What low-rank tuning added, for other copies of the network: `--model NAME+adapter.safetensors`.
const ADAPTER: &str = "export/adapter.safetensors";

/// Where a baseline's own training is, inside the run's folder.
const SCRATCH: &str = "guard/scratch";

/// A network, its features and a head on them.
pub struct Frozen {
    pub source: Source,
    pub extraction: Extraction,
    pub probe: Probe,
}

/// What else tuning depends on.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Numbers of samples.
    pub sizes: Sizes,
    /// Seconds from the end of tuning to the end of the run, where there is a time budget.
    pub after: f64,
    /// What a larger network says, where one teaches.
    pub teacher: Option<&'a Teacher>,
}

/// What tuning leaves besides the network.
pub struct Outcome {
    /// The probe, which is measured as a baseline: was tuning worth it? Absent where it was kept.
    pub probe: Option<Frozen>,
    /// What the guard saw of the training.
    pub looks: Looks,
    /// For documents.
    pub facts: Tuning,
    /// What was told on the way.
    pub history: History,
}

/// Tunes as the plan says; without a tuning method everything stays as it is.
pub fn tune(
    folder: &RunFolder,
    plan: &TrainPlan,
    prepared: &Prepared,
    cache: &Cache,
    mut frozen: Frozen,
    given: Given<'_>,
    watch: &mut Watch<'_>,
) -> Result<(Frozen, Option<Outcome>)> {
    if plan.method == Method::PROBE {
        return Ok((frozen, None));
    }
    let start = Instant::now();
    let Frozen { source, extraction, probe } = &mut frozen;
    let tuned = watch.phase(Phase::Finetune, Some(1), |watch| {
        let job = Job {
            folder,
            plan,
            prepared,
            source,
            cache,
            extraction,
            probe: &probe.on_train,
            refitted: &probe.trained.head,
            sizes: given.sizes,
            after: given.after,
            fitting: probe.seconds,
            told: &probe.history,
            teacher: given.teacher,
            alignment: None,
        };
        fit::tune(&job, watch)
    })?;
    let Some(tuned) = tuned else { return Ok((frozen, None)) };
    let facts = Tuning {
        learning: tuned.learning,
        values: tuned.values,
        epochs: tuned.epochs,
        updates: tuned.updates,
        best_update: tuned.best_update,
        seconds: start.elapsed().as_secs_f64(),
        kept_probe: !tuned.helped,
        ended: tuned.ended.clone(),
    };
    let mut lines = std::mem::take(&mut probe.history);
    for record in &tuned.history.records {
        let line = serde_json::to_value(record);
        lines.push(line.map_err(|e| TransferError::Internal(format!("metrics.jsonl: {e}")))?);
    }
    if !tuned.helped {
        watch.warn(format!(
            "{} did nothing for {} on validation: the probe is kept",
            plan.method.name(),
            plan.finetune.watch
        ))?;
        probe.history = lines;
        let outcome = Outcome { probe: None, looks: tuned.looks, facts, history: tuned.history };
        return Ok((frozen, Some(outcome)));
    }
    if !tuned.low_rank.is_empty() {
        let path = folder.file(ADAPTER);
        durable::create_dir(&folder.file("export"))?;
        let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
        durable::write_params(&path, &tuned.low_rank, &metadata, F32)?;
    }
    let (looks, history) = (tuned.looks.clone(), tuned.history.clone());
    let mut whole = with_weights(plan, prepared, &frozen, tuned, given.after, watch)?;
    whole.probe.history = lines;
    let outcome = Outcome { probe: Some(frozen), looks, facts, history };
    Ok((whole, Some(outcome)))
}

/// The network that training left, its features and its head.
fn with_weights(
    plan: &TrainPlan,
    prepared: &Prepared,
    frozen: &Frozen,
    tuned: Tuned,
    after: f64,
    watch: &mut Watch<'_>,
) -> Result<Frozen> {
    let before = match tuned.before {
        Some(first) => before_refit(plan, prepared, &frozen.source, first, after, watch)?,
        None => None,
    };
    let samples = &prepared.dataset.samples;
    let mut source = source::tuned(&frozen.source, tuned.params)?;
    precision::settle(&mut source, plan.precision, samples, watch)?;
    // Nobody else will ask for the features of these weights.
    let own = Cache::temporary()?;
    let extraction = watch.phase(Phase::Extract, Some(samples.len()), |watch| {
        extract(samples, &source, &own, plan.batch, Phase::Extract, watch)
    })?;
    if extraction.readable() != frozen.extraction.readable() {
        return Err(TransferError::BadData("files changed while the run worked on them".into()));
    }
    let own = Own {
        head: Head::Linear(tuned.head),
        temperature: tuned.temperature,
        refitted: tuned.refitted,
        before,
        right: tuned.right.unwrap_or_default(),
    };
    let probe = Probe::of_tuned(own, prepared, &extraction)?;
    Ok(Frozen { source, extraction, probe })
}

/// The same network from random weights, with the same data and settings: what training gets without the
/// source. Its checkpoints and what it tells lie in `guard/scratch` of the run's folder.
pub fn scratch(
    folder: &RunFolder,
    plan: &TrainPlan,
    prepared: &Prepared,
    cache: &Cache,
    frozen: &Frozen,
    given: Given<'_>,
    watch: &mut Watch<'_>,
) -> Result<Option<Frozen>> {
    let plan = TrainPlan { method: Method::find("scratch")?, ..plan.clone() };
    let folder = folder.within(SCRATCH)?;
    let tuned = watch.phase(Phase::Baselines, Some(1), |watch| {
        let job = Job {
            folder: &folder,
            plan: &plan,
            prepared,
            source: &frozen.source,
            cache,
            extraction: &frozen.extraction,
            probe: &frozen.probe.on_train,
            refitted: &frozen.probe.trained.head,
            sizes: given.sizes,
            after: given.after,
            teacher: None,
            alignment: None,
            fitting: frozen.probe.seconds,
            told: &[],
        };
        fit::tune(&job, watch)
    })?;
    let whole = match tuned {
        Some(tuned) => Some(with_weights(&plan, prepared, frozen, tuned, given.after, watch)?),
        None => None,
    };
    fit::Checkpoint::clear(folder.path());
    Ok(whole)
}

/// What the network was before validation samples joined training: only it can be asked about them. `after`
/// seconds follow, where there is a time budget; without time for it there is nothing.
fn before_refit(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: &Source,
    (params, head): (Params, Linear),
    after: f64,
    watch: &mut Watch<'_>,
) -> Result<Option<Before>> {
    let [train, val] = [Split::Train, Split::Val].map(|split| prepared.of(split));
    let samples = |places: &[usize]| -> Vec<Sample> {
        places.iter().map(|&i| prepared.dataset.samples[i].clone()).collect()
    };
    let both: Vec<Sample> = samples(&[train.as_slice(), &val].concat());
    if let Some(budget) = plan.finetune.time {
        let extracting = watch.phases.iter().filter(|p| p.phase == Phase::Extract);
        let seconds: f64 = extracting.map(|p| p.seconds).sum();
        if watch.spent() + after + seconds > budget {
            watch.note("the time does not allow to calibrate prediction sets")?;
            return Ok(None);
        }
    }
    let mut first = source::tuned(source, params)?;
    precision::settle(&mut first, plan.precision, &prepared.dataset.samples, watch)?;
    let own = Cache::temporary()?;
    let extraction = watch.phase(Phase::Extract, Some(both.len()), |watch| {
        extract(&both, &first, &own, plan.batch, Phase::Extract, watch)
    })?;
    let labelled = |places: std::ops::Range<usize>| -> Result<Labelled> {
        let places: Vec<usize> = places.collect();
        let labels = places.iter().filter_map(|&i| both[i].label).collect();
        Ok(Labelled { rows: extraction.gather(&places)?, labels })
    };
    let (n, all) = (train.len(), both.len());
    Ok(Some(Before { head: Head::Linear(head), train: labelled(0..n)?, val: labelled(n..all)? }))
}
