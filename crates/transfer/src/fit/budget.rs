//! A time budget that is kept: how many epochs fit, from measured updates.

use std::time::Instant;

use super::Setting;
use super::averaging::Kind;
use super::course::{Drawn, batches};
use super::inputs::{Inputs, View};
use super::judge::Judge;
use super::optimiser::Optimiser;
use super::step::Pupil;
use super::strategy::{Objective, Phase};
use crate::Result;
use crate::watch::Watch;

/// Share of the budget that is left for what nobody foresaw.
const SPARE: f64 = 0.05;
/// Updates that are timed.
const TIMED: usize = 3;
/// Validation samples that are timed.
const JUDGED: usize = 64;

/// Seconds of the whole run at which training must have ended, `after` of which follow it.
pub fn deadline(budget: f64, after: f64) -> f64 {
    budget * (1.0 - SPARE) - after
}

/// The budget of a run in which training ends at `deadline`.
pub fn time_until(deadline: f64) -> f64 {
    deadline / (1.0 - SPARE)
}

/// How long the parts of a phase take, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// An update.
    pub update: f64,
    /// A validation.
    pub judging: f64,
    /// Fitting the head after an epoch, where pairs learn.
    pub heads: f64,
    /// A sample through the frozen part, where its activations are kept.
    pub prefix: f64,
}

impl Pace {
    /// Times a few updates and a part of a validation. The learner is as before.
    pub fn measure(
        setting: &Setting<'_>,
        pupil: &mut Pupil,
        inputs: &mut Inputs<'_>,
        judge: &Judge<'_>,
        phase: &Phase,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let (before, extras) = (pupil.learner.trained(), pupil.learner.extras());
        let mut optimiser = Optimiser::new(setting.optimiser());
        let all = batches(setting, 0);
        let view = inputs.view(0);
        let of_batch = |drawn: &Drawn| [drawn.samples.as_slice(), &drawn.target].concat();
        let timed: Vec<usize> = all.iter().take(TIMED).flat_map(of_batch).collect();
        let start = Instant::now();
        let computed = inputs.ensure(&timed, view, watch)?;
        let prefix = match computed {
            0 => 0.0,
            n => start.elapsed().as_secs_f64() / n as f64,
        };
        let mut times = Vec::new();
        for drawn in all.iter().take(TIMED) {
            watch.ask()?;
            let start = Instant::now();
            setting.gradients(pupil, inputs, &drawn.batch(view, 0, 0.0))?;
            setting.update(pupil, &mut optimiser, phase, 0.0, 0.9);
            times.push(start.elapsed().as_secs_f64());
        }
        // The first update allocates and reads for all others.
        let update = times.iter().copied().skip(1).fold(0.0, f64::max).max(times[0] * 0.5);
        let some: Vec<usize> = judge.samples.iter().copied().take(JUDGED).collect();
        inputs.ensure(&some, View::Plain, watch)?;
        let start = Instant::now();
        judge.features(&setting.whole(&before), &some, inputs, watch)?;
        let each = start.elapsed().as_secs_f64() / some.len().max(1) as f64;
        pupil.learner.load(&before)?;
        pupil.learner.restore_extras(&extras)?;
        let heads = match phase.objective {
            Objective::Pairs => each * setting.job.sizes.train as f64 + setting.job.fitting,
            Objective::CrossEntropy => 0.0,
        };
        Ok(Self { update, judging: each * setting.job.sizes.val as f64, heads, prefix })
    }
}

/// What epochs cost, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Any of them.
    pub epoch: f64,
    /// Computing the frozen part for a view of all training samples.
    pub view: f64,
    /// Epochs that see a new view.
    pub views: usize,
}

impl Cost {
    /// Of a phase with this pace, on all the data, with `views` views of a sample in turn.
    pub fn new(setting: &Setting<'_>, pace: Pace, views: usize) -> Self {
        let train = setting.job.sizes.train;
        let updates = train.div_ceil(setting.batch.max(1)) as f64;
        // What an average is judged by comes on top.
        let judgings = match setting.average {
            Kind::Soup => 2.0,
            Kind::WiseFt => 10.0,
            _ => 1.0,
        };
        let epoch = pace.update * updates + judgings * pace.judging + pace.heads;
        let looked_at = train + setting.job.target().len();
        Self { epoch, view: pace.prefix * looked_at as f64, views }
    }

    /// Seconds of so many epochs.
    pub fn of(&self, epochs: usize) -> f64 {
        epochs as f64 * self.epoch + epochs.min(self.views) as f64 * self.view
    }

    /// How many epochs fit into `left` seconds, of `most`.
    pub fn epochs(&self, left: f64, most: usize) -> usize {
        (0..=most).rev().find(|&epochs| self.of(epochs) <= left).unwrap_or(0)
    }
}

/// Shares `epochs` among phases in proportion to what they asked for; every phase has one at least,
/// the first phases where not all can have one.
pub fn share(wanted: &[usize], epochs: usize) -> Vec<usize> {
    let total: usize = wanted.iter().sum();
    if total <= epochs {
        return wanted.to_vec();
    }
    let mut left = epochs;
    let mut rest = total;
    wanted
        .iter()
        .map(|&wish| {
            let mine = (left * wish).div_ceil(rest.max(1)).min(left);
            left -= mine;
            rest -= wish;
            mine
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_shared_in_proportion() {
        assert_eq!(share(&[1, 1, 4], 10), [1, 1, 4]);
        assert_eq!(share(&[1, 1, 4], 3), [1, 1, 1]);
        assert_eq!(share(&[10], 3), [3]);
        for epochs in 1..20 {
            let shared = share(&[3, 1, 7, 2], epochs);
            assert_eq!(shared.iter().sum::<usize>(), epochs.min(13), "{shared:?}");
        }
    }

    #[test]
    fn epochs_and_new_views_must_fit() {
        let cost = Cost { epoch: 2.0, view: 5.0, views: 2 };
        assert_eq!([0, 1, 2, 3].map(|n| cost.of(n)), [0.0, 7.0, 14.0, 16.0]);
        assert_eq!([-1.0, 6.9, 13.9, 15.9, 99.0].map(|left| cost.epochs(left, 4)), [0, 0, 1, 2, 4]);
        assert!((deadline(100.0, 5.0) - 90.0).abs() < 1e-9);
    }
}
