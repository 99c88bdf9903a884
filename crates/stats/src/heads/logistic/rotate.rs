//! Fewer samples than features: the same problem in as many dimensions as there are samples.
//!
//! The optimal weights lie in the span of the (centred) samples, and a rotation of the features
//! changes neither scores nor penalty. Along the eigenvectors of the samples' Gram matrix, the
//! second moments are diagonal, and so is the curvature bound.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use rayon::prelude::*;

use crate::{Matrix, Result, Rows, StatsError, moments};

/// Samples in rotated coordinates, and the way back.
pub(super) struct Rotated {
    /// `[n, r]`.
    pub rows: Matrix,
    /// Mean square of each rotated feature, `[r]`, and 1 for the bias.
    pub squares: Vec<f64>,
    mean: Vec<f64>,
    /// Eigenvectors over the root of their eigenvalue, `[n, r]`.
    back: Mat<f64>,
}

/// Samples whose products are formed together; panels are shared out among threads.
const PANEL: usize = 64;

impl Rotated {
    /// `None` where all samples are alike, so that no direction is left.
    pub fn new(rows: Rows<'_>) -> Result<Option<Self>> {
        let (n, d) = (rows.n(), rows.d());
        let mean = moments::means(rows);
        let centred: Vec<f64> = (0..n)
            .flat_map(|i| rows.row(i).iter().zip(&mean).map(|(&x, m)| f64::from(x) - m))
            .collect();
        // Column-major [d, n]: one sample a column.
        let z = MatRef::from_column_major_slice(&centred, d, n);
        let mut gram = vec![0.0; n * n];
        gram.par_chunks_mut((PANEL * n).max(1)).enumerate().for_each(|(panel, gram)| {
            let columns = gram.len() / n;
            let to = faer::MatMut::from_column_major_slice_mut(gram, n, columns);
            let right = z.subcols(panel * PANEL, columns);
            matmul(to, Accum::Replace, z.transpose(), right, 1.0, Par::Seq);
        });
        let eigen = MatRef::from_column_major_slice(&gram, n, n)
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| StatsError::Unusable("the eigenvalues did not converge".into()))?;
        let value = |j: usize| eigen.S()[n - 1 - j];
        // What is left below is the rounding of the Gram matrix.
        let floor = 1e-11 * value(0).max(0.0);
        let rank = (0..n).take_while(|&j| value(j) > floor).count();
        if rank == 0 {
            return Ok(None);
        }
        let vector = |i: usize, j: usize| eigen.U()[(i, n - 1 - j)];
        let rotated = (0..n * rank)
            .map(|at| (vector(at / rank, at % rank) * value(at % rank).sqrt()) as f32)
            .collect();
        let rows = Matrix::new(n, rank, rotated)
            .ok_or_else(|| StatsError::Unusable("a rotation of no samples".into()))?;
        let mut squares: Vec<f64> = (0..rank).map(|j| value(j) / n as f64).collect();
        squares.push(1.0);
        let back = Mat::from_fn(n, rank, |i, j| vector(i, j) / value(j).sqrt());
        Ok(Some(Self { rows, squares, mean, back }))
    }

    /// Parameters `[classes, r + 1]` of rotated features as `[classes, d + 1]` of the samples' own.
    pub fn undo(&self, rows: Rows<'_>, theta: &[f64]) -> Vec<f64> {
        let (n, d, rank) = (rows.n(), rows.d(), self.back.ncols());
        let mut out = Vec::new();
        for theta in theta.chunks_exact(rank + 1) {
            // w = Zᵀ (back · θ): a weight for every sample.
            let mut weight = vec![0.0; d];
            for i in 0..n {
                let share: f64 = (0..rank).map(|j| self.back[(i, j)] * theta[j]).sum();
                for ((w, &x), m) in weight.iter_mut().zip(rows.row(i)).zip(&self.mean) {
                    *w += share * (f64::from(x) - m);
                }
            }
            let shift: f64 = weight.iter().zip(&self.mean).map(|(w, m)| w * m).sum();
            out.extend_from_slice(&weight);
            out.push(theta[rank] - shift);
        }
        out
    }
}
