//! How far a covariance is drawn towards a multiple of the identity (Ledoit & Wolf 2004).

/// Below this share of `‖S‖²`, what a covariance differs from the identity by is rounding.
const ROUNDING: f64 = 1e-12;

/// The share of the identity that least squares asks for (lemmas 3.1 to 3.4), for `S = Σ zᵢzᵢᵀ/n` of `n` centred
/// rows: `apart` is `‖S − tr(S)/d·I‖²`, `norm` is `‖S‖²` and `fourth` the mean of `‖zᵢ‖⁴`. 1 where nothing is apart.
pub(crate) fn share(n: f64, apart: f64, norm: f64, fourth: f64) -> f64 {
    // Σᵢ ‖zᵢzᵢᵀ − S‖² = Σᵢ ‖zᵢ‖⁴ − n‖S‖².
    let spread = (fourth - norm) / n;
    if apart > 0.0 { (spread / apart).clamp(0.0, 1.0) } else { 1.0 }
}

/// The same from the eigenvalues of `S`, those that are zero left out or not, and the squared lengths of the `n`
/// rows of `d` values.
pub(crate) fn of_eigenvalues(
    values: &[f64],
    lengths: impl Iterator<Item = f64>,
    n: usize,
    d: usize,
) -> f64 {
    let (n, total) = (n as f64, values.iter().sum::<f64>());
    let norm: f64 = values.iter().map(|v| v * v).sum();
    // ‖S − tr(S)/d·I‖² = ‖S‖² − tr(S)²/d.
    let apart = norm - total * total / d as f64;
    let apart = if apart > ROUNDING * norm { apart } else { 0.0 };
    let fourth: f64 = lengths.map(|length| length * length).sum();
    share(n, apart, norm, fourth / n)
}

/// `‖x − centre‖²`.
pub(crate) fn squared_length(row: &[f32], centre: &[f64]) -> f64 {
    row.iter().zip(centre).map(|(&x, c)| (f64::from(x) - c) * (f64::from(x) - c)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::spectrum;
    use crate::{Rows, moments};

    #[test]
    fn the_shrinkage_is_that_of_the_matrix() {
        for (n, d) in [(12, 5), (6, 9)] {
            let x: Vec<f32> = (0..n * d).map(|i| ((i * 37) % 23) as f32 / 5.0 - 2.0).collect();
            let rows = Rows::new(n, d, &x).unwrap();
            let mean = moments::means(rows);
            let covariance = moments::weighted_scatter(rows, |_| &mean, |_| 1.0 / n as f64);
            let expected = crate::heads::ledoit_wolf(rows, |_| &mean, &covariance);
            let values = spectrum(rows, |_| &mean, 1).unwrap().values;
            let values: Vec<f64> = values.iter().map(|v| v / n as f64).collect();
            let lengths = (0..n).map(|i| squared_length(rows.row(i), &mean));
            let found = of_eigenvalues(&values, lengths, n, d);
            assert!((found - expected).abs() < 1e-9, "{n} × {d}: {found} and {expected}");
        }
    }
}
