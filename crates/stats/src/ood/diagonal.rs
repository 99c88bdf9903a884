//! Distance to the nearest class mean, each feature in units of its within-class deviation.

use rayon::prelude::*;

use super::{Detector, Entry, Seen};
use crate::heads::class_means;
use crate::{Result, Rows, check, moments};

pub(super) const ENTRY: Entry = Entry {
    name: "diagonal",
    summary: "distance to the nearest class mean, feature by feature",
    paper: "Lee et al. 2018, arXiv:1807.03888, with a diagonal covariance",
    fit,
};

/// Class means and one reciprocal deviation a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagonal {
    /// Classes that training rows exist for, in order.
    pub known: Vec<u32>,
    /// Their means, `[known, d]`.
    pub means: Vec<f32>,
    /// One over the within-class deviation of each feature, `[d]`; 0 for constant features.
    pub scale: Vec<f32>,
}

fn fit(seen: &Seen<'_>, labels: &[u32], classes: usize) -> Result<Option<Detector>> {
    let rows = seen.rows;
    let counts = check::counts(labels, classes);
    let means = class_means(rows, labels, &counts);
    let mut squares = vec![0.0; rows.d()];
    for (i, &label) in labels.iter().enumerate() {
        for ((square, mean), &x) in squares.iter_mut().zip(&means[label as usize]).zip(rows.row(i))
        {
            *square += (f64::from(x) - mean).powi(2);
        }
    }
    let all = moments::means(rows);
    let freedom = rows.n().saturating_sub(classes).max(1) as f64;
    let scale = |(square, mean): (&f64, &f64)| {
        let variance = square / freedom;
        // What varies less than f32 can tell says nothing, and must not be blown up.
        let rounding = 1e-12 * mean * mean;
        if variance > rounding.max(1e-24) { (1.0 / variance.sqrt()) as f32 } else { 0.0 }
    };
    let known: Vec<u32> = (0..classes as u32).filter(|&c| counts[c as usize] > 0).collect();
    let means = known.iter().flat_map(|&c| means[c as usize].iter().map(|&m| m as f32)).collect();
    let scale = squares.iter().zip(&all).map(scale).collect();
    Ok(Some(Detector::Diagonal(Diagonal { known, means, scale })))
}

impl Diagonal {
    /// Root mean square over features, of every row to each known class, `[n, known]`.
    pub(super) fn distances(&self, rows: Rows<'_>) -> Vec<f64> {
        let (d, known) = (rows.d().max(1), self.known.len());
        let mut out = vec![0.0; rows.n() * known];
        out.par_chunks_mut(known.max(1)).enumerate().for_each(|(i, out)| {
            for (out, mean) in out.iter_mut().zip(self.means.chunks_exact(d)) {
                let offsets = rows.row(i).iter().zip(mean).zip(&self.scale);
                let squares =
                    offsets.map(|((&v, &m), &s)| (f64::from(v - m) * f64::from(s)).powi(2));
                *out = (squares.sum::<f64>() / d as f64).sqrt();
            }
        });
        out
    }
}
