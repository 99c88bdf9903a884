//! Validation: what the tuned network says to samples that it does not learn from.

use std::collections::BTreeMap;

use offshoot_nn::cpu::PlanOptions;
use offshoot_nn::{Params, Precision, Recipe};
use offshoot_stats::metrics::{self, Direction, Metric};
use offshoot_stats::{Probabilities, calibrate};
use serde::{Deserialize, Serialize};

use super::head::LinearHead;
use super::inputs::{Inputs, View};
use super::net::Fixed;
use crate::guard::evidence::Lead;
use crate::watch::Watch;
use crate::{Result, TransferError};

/// A metric and the loss on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The metric that is watched.
    pub metric: f64,
    /// Mean −ln p of the right class.
    pub loss: f64,
    /// The temperature that makes the probabilities mean what they say.
    pub temperature: f64,
    /// The loss at that temperature: decides between equal metrics. Weights are calibrated before they are
    /// shipped, so that being too sure is no fault of theirs.
    pub calibrated: f64,
}

/// A judgement, and what each sample added to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Over all samples.
    pub judged: Judgement,
    /// 1 where a sample was recognised and 0 where not; minus its loss where losses are watched.
    pub each: Vec<f32>,
    /// Whether each sample was recognised.
    #[serde(default)]
    pub right: Vec<bool>,
}

impl Verdict {
    /// Whether these weights are as good as those of `top`, as far as the same samples can tell: the mean of the
    /// paired differences is no more than its standard error.
    ///
    /// The best of twenty epochs on thirty samples is best by chance, and an early one as often as a late one;
    /// the later of two that cannot be told apart has learnt more at a lower rate (the one-standard-error rule
    /// of Breiman et al. 1984, section 3.4.3, for epochs).
    pub fn is_as_good(&self, top: &Self) -> bool {
        let n = self.each.len();
        if n < 2 || top.each.len() != n {
            return false;
        }
        let worse = Lead::of(top.each.iter().zip(&self.each).map(|(t, new)| f64::from(t - new)));
        worse.share <= worse.error
    }
}

/// Judges weights on fixed samples.
pub struct Judge<'a> {
    /// The network.
    pub recipe: &'a Recipe,
    /// Of dense products.
    pub precision: Precision,
    /// Where the inputs begin.
    pub boundary: Option<String>,
    /// Places of the samples.
    pub samples: Vec<usize>,
    /// Their labels.
    pub labels: Vec<u32>,
    /// The metric that is watched.
    pub metric: &'static Metric,
}

/// The metric called `name`.
pub fn metric(name: &str) -> Result<&'static Metric> {
    metrics::find(name)
        .ok_or_else(|| TransferError::usage(format!("unknown metric `{name}`"), "see --help"))
}

impl Judge<'_> {
    /// What `params`, the whole network, makes of `samples`: `[samples, dim]`.
    pub fn features(
        &self,
        params: &Params,
        samples: &[usize],
        inputs: &Inputs<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<f32>> {
        let from = self.boundary.clone().filter(|_| inputs.are_activations());
        let options = PlanOptions { precision: self.precision, from, ..PlanOptions::default() };
        // On threads of the pool, as gradients are.
        let plan = rayon::scope(|_| Fixed::new(self.recipe, params, &options))?;
        let mut features = Vec::with_capacity(samples.len() * self.recipe.feature_dim);
        for batch in samples.chunks(inputs.together()) {
            watch.ask()?;
            let run = || plan.run(&inputs.batch(batch, View::Plain)?, batch.len());
            features.extend(rayon::scope(|_| run())?);
        }
        Ok(features)
    }

    /// Judges `params`, the whole network; `None` without samples.
    pub fn judge(
        &self,
        params: &Params,
        head: &LinearHead,
        inputs: &Inputs<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Verdict>> {
        if self.samples.is_empty() {
            return Ok(None);
        }
        let mut probabilities = Vec::with_capacity(self.samples.len() * head.classes);
        let logits = head.forward(&self.features(params, &self.samples, inputs, watch)?);
        logits.chunks_exact(head.classes).for_each(|row| softmax(row, &mut probabilities));
        if probabilities.iter().any(|p| !p.is_finite()) {
            // Weights that have left all bounds are worse than any others.
            let metric = match self.metric.direction {
                Direction::Higher => f64::MIN,
                Direction::Lower => f64::MAX,
            };
            let (loss, calibrated) = (f64::MAX, f64::MAX);
            let judged = Judgement { metric, loss, temperature: 1.0, calibrated };
            let (each, right) = (Vec::new(), vec![false; self.labels.len()]);
            return Ok(Some(Verdict { judged, each, right }));
        }
        let probabilities = Probabilities::new(head.classes, probabilities).ok_or_else(|| {
            TransferError::Internal("validation probabilities do not form rows".into())
        })?;
        let log_loss = metric("log_loss")?;
        let loss = log_loss.of(&probabilities, &self.labels)?;
        let temperature = crate::head::temperature(&probabilities, &self.labels)?;
        let soft = calibrate::soften(&probabilities, temperature);
        let judged = Judgement {
            metric: self.metric.of(&probabilities, &self.labels)?,
            loss,
            temperature,
            calibrated: log_loss.of(&soft, &self.labels)?,
        };
        let of_loss = self.metric.direction == Direction::Lower;
        let right: Vec<bool> = self
            .labels
            .iter()
            .enumerate()
            .map(|(i, &label)| probabilities.predicted(i) == label)
            .collect();
        let one = |(i, &label): (usize, &u32)| match of_loss {
            true => probabilities.row(i)[label as usize].max(f64::MIN_POSITIVE).ln() as f32,
            false => f32::from(u8::from(right[i])),
        };
        let each = self.labels.iter().enumerate().map(one).collect();
        Ok(Some(Verdict { judged, each, right }))
    }

    /// See [`is_better`].
    pub fn is_better(&self, new: Judgement, old: Judgement, min_delta: f64) -> bool {
        is_better(self.metric, new, old, min_delta)
    }
}

/// Whether `new` beats `old` by at least `min_delta`; the calibrated loss decides between equal metrics.
pub fn is_better(metric: &Metric, new: Judgement, old: Judgement, min_delta: f64) -> bool {
    let gain = match metric.direction {
        Direction::Higher => new.metric - old.metric,
        Direction::Lower => old.metric - new.metric,
    };
    gain > min_delta || (gain == 0.0 && min_delta == 0.0 && new.calibrated < old.calibrated)
}

fn softmax(row: &[f32], to: &mut Vec<f64>) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = row.iter().map(|&v| f64::from(v - largest).exp()).collect();
    let sum: f64 = exps.iter().sum();
    to.extend(exps.into_iter().map(|e| e / sum));
}

/// `n/(C·n_c)` of each class; 1 for a class without samples.
pub fn class_weights(labels: &[u32], classes: usize) -> Vec<f32> {
    let mut counts = BTreeMap::new();
    labels.iter().for_each(|&label| *counts.entry(label).or_insert(0usize) += 1);
    let weight = |class: usize| match counts.get(&(class as u32)) {
        Some(&count) => (labels.len() as f64 / (classes * count) as f64) as f32,
        None => 1.0,
    };
    (0..classes).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(each: &[f32]) -> Verdict {
        let judged = Judgement { metric: 0.0, loss: 0.0, temperature: 1.0, calibrated: 0.0 };
        Verdict { judged, each: each.to_vec(), right: Vec::new() }
    }

    #[test]
    fn what_cannot_be_told_apart_is_as_good() {
        let top = verdict(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        assert!(top.is_as_good(&top));
        // One worse, in one of eight: its standard error is as large.
        assert!(verdict(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]).is_as_good(&top));
        // Two worse and one better.
        assert!(verdict(&[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]).is_as_good(&top));
        // Three worse: 0.375 against a standard error of 0.183.
        assert!(!verdict(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]).is_as_good(&top));
        // With many samples, a few points are seen.
        let many = |right: usize| {
            let each: Vec<f32> = (0..1000).map(|i| f32::from(u8::from(i < right))).collect();
            verdict(&each)
        };
        assert!(!many(870).is_as_good(&many(900)) && many(900).is_as_good(&many(870)));
        // Weights that left all bounds have no samples to compare.
        assert!(!verdict(&[]).is_as_good(&top));
    }
}
