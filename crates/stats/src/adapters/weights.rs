//! What methods that weigh source rows share.

use super::{Adapted, Problem, View};
use crate::heads::Targets;
use crate::{Result, StatsError};

/// The least share of source rows that the weights may leave, as an effective number.
const LEAST_EFFECTIVE: f64 = 0.05;

/// `(Σ w)²/Σ w²` (Kish 1965): as many rows of equal weight would tell as much.
pub(super) fn effective(weights: &[f64]) -> f64 {
    let (sum, squares) =
        weights.iter().fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The head that counts source rows by `weights`, which are brought to mean 1.
///
/// # Errors
/// Weights that leave fewer than 5 % of the source rows, as an effective number.
pub(super) fn weighed(problem: &Problem<'_>, mut weights: Vec<f64>, name: &str) -> Result<Adapted> {
    let n = weights.len() as f64;
    let mean = weights.iter().sum::<f64>() / n;
    if mean > 0.0 {
        weights.iter_mut().for_each(|w| *w /= mean);
    }
    let left = effective(&weights);
    if left.is_nan() || left < LEAST_EFFECTIVE * n {
        return Err(StatsError::Unusable(format!(
            "`{name}` would rest on {left:.1} of {n} source samples (effective number); the target is too far \
             from the source for weights"
        )));
    }
    let head = problem.fit_head(problem.source(), Targets::Labels(problem.labels()), &weights)?;
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let adapted = Adapted { weights, ..problem.adapted(View::Raw, View::Raw, head) };
    Ok(adapted.fact("effective_samples", left).fact("largest_weight", largest))
}
