//! Distance to the nearest class mean under one shrunken covariance.

use super::{Detector, Entry, Seen};
use crate::heads::class_means;
use crate::spectrum::spectrum;
use crate::{Result, check, shrinkage};

pub(super) const ENTRY: Entry = Entry {
    name: "mahalanobis",
    summary: "distance to the nearest class mean under one shrunken covariance",
    paper: "Lee et al. 2018, arXiv:1807.03888; Ledoit & Wolf 2004 for the shrinkage",
    fit,
};

/// Directions that are kept one by one; what is left of the covariance is the same in all directions.
const DIRECTIONS: usize = 256;

/// Class means, and the inverse covariance `Σ_j v_j v_jᵀ / λ_j + (I − Σ_j v_j v_jᵀ) / λ_rest`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mahalanobis {
    /// Classes that training rows exist for, in order.
    pub known: Vec<u32>,
    /// Their means, `[known, d]`.
    pub means: Vec<f32>,
    /// The directions of largest within-class variance, unit vectors, `[k, d]`.
    pub directions: Vec<f32>,
    /// `1/λ_j`, `[k]`, and at the end `1/λ_rest`.
    pub precision: Vec<f32>,
}

/// The Ledoit–Wolf covariance `(1 − a) S + a·tr(S)/d·I` of `x − μ_y`, whose eigenvectors are those of `S`.
fn fit(seen: &Seen<'_>, labels: &[u32], classes: usize) -> Result<Option<Detector>> {
    let rows = seen.rows;
    let (n, d) = (rows.n(), rows.d());
    let counts = check::counts(labels, classes);
    let means = class_means(rows, labels, &counts);
    let centre = |i: usize| means[labels[i] as usize].as_slice();
    let known: Vec<u32> = (0..classes as u32).filter(|&c| counts[c as usize] > 0).collect();
    // Centring on class means took one direction a class.
    let k = DIRECTIONS.min(n.saturating_sub(known.len())).min(d);
    let spectrum = spectrum(rows, centre, k)?;
    let values: Vec<f64> = spectrum.values.iter().map(|v| v / n as f64).collect();
    let total: f64 = values.iter().sum();
    let mean = total / d as f64;
    if k == 0 || mean <= 0.0 {
        return Ok(None);
    }
    let lengths = (0..n).map(|i| shrinkage::squared_length(rows.row(i), centre(i)));
    let shrinkage = shrinkage::of_eigenvalues(&values, lengths, n, d);
    let kept: f64 = values[..k].iter().sum();
    let left = if d > k { (total - kept).max(0.0) / (d - k) as f64 } else { 0.0 };
    // The last term only matters where all samples of every class are alike.
    let shrunken = |value: f64| (1.0 - shrinkage) * value + (shrinkage + 1e-9) * mean;
    let values = values[..k].iter().copied().chain([left]);
    Ok(Some(Detector::Mahalanobis(Mahalanobis {
        means: known.iter().flat_map(|&c| means[c as usize].iter().map(|&m| m as f32)).collect(),
        known,
        directions: spectrum.directions.iter().flatten().map(|&v| v as f32).collect(),
        precision: values.map(|value| (1.0 / shrunken(value)) as f32).collect(),
    })))
}

impl Mahalanobis {
    /// The distance over `√d`, to each known class.
    pub(super) fn distances(&self, row: &[f32]) -> Vec<f64> {
        let d = row.len().max(1);
        let Some((&rest, precision)) = self.precision.split_last() else { return Vec::new() };
        let rest = f64::from(rest);
        let along = |v: &[f32], offset: &[f64]| -> f64 {
            v.iter().zip(offset).map(|(&v, z)| f64::from(v) * z).sum()
        };
        let to = |mean: &[f32]| {
            let offset: Vec<f64> =
                row.iter().zip(mean).map(|(&x, &m)| f64::from(x) - f64::from(m)).collect();
            let length: f64 = offset.iter().map(|z| z * z).sum();
            let own: f64 = self
                .directions
                .chunks_exact(d)
                .zip(precision)
                .map(|(v, &p)| (f64::from(p) - rest) * along(v, &offset).powi(2))
                .sum();
            ((rest * length + own).max(0.0) / d as f64).sqrt()
        };
        self.means.chunks_exact(d).map(to).collect()
    }
}
