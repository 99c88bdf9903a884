//! Means and second moments of feature rows, in `f64`.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::Rows;

/// Rows converted to `f64` at a time.
const BLOCK: usize = 256;

/// Columns of a panel; panels are shared out among threads, and each is summed in one order.
const PANEL: usize = 64;

/// Mean of every column, `[d]`.
pub fn means(rows: Rows<'_>) -> Vec<f64> {
    let mut sums = vec![0.0; rows.d()];
    for row in rows.data().chunks_exact(rows.d().max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let n = rows.n().max(1) as f64;
    sums.iter_mut().for_each(|sum| *sum /= n);
    sums
}

/// Mean square of every column about `centre`, `[d]`.
pub fn mean_squares(rows: Rows<'_>, centre: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; rows.d()];
    for row in rows.data().chunks_exact(rows.d().max(1)) {
        for ((sum, &x), mean) in sums.iter_mut().zip(row).zip(centre) {
            *sum += (f64::from(x) - mean) * (f64::from(x) - mean);
        }
    }
    let n = rows.n().max(1) as f64;
    sums.iter_mut().for_each(|sum| *sum /= n);
    sums
}

/// `Zᵀ Z` for `Z = X − centre`, `[d, d]`; memory is one block of rows and the result.
pub fn scatter(rows: Rows<'_>, centre: &[f64]) -> Mat<f64> {
    weighted_scatter(rows, |_| centre, |_| 1.0)
}

/// `Σ ωᵢ zᵢ zᵢᵀ` for `zᵢ = xᵢ − centre(i)`, `[d, d]`.
pub(crate) fn weighted_scatter<'c>(
    rows: Rows<'_>,
    centre: impl Fn(usize) -> &'c [f64],
    weight: impl Fn(usize) -> f64,
) -> Mat<f64> {
    let (n, d) = (rows.n(), rows.d());
    let mut sums = vec![0.0; d * d];
    // Row-major [BLOCK, d]: column-major [d, BLOCK] for faer, which is Zᵀ.
    let mut block = vec![0.0; BLOCK * d];
    for first in (0..n).step_by(BLOCK) {
        let count = BLOCK.min(n - first);
        for i in 0..count {
            let scale = weight(first + i).sqrt();
            let (row, centre) = (rows.row(first + i), centre(first + i));
            for ((z, &x), c) in block[i * d..][..d].iter_mut().zip(row).zip(centre) {
                *z = scale * (f64::from(x) - c);
            }
        }
        let z = MatRef::from_column_major_slice(&block[..count * d], d, count);
        sums.par_chunks_mut((PANEL * d).max(1)).enumerate().for_each(|(panel, sums)| {
            let columns = sums.len() / d;
            let right = z.subrows(panel * PANEL, columns).transpose();
            let to = MatMut::from_column_major_slice_mut(sums, d, columns);
            matmul(to, Accum::Add, z, right, 1.0, Par::Seq);
        });
    }
    Mat::from_fn(d, d, |i, j| sums[j * d + i])
}

/// `Z Zᵀ` for `Z = X − centre`, `[n, n]`; memory is `n·d` and the result.
pub(crate) fn gram(rows: Rows<'_>, centre: &[f64]) -> Mat<f64> {
    let (n, d) = (rows.n(), rows.d());
    let centred: Vec<f64> = (0..n)
        .flat_map(|i| rows.row(i).iter().zip(centre).map(|(&x, c)| f64::from(x) - c))
        .collect();
    // Column-major [d, n]: one sample a column.
    let z = MatRef::from_column_major_slice(&centred, d, n);
    let mut products = vec![0.0; n * n];
    products.par_chunks_mut((PANEL * n).max(1)).enumerate().for_each(|(panel, products)| {
        let columns = products.len() / n;
        let to = MatMut::from_column_major_slice_mut(products, n, columns);
        let right = z.subcols(panel * PANEL, columns);
        matmul(to, Accum::Replace, z.transpose(), right, 1.0, Par::Seq);
    });
    Mat::from_fn(n, n, |i, j| products[j * n + i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scatter_is_the_sum_of_outer_products() {
        let (n, d) = (300, 70);
        let x: Vec<f32> = (0..n * d).map(|i| ((i * 37) % 11) as f32 - 5.0).collect();
        let rows = Rows::new(n, d, &x).unwrap();
        let centre = means(rows);
        let scatter = scatter(rows, &centre);
        for (i, j) in [(0, 0), (3, 69), (69, 3), (64, 65)] {
            let expected: f64 = (0..n)
                .map(|r| {
                    (f64::from(rows.row(r)[i]) - centre[i])
                        * (f64::from(rows.row(r)[j]) - centre[j])
                })
                .sum();
            assert!((scatter[(i, j)] - expected).abs() < 1e-9, "{i}, {j}");
        }
        let squares = mean_squares(rows, &centre);
        assert!((scatter[(5, 5)] / n as f64 - squares[5]).abs() < 1e-12);
    }
}
