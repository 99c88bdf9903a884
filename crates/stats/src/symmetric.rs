//! Symmetric matrices, decomposed on one thread, so that no bit depends on how many there are.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{
    LltRegularization, cholesky_in_place, cholesky_in_place_scratch,
};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par};

use crate::{Result, StatsError};

/// Eigenvalues, largest first, and their vectors as columns.
pub(crate) fn eigen(matrix: &Mat<f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let size = matrix.nrows();
    let (mut values, mut vectors) = (Mat::zeros(size, size), Mat::zeros(size, size));
    let scratch = self_adjoint_evd_scratch::<f64>(
        size,
        ComputeEigenvectors::Yes,
        Par::Seq,
        Default::default(),
    );
    let mut memory = MemBuffer::new(scratch);
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut().diagonal_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| StatsError::Unusable("the eigenvalues did not converge".into()))?;
    let largest_first = (0..size).rev().map(|j| values[(j, j)]).collect();
    Ok((largest_first, Mat::from_fn(size, size, |i, j| vectors[(i, size - 1 - j)])))
}

/// The Cholesky factor of a positive definite matrix, in the lower half of its place; `failed` says what it is
/// where it is not.
pub(crate) fn cholesky(matrix: &mut Mat<f64>, failed: &str) -> Result<()> {
    let size = matrix.nrows();
    let scratch = cholesky_in_place_scratch::<f64>(size, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    cholesky_in_place(
        matrix.as_mut(),
        LltRegularization::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map(|_| ())
    .map_err(|_| StatsError::Unusable(failed.into()))
}

/// `ln det` of a positive definite matrix.
pub(crate) fn log_det(mut matrix: Mat<f64>) -> Result<f64> {
    let size = matrix.nrows();
    cholesky(&mut matrix, "a matrix is not positive definite")?;
    Ok((0..size).map(|i| 2.0 * matrix[(i, i)].ln()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_of_eigenvalues_is_the_determinant() {
        let matrix =
            Mat::from_fn(5, 5, |i, j| if i == j { 3.0 } else { 1.0 / (1.0 + (i + j) as f64) });
        let (values, vectors) = eigen(&matrix).unwrap();
        assert!(values.is_sorted_by(|a, b| a >= b));
        let product: f64 = values.iter().map(|v| v.ln()).sum();
        assert!((product - log_det(matrix.clone()).unwrap()).abs() < 1e-12);
        let image = &matrix * &vectors;
        for (j, value) in values.iter().enumerate() {
            assert!((0..5).all(|i| (image[(i, j)] - value * vectors[(i, j)]).abs() < 1e-12));
        }
    }
}
