//! Does the ranking tell the truth? The first models are probed, and judged on samples that ranked nobody.

use std::time::Instant;

use offshoot_data::Split;
use offshoot_stats::heads::Limit;
use offshoot_stats::{Probabilities, metrics, weighted_tau};

use super::by_place;
use super::document::{Verified, VerifiedModel};
use super::measure::{Line, Setting};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, head};

/// Fits a logistic head to what each of the first `k` lines was scored on, and asks it about the validation split.
pub fn verify(
    setting: &Setting<'_>,
    lines: &mut [Line],
    places: &[f64],
    k: usize,
    labels: &[u32],
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
            let found = setting.features(&line.entrant, &val, watch)?;
            let held = found.into_iter().find(|held| held.shape == line.shape);
            let held = held.ok_or_else(|| {
                TransferError::Internal("a line that was ranked has no features".into())
            })?;
            let request = head::Request {
                name: "logistic",
                classes: setting.n_classes(),
                class_weights: false,
                seed: setting.plan.seed,
                lambda: None,
                limit: Limit::default(),
            };
            let fitted = watch
                .listening(|_| rayon::scope(|_| head::fit(&request, line.rows.rows(), labels)))??;
            let answers = fitted.head.predict(held.rows.rows())?;
            let judged: Vec<usize> = held.readable.iter().map(|&at| val[at]).collect();
            let truth = setting.labels(&judged);
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
        method: "probe".into(),
        samples: val.len(),
        weighted_tau: weighted_tau(&by_place(&places[..k]), &accuracies),
        models,
    })
}

fn of(metric: &str, answers: &Probabilities, truth: &[u32]) -> Result<f64> {
    let metric = metrics::find(metric)
        .ok_or_else(|| TransferError::Internal(format!("no metric `{metric}`")))?;
    Ok(metric.of(answers, truth)?)
}
