//! The nuclear norm of the answers.

use faer::Mat;

use super::{Evidence, Validator};
use crate::{Result, symmetric};

pub(super) const VALIDATOR: Validator = Validator {
    name: "bnm",
    summary: "nuclear norm of the matrix of answers: sure ones in many classes",
    paper: "Cui et al. 2020, arXiv:2003.12237; as a validator Musgrave, Belongie & Lim 2022, arXiv:2208.07360",
    score,
};

/// `‖P‖_* / √(n min(n, C))` for the answers `P` `[n, C]`: the sum of singular values by its largest value, which
/// one-hot answers in equal numbers have. The paper divides by n, which orders models alike.
fn score(evidence: &Evidence<'_>) -> Result<f64> {
    let target = evidence.target();
    let (n, classes) = (target.n(), target.n_classes());
    let mut gram = Mat::zeros(classes, classes);
    for row in target.rows() {
        for (j, q) in row.iter().enumerate().filter(|(_, q)| **q > 0.0) {
            row.iter().enumerate().for_each(|(i, p)| gram[(i, j)] += p * q);
        }
    }
    let (values, _) = symmetric::eigen(&gram)?;
    let norm: f64 = values.iter().map(|v| v.max(0.0).sqrt()).sum();
    Ok(norm / ((n * n.min(classes)) as f64).sqrt())
}
