//! Matrix products whose bits do not depend on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns that one thread computes, in one order.
const PANEL: usize = 64;

/// `left · right`. Operators of matrices would share sums out among as many threads as there are.
pub(crate) fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let (n, k) = (left.nrows(), right.ncols());
    let mut out = vec![0.0; n * k];
    out.par_chunks_mut((PANEL * n).max(1)).enumerate().for_each(|(panel, out)| {
        let count = out.len() / n;
        let to = MatMut::from_column_major_slice_mut(out, n, count);
        let right = right.subcols(panel * PANEL, count);
        matmul(to, Accum::Replace, left, right, 1.0, Par::Seq);
    });
    MatRef::from_column_major_slice(&out, n, k).to_owned()
}
