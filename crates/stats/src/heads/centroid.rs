//! Nearest class mean, after scaling.

use serde::{Deserialize, Serialize};

use super::linear::{Scaling, UNSEEN};
use super::{Entry, FitOptions, Fitted, Head, lda::class_means};
use crate::calibrate::scale;
use crate::{Result, Rows, check};

pub(super) const ENTRY: Entry = Entry {
    name: "centroid",
    summary: "nearest class mean; works from one sample a class",
    paper: "Snell et al. 2017 (arXiv:1703.05175), prototypes",
    fit,
};

/// Class means in scaled features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Centroids {
    /// Number of features.
    pub d: usize,
    /// Subtracted from features, `[d]`.
    pub mean: Vec<f64>,
    /// Then multiplied with, `[d]`.
    pub inverse: Vec<f64>,
    /// `[classes, d]`, scaled.
    pub centroids: Vec<f64>,
    /// Whether a class had samples.
    pub present: Vec<bool>,
    /// Squared distances are divided by it.
    pub temperature: f64,
}

impl Centroids {
    /// `−‖z − μ_c‖²/T`, `[n, classes]`.
    pub fn scores(&self, rows: Rows<'_>) -> Vec<f64> {
        let mut out = Vec::with_capacity(rows.n() * self.present.len());
        for i in 0..rows.n() {
            let scaled: Vec<f64> = rows
                .row(i)
                .iter()
                .zip(&self.mean)
                .zip(&self.inverse)
                .map(|((&x, mean), inverse)| (f64::from(x) - mean) * inverse)
                .collect();
            for (centroid, &present) in self.centroids.chunks_exact(self.d).zip(&self.present) {
                let square: f64 = scaled.iter().zip(centroid).map(|(z, c)| (z - c) * (z - c)).sum();
                out.push(if present { -square / self.temperature } else { UNSEEN });
            }
        }
        out
    }
}

fn fit(rows: Rows<'_>, labels: &[u32], n_classes: usize, options: &FitOptions) -> Result<Fitted> {
    let scaling = Scaling::of(rows, options.standardise, &options.blocks);
    let scaled = scaling.apply(rows);
    let (n, d) = (rows.n(), rows.d());
    let counts = check::counts(labels, n_classes);
    let z = Rows::new(n, d, &scaled).unwrap_or(rows);
    let means = class_means(z, labels, &counts);
    let mut head = Centroids {
        d,
        mean: scaling.mean,
        inverse: scaling.inverse,
        centroids: means.concat(),
        present: counts.iter().map(|&count| count > 0).collect(),
        temperature: 1.0,
    };
    // A sample pulls its own mean; taking it out of the mean makes its distance honest.
    let mut scores = head.scores(rows);
    for (i, &label) in labels.iter().enumerate() {
        let count = counts[label as usize] as f64;
        if count > 1.0 {
            let stretch = count / (count - 1.0);
            scores[i * n_classes + label as usize] *= stretch * stretch;
        }
    }
    head.temperature = scale(&scores, labels, n_classes)?.temperature;
    Ok(Fitted::closed_form(Head::Centroids(head)))
}
