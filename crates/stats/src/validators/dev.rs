//! Deep embedded validation.

use super::{Evidence, Validator};

pub(super) const VALIDATOR: Validator = Validator {
    name: "dev",
    summary: "deep embedded validation: importance-weighted log-loss in the model's own features, with a control variate",
    paper: "You et al. 2019, Towards accurate model selection in deep unsupervised domain adaptation, ICML",
    score: |evidence| Ok(-risk(evidence.seen_ratio()?, &losses(evidence))),
};

/// Probability below which a wrong answer costs no more.
const LEAST: f64 = 1e-15;

/// `−ln p(y)` of held-out source rows.
pub(super) fn losses(evidence: &Evidence<'_>) -> Vec<f64> {
    let of = |(row, &y): (&[f64], &u32)| -row[y as usize].clamp(LEAST, 1.0).ln();
    evidence.source().rows().zip(evidence.labels()).map(of).collect()
}

/// `mean(wℓ) + η mean(w) − η` with `η = −cov(wℓ, w)/var(w)` (algorithm 1): the weights' mean is known to be 1, and
/// how far it is off tells by how much the mean of `wℓ` is.
pub(super) fn risk(weights: &[f64], losses: &[f64]) -> f64 {
    let n = weights.len() as f64;
    let weighted: Vec<f64> = weights.iter().zip(losses).map(|(w, l)| w * l).collect();
    let (mean, mean_weighted) = (weights.iter().sum::<f64>() / n, weighted.iter().sum::<f64>() / n);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (w, l) in weights.iter().zip(&weighted) {
        covariance += (l - mean_weighted) * (w - mean);
        variance += (w - mean) * (w - mean);
    }
    // Equal weights need no correction.
    let eta = if variance > 1e-12 * n * mean * mean { -covariance / variance } else { 0.0 };
    mean_weighted + eta * mean - eta
}
