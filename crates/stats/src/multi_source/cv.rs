//! The weights with the least error on samples that are left out.

use rayon::prelude::*;

use super::{Kernels, Weighting};
use crate::Result;

pub(super) const WEIGHTING: Weighting = Weighting {
    name: "cv",
    summary: "least squared error of samples that are left out; equal where nothing is surely better",
    paper: "Allen 1974 for the error; Gönen & Alpaydın 2011, JMLR 12:2211, for weights of kernels",
    weigh,
};

/// By what a source's weight is multiplied; 0 leaves it out.
const FACTORS: [f64; 5] = [0.0, 0.4, 0.7, 1.4, 2.5];
/// Changes a source, at most.
const STEPS: usize = 3;
/// Smaller gains are rounding.
const LEAST_GAIN: f64 = 1e-4;

/// From equal weights on, the one change of one weight that helps most, as long as any does. Equal weights stay
/// where the gain is within a standard error of the paired differences: what is chosen among many is best by
/// chance, too.
fn weigh(kernels: &Kernels) -> Result<Vec<f64>> {
    let equal = vec![1.0; kernels.sources()];
    let begun = kernels.errors(&equal)?;
    let (mut best, mut weights) = (begun.clone(), equal.clone());
    for _ in 0..STEPS * equal.len() {
        let tried: Vec<Vec<f64>> = changes(&weights);
        let errors: Vec<Vec<f64>> =
            tried.par_iter().map(|weights| kernels.errors(weights)).collect::<Result<_>>()?;
        let pairs = tried.into_iter().zip(errors);
        let next = pairs.min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)));
        match next {
            Some((tried, errors)) if mean(&errors) < mean(&best) * (1.0 - LEAST_GAIN) => {
                (best, weights) = (errors, tried);
            }
            _ => break,
        }
    }
    let n = begun.len() as f64;
    let gain = mean(&begun) - mean(&best);
    let pairs = begun.iter().zip(&best);
    let squares: f64 = pairs.map(|(a, b)| (a - b - gain).powi(2)).sum();
    let error = (squares / (n - 1.0).max(1.0) / n).sqrt();
    Ok(if gain > error { weights } else { equal })
}

/// Every change of one weight that leaves somebody a say.
fn changes(weights: &[f64]) -> Vec<Vec<f64>> {
    let mut changes = Vec::new();
    for (source, &weight) in weights.iter().enumerate() {
        for factor in FACTORS {
            let mut changed = weights.to_vec();
            // A source that was left out may come back.
            changed[source] = if weight > 0.0 { weight * factor } else { factor };
            if changed.iter().any(|w| *w > 0.0) && changed != weights {
                changes.push(changed);
            }
        }
    }
    changes
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
