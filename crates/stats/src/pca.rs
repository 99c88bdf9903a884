//! Principal components, for looking at features.

use crate::spectrum::spectrum;
use crate::{Result, Rows, StatsError, check, moments};

/// Centred samples along the directions of largest variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// `[n, k]`, row-major.
    pub scores: Vec<f64>,
    /// Share of the variance along each direction, `[k]`.
    pub explained: Vec<f64>,
}

/// The first `k` principal components of `rows` `[n, d]` (Pearson 1901). Each direction's sign is
/// such that its largest weight is positive.
///
/// Works on the smaller of the `d × d` covariance and the `n × n` Gram matrix.
pub fn pca(rows: Rows<'_>, k: usize) -> Result<Pca> {
    check::finite(rows)?;
    let (n, d) = (rows.n(), rows.d());
    if n == 0 || d == 0 {
        return Err(StatsError::Unusable(format!("principal components of {n} × {d} features")));
    }
    let k = k.min(n).min(d);
    let mean = moments::means(rows);
    let directions = spectrum(rows, |_| &mean, k)?.directions;
    let total: f64 = moments::mean_squares(rows, &mean).iter().sum();
    let mut scores = vec![0.0; n * k];
    for i in 0..n {
        for (j, direction) in directions.iter().enumerate() {
            let centred = rows.row(i).iter().zip(&mean).map(|(&x, m)| f64::from(x) - m);
            scores[i * k + j] = centred.zip(direction).map(|(x, w)| x * w).sum();
        }
    }
    let explained = (0..k)
        .map(|j| {
            let variance = (0..n).map(|i| scores[i * k + j].powi(2)).sum::<f64>() / n as f64;
            if total > 0.0 { variance / total } else { 0.0 }
        })
        .collect();
    Ok(Pca { scores, explained })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line of slope 2 with a little noise across it.
    fn line(n: usize, d: usize) -> Vec<f32> {
        (0..n)
            .flat_map(|i| {
                let t = i as f32 - n as f32 / 2.0;
                let noise = if i % 2 == 0 { 0.01 } else { -0.01 };
                (0..d).map(move |k| match k {
                    0 => t + 2.0 * noise + 5.0,
                    1 => 2.0 * t - noise,
                    _ => 0.0,
                })
            })
            .collect()
    }

    #[test]
    fn the_first_component_is_the_line() {
        // More rows than columns, and the other way round: both matrices agree.
        for (n, d) in [(20, 3), (20, 50)] {
            let x = line(n, d);
            let pca = pca(Rows::new(n, d, &x).unwrap(), 2).unwrap();
            assert!(pca.explained[0] > 0.9999, "{:?}", pca.explained);
            let step = pca.scores[2] - pca.scores[0];
            assert!((step.abs() - 5f64.sqrt()).abs() < 0.05, "{step}");
        }
    }

    #[test]
    fn alike_samples_have_no_direction() {
        let pca = pca(Rows::new(4, 3, &[1.0; 12]).unwrap(), 2).unwrap();
        assert!(pca.scores.iter().all(|s| s.abs() < 1e-9));
        assert_eq!(pca.explained, [0.0, 0.0]);
    }
}
