//! Deep CORAL: features of both domains get the same covariance.

use offshoot_data::wording::Choice;

use super::{Adversary, Term, mmd, weight};
use crate::Result;
use crate::regularize::{LossTerm, SourceFacts, Step};

/// `‖C_s − C_t‖²_F / 4d²` of the covariances of features (Sun & Saenko 2016, eq. 1), from a batch without bias.
///
/// The distance of a batch's own covariances, `unbiased=0`, is what the paper has. It is above 0 where the domains are
/// alike: each row meets itself in it, and what `n` rows add so, about `tr²(C)/4d²n` a domain, is more than the
/// domains differ by where `n` is less than `d`. It falls as features shrink, which tells no domain from another and
/// costs what was learnt. By default pairs of a row with itself are left out, as [`super::dan`] does, and what is left
/// (the mean is the batch's own) is an n-th of that; the value may then be negative.
pub(super) const TERM: Term = Term {
    name: "deep-coral",
    summary: "equal covariances of features: deep-coral(weight=1,unbiased=1)",
    paper: "Sun & Saenko 2016, arXiv:1607.01719",
    adversary: Adversary::None,
    held: "",
    choices: &[weight(1.0), Choice { name: "unbiased", default: 1.0, range: [0.0, 1.0] }],
    make: |values| Box::new(DeepCoral { weight: values[0], unbiased: values[1] >= 0.5 }),
};

struct DeepCoral {
    weight: f64,
    unbiased: bool,
}

impl LossTerm for DeepCoral {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    /// With rows whose outer products have the covariance for their mean, `‖C_s − C_t‖²` is a sum of `(x_iᵀx_j)²` over
    /// pairs: no matrix of d by d is formed.
    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let domains = step.domains();
        if domains.iter().any(|&n| n < 2) {
            return 0.0;
        }
        let d = step.dim;
        let mut rows: Vec<f64> = step.features.iter().map(|&v| f64::from(v)).collect();
        spread(&mut rows, d, domains);
        let shares = match self.unbiased {
            true => mmd::shares(domains),
            false => mmd::shares_with_itself(domains),
        };
        let n = rows.len() / d;
        let row = |i: usize| &rows[i * d..(i + 1) * d];
        let share = self.weight / (d * d) as f64;
        let mut value = 0.0;
        let mut slopes = vec![0.0; n * d];
        for i in 0..n {
            for j in 0..n {
                let product: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
                let both = shares[i * n + j] * product;
                value += both * product;
                let slope = &mut slopes[i * d..(i + 1) * d];
                slope.iter_mut().zip(row(j)).for_each(|(to, v)| *to += share * both * v);
            }
        }
        // The map from rows to spread ones is linear, and its own transpose.
        spread(&mut slopes, d, domains);
        for (to, slope) in step.to_features.iter_mut().zip(slopes) {
            *to += slope as f32;
        }
        share / 4.0 * value
    }
}

/// Takes the mean of each domain's rows away and stretches them by `√(n/(n−1))`.
fn spread(rows: &mut [f64], d: usize, [source, target]: [usize; 2]) {
    let (of_source, of_target) = rows.split_at_mut(source * d);
    for (rows, n) in [(of_source, source as f64), (of_target, target as f64)] {
        let stretch = (n / (n - 1.0)).sqrt();
        for k in 0..d {
            let mean = rows.iter().skip(k).step_by(d).sum::<f64>() / n;
            rows.iter_mut().skip(k).step_by(d).for_each(|v| *v = stretch * (*v - mean));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_random::generator;
    use rand::RngExt;

    /// Fewer rows than features, all drawn alike: the batch's own distance is far above 0, the other nearly 0 in the
    /// mean.
    #[test]
    fn domains_that_are_alike_have_no_distance() {
        const ROWS: usize = 32;
        const DIM: usize = 48;
        const BATCHES: u64 = 100;
        let mean = |unbiased: bool| -> f64 {
            let mut term = DeepCoral { weight: 1.0, unbiased };
            let one = |batch: u64| {
                let mut draws = generator(5, "features", batch, 0);
                let features: Vec<f32> =
                    (0..2 * ROWS * DIM).map(|_| draws.random_range(-1.0..1.0)).collect();
                term.add(&mut Step {
                    places: &[0; ROWS],
                    labels: &[0; ROWS],
                    progress: 0.5,
                    dim: DIM,
                    features: &features,
                    classes: 1,
                    logits: &[0.0; 2 * ROWS],
                    stage: [&[], &[]],
                    to_features: &mut [0.0; 2 * ROWS * DIM],
                    to_logits: &mut [0.0; 2 * ROWS],
                    to_head: &mut [0.0; 2 * ROWS],
                    to_stage: &mut [],
                })
            };
            (0..BATCHES).map(one).sum::<f64>() / BATCHES as f64
        };
        let [biased, unbiased] = [false, true].map(mean);
        // tr²(C)/4d²n of both domains, where the features' variance is 1/3.
        let expected = 2.0 / (9.0 * 4.0 * ROWS as f64);
        assert!(biased > 0.8 * expected, "{biased}, {expected} was expected");
        assert!(unbiased.abs() < 0.05 * biased, "{unbiased} and {biased}");
    }
}
