//! Deep CORAL: features of both domains get the same covariance.

use super::{Adversary, Term, weight};
use crate::Result;
use crate::regularize::{LossTerm, SourceFacts, Step};

/// `‖C_s − C_t‖²_F / 4d²` of the covariances of a batch's features (Sun & Saenko 2016, eq. 1).
pub(super) const TERM: Term = Term {
    name: "deep-coral",
    summary: "equal covariances of features: deep-coral(weight=1)",
    paper: "Sun & Saenko 2016, arXiv:1607.01719",
    adversary: Adversary::None,
    held: "",
    choices: &[weight(1.0)],
    make: |values| Box::new(DeepCoral { weight: values[0] }),
};

struct DeepCoral {
    weight: f64,
}

impl LossTerm for DeepCoral {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    /// With `c = 1/(n_s−1)` for centred rows of the source and `−1/(n_t−1)` for those of the target the
    /// difference is `D = Σ c_i·x_i·x_iᵀ`, so `‖D‖² = Σ c_i·c_j·(x_iᵀx_j)²`: no matrix of d by d is formed.
    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [source, target] = step.domains();
        if source < 2 || target < 2 {
            return 0.0;
        }
        let (n, d) = (source + target, step.dim);
        let mut rows: Vec<f64> = step.features.iter().map(|&v| f64::from(v)).collect();
        let (of_source, of_target) = rows.split_at_mut(source * d);
        [of_source, of_target].into_iter().for_each(|rows| centre(rows, d));
        let c = |i: usize| match i < source {
            true => 1.0 / (source - 1) as f64,
            false => -1.0 / (target - 1) as f64,
        };
        let row = |i: usize| &rows[i * d..(i + 1) * d];
        let share = self.weight / (d * d) as f64;
        let mut value = 0.0;
        let mut slopes = vec![0.0; n * d];
        for i in 0..n {
            for j in 0..n {
                let product: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
                let both = c(i) * c(j) * product;
                value += both * product;
                let slope = &mut slopes[i * d..(i + 1) * d];
                slope.iter_mut().zip(row(j)).for_each(|(to, v)| *to += share * both * v);
            }
        }
        // The slopes of centred rows sum to zero, so those of the rows themselves are the same.
        for (to, slope) in step.to_features.iter_mut().zip(slopes) {
            *to += slope as f32;
        }
        share / 4.0 * value
    }
}

/// Takes the mean of the rows away from each.
fn centre(rows: &mut [f64], d: usize) {
    let n = rows.len() / d;
    for k in 0..d {
        let mean = rows.iter().skip(k).step_by(d).sum::<f64>() / n as f64;
        rows.iter_mut().skip(k).step_by(d).for_each(|v| *v -= mean);
    }
}
