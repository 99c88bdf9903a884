//! H-score: how much of the features' variance lies between the classes.

use super::{Evidence, Score};
use crate::{Result, shrinkage};

pub(super) const SCORE: Score = Score {
    name: "hscore",
    summary: "variance between classes over a shrunken total variance",
    paper: "Bao et al. 2019; regularised by Ibrahim et al. 2022, arXiv:2110.06893",
    needs_source: false,
    compute,
};

/// `(1 − a)·tr(Σ_a⁻¹ Σ_g)` with `Σ_a = (1 − a)Σ + a·tr(Σ)/d·I`, a by Ledoit & Wolf (2004). Both covariances
/// divide by n: the paper's code divides one by n and the other by n − 1.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let spectrum = evidence.centred()?;
    let (n, d) = (evidence.rows().n() as f64, evidence.rows().d() as f64);
    let variances: Vec<f64> = spectrum.values.iter().map(|s| s / n).collect();
    let mean = variances.iter().sum::<f64>() / d;
    let (rows, centre) = (evidence.rows(), evidence.mean());
    let lengths = (0..rows.n()).map(|i| shrinkage::squared_length(rows.row(i), centre));
    let a = shrinkage::of_eigenvalues(&variances, lengths, rows.n(), rows.d());
    let between = spectrum.classes.iter().map(|along| -> f64 {
        let counts = evidence.counts().iter().filter(|&&count| count > 0);
        let along = along.iter().zip(evidence.counts()).filter(|(_, count)| **count > 0);
        along.zip(counts).map(|((u, _), &count)| u * u / count as f64).sum()
    });
    let ratio = variances.iter().zip(between).map(|(v, b)| v * b / ((1.0 - a) * v + a * mean));
    Ok((1.0 - a) * ratio.sum::<f64>())
}
