//! Importance-weighted validation.

use super::{Evidence, Validator};
use crate::Result;

pub(super) const VALIDATOR: Validator = Validator {
    name: "iwv",
    summary: "importance-weighted validation: accuracy on held-out source rows, those that look like the target first",
    paper: "Sugiyama, Krauledat & Müller 2007, Covariate shift adaptation by importance weighted cross validation",
    score,
};

/// `Σ w [ŷ = y] / Σ w` over held-out source rows, `w = p_t(x)/p_s(x)`.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let weights = evidence.ratio()?;
    let right = |i: usize, y: u32| f64::from(u8::from(evidence.source().predicted(i) == y));
    let labels = evidence.labels().iter().enumerate();
    let hits: f64 = labels.zip(weights).map(|((i, &y), w)| w * right(i, y)).sum();
    let total: f64 = weights.iter().sum();
    Ok(if total > 0.0 { hits / total } else { evidence.source_accuracy() })
}
