//! LEEP: how well the source's answers foretell the labels.

use super::{Evidence, Score};
use crate::{Probabilities, Result};

pub(super) const SCORE: Score = Score {
    name: "leep",
    summary: "log-likelihood of the labels given what the source's classifier says",
    paper: "Nguyen et al. 2020, arXiv:2002.12462",
    needs_source: true,
    compute,
};

fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    Ok(evidence.source().map_or(f64::NAN, |source| expected(evidence, source)))
}

/// Mean of `ln Σ_z P̂(y|z)·θ(x)_z`, at most 0. A source class that no sample has any mass on says nothing and is
/// left out; plain code divides zero by zero there.
pub(super) fn expected(evidence: &Evidence<'_>, theta: &Probabilities) -> f64 {
    let (labels, classes) = (evidence.labels(), evidence.n_classes());
    let mut joint = vec![vec![0.0; theta.n_classes()]; classes];
    for (row, &label) in theta.rows().zip(labels) {
        joint[label as usize].iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
    }
    let mass: Vec<f64> =
        (0..theta.n_classes()).map(|z| joint.iter().map(|row| row[z]).sum()).collect();
    let given: Vec<Vec<f64>> = joint
        .iter()
        .map(|row| row.iter().zip(&mass).map(|(p, m)| if *m > 0.0 { p / m } else { 0.0 }).collect())
        .collect();
    let likelihood = |(row, &label): (&[f64], &u32)| -> f64 {
        let sum: f64 = given[label as usize].iter().zip(row).map(|(p, theta)| p * theta).sum();
        sum.max(f64::MIN_POSITIVE).ln()
    };
    theta.rows().zip(labels).map(likelihood).sum::<f64>() / labels.len() as f64
}
