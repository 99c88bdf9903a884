//! CORAL distance.

use super::covariance::{rows_for, square_norm};
use super::{Distance, Measure, Pair};
use crate::{Result, Rows, moments};
use faer::Mat;

pub(super) const DISTANCE: Distance = Distance {
    name: "coral",
    summary: "squared difference of the covariances, ‖C_s − C_t‖²/4d²",
    paper: "Sun & Saenko 2016, arXiv:1607.01719, equation 1",
    is_test: true,
    least: 0.0,
    compute,
};

/// `‖C_s − C_t‖²_F/4d²`, covariances over `n − 1`.
///
/// Its test permutes `‖M_s − M_t‖²_F` with second moments about the pooled mean, which is a sum of
/// `(x·y)²` over pairs and needs no covariance a permutation. For sets of equal size both are equal but
/// for the means' own differences, which cancel.
fn compute(pair: &Pair<'_>) -> Result<Measure> {
    let [n, m] = pair.used().map(|n| n as f64);
    let scale = 4.0 * (pair.d() as f64).powi(2);
    let permuted = pair.pairwise().square.permuted(&pair.cells, true);
    let statistic =
        |s: f64, t: f64, b: f64| (s / (n * n) + t / (m * m) - 2.0 * b / (n * m)) / scale;
    let statistics = permuted.into_iter().map(|t| statistic(t.source, t.target, t.between));
    let measure = pair.test(DISTANCE.name, 0.0, statistics.collect(), Vec::new());
    Ok(Measure { value: distance(pair) / scale, ..measure })
}

/// `‖C_s − C_t‖²`.
fn distance(pair: &Pair<'_>) -> f64 {
    let subsets = pair.sets.map(|rows| rows_for(rows, pair.options.seed));
    let sets = [0, 1].map(|i| subsets[i].as_ref().map_or(pair.sets[i], |m| m.rows()));
    let means = sets.map(moments::means);
    let counts = sets.map(|rows| rows.n() as f64 - 1.0);
    if sets[0].n().max(sets[1].n()) < pair.d() {
        // Products of rows instead of features: ‖C‖² = ‖ZZᵀ‖²/(n − 1)².
        let z = [0, 1].map(|i| centred(sets[i], &means[i]));
        let product = |a: &Mat<f64>, b: &Mat<f64>| square_norm(&(a * b.transpose()));
        return (product(&z[0], &z[0]) / counts[0].powi(2)
            + product(&z[1], &z[1]) / counts[1].powi(2)
            - 2.0 * product(&z[0], &z[1]) / (counts[0] * counts[1]))
            .max(0.0);
    }
    let covariance =
        |i: usize| moments::scatter(sets[i], &means[i]) * faer::Scale(counts[i].recip());
    square_norm(&(covariance(0) - covariance(1)))
}

fn centred(rows: Rows<'_>, mean: &[f64]) -> Mat<f64> {
    Mat::from_fn(rows.n(), rows.d(), |i, k| f64::from(rows.row(i)[k]) - mean[k])
}
