//! A time budget for everything around tuning: what may go into the head, and what must be kept for the end.

use std::time::{Duration, Instant};

use offshoot_data::Split;
use offshoot_stats::Probabilities;

use crate::extract::Extraction;
use crate::guard::Guard;
use crate::plan::{Method, TrainPlan};
use crate::prepare::Prepared;
use crate::run::record::PhaseSeconds;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, documents, estimate, figures, prepare};

/// Share of the time left after the features that the head of a network that is tuned may take.
const HEAD: f64 = 0.25;
/// Share of the whole time that the head has in any case.
const LEAST_HEAD: f64 = 0.03;
/// Share of the whole time that is kept for what nobody foresaw.
const SPARE: f64 = 0.05;
/// How much slower features may become than they were.
const SLOWER: f64 = 1.25;
/// Samples beside the data that pass a tuned network once: in two precisions, to choose between them.
const SETTLING: usize = 64;
/// Seconds of packing a network's weights, of writing and drawing, and of the same a sample.
const WRITING: [f64; 2] = [0.8, 1e-4];
/// What raw pixels or words take, as a share of the source's features.
const GUARDING: f64 = 0.3;
/// Samples on which the bootstrap is timed.
const TIMED: usize = 200;

/// Refuses a budget that the features alone exceed.
pub fn check(plan: &TrainPlan, estimate: &documents::Estimate, watch: &Watch<'_>) -> Result<()> {
    let Some(given) = plan.finetune.time else { return Ok(()) };
    let batches = estimate.samples as f64 / plan.batch.max(1) as f64;
    let needed = batches * estimate.seconds_per_batch;
    if watch.spent() + needed <= given {
        return Ok(());
    }
    Err(TransferError::TooLittleTime { samples: estimate.samples, needed, given })
}

/// When the head must be fitted; `after` seconds follow tuning.
pub fn head_until(plan: &TrainPlan, after: f64, watch: &Watch<'_>) -> Option<Instant> {
    let budget = plan.finetune.time?;
    let left = budget * (1.0 - SPARE) - watch.spent();
    let seconds = match left - after {
        // There is no time to tune: what there is goes into the head that will be kept.
        none if plan.method == Method::PROBE || none <= 0.0 => left - WRITING[0],
        some => HEAD * some,
    };
    // A head of no iterations at all would know nothing.
    Some(Instant::now() + Duration::from_secs_f64(seconds.max(LEAST_HEAD * budget)))
}

/// Seconds from the last update to the end of the run, where the plan has a budget.
pub fn after(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: &Source,
    extraction: &Extraction,
    watch: &mut Watch<'_>,
) -> Result<f64> {
    if plan.finetune.time.is_none() {
        return Ok(0.0);
    }
    let seen = match extraction.computed {
        0 => 0.0,
        n => seconds(&watch.phases, Phase::Extract) / n as f64,
    };
    let pace = SLOWER * estimate::seconds_per_image(prepared, source)?.max(seen);
    let classes = prepared.dataset.classes.len();
    let mut after = judging_and_writing(plan, prepared, pace)?;
    for path in plan.also_eval.values() {
        let others = prepare::open(path, &plan.columns, watch)?.samples.len();
        after += pace * others as f64 + figures_seconds(others, classes, plan.seed)?;
    }
    if plan.baselines || plan.guard == Guard::Full {
        // Random weights cost what the source's do, and pixels some more decoding; each has a head.
        let samples = prepared.dataset.samples.len();
        after += 2.0 * pace * samples as f64 + baseline_heads(plan, watch);
    } else if plan.guard == Guard::On {
        // Pictures are read and decoded again, which the network's time includes.
        let samples = prepared.dataset.samples.len();
        after += GUARDING * pace * samples as f64 + baseline_heads(plan, watch);
    }
    Ok(after)
}

/// Seconds from the last update to the end of a run without baselines, where a sample takes `pace` seconds.
pub fn judging_and_writing(plan: &TrainPlan, prepared: &Prepared, pace: f64) -> Result<f64> {
    let samples = prepared.dataset.samples.len();
    let classes = prepared.dataset.classes.len();
    let judged = figures_seconds(prepared.of(Split::Test).len(), classes, plan.seed)?;
    // The probe, the tuned network, the majority.
    let mut after = 3.0 * judged + WRITING[0] + WRITING[1] * samples as f64;
    if plan.method != Method::PROBE {
        after += pace * (samples + SETTLING) as f64;
    }
    Ok(after)
}

/// Seconds that may go into the heads of baselines: a tenth of what is left now.
fn baseline_heads(plan: &TrainPlan, watch: &Watch<'_>) -> f64 {
    let left = plan.finetune.time.unwrap_or(0.0) - watch.spent();
    0.1 * left.max(0.0)
}

/// When a baseline's head must be fitted, two of which come one after the other.
pub fn baseline_until(plan: &TrainPlan, watch: &Watch<'_>) -> Option<Instant> {
    let budget = plan.finetune.time?;
    let left = budget * (1.0 - SPARE) - watch.spent() - WRITING[0];
    Some(Instant::now() + Duration::from_secs_f64((0.4 * left).max(0.1)))
}

fn seconds(phases: &[PhaseSeconds], phase: Phase) -> f64 {
    phases.iter().filter(|p| p.phase == phase).map(|p| p.seconds).sum()
}

/// What the figures of `n` samples take, from fewer.
fn figures_seconds(n: usize, classes: usize, seed: u64) -> Result<f64> {
    let timed = n.clamp(1, TIMED);
    let start = Instant::now();
    let uniform = vec![1.0 / classes as f64; timed * classes];
    let probabilities = Probabilities::new(classes, uniform)
        .ok_or_else(|| TransferError::Internal("data without classes".into()))?;
    let labels: Vec<u32> = (0..timed).map(|i| (i % classes) as u32).collect();
    figures::figures(&probabilities, &labels, seed)?;
    let work = |n: usize| (n * figures::resamples(n)) as f64;
    Ok(start.elapsed().as_secs_f64() * work(n) / work(timed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(samples: usize) -> documents::Estimate {
        documents::Estimate {
            samples,
            cached: 0,
            memory_bytes: 0,
            disk_bytes: 0,
            seconds: 0.0,
            seconds_per_batch: 0.5,
            tuning: None,
        }
    }

    #[test]
    fn a_time_that_does_not_suffice_for_the_features_is_refused() {
        let mut observer = ();
        let watch = Watch::new(&mut observer);
        let mut plan = TrainPlan { batch: 10, ..TrainPlan::default() };
        assert!(check(&plan, &estimate(1_000_000), &watch).is_ok());
        plan.finetune.time = Some(60.0);
        assert!(check(&plan, &estimate(1000), &watch).is_ok());
        let error = check(&plan, &estimate(2000), &watch);
        assert!(error.is_err_and(|e| e.exit_code() == 5 && e.to_string().contains("about 100 s")));
    }

    #[test]
    fn the_head_has_a_quarter_of_the_time_or_all_of_it_where_nothing_can_be_tuned() {
        let mut observer = ();
        let watch = Watch::new(&mut observer);
        let mut plan = TrainPlan::default();
        plan.finetune.time = Some(100.0);
        let seconds = |plan: &TrainPlan, after: f64| {
            let until = head_until(plan, after, &watch);
            until.map_or(0.0, |u| u.saturating_duration_since(Instant::now()).as_secs_f64())
        };
        assert!((seconds(&plan, 5.0) - 94.2).abs() < 1.0);
        plan.method = Method::find("full").unwrap_or(Method::PROBE);
        assert!((seconds(&plan, 15.0) - 20.0).abs() < 1.0);
        assert!((seconds(&plan, 95.0) - 94.2).abs() < 1.0);
        plan.finetune.time = None;
        assert!(head_until(&plan, 5.0, &watch).is_none());
    }
}
