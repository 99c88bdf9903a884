//! Mixup: a network should be linear between samples; every sample is blended with another one, and so
//! are their targets.

use offshoot_data::wording::Choice;
use offshoot_random::generator;
use rand::RngExt;

use super::{Draw, Kind, Mixing, Regularizer};

/// `x ← λ·x + (1−λ)·x'` with λ from Beta(α, α), one λ a batch (Zhang et al. 2018, eq. 1). Partners are those
/// of the batch in reverse.
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "mixup",
    summary: "blend every sample with another one: mixup(alpha=0.2)",
    paper: "Zhang et al. 2018, arXiv:1710.09412",
    choices: &[Choice { name: "alpha", default: 0.2, range: [0.001, 100.0] }],
    make: |values| Kind::Mixing(Box::new(Mixup { alpha: values[0] })),
};

struct Mixup {
    alpha: f64,
}

impl Mixing for Mixup {
    fn mix(&self, input: &mut [f32], _: [usize; 3], targets: &mut [f32], draw: Draw) {
        let (others, other_targets) = partners(input, targets, draw.n);
        // Both of a pair are mixed with each other: with 1−λ the same two samples come out, swapped.
        let share = beta(self.alpha, draw, "mixup") as f32;
        let share = share.max(1.0 - share);
        let blend = |to: &mut [f32], other: &[f32]| {
            to.iter_mut().zip(other).for_each(|(v, o)| *v = share * *v + (1.0 - share) * o);
        };
        blend(input, &others);
        blend(targets, &other_targets);
    }
}

/// Every sample's partner: the batch in reverse, as the usual implementations have it.
pub(super) fn partners(input: &[f32], targets: &[f32], n: usize) -> (Vec<f32>, Vec<f32>) {
    let (each, classes) = (input.len() / n.max(1), targets.len() / n.max(1));
    let reversed = |values: &[f32], each: usize| {
        values.chunks_exact(each.max(1)).rev().flatten().copied().collect::<Vec<f32>>()
    };
    (reversed(input, each), reversed(targets, classes))
}

/// A draw from Beta(α, α), from two gamma draws (Marsaglia and Tsang 2000).
pub(super) fn beta(alpha: f64, draw: Draw, purpose: &str) -> f64 {
    let mut draws = generator(draw.seed, purpose, draw.step, draw.part);
    let mut uniform = || draws.random::<f64>().max(f64::MIN_POSITIVE);
    let mut gamma = |alpha: f64| {
        // Below 1, Gamma(α) = Gamma(α+1)·U^(1/α).
        let boost = if alpha < 1.0 { uniform().powf(1.0 / alpha) } else { 1.0 };
        let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let normal = (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
            let v = (1.0 + c * normal).powi(3);
            if v > 0.0 && uniform().ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
                return boost * d * v;
            }
        }
    };
    let (a, b) = (gamma(alpha), gamma(alpha));
    // Both can round to zero where α is tiny: then it is one or the other.
    if a + b > 0.0 { a / (a + b) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_targets_are_mixed_alike_and_samples_stay_themselves() {
        // The input of sample i is i and so is the place of its target, so one tells the other.
        let n = 5;
        for step in 0..50 {
            let mut input: Vec<f32> = (0..n).flat_map(|i| [i as f32; 4]).collect();
            let mut targets: Vec<f32> = vec![0.0; n * n];
            (0..n).for_each(|i| targets[i * n + i] = 1.0);
            let draw = Draw { seed: 3, step, part: 0, n };
            Mixup { alpha: 1.0 }.mix(&mut input, [2, 2, 1], &mut targets, draw);
            for (i, (picture, target)) in input.chunks(4).zip(targets.chunks(n)).enumerate() {
                let told: f32 = target.iter().enumerate().map(|(j, share)| j as f32 * share).sum();
                assert!(picture.iter().all(|v| (v - told).abs() < 1e-5), "{picture:?} {target:?}");
                assert!(target[i] >= 0.5 && (target.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn beta_has_its_mean_and_variance() {
        for alpha in [0.2, 1.0, 4.0] {
            let draw = |step| beta(alpha, Draw { seed: 1, step, part: 0, n: 1 }, "test");
            let values: Vec<f64> = (0..20_000).map(draw).collect();
            let mean = values.iter().sum::<f64>() / 20_000.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{alpha}: {variance}");
        }
    }
}
