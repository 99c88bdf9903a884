//! Probe: the slow, honest reference: a logistic head, asked about samples that it was not fitted on.

use super::{Evidence, Score};
use crate::heads::{FitOptions, cross_validated};
use crate::{Matrix, Result};

pub(super) const SCORE: Score = Score {
    name: "probe",
    summary: "cross-validated log-likelihood of a logistic head",
    paper: "Cox 1958; Stone 1974 for cross-validation",
    needs_source: false,
    compute,
};

const FOLDS: usize = 5;
/// Samples that are looked at, at most.
const MOST: usize = 2_000;
/// Largest gradient at which a fit counts as converged: far below what the score is compared with, since weights
/// that hardly any sample holds are off by as much over their strength.
const TOLERANCE: f64 = 1e-12;

/// `−log-loss` a held-out sample, five folds, at the strength of the usual grid that is best: the negated figure
/// by which the logistic head of `heads` chooses. Folds are dealt by content. Beyond 2,000 samples it looks at as
/// many, which their content chooses.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    if evidence.rows().n() > MOST {
        let chosen = &evidence.by_content()[..MOST];
        let rows = Matrix::gather(evidence.rows(), chosen);
        let labels: Vec<u32> = chosen.iter().map(|&i| evidence.labels()[i]).collect();
        return compute(&Evidence::new(rows.rows(), &labels, evidence.n_classes(), None)?);
    }
    let folds = FOLDS.min(evidence.rows().n());
    if folds < 2 {
        return Ok(-(evidence.n_classes() as f64).ln());
    }
    let (rows, labels) = (evidence.rows(), evidence.labels());
    let (fold_of, mut grid) = (evidence.folds(folds), FitOptions::default().grid);
    grid.sort_by(|a, b| b.total_cmp(a));
    let losses = cross_validated(rows, labels, evidence.n_classes(), &fold_of, &grid, TOLERANCE)?;
    Ok(-losses.into_iter().fold(f64::INFINITY, f64::min))
}
