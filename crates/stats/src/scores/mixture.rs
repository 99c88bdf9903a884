//! A mixture of Gaussians with diagonal covariances, fitted without a random draw.
//!
//! Centres begin with the point nearest the mean, then always the point farthest from all centres (Gonzalez
//! 1985); rounds of k-means move them, expectation and maximisation follow (Dempster et al. 1977).

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::{Probabilities, Result, StatsError};

const ROUNDS_OF_MEANS: usize = 10;
const ROUNDS: usize = 100;
/// Gain of the mean log-likelihood at which it ends.
const TOLERANCE: f64 = 1e-3;
/// Added to every variance, as a share of the points' mean variance.
const RIDGE: f64 = 1e-3;
/// Points whose densities are formed together.
const BLOCK: usize = 256;

/// `[n, p]` row-major, about their mean.
pub(super) struct Points {
    pub n: usize,
    pub p: usize,
    pub data: Vec<f64>,
}

impl Points {
    fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.data.chunks_exact(self.p.max(1))
    }
    fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.p..][..self.p]
    }
}

/// The clusters' probabilities given each point, `[n, clusters]`.
pub(super) fn posteriors(points: &Points, clusters: usize) -> Result<Probabilities> {
    let refused = || StatsError::Unusable("a mixture without clusters".into());
    if points.p == 0 || clusters <= 1 {
        return Probabilities::new(1, vec![1.0; points.n]).ok_or_else(refused);
    }
    let ridge = RIDGE * points.data.iter().map(|x| x * x).sum::<f64>() / points.data.len() as f64;
    let mut shares = vec![0.0; points.n * clusters];
    for (row, nearest) in shares.chunks_exact_mut(clusters).zip(means(points, clusters)) {
        row[nearest] = 1.0;
    }
    let mut mixture = Mixture::of(points, &shares, clusters, ridge);
    let mut before = f64::NEG_INFINITY;
    for _ in 0..ROUNDS {
        let likelihood = mixture.shares(points, &mut shares);
        mixture = Mixture::of(points, &shares, clusters, ridge);
        if (likelihood - before).abs() < TOLERANCE {
            break;
        }
        before = likelihood;
    }
    mixture.shares(points, &mut shares);
    Probabilities::new(clusters, shares).ok_or_else(refused)
}

/// The cluster of every point by k-means.
fn means(points: &Points, clusters: usize) -> Vec<usize> {
    let distance =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
    let zero = vec![0.0; points.p];
    let mut far: Vec<f64> = points.rows().map(|x| distance(x, &zero)).collect();
    let first = (1..points.n).fold(0, |best, i| if far[i] < far[best] { i } else { best });
    far.fill(f64::INFINITY);
    let mut centres: Vec<f64> = Vec::with_capacity(clusters * points.p);
    let mut next = first;
    for _ in 0..clusters {
        let centre = points.row(next).to_vec();
        far.iter_mut().zip(points.rows()).for_each(|(far, x)| *far = far.min(distance(x, &centre)));
        centres.extend(centre);
        next = (1..points.n).fold(0, |best, i| if far[i] > far[best] { i } else { best });
    }
    let mut of = vec![0; points.n];
    for _ in 0..ROUNDS_OF_MEANS {
        of = (0..points.n)
            .into_par_iter()
            .map(|i| {
                let mut best = (f64::INFINITY, 0);
                for (c, centre) in centres.chunks_exact(points.p).enumerate() {
                    let apart = distance(points.row(i), centre);
                    if apart < best.0 {
                        best = (apart, c);
                    }
                }
                best.1
            })
            .collect();
        let mut sums = vec![0.0; centres.len()];
        let mut counts = vec![0.0; clusters];
        for (x, &c) in points.rows().zip(&of) {
            counts[c] += 1.0;
            sums[c * points.p..][..points.p].iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
        for (c, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0.0) {
            let to = centres[c * points.p..][..points.p].iter_mut();
            to.zip(&sums[c * points.p..]).for_each(|(to, sum)| *to = sum / count);
        }
    }
    of
}

struct Mixture {
    /// ln of each cluster's share and of its density's norm, and the part of its exponent that no point changes.
    constant: Vec<f64>,
    /// `[2p, clusters]`: factors of a point's coordinates and of their squares.
    factors: Vec<f64>,
}

impl Mixture {
    /// The maximum of the likelihood for `shares` `[n, clusters]`.
    fn of(points: &Points, shares: &[f64], clusters: usize, ridge: f64) -> Self {
        let (n, p) = (points.n, points.p);
        let mut constant = vec![0.0; clusters];
        let mut factors = vec![0.0; 2 * p * clusters];
        let found: Vec<(f64, Vec<f64>, Vec<f64>)> = (0..clusters)
            .into_par_iter()
            .map(|c| {
                // So that no share is zero.
                let mut count = 10.0 * f64::EPSILON;
                let (mut sums, mut squares) = (vec![0.0; p], vec![0.0; p]);
                for (x, shares) in points.rows().zip(shares.chunks_exact(clusters)) {
                    let share = shares[c];
                    if share > 0.0 {
                        count += share;
                        for ((sum, square), x) in sums.iter_mut().zip(&mut squares).zip(x) {
                            *sum += share * x;
                            *square += share * x * x;
                        }
                    }
                }
                let mean: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
                let precision = squares
                    .iter()
                    .zip(&mean)
                    .map(|(square, m)| 1.0 / ((square / count - m * m).max(0.0) + ridge))
                    .collect();
                (count, mean, precision)
            })
            .collect();
        let ln_2pi = std::f64::consts::TAU.ln();
        for (c, (count, mean, precision)) in found.into_iter().enumerate() {
            constant[c] = (count / n as f64).ln() - 0.5 * p as f64 * ln_2pi;
            for (k, (m, precision)) in mean.into_iter().zip(precision).enumerate() {
                constant[c] += 0.5 * (precision.ln() - m * m * precision);
                factors[k * clusters + c] = m * precision;
                factors[(p + k) * clusters + c] = -0.5 * precision;
            }
        }
        Self { constant, factors }
    }

    /// Writes the posteriors and returns the mean log-likelihood.
    fn shares(&self, points: &Points, shares: &mut [f64]) -> f64 {
        let (p, clusters) = (points.p, self.constant.len());
        let factors = MatRef::from_row_major_slice(&self.factors, 2 * p, clusters);
        let likelihoods: Vec<f64> = shares
            .par_chunks_mut(BLOCK * clusters)
            .enumerate()
            .map(|(block, shares)| {
                let count = shares.len() / clusters;
                let mut both = Vec::with_capacity(count * 2 * p);
                for i in block * BLOCK..block * BLOCK + count {
                    both.extend_from_slice(points.row(i));
                    both.extend(points.row(i).iter().map(|x| x * x));
                }
                let both = MatRef::from_row_major_slice(&both, count, 2 * p);
                let to = MatMut::from_row_major_slice_mut(shares, count, clusters);
                matmul(to, Accum::Replace, both, factors, 1.0, Par::Seq);
                let mut sum = 0.0;
                for row in shares.chunks_exact_mut(clusters) {
                    row.iter_mut().zip(&self.constant).for_each(|(r, c)| *r += c);
                    let largest = row.iter().copied().fold(f64::MIN, f64::max);
                    let total: f64 = row.iter().map(|r| (r - largest).exp()).sum();
                    let norm = largest + total.ln();
                    row.iter_mut().for_each(|r| *r = (*r - norm).exp());
                    sum += norm;
                }
                sum
            })
            .collect();
        likelihoods.iter().sum::<f64>() / points.n as f64
    }
}
