//! PARC: whether samples that differ in label also differ in features.

use super::{Evidence, Score};
use crate::{Matrix, Result, Rows, average_ranks, moments};

pub(super) const SCORE: Score = Score {
    name: "parc",
    summary: "rank correlation of distances between features and between labels",
    paper: "Bolya et al. 2021, arXiv:2111.06977",
    needs_source: false,
    compute,
};

/// Samples whose pairs are compared, at most: half a million pairs are past what the correlation needs. The
/// authors' probe sets have 500.
const MOST: usize = 1_000;

/// Spearman's correlation over all pairs of samples of `1 − r` of their features and of their one-hot labels, r
/// Pearson's correlation. Two labels have one of two distances, so only "same" or "different" counts; computed from
/// one-hot rows, distances differ in their last bit, and plain code ranks those bits. 0 where features or labels are all alike. Beyond 1,000 samples it looks at as many, which their content chooses.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let mut chosen = evidence.by_content().to_vec();
    chosen.truncate(MOST);
    let rows = Matrix::gather(evidence.rows(), &chosen);
    let labels: Vec<u32> = chosen.iter().map(|&i| evidence.labels()[i]).collect();
    let similar = correlations(rows.rows());
    let n = labels.len();
    let mut distances = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    let mut differ = Vec::with_capacity(distances.capacity());
    for i in 0..n {
        for j in 0..i {
            distances.push(1.0 - similar[i * n + j]);
            differ.push(if labels[i] == labels[j] { 0.0 } else { 1.0 });
        }
    }
    Ok(against_two(&average_ranks(&distances), &differ).unwrap_or(0.0))
}

/// Pearson's correlation of a list with one of zeros and ones, whose ranks are a linear map of themselves.
fn against_two(ranks: &[f64], two: &[f64]) -> Option<f64> {
    let n = ranks.len() as f64;
    let (mean_a, mean_b) = (ranks.iter().sum::<f64>() / n, two.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in ranks.iter().zip(two) {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a) * (a - mean_a);
        bb += (b - mean_b) * (b - mean_b);
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// Correlation of every two rows, `[n, n]`; 0 with a row whose values are all alike.
fn correlations(rows: Rows<'_>) -> Vec<f64> {
    let (n, d) = (rows.n(), rows.d() as f64);
    // With row means a and b: Σ(x − a)(y − b) = x·y − d·a·b.
    let products = moments::gram(rows, &vec![0.0; rows.d()]);
    let means: Vec<f64> =
        (0..n).map(|i| rows.row(i).iter().map(|&x| f64::from(x)).sum::<f64>() / d).collect();
    let spread: Vec<f64> = (0..n)
        .map(|i| rows.row(i).iter().map(|&x| (f64::from(x) - means[i]).powi(2)).sum())
        .collect();
    let one = |i: usize, j: usize| {
        let norm = (spread[i] * spread[j]).sqrt();
        if norm > 0.0 { (products[(i, j)] - d * means[i] * means[j]) / norm } else { 0.0 }
    };
    (0..n * n).map(|at| one(at / n, at % n)).collect()
}
