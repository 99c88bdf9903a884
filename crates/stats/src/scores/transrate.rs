//! TransRate: the information about the labels in the features, by coding rates.

use super::{Evidence, Score};
use crate::{Matrix, Result, moments, symmetric};

pub(super) const SCORE: Score = Score {
    name: "transrate",
    summary: "coding rate of all features less that within classes",
    paper: "Huang et al. 2022, arXiv:2106.09362",
    needs_source: false,
    compute,
};

/// The distortion ε of the paper's code.
const EPSILON: f64 = 1e-4;

/// `R(Z) − Σ_c n_c/n·R(Z_c)` with `R(Z) = ½ ln det(I + ZᵀZ/(nε))` and Z centred over all samples. The paper's code
/// takes the plain mean over class numbers up to the largest, which counts classes without samples; for equal
/// classes that are all present both are the same. Grows with the scale of the features, as published.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let rows = evidence.rows();
    let n = rows.n() as f64;
    let whole: f64 =
        evidence.centred()?.values.iter().map(|s| 0.5 * (s / (n * EPSILON)).ln_1p()).sum();
    let mut within = 0.0;
    for c in evidence.present() {
        let members = Matrix::gather(rows, &evidence.members(c));
        let count = members.rows().n();
        let mut products = if rows.d() <= count {
            moments::scatter(members.rows(), evidence.mean())
        } else {
            moments::gram(members.rows(), evidence.mean())
        };
        let scale = 1.0 / (count as f64 * EPSILON);
        for j in 0..products.ncols() {
            for i in 0..products.nrows() {
                products[(i, j)] = products[(i, j)] * scale + if i == j { 1.0 } else { 0.0 };
            }
        }
        within += count as f64 / n * 0.5 * symmetric::log_det(products)?;
    }
    Ok(whole - within)
}
