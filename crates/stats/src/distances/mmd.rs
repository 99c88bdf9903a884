//! Maximum mean discrepancy.

use super::{Distance, Measure, Pair};
use crate::Result;

pub(super) const DISTANCE: Distance = Distance {
    name: "mmd",
    summary: "squared maximum mean discrepancy, RBF kernel of median bandwidth, unbiased",
    paper: "Gretton et al. 2012, JMLR 13, lemma 6",
    is_test: true,
    least: 0.0,
    compute,
};

/// `MMD²_u = Σ_{i≠j} k(xᵢ, xⱼ)/n(n−1) + Σ_{i≠j} k(yᵢ, yⱼ)/m(m−1) − 2 Σ k(xᵢ, yⱼ)/nm`. It may be negative,
/// and is not cut off at 0: the test would lose its level.
fn compute(pair: &Pair<'_>) -> Result<Measure> {
    let [n, m] = pair.used().map(|n| n as f64);
    let rbf = &pair.pairwise().rbf;
    let statistics: Vec<f64> = rbf
        .permuted(&pair.cells, false)
        .into_iter()
        .map(|t| {
            t.source / (n * (n - 1.0)) + t.target / (m * (m - 1.0)) - 2.0 * t.between / (n * m)
        })
        .collect();
    let resampled = rbf.resampled(&pair.cells, false);
    let resampled = resampled.into_iter().map(|t| t.source + t.target - 2.0 * t.between);
    Ok(pair.test(DISTANCE.name, statistics[0], statistics, resampled.collect()))
}
