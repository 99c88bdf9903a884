//! Covariances of few rows, and their powers.

use faer::Mat;

use super::Setting;
use crate::product::product;
use crate::spectrum::spectrum;
use crate::{Result, Rows, moments, shrinkage};

/// Of the methods that need a covariance.
pub(super) const SHRINKAGE: Setting = Setting {
    name: "shrinkage",
    summary: "how far covariances are drawn towards a multiple of the identity; Ledoit and Wolf's share unless given",
    default: None,
    range: (0.0, 1.0),
    choices: &[0.01, 0.1, 0.5],
};

/// Share of the mean variance that every direction has at least, so that no power is infinite.
const LEAST: f64 = 1e-9;

/// `(1 − a) S + a tr(S)/d·I` for the covariance `S` over `n − 1`, by its eigenvalues.
pub(super) struct Covariance {
    /// `[d]`.
    pub mean: Vec<f64>,
    /// Of the first directions, at most `min(n, d)`.
    values: Vec<f64>,
    /// `[d, k]`, orthonormal columns.
    directions: Mat<f64>,
    /// Variance in all other directions.
    floor: f64,
}

impl Covariance {
    /// Works on the smaller of `d × d` and `n × n`.
    pub fn of(rows: Rows<'_>, share: Option<f64>) -> Result<Self> {
        let (n, d) = (rows.n(), rows.d());
        let mean = moments::means(rows);
        let found = spectrum(rows, |_| &mean, n.min(d))?;
        let over = |divisor: f64| found.values.iter().map(|v| v / divisor).collect::<Vec<f64>>();
        let share = share.unwrap_or_else(|| {
            let lengths = (0..n).map(|i| shrinkage::squared_length(rows.row(i), &mean));
            shrinkage::of_eigenvalues(&over(n as f64), lengths, n, d)
        });
        let values = over(n as f64 - 1.0);
        let average = values.iter().sum::<f64>() / d as f64;
        // Where nothing varies, any variance will do.
        let average = if average > 0.0 { average } else { 1.0 };
        let floor = (share * average).max(LEAST * average);
        // A direction without variance is zeros, and must not be scaled.
        let kept = found.directions.iter().take_while(|w| w.iter().any(|x| *x != 0.0)).count();
        let values = values[..kept].iter().map(|v| (1.0 - share) * v + floor).collect();
        let directions = Mat::from_fn(d, kept, |i, j| found.directions[j][i]);
        Ok(Self { mean, values, directions, floor })
    }

    /// `C^p`, `[d, d]`.
    pub fn power(&self, p: f64) -> Mat<f64> {
        let rest = self.floor.powf(p);
        let (d, kept) = (self.mean.len(), self.values.len());
        let scaled =
            Mat::from_fn(d, kept, |i, j| self.directions[(i, j)] * (self.values[j].powf(p) - rest));
        let mut out = product(scaled.as_ref(), self.directions.transpose());
        (0..d).for_each(|i| out[(i, i)] += rest);
        out
    }
}
