//! The learning rate finder: a short training in which the rate grows from step to step. The learner is
//! as before afterwards, to the bit.

use super::Setting;
use super::course::Room;
use super::optimiser::Optimiser;
use crate::monitor::Record;
use crate::watch::Watch;
use crate::{Phase, Result};

const LOWEST: f64 = 1e-7;
const HIGHEST: f64 = 10.0;
/// Steps of a sweep that has time.
pub const STEPS: usize = 100;
/// Share of the past in the smoothed loss.
const SMOOTHING: f64 = 0.9;
/// The sweep ends where the smoothed loss is so many times its lowest value.
const ENOUGH: f64 = 4.0;

/// Rates and smoothed losses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sweep(Vec<[f64; 2]>);

/// Sweeps in so many steps (Smith 2017, arXiv:1506.01186).
pub fn sweep(
    setting: &Setting<'_>,
    room: &mut Room<'_>,
    steps: usize,
    watch: &mut Watch<'_>,
) -> Result<Sweep> {
    let Room { phase, inputs, pupil, .. } = room;
    let (before, extras) = (pupil.learner.trained(), pupil.learner.extras());
    let mut optimiser = Optimiser::new(setting.optimiser());
    let mut sweep = Sweep::default();
    let view = inputs.view(0);
    let mut queue = Vec::new();
    let (mut smooth, mut lowest) = (0.0, f64::INFINITY);
    for step in 0..steps {
        let epoch = step as u64;
        if queue.is_empty() {
            queue = super::course::batches(setting, epoch);
        }
        let Some(drawn) = queue.pop() else { break };
        let lr = LOWEST * (HIGHEST / LOWEST).powf(step as f64 / (steps - 1) as f64);
        let progress = step as f64 / steps as f64;
        let outcome = setting.gradients(pupil, inputs, &drawn.batch(view, epoch, progress))?;
        smooth = SMOOTHING * smooth + (1.0 - SMOOTHING) * outcome.loss;
        let corrected = smooth / (1.0 - SMOOTHING.powi(step as i32 + 1));
        lowest = lowest.min(corrected);
        if corrected.is_nan() || corrected > ENOUGH * lowest {
            break;
        }
        sweep.0.push([lr, corrected]);
        let momentum = optimiser.momentum();
        setting.update(pupil, &mut optimiser, phase, lr / phase.lr, momentum);
        watch.progress(Phase::Finetune, step + 1, steps, 0)?;
    }
    pupil.learner.load(&before)?;
    pupil.learner.restore_extras(&extras)?;
    Ok(sweep)
}

impl Sweep {
    /// Where the smoothed loss falls fastest over the logarithm of the rate.
    pub fn steepest(&self) -> Option<f64> {
        let slopes = self.0.windows(3).map(|w| {
            let [[x0, y0], [x1, _], [x2, y2]] = [w[0], w[1], w[2]];
            ((y2 - y0) / (x2.ln() - x0.ln()), x1)
        });
        let falling = slopes.filter(|(slope, _)| *slope < 0.0);
        falling.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, lr)| lr)
    }

    /// Halfway through the middle third of the longest fall, as fastai's `valley` has it.
    pub fn valley(&self) -> Option<f64> {
        let n = self.0.len();
        let mut lengths = vec![1usize; n];
        for i in 0..n {
            for j in 0..i {
                if self.0[i][1] < self.0[j][1] && lengths[i] < lengths[j] + 1 {
                    lengths[i] = lengths[j] + 1;
                }
            }
        }
        // The last of equally long ones ends lowest.
        let end = (0..n).max_by_key(|&i| (lengths[i], i))?;
        let length = lengths[end];
        if length < 3 {
            return None;
        }
        let start = end + 1 - length.min(end + 1);
        let third = (end - start) / 3;
        self.0.get(start + third + third / 2).map(|[lr, _]| *lr)
    }

    /// The valley, or else a tenth of the steepest.
    pub fn suggestion(&self) -> Option<f64> {
        self.valley().or_else(|| self.steepest().map(|lr| lr / 10.0))
    }

    /// For the history.
    pub fn record(&self) -> Record {
        let (steepest, valley) = (self.steepest(), self.valley());
        Record::LrFinder { points: self.0.clone(), steepest, valley }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(loss: impl Fn(f64) -> f64) -> Sweep {
        let lr = |i: usize| LOWEST * (HIGHEST / LOWEST).powf(i as f64 / 99.0);
        Sweep((0..100).map(|i| [lr(i), loss(lr(i).log10())]).collect())
    }

    #[test]
    fn suggestions_lie_in_the_fall_before_the_rise() {
        // Flat until 10⁻⁴, falls until 10⁻², rises beyond.
        let sweep = sweep(|x| {
            if x < -4.0 {
                2.0
            } else if x < -2.0 {
                -x - 2.0
            } else {
                x + 2.0
            }
        });
        let valley = sweep.valley().map(f64::log10);
        assert!(valley.is_some_and(|v| (-4.1..-2.5).contains(&v)), "{valley:?}");
        let steepest = sweep.steepest().map(f64::log10);
        assert!(steepest.is_some_and(|v| (-4.1..-1.9).contains(&v)), "{steepest:?}");
    }

    #[test]
    fn a_loss_that_never_falls_suggests_nothing() {
        let sweep = sweep(|x| x);
        assert_eq!((sweep.valley(), sweep.steepest(), sweep.suggestion()), (None, None, None));
    }
}
