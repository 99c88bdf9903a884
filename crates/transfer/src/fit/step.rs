//! One update: batch, loss, gradients, optimiser.

use std::collections::BTreeSet;

use offshoot_nn::cpu::train::CrossEntropy;
use offshoot_random::generator;
use rand::RngExt;

use super::Setting;
use super::head::{LinearHead, dropout};
use super::inputs::{Inputs, Supply, View};
use super::learner::{Learner, Options};
use super::optimiser::{Optimiser, Rate};
use super::strategy::Phase;
use crate::Result;

/// Samples by which the sensitivity of groups is measured.
const SENSITIVITY_SAMPLES: usize = 64;

/// A batch on its way.
pub struct Batch<'a> {
    /// Places among all samples.
    pub samples: &'a [usize],
    /// Places among the training samples.
    pub places: &'a [usize],
    /// How they are looked at.
    pub view: View,
    /// Number of the update, which keys its draws.
    pub step: u64,
    /// Number of the epoch.
    pub epoch: u64,
}

/// What an update came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Mean loss of the batch before the update.
    pub loss: f64,
    /// Right answers among it.
    pub right: usize,
    /// Global norm of the gradient.
    pub norm: f64,
}

impl Outcome {
    /// Whether every number is one.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }
}

impl Setting<'_> {
    /// The learner of a phase, from `params` and `head`.
    pub fn learner(
        &self,
        phase: &Phase,
        inputs: &Inputs<'_>,
        params: &offshoot_nn::Params,
        head: LinearHead,
    ) -> Result<Learner> {
        let options = Options {
            recipe: self.recipe,
            groups: &self.groups,
            phase,
            precision: self.precision,
            norm: self.norm,
            drop_path: self.settings.drop_path,
            low_rank: (self.settings.rank, self.settings.alpha),
            from_activations: inputs.are_activations(),
            taps: Vec::new(),
            seed: self.job.plan.seed,
        };
        Learner::new(&options, params, head)
    }

    /// The main loss.
    pub fn cross_entropy(&self) -> CrossEntropy {
        let weights = || super::judge::class_weights(&self.labels, self.classes);
        CrossEntropy {
            label_smoothing: self.settings.label_smoothing as f32,
            class_weights: self.job.plan.class_weights.then(weights),
        }
    }

    /// Forms the gradients of a batch, in parts where the settings ask for it.
    pub fn gradients(
        &self,
        learner: &mut Learner,
        inputs: &Inputs<'_>,
        batch: &Batch<'_>,
    ) -> Result<Outcome> {
        let parts = self.settings.accumulate.min(batch.samples.len()).max(1);
        let each = batch.samples.len().div_ceil(parts);
        let mut outcome = Outcome::default();
        let parted = batch.samples.chunks(each).zip(batch.places.chunks(each));
        for (number, (samples, places)) in parted.enumerate() {
            let part = Batch { samples, places, ..*batch };
            let (loss, right) = self.part(learner, inputs, &part, number * each)?;
            let share = samples.len() as f64 / batch.samples.len() as f64;
            if parts > 1 {
                learner.accumulate(share as f32);
            }
            outcome.loss += share * loss;
            outcome.right += right;
        }
        Ok(outcome)
    }

    /// Loss and right answers of a part of the batch that begins with its sample `first`.
    fn part(
        &self,
        learner: &mut Learner,
        inputs: &Inputs<'_>,
        batch: &Batch<'_>,
        first: usize,
    ) -> Result<(f64, usize)> {
        let n = batch.samples.len();
        let seed = self.job.plan.seed;
        let input = inputs.batch(batch.samples, batch.view)?;
        let uniform = |branch: usize, sample: usize| -> f32 {
            let key = ((branch as u64) << 32) | (first + sample) as u64;
            generator(seed, "stochastic depth", batch.step, key).random()
        };
        let drops: Option<&dyn Fn(usize, usize) -> f32> =
            if self.settings.drop_path > 0.0 { Some(&uniform) } else { None };
        let features = learner.forward(&input, n, drops)?;
        let mut seen = features;
        let factors = (self.settings.dropout > 0.0).then(|| {
            dropout(&mut seen, self.settings.dropout, seed, (batch.step << 16) + first as u64)
        });
        let logits = learner.head.forward(&seen);
        let labels: Vec<u32> = batch.places.iter().map(|&place| self.labels[place]).collect();
        let mut of_logits = vec![0.0; logits.len()];
        let loss = self.cross_entropy().loss(&logits, &labels, &mut of_logits);
        let mut to_features = vec![0.0; seen.len()];
        learner.head.backward(&seen, &of_logits, &mut to_features);
        if let Some(factors) = factors {
            to_features.iter_mut().zip(factors).for_each(|(to, factor)| *to *= factor);
        }
        learner.backward(&to_features, &[])?;
        let rows = logits.chunks_exact(self.classes).zip(&labels);
        let right = rows.filter(|(row, label)| best(row) == **label as usize).count();
        Ok((loss, right))
    }

    /// One update with the rates of `phase`, scaled by `factor`.
    pub fn update(
        &self,
        learner: &mut Learner,
        optimiser: &mut Optimiser,
        phase: &Phase,
        factor: f64,
        momentum: f64,
    ) -> f64 {
        let rate = |group: usize, decays: bool| Rate {
            lr: phase.lr * factor * phase.rates.get(group).copied().unwrap_or(1.0),
            decay: if decays { self.settings.weight_decay } else { 0.0 },
            momentum,
        };
        learner.update(optimiser, rate, self.settings.clip)
    }
}

/// The largest value's place; the first of equal ones.
fn best(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = i;
        }
    }
    best
}

/// `‖gradient‖ / ‖weights‖` of each group at the source's weights with the probe's head.
pub fn sensitivity(setting: &Setting<'_>, supply: &Supply<'_>) -> Result<Vec<f64>> {
    let learns: BTreeSet<String> = setting.groups.keys(|_| true);
    let rates = vec![1.0; setting.groups.len() + 1];
    let phase = Phase { name: String::new(), learns, low_rank: false, rates, lr: 0.0, epochs: 1 };
    let inputs = Inputs::new(supply, None, setting.train.len())?;
    let head = setting.first_head()?;
    let mut learner = setting.learner(&phase, &inputs, &setting.params, head)?;
    let order =
        offshoot_random::permutation(setting.train.len(), setting.job.plan.seed, "sensitivity", 0);
    let places: Vec<usize> = order.into_iter().take(SENSITIVITY_SAMPLES).collect();
    let samples: Vec<usize> = places.iter().map(|&place| setting.train[place]).collect();
    let batch = Batch { samples: &samples, places: &places, view: View::Plain, step: 0, epoch: 0 };
    setting.gradients(&mut learner, &inputs, &batch)?;
    Ok(learner.sensitivity())
}
