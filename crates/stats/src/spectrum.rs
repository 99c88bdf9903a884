//! Eigenvalues and directions of centred rows.

use faer::MatRef;

use crate::product::product;
use crate::{Result, Rows, moments, symmetric};

/// Of `ZᵀZ`, the rows of `Z` being `xᵢ − centre(i)`.
pub(crate) struct Spectrum {
    /// All `min(n, d)` eigenvalues from large to small; none is negative.
    pub values: Vec<f64>,
    /// The first unit eigenvectors `[k][d]`; zeros where no variance is left. Each one's sign is such that
    /// its largest entry is positive.
    pub directions: Vec<Vec<f64>>,
}

/// Works on the smaller of `ZᵀZ` and `ZZᵀ`, which have the same eigenvalues but for zeros.
pub(crate) fn spectrum<'c>(
    rows: Rows<'_>,
    centre: impl Fn(usize) -> &'c [f64],
    k: usize,
) -> Result<Spectrum> {
    let (n, d) = (rows.n(), rows.d());
    let k = k.min(n).min(d);
    let at_least_zero = |values: Vec<f64>| values.iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
    let (values, mut directions) = if d <= n {
        let scatter = moments::weighted_scatter(rows, &centre, |_| 1.0);
        let (values, vectors) = symmetric::eigen(&scatter)?;
        let direction = |j| (0..d).map(|i| vectors[(i, j)]).collect::<Vec<f64>>();
        (at_least_zero(values), (0..k).map(direction).collect::<Vec<_>>())
    } else {
        // Column-major [d, n], which is Zᵀ.
        let mut centred = Vec::with_capacity(n * d);
        for i in 0..n {
            centred.extend(rows.row(i).iter().zip(centre(i)).map(|(&x, m)| f64::from(x) - m));
        }
        let z = MatRef::from_column_major_slice(&centred, d, n);
        let (values, vectors) = symmetric::eigen(&product(z.transpose(), z))?;
        let out = product(z, vectors.subcols(0, k));
        let direction = |j| (0..d).map(|i| out[(i, j)]).collect::<Vec<f64>>();
        (at_least_zero(values), (0..k).map(direction).collect::<Vec<_>>())
    };
    for direction in &mut directions {
        let length = direction.iter().map(|w| w * w).sum::<f64>().sqrt();
        let largest = direction.iter().fold(0.0f64, |m, w| if w.abs() > m.abs() { *w } else { m });
        // Below the rounding of the Gram matrix a direction is noise.
        let scale = if length > 1e-150 { largest.signum() / length } else { 0.0 };
        direction.iter_mut().for_each(|w| *w *= scale);
    }
    Ok(Spectrum { values, directions })
}
