//! Deep embedded validation with tamer weights.

use super::dev::{losses, risk};
use super::{Evidence, Validator};
use crate::Result;

pub(super) const VALIDATOR: Validator = Validator {
    name: "devn",
    summary: "`dev` with weights by the largest of them, so that a few rows do not speak for all",
    paper: "Musgrave, Belongie & Lim 2022, arXiv:2208.07360",
    score,
};

/// [`risk`] with `w/max w`, moved to a mean of 1.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let weights = evidence.seen_ratio()?;
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return Ok(-risk(weights, &losses(evidence)));
    }
    let mean = weights.iter().sum::<f64>() / (weights.len() as f64 * largest);
    let weights: Vec<f64> = weights.iter().map(|w| w / largest - mean + 1.0).collect();
    Ok(-risk(&weights, &losses(evidence)))
}
