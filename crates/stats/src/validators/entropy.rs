//! How sure the answers are.

use super::{Evidence, Validator};
use crate::Result;
use crate::probabilities::entropy;

pub(super) const VALIDATOR: Validator = Validator {
    name: "entropy",
    summary: "how sure answers for the target are; largest where all are the same, so never to be used alone",
    paper: "Morerio, Cavazza & Murino 2018, arXiv:1711.10288",
    score,
};

/// `mean Σ p ln p`, at most 0.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let rows = evidence.target().rows();
    Ok(-rows.map(entropy).sum::<f64>() / evidence.target().n() as f64)
}
