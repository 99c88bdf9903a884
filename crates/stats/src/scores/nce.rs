//! NCE: what the source's hard answers leave open about the labels.

use super::{Evidence, Score};
use crate::Result;

pub(super) const SCORE: Score = Score {
    name: "nce",
    summary: "negative conditional entropy of the labels given the source's answers",
    paper: "Tran et al. 2019, arXiv:1908.08142",
    needs_source: true,
    compute,
};

/// `−H(Y|Z) = Σ P(y, z)·ln(P(y, z)/P(z))`, z the source class with the highest probability; at most 0.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let Some(source) = evidence.source() else { return Ok(f64::NAN) };
    let mut joint = vec![vec![0usize; source.n_classes()]; evidence.n_classes()];
    for (i, &label) in evidence.labels().iter().enumerate() {
        joint[label as usize][source.predicted(i) as usize] += 1;
    }
    let n = evidence.labels().len() as f64;
    let mut sum = 0.0;
    for z in 0..source.n_classes() {
        let of_z: usize = joint.iter().map(|row| row[z]).sum();
        for count in joint.iter().map(|row| row[z]).filter(|&count| count > 0) {
            sum += count as f64 / n * (count as f64 / of_z as f64).ln();
        }
    }
    Ok(sum)
}
