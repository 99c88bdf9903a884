//! Regularised learning under label shift.

use super::confusion::Shares;
use super::{Estimate, Estimator, Problem};
use crate::{Result, StatsError};

pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "rlls",
    summary: "regularised label shift: as bbse, but no further from equal weights than the samples bear out",
    paper: "Azizzadenesheli et al. 2019, arXiv:1903.09734, algorithm 1",
    estimate,
};

/// Chance that the bound on the confusion matrix's error does not hold.
const DELTA: f64 = 0.05;

/// Share of that bound by which weights are held back, as in the authors' code.
const ALPHA: f64 = 0.01;

/// `w = 1 + θ` for the θ that minimises `‖Cθ − b‖ + Δ‖θ‖`, `b` the difference of the answers' shares.
fn estimate(problem: &Problem<'_>) -> Result<Estimate> {
    let shares = Shares::of(problem)?;
    let k = shares.target.len();
    let n = problem.labels.len() as f64;
    let log = (2.0 * k as f64 / DELTA).ln();
    let delta = ALPHA * 3.0 * (2.0 * log / (3.0 * n) + (2.0 * log / n).sqrt());
    let b: Vec<f64> = shares.target.iter().zip(&shares.source).map(|(t, s)| t - s).collect();
    let svd = shares.joint.svd().map_err(|_| {
        StatsError::Unusable("the confusion matrix's singular values did not converge".into())
    })?;
    let sigma: Vec<f64> = (0..k).map(|i| svd.S()[i]).collect();
    let along: Vec<f64> =
        (0..k).map(|j| (0..k).map(|i| svd.U()[(i, j)] * b[i]).sum::<f64>()).collect();
    // Both terms are norms, not squares; where neither vanishes, the minimum lies on the path of ridge
    // regression, at the λ with λ‖θ‖ = Δ‖Cθ − b‖.
    let path = |lambda: f64| -> Vec<f64> {
        let one = |(&s, &u): (&f64, &f64)| {
            let square = s * s + lambda;
            if square > 1e-300 { s * u / square } else { 0.0 }
        };
        sigma.iter().zip(&along).map(one).collect()
    };
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let excess = |lambda: f64| {
        let theta = path(lambda);
        let rest = &mut theta.iter().zip(&sigma).zip(&along).map(|((t, s), u)| s * t - u);
        lambda * length(&mut theta.iter().copied()) - delta * length(rest)
    };
    let (mut low, mut high) = (1e-16f64, 1e8f64);
    let theta = if excess(high) <= 0.0 {
        vec![0.0; k]
    } else if excess(low) >= 0.0 {
        path(0.0)
    } else {
        for _ in 0..200 {
            let middle = (low * high).sqrt();
            if excess(middle) > 0.0 { high = middle } else { low = middle }
        }
        path((low * high).sqrt())
    };
    let weights: Vec<f64> =
        (0..k).map(|i| 1.0 + (0..k).map(|j| svd.V()[(i, j)] * theta[j]).sum::<f64>()).collect();
    Ok(problem.estimate(ESTIMATOR.name, &weights, shares.condition))
}
