//! What kind of mismatch lies between the sides, found without any label of the target.

use offshoot_stats::shift::{Options, Set, compare};
use offshoot_stats::{Matrix, distances, shift as stats};

use super::candidate::Matrices;
use super::document::Mismatch;
use crate::Result;
use crate::shift::document::ShiftPrescription;
use crate::shift::{document, sentence};
use crate::trust::calibrate::Labelled;

/// Rows of each side that are compared, at most.
const MOST: usize = 3000;
/// Permutations behind p-values: enough to reach p = 0.002.
const PERMUTATIONS: usize = 499;

/// The mismatch and what to do about it.
pub struct Found {
    pub mismatch: Mismatch,
    pub prescription: ShiftPrescription,
    /// The same as data that a short list of methods follows from.
    pub prescribed: stats::Prescription,
    /// Share of each class in the source, and its estimate in the target.
    pub shares: Option<Vec<f64>>,
}

/// Compares labelled source rows with target rows.
pub fn compare_sides(matrices: &Matrices, classes: &[String], seed: u64) -> Result<Found> {
    let Labelled { rows, labels } = some(&matrices.both()?, seed);
    let target = some_rows(&matrices.target, seed, "target of a comparison");
    let known: Vec<Option<u32>> = labels.iter().copied().map(Some).collect();
    let options = Options {
        distances: distances::Options {
            permutations: PERMUTATIONS,
            seed,
            ..distances::Options::default()
        },
        ..Options::default()
    };
    let source = Set { rows: rows.rows(), labels: &known };
    // No label of the target is given: what is to be done may not follow from what is to judge.
    let target = Set { rows: target.rows(), labels: &[] };
    let found = compare(source, target, classes.len(), &options)?;
    let report = document(&found, classes);
    Ok(Found {
        mismatch: Mismatch {
            p_value: report.p_value,
            verdict: report.verdict.clone(),
            sentence: sentence(&report),
            size: report.size,
            told_apart: found.measure("c2st").map(|m| m.value),
        },
        prescription: report.prescription,
        prescribed: found.prescription,
        shares: found.labels.map(|labels| labels.estimate.shares),
    })
}

fn some(all: &Labelled, seed: u64) -> Labelled {
    let kept = offshoot_random::some(all.labels.len(), MOST, seed, "source of a comparison", 0);
    Labelled {
        rows: Matrix::gather(all.rows.rows(), &kept),
        labels: kept.iter().map(|&i| all.labels[i]).collect(),
    }
}

fn some_rows(all: &Matrix, seed: u64, purpose: &str) -> Matrix {
    let rows = all.rows();
    Matrix::gather(rows, &offshoot_random::some(rows.n(), MOST, seed, purpose, 0))
}
