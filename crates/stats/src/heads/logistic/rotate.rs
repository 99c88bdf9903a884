//! Fewer samples than features: the same problem in as many dimensions as there are samples.
//!
//! The optimal weights lie in the span of the (centred) samples, and a rotation of the features
//! changes neither scores nor penalty. Along the eigenvectors of the samples' Gram matrix, the
//! second moments are diagonal, and so is the curvature bound.

use faer::Mat;

use crate::{Matrix, Result, Rows, StatsError, moments, symmetric};

/// Samples in rotated coordinates, and the way back.
pub(super) struct Rotated {
    /// `[n, r]`.
    pub rows: Matrix,
    /// What rounding took from them, `[n, r]`.
    pub rounded: Matrix,
    /// Mean square of each rotated feature, `[r]`, and 1 for the bias.
    pub squares: Vec<f64>,
    mean: Vec<f64>,
    /// Eigenvectors over the root of their eigenvalue, `[n, r]`.
    back: Mat<f64>,
}

impl Rotated {
    /// `None` where all samples are alike, so that no direction is left.
    pub fn new(rows: Rows<'_>) -> Result<Option<Self>> {
        let n = rows.n();
        let mean = moments::means(rows);
        let (values, vectors) = symmetric::eigen(&moments::gram(rows, &mean))?;
        let value = |j: usize| values[j];
        // What is left below is the rounding of the Gram matrix.
        let floor = 1e-11 * value(0).max(0.0);
        let rank = (0..n).take_while(|&j| value(j) > floor).count();
        if rank == 0 {
            return Ok(None);
        }
        let vector = |i: usize, j: usize| vectors[(i, j)];
        let coordinate = |at: usize| vector(at / rank, at % rank) * value(at % rank).sqrt();
        let matrix = |of: &dyn Fn(usize) -> f32| {
            Matrix::new(n, rank, (0..n * rank).map(of).collect())
                .ok_or_else(|| StatsError::Unusable("a rotation of no samples".into()))
        };
        let rows = matrix(&|at| coordinate(at) as f32)?;
        let rounded = matrix(&|at| (coordinate(at) - f64::from(coordinate(at) as f32)) as f32)?;
        let mut squares: Vec<f64> = (0..rank).map(|j| value(j) / n as f64).collect();
        squares.push(1.0);
        let back = Mat::from_fn(n, rank, |i, j| vector(i, j) / value(j).sqrt());
        Ok(Some(Self { rows, rounded, squares, mean, back }))
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
