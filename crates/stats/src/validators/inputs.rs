//! Target rows as every model is shown them.

use faer::Mat;

use crate::{Matrix, Result, Rows, StatsError, moments, pca};

/// Directions that are kept.
const DIRECTIONS: usize = 128;

/// Rows of the target along their first 128 principal directions, in features that do not depend on a model, and
/// their covariance. It is made once for all models that are compared.
#[derive(Debug, Clone)]
pub struct Inputs {
    rows: Matrix,
    covariance: Mat<f64>,
}

impl Inputs {
    /// Of `target` `[m, d]`.
    ///
    /// # Errors
    /// No rows, values that are not finite, directions that are not found.
    pub fn new(target: Rows<'_>) -> Result<Self> {
        let rows = if target.d() > DIRECTIONS {
            let found = pca(target, DIRECTIONS)?;
            let (m, k) = (target.n(), found.explained.len());
            let scores = found.scores.into_iter().map(|x| x as f32).collect();
            Matrix::new(m, k, scores)
                .ok_or_else(|| StatsError::Unusable(format!("{m} rows have no {k} directions")))?
        } else {
            crate::check::finite(target)?;
            Matrix::gather(target, &(0..target.n()).collect::<Vec<_>>())
        };
        let m = rows.rows().n();
        if m == 0 {
            return Err(StatsError::Unusable("expected samples of the target, got none".into()));
        }
        let mean = moments::means(rows.rows());
        let sums = moments::scatter(rows.rows(), &mean);
        let d = rows.rows().d();
        let covariance = Mat::from_fn(d, d, |i, j| sums[(i, j)] / m as f64);
        Ok(Self { rows, covariance })
    }

    /// `[m, min(d, 128)]`.
    pub(super) fn rows(&self) -> Rows<'_> {
        self.rows.rows()
    }

    /// `[min(d, 128), min(d, 128)]`.
    pub(super) fn covariance(&self) -> &Mat<f64> {
        &self.covariance
    }
}
