//! Second moments of one set.

use faer::{Mat, Side};
use offshoot_random::permutation;

use crate::{Matrix, Result, Rows, StatsError, moments};

/// Features up to which a `[d, d]` matrix is formed, and rows that stand for all beyond.
const MOST: usize = 4096;

/// The rows from which second moments are taken: all, unless there are thousands of features *and* rows.
pub fn rows_for(rows: Rows<'_>, seed: u64) -> Option<Matrix> {
    let many = rows.d() > MOST && rows.n() > MOST;
    many.then(|| Matrix::gather(rows, &permutation(rows.n(), seed, "covariance", 0)[..MOST]))
}

/// `F` with `FᵀF = Σ (x − mean)(x − mean)ᵀ/(n − 1)`: the centred rows where they are fewer than features,
/// else a factor of the covariance.
pub fn factor(rows: Rows<'_>, mean: &[f64]) -> Result<Mat<f64>> {
    let (n, d) = (rows.n(), rows.d());
    let count = (n as f64 - 1.0).max(1.0);
    if n < d {
        let scale = count.sqrt().recip();
        return Ok(Mat::from_fn(n, d, |i, k| (f64::from(rows.row(i)[k]) - mean[k]) * scale));
    }
    let covariance = moments::scatter(rows, mean) * faer::Scale(count.recip());
    // Any factor will do; a triangular one costs a tenth of eigenvectors.
    if let Ok(cholesky) = covariance.llt(Side::Lower) {
        return Ok(cholesky.L().transpose().to_owned());
    }
    let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|_| {
        StatsError::Unusable("the covariance's eigenvalues did not converge".into())
    })?;
    Ok(Mat::from_fn(d, d, |i, k| eigen.U()[(k, i)] * eigen.S()[i].max(0.0).sqrt()))
}

/// Sum of the squares of all entries.
pub fn square_norm(matrix: &Mat<f64>) -> f64 {
    let column = |j: usize| matrix.col(j).iter().map(|x| x * x).sum::<f64>();
    (0..matrix.ncols()).map(column).sum()
}
