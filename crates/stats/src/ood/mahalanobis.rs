//! Distance to the nearest class mean under one shrunken covariance.

use pulp::Arch;
use rayon::prelude::*;

use super::{Detector, Entry, Seen};
use crate::heads::class_means;
use crate::spectrum::spectrum;
use crate::{Result, Rows, check, shrinkage};

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

/// Rows that are projected together, so that a direction is read from memory once for all of them.
const BLOCK: usize = 16;

impl Mahalanobis {
    /// The distance over `√d`, of every row to each known class, `[n, known]`. No row's depends on the others.
    pub(super) fn distances(&self, rows: Rows<'_>) -> Vec<f64> {
        let (d, known) = (rows.d().max(1), self.known.len());
        let Some((&rest, precision)) = self.precision.split_last() else { return Vec::new() };
        let rest = f64::from(rest);
        // Everything is seen from the first class's mean: offsets from it are as small as distances are, and
        // are projected once instead of once a class.
        let Some(origin) = self.means.get(..d) else { return Vec::new() };
        let offset = |row: &[f32]| -> Vec<f64> {
            row.iter().zip(origin).map(|(&x, &o)| f64::from(x) - f64::from(o)).collect()
        };
        let centres: Vec<f64> = self.means.chunks_exact(d).flat_map(offset).collect();
        let own = self.along(&centres, d);
        let mut out = vec![0.0; rows.n() * known];
        out.par_chunks_mut((BLOCK * known).max(1)).enumerate().for_each(|(block, out)| {
            let first = block * BLOCK;
            let last = rows.n().min(first + BLOCK);
            let offsets: Vec<f64> = (first..last).flat_map(|i| offset(rows.row(i))).collect();
            let along = self.along(&offsets, d);
            let of_rows = offsets.chunks_exact(d).zip(along.chunks_exact(precision.len()));
            for ((x, x_along), out) in of_rows.zip(out.chunks_exact_mut(known)) {
                let of_classes = centres.chunks_exact(d).zip(own.chunks_exact(precision.len()));
                for ((c, c_along), out) in of_classes.zip(out) {
                    let length: f64 = x.iter().zip(c).map(|(x, c)| (x - c) * (x - c)).sum();
                    let own: f64 = (x_along.iter().zip(c_along).zip(precision))
                        .map(|((x, c), &p)| (f64::from(p) - rest) * (x - c) * (x - c))
                        .sum();
                    *out = ((rest * length + own).max(0.0) / d as f64).sqrt();
                }
            }
        });
        out
    }

    /// `[n, k]` of `offsets` `[n, d]`.
    fn along(&self, offsets: &[f64], d: usize) -> Vec<f64> {
        let k = self.precision.len() - 1;
        let mut out = vec![0.0; offsets.len() / d * k];
        Arch::new().dispatch(Along { directions: &self.directions, offsets, d, k, out: &mut out });
        out
    }
}

/// Dot products of every offset with every direction, each in sixteen fixed lanes.
struct Along<'a> {
    directions: &'a [f32],
    offsets: &'a [f64],
    d: usize,
    k: usize,
    out: &'a mut [f64],
}

impl pulp::WithSimd for Along<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (j, direction) in self.directions.chunks_exact(self.d).enumerate() {
            let (v, v_rest) = direction.as_chunks::<16>();
            for (i, offset) in self.offsets.chunks_exact(self.d).enumerate() {
                let (x, x_rest) = offset.as_chunks::<16>();
                let mut lanes = [0.0; 16];
                for (v, x) in v.iter().zip(x) {
                    for lane in 0..16 {
                        lanes[lane] += f64::from(v[lane]) * x[lane];
                    }
                }
                let rest: f64 = v_rest.iter().zip(x_rest).map(|(&v, x)| f64::from(v) * x).sum();
                self.out[i * self.k + j] = lanes.iter().sum::<f64>() + rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_formula_whatever_the_company() {
        let (n, d, k) = (37, 21, 3);
        let value = |i: usize| ((i * 7919 + 31) % 1009) as f32 / 500.0 - 1.0;
        let found = Mahalanobis {
            known: vec![0, 2],
            means: (0..2 * d).map(|i| 5.0 + value(i)).collect(),
            directions: (0..k * d).map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 }).collect(),
            precision: vec![4.0, 2.0, 0.5, 0.25],
        };
        let data: Vec<f32> = (0..n * d).map(|i| 5.0 + 3.0 * value(3 * i)).collect();
        let all = found.distances(Rows::new(n, d, &data).unwrap());
        for i in 0..n {
            let row = &data[i * d..][..d];
            let own = found.distances(Rows::new(1, d, row).unwrap());
            assert_eq!(own, all[2 * i..][..2], "row {i}");
            for (class, distance) in own.iter().enumerate() {
                // The directions are the first axes.
                let precision = |j: usize| f64::from(*found.precision.get(j).unwrap_or(&0.25));
                let offset = |j: usize| f64::from(row[j]) - f64::from(found.means[class * d + j]);
                let squares: f64 = (0..d).map(|j| precision(j) * offset(j).powi(2)).sum();
                assert!((distance - (squares / d as f64).sqrt()).abs() < 1e-12, "row {i}");
            }
        }
    }
}
