//! Principal directions of one side, in features of like variance.

use faer::Mat;

use super::view::Affine;
use crate::product::product;
use crate::spectrum::spectrum;
use crate::{Matrix, Result, Rows, StatsError, moments};

/// Variance, in a feature's, that a direction must have where nobody says how many there are to be (Jolliffe 1972,
/// Discarding variables in a principal component analysis). Rows of 256 features that come from 64 had 65 such
/// directions, and those behind 95 % of the variance, 189, cost subspace alignment 9 points of accuracy.
const WORTH: f64 = 0.7;

/// One side's features at mean 0 and variance 1, and their principal directions.
pub(super) struct Subspace {
    mean: Vec<f64>,
    /// Reciprocal standard deviations; 0 where a feature does not vary.
    inverse: Vec<f64>,
    /// Variance along the directions, largest first.
    pub values: Vec<f64>,
    /// `[d, k]`, orthonormal columns, all that have variance.
    pub directions: Mat<f64>,
}

impl Subspace {
    pub fn of(rows: Rows<'_>) -> Result<Self> {
        let (n, d) = (rows.n(), rows.d());
        let mean = moments::means(rows);
        let inverse: Vec<f64> = moments::mean_squares(rows, &mean)
            .iter()
            .zip(&mean)
            .map(|(&var, mean)| if var > 1e-14 * mean * mean { var.sqrt().recip() } else { 0.0 })
            .collect();
        let scaled = rows.data().chunks_exact(d).flat_map(|row| {
            let parts = row.iter().zip(&mean).zip(&inverse);
            parts.map(|((&x, mean), inverse)| ((f64::from(x) - mean) * inverse) as f32)
        });
        let scaled = Matrix::new(n, d, scaled.collect())
            .ok_or_else(|| StatsError::Unusable(format!("a scaled copy of {n} × {d} features")))?;
        let zero = vec![0.0; d];
        let found = spectrum(scaled.rows(), |_| &zero, n.min(d))?;
        let floor = 1e-10 * found.values.first().copied().unwrap_or(0.0);
        let kept = found.values.iter().take(n.min(d)).take_while(|v| **v > floor).count();
        if kept == 0 {
            return Err(StatsError::Unusable(
                "all samples of one side are alike: there is no subspace to align".into(),
            ));
        }
        let values = found.values[..kept].iter().map(|v| v / n as f64).collect();
        let directions = Mat::from_fn(d, kept, |i, j| found.directions[j][i]);
        Ok(Self { mean, inverse, values, directions })
    }

    /// How many directions have more variance than most of a feature's.
    pub fn enough(&self) -> usize {
        self.values.iter().take_while(|v| **v > WORTH).count().max(1)
    }

    /// `Pᵀ Q` of the first `k` directions of both sides, `[k, k]`.
    pub fn products(&self, other: &Self, k: usize) -> Mat<f64> {
        product(self.directions.subcols(0, k).transpose(), other.directions.subcols(0, k))
    }

    /// `M` `[k, d]` on scaled features as a map of raw ones.
    pub fn on_raw(&self, map: &Mat<f64>) -> Affine {
        let scaled = Mat::from_fn(map.nrows(), map.ncols(), |i, j| map[(i, j)] * self.inverse[j]);
        Affine::between(&scaled, &self.mean, &vec![0.0; map.nrows()])
    }
}
