//! Symmetric matrices, decomposed on one thread, so that no bit depends on how many there are.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{
    LltRegularization, cholesky_in_place, cholesky_in_place_scratch,
};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::product::product;
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

/// Steps of Lanczos' method between looks at what has converged.
const STEPS: usize = 24;

/// What an eigenvector may be off by, of the largest eigenvalue.
const RESIDUAL: f64 = 1e-11;

/// The `k` largest eigenvalues, largest first, and their vectors as columns. Of large matrices, by Lanczos' method
/// with every vector kept orthogonal to all before (Golub & Van Loan, section 10.3); `draws` gives its start.
pub(crate) fn leading(
    matrix: &Mat<f64>,
    k: usize,
    draws: &mut impl FnMut() -> f64,
) -> Result<(Vec<f64>, Mat<f64>)> {
    let size = matrix.nrows();
    let k = k.min(size);
    let all = || {
        let (values, vectors) = eigen(matrix)?;
        Ok((values[..k].to_vec(), vectors.subcols(0, k).to_owned()))
    };
    let most = size / 2;
    if most < 2 * k + 2 * STEPS {
        return all();
    }
    let mut basis: Vec<f64> = Vec::with_capacity(most * size);
    let mut next: Vec<f64> = (0..size).map(|_| draws()).collect();
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut norm = length(&next);
    while diagonal.len() < most && norm > 0.0 {
        next.iter_mut().for_each(|x| *x /= norm);
        basis.extend_from_slice(&next);
        let mut image = times(matrix, &next);
        diagonal.push(image.iter().zip(&next).map(|(a, b)| a * b).sum::<f64>());
        // Twice is enough.
        for _ in 0..2 {
            let known = MatRef::from_column_major_slice(&basis, size, diagonal.len());
            let mut shares = Mat::zeros(diagonal.len(), 1);
            let to = MatMut::from_column_major_slice_mut(&mut image, size, 1);
            matmul(&mut shares, Accum::Replace, known.transpose(), to.as_ref(), 1.0, Par::Seq);
            matmul(to, Accum::Add, known, &shares, -1.0, Par::Seq);
        }
        norm = length(&image);
        next = image;
        let steps = diagonal.len();
        if steps >= k + STEPS && steps.is_multiple_of(STEPS) {
            let small = Mat::from_fn(steps, steps, |i, j| match i.abs_diff(j) {
                0 => diagonal[i],
                1 => beside[i.min(j)],
                _ => 0.0,
            });
            let (values, vectors) = eigen(&small)?;
            let off = (0..k).map(|j| norm * vectors[(steps - 1, j)].abs()).fold(0.0, f64::max);
            if off <= RESIDUAL * values[0].abs() {
                let known = MatRef::from_column_major_slice(&basis, size, steps);
                return Ok((values[..k].to_vec(), product(known, vectors.subcols(0, k))));
            }
        }
        beside.push(norm);
    }
    all()
}

/// A symmetric matrix times a vector.
fn times(matrix: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    let size = x.len();
    let mut out = vec![0.0; size];
    let x = MatRef::from_column_major_slice(x, size, 1);
    out.par_chunks_mut(64).enumerate().for_each(|(panel, out)| {
        let count = out.len();
        let to = MatMut::from_column_major_slice_mut(out, count, 1);
        let rows = matrix.subcols(panel * 64, count).transpose();
        matmul(to, Accum::Replace, rows, x, 1.0, Par::Seq);
    });
    out
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
    fn the_leading_vectors_are_those_of_all() {
        let size = 300;
        let factor = Mat::from_fn(size, 90, |i, j| {
            (((i * 37 + j * 101) * (i + 2 * j + 1)) % 257) as f64 / 257.0 * 0.93f64.powi(j as i32)
        });
        let matrix = &factor * factor.transpose();
        let mut turn = 0u32;
        let mut draws = || {
            turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(turn) / f64::from(u32::MAX) - 0.5
        };
        let (values, vectors) = leading(&matrix, 12, &mut draws).unwrap();
        assert!(turn != 0, "by Lanczos");
        let (all, of_all) = eigen(&matrix).unwrap();
        for j in 0..12 {
            assert!((values[j] - all[j]).abs() < 1e-9 * all[0], "{j}");
            let cosine: f64 = (0..size).map(|i| vectors[(i, j)] * of_all[(i, j)]).sum();
            assert!((cosine.abs() - 1.0).abs() < 1e-8, "{j}: {cosine}");
        }
    }

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
