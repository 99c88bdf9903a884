//! Singular values of the features, and how the classes lie along their directions.
//!
//! With the thin decomposition `F = U S^½ Vᵀ`, most scores need only the eigenvalues s and `Uᵀ·1_c`, which follow
//! from the smaller of `FᵀF` and `FFᵀ`.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::Evidence;
use crate::{Result, symmetric};

/// Rows whose coordinates are formed together.
const BLOCK: usize = 256;

/// Of features `F` `[n, d]` of rank r, down to rounding.
pub(super) struct Spectrum {
    /// Eigenvalues of `FᵀF`, largest first, `[r]`.
    pub values: Vec<f64>,
    /// `Uᵀ·1_c`, `[r][classes]`.
    pub classes: Vec<Vec<f64>>,
    /// Eigenvectors of the matrix that was decomposed, `[d or n, r]`.
    vectors: Mat<f64>,
    /// Subtracted from every row.
    centre: Vec<f64>,
}

impl Spectrum {
    pub fn centred(evidence: &Evidence<'_>) -> Result<Self> {
        Self::of(evidence, evidence.products(), evidence.mean().to_vec())
    }

    pub fn raw(evidence: &Evidence<'_>) -> Result<Self> {
        let (rows, mean, products) = (evidence.rows(), evidence.mean(), evidence.products());
        let (n, d) = (rows.n(), rows.d());
        let size = products.nrows();
        let whole = if d <= n {
            Mat::from_fn(size, size, |i, j| products[(i, j)] + n as f64 * mean[i] * mean[j])
        } else {
            // (z + μ)·(z' + μ) = z·z' + z·μ + z'·μ + μ·μ
            let dot =
                |row: &[f32]| -> f64 { row.iter().zip(mean).map(|(&x, m)| f64::from(x) * m).sum() };
            let square: f64 = mean.iter().map(|m| m * m).sum();
            let along: Vec<f64> = (0..n).map(|i| dot(rows.row(i)) - square).collect();
            Mat::from_fn(size, size, |i, j| products[(i, j)] + along[i] + along[j] + square)
        };
        Self::of(evidence, &whole, vec![0.0; d])
    }

    fn of(evidence: &Evidence<'_>, matrix: &Mat<f64>, centre: Vec<f64>) -> Result<Self> {
        let (rows, labels) = (evidence.rows(), evidence.labels());
        let (n, d) = (rows.n(), rows.d());
        let (mut values, vectors) = symmetric::eigen(matrix)?;
        // What is below is the rounding of the products; f32 features are less exact.
        let floor = n.max(d) as f64 * f64::EPSILON * largest_scale(evidence, &values);
        let rank = values.iter().take_while(|&&value| value > floor).count();
        values.truncate(rank);
        let vectors = vectors.subcols(0, rank).to_owned();
        let mut classes = vec![vec![0.0; evidence.n_classes()]; rank];
        if d <= n {
            let mut sums = vec![vec![0.0; d]; evidence.n_classes()];
            for (i, &label) in labels.iter().enumerate() {
                let sum = sums[label as usize].iter_mut().zip(rows.row(i)).zip(&centre);
                sum.for_each(|((sum, &x), c)| *sum += f64::from(x) - c);
            }
            classes.par_iter_mut().enumerate().for_each(|(k, classes)| {
                for (to, sum) in classes.iter_mut().zip(&sums) {
                    let along: f64 = (0..d).map(|j| vectors[(j, k)] * sum[j]).sum();
                    *to = along / values[k].sqrt();
                }
            });
        } else {
            for (k, classes) in classes.iter_mut().enumerate() {
                for (i, &label) in labels.iter().enumerate() {
                    classes[label as usize] += vectors[(i, k)];
                }
            }
        }
        Ok(Self { values, classes, vectors, centre })
    }

    /// The samples along the first `k` directions, `U S^½`, `[n, k]` row-major.
    pub fn coordinates(&self, evidence: &Evidence<'_>, k: usize) -> Vec<f64> {
        let rows = evidence.rows();
        let (n, d) = (rows.n(), rows.d());
        let k = k.min(self.values.len());
        let mut out = vec![0.0; n * k];
        if k == 0 {
            return out;
        }
        if d > n {
            for (i, out) in out.chunks_exact_mut(k).enumerate() {
                for (j, out) in out.iter_mut().enumerate() {
                    *out = self.vectors[(i, j)] * self.values[j].sqrt();
                }
            }
            return out;
        }
        let vectors = self.vectors.subcols(0, k);
        out.par_chunks_mut(BLOCK * k).enumerate().for_each(|(block, out)| {
            let count = out.len() / k;
            let z: Vec<f64> = (block * BLOCK..block * BLOCK + count)
                .flat_map(|i| rows.row(i).iter().zip(&self.centre).map(|(&x, c)| f64::from(x) - c))
                .collect();
            let z = MatRef::from_row_major_slice(&z, count, d);
            let to = faer::MatMut::from_row_major_slice_mut(out, count, k);
            matmul(to, Accum::Replace, z, vectors, 1.0, Par::Seq);
        });
        out
    }
}

/// The scale that rounding is measured by: the features' own, even where nothing is left once they are centred.
fn largest_scale(evidence: &Evidence<'_>, values: &[f64]) -> f64 {
    let square: f64 = evidence.mean().iter().map(|m| m * m).sum();
    // Centring rounds each of n values by ε of the mean; its square is what reaches the products.
    let centring = f64::EPSILON * evidence.rows().n() as f64 * square;
    values.first().copied().unwrap_or(0.0).max(centring)
}
