//! Does the ranking tell the truth? The first models are probed or tuned, and judged on samples that ranked nobody.

use std::time::Instant;

use offshoot_data::{Dataset, Split};
use offshoot_stats::{Probabilities, metrics, weighted_tau};

use super::document::{Verified, VerifiedModel};
use super::measure::{Line, Setting};
use super::{RankPlan, by_place, contest};
use crate::extract::extract;
use crate::fit::Sizes;
use crate::guard::Guard;
use crate::plan::{Method, TrainPlan};
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::train::probe::Probe;
use crate::train::tuning::{self, Frozen, Given};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, head, precision, source};

/// Fits a logistic head to what each of the first `k` lines was scored on, or tunes its network on that, and asks
/// it about the validation split. A tuned network's epochs are chosen there, too: alike for all.
pub fn verify(
    setting: &Setting<'_>,
    lines: &[Line],
    (places, k): (&[f64], usize),
    (samples, labels): (&[usize], &[u32]),
    watch: &mut Watch<'_>,
) -> Result<Verified> {
    let val = setting.prepared.of(Split::Val);
    if val.is_empty() {
        return Err(TransferError::usage(
            "a ranking is verified on validation samples, and there are none",
            "--val takes a share of the training samples",
        ));
    }
    let k = k.min(lines.len());
    let mut models = Vec::with_capacity(k);
    watch.phase(Phase::Baselines, Some(k), |watch| {
        for (done, line) in lines[..k].iter().enumerate() {
            let started = Instant::now();
            let (answers, truth) = match setting.plan.verify_method {
                Method::PROBE => probed(setting, line, &val, labels, watch)?,
                _ => tuned(setting, line, samples, &val, watch)?,
            };
            models.push(VerifiedModel {
                model: line.name.clone(),
                variant: line.variant(),
                accuracy: of("accuracy", &answers, &truth)?,
                log_loss: of("log_loss", &answers, &truth)?,
                seconds: started.elapsed().as_secs_f64(),
            });
            watch.progress(Phase::Baselines, done + 1, k, 0)?;
        }
        Ok(())
    })?;
    let accuracies: Vec<f64> = models.iter().map(|model| model.accuracy).collect();
    Ok(Verified {
        method: setting.plan.verify_method.name().into(),
        samples: val.len(),
        weighted_tau: weighted_tau(&by_place(&places[..k]), &accuracies),
        models,
    })
}

/// What a head on the features says of the validation samples, and what is right.
fn probed(
    setting: &Setting<'_>,
    line: &Line,
    val: &[usize],
    labels: &[u32],
    watch: &mut Watch<'_>,
) -> Result<(Probabilities, Vec<u32>)> {
    let found = setting.features(&line.entrant, val, watch)?;
    let held = found.into_iter().find(|held| held.shape == line.shape);
    let held = held
        .ok_or_else(|| TransferError::Internal("a line that was ranked has no features".into()))?;
    let plan = TrainPlan { seed: setting.plan.seed, ..TrainPlan::default() };
    let fitted = watch.listening(|stop| {
        let request = head::Request::of(&plan, setting.n_classes()).until(stop);
        head::fit(&request, line.rows.rows(), labels)
    })??;
    let judged: Vec<usize> = held.readable.iter().map(|&at| val[at]).collect();
    Ok((fitted.head.predict(held.rows.rows())?, setting.labels(&judged)))
}

/// The same of a network that is tuned on the samples that the line was scored on. What has no network is probed.
fn tuned(
    setting: &Setting<'_>,
    line: &Line,
    samples: &[usize],
    val: &[usize],
    watch: &mut Watch<'_>,
) -> Result<(Probabilities, Vec<u32>)> {
    let RankPlan { verify_method, finetune, seed, batch, precision, cache, .. } = setting.plan;
    let mut source = contest::open(&line.entrant, setting.plan)?;
    if let Some(shape) = &line.shape {
        source = source::reshaped(&source, shape.clone())?;
    }
    let method = if source.network.is_some() { *verify_method } else { Method::PROBE };
    let plan = TrainPlan {
        method,
        finetune: finetune.clone(),
        seed: *seed,
        batch: *batch,
        precision: *precision,
        cache: cache.clone(),
        refit: false,
        guard: Guard::Off,
        ..TrainPlan::default()
    };
    let all = &setting.prepared.dataset;
    let mut places = [samples, val].concat();
    places.sort_unstable();
    let mut prepared = Prepared {
        dataset: Dataset {
            name: all.name.clone(),
            classes: all.classes.clone(),
            samples: places.iter().map(|&i| all.samples[i].clone()).collect(),
            notes: Vec::new(),
        },
        problems: Vec::new(),
    };
    precision::settle(&mut source, *precision, &prepared.dataset.samples, watch)?;
    let cache = setting.cache;
    let extraction =
        extract(&prepared.dataset.samples, &source, cache, *batch, Phase::Extract, watch)?;
    let pairs = prepared.dataset.samples.iter_mut().zip(&extraction.keys);
    pairs.filter(|(_, key)| key.is_none()).for_each(|(sample, _)| sample.split = None);
    let probe = Probe::fit(&plan, &prepared, &extraction, None, watch)?;
    let dir = tempfile::tempdir().map_err(|e| TransferError::io(std::env::temp_dir(), e))?;
    let folder = RunFolder::create(dir.path(), Some("verified"), "verified")?;
    let given = Given { sizes: Sizes::of(&prepared), after: 0.0, teacher: None };
    let frozen = Frozen { source, extraction, probe };
    let (whole, _) = tuning::tune(&folder, &plan, &prepared, cache, frozen, given, watch)?;
    let val = prepared.of(Split::Val);
    let rows = whole.extraction.gather(&val)?;
    let truth = val.iter().filter_map(|&i| prepared.dataset.samples[i].label).collect();
    Ok((whole.probe.trained.probabilities(rows.rows())?, truth))
}

fn of(metric: &str, answers: &Probabilities, truth: &[u32]) -> Result<f64> {
    let metric = metrics::find(metric)
        .ok_or_else(|| TransferError::Internal(format!("no metric `{metric}`")))?;
    Ok(metric.of(answers, truth)?)
}
