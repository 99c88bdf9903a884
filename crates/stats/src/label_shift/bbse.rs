//! Black-box shift estimation.

use faer::Mat;
use faer::prelude::Solve;

use super::confusion::Shares;
use super::{Estimate, Estimator, Problem};
use crate::{Result, StatsError};

pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "bbse",
    summary: "black-box shift estimation: shares of answers, through the inverted confusion matrix",
    paper: "Lipton, Wang & Smola 2018, arXiv:1802.03916",
    estimate,
};

/// `w = C⁻¹ q` for `C_ij = P_s(ŷ = i, y = j)` and `q_i = P_t(ŷ = i)`.
fn estimate(problem: &Problem<'_>) -> Result<Estimate> {
    let shares = Shares::of(problem)?;
    if !shares.condition.is_finite() {
        return Err(StatsError::Unusable(
            "the confusion matrix cannot be inverted: a class is never predicted, or two are always mixed up; \
             `rlls` and `mlls` need no inverse"
                .into(),
        ));
    }
    let k = shares.target.len();
    let w = shares.joint.partial_piv_lu().solve(Mat::from_fn(k, 1, |i, _| shares.target[i]));
    let weights: Vec<f64> = (0..k).map(|i| w[(i, 0)]).collect();
    Ok(problem.estimate(ESTIMATOR.name, &weights, shares.condition))
}
