//! How sure a figure is.

use std::cell::OnceCell;

use offshoot_random::generator;
use rand::RngExt;
use rayon::prelude::*;

use super::{Metric, check};
use crate::{Probabilities, Result};

/// A figure and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// On the samples themselves.
    pub value: f64,
    /// 2.5 % of resamples are lower.
    pub low: f64,
    /// 2.5 % of resamples are higher.
    pub high: f64,
}

/// The metric with its percentile bootstrap interval over `resamples` draws of all samples (Efron
/// 1979). Resample `r` is drawn by the key (seed, "bootstrap", 0, r), the same for every metric, so
/// that differences between metrics and models are paired.
pub fn bootstrap(
    metric: &Metric,
    probabilities: &Probabilities,
    labels: &[u32],
    resamples: usize,
    seed: u64,
) -> Result<Interval> {
    let one = bootstrap_all([metric], probabilities, labels, resamples, seed)?;
    Ok(one[0])
}

/// The same of several metrics. Drawing takes longer than most of them, and is done once for all.
///
/// # Errors
/// As [`Metric::of`].
pub fn bootstrap_all<const N: usize>(
    metrics: [&Metric; N],
    probabilities: &Probabilities,
    labels: &[u32],
    resamples: usize,
    seed: u64,
) -> Result<[Interval; N]> {
    check(probabilities, labels)?;
    let n = labels.len();
    let answers = OnceCell::new();
    let metrics = metrics.map(|metric| metric.prepare(probabilities, labels, &answers));
    let of = |samples: &[usize]| metrics.each_ref().map(|metric| metric.on(samples));
    let values = of(&(0..n).collect::<Vec<_>>());
    let resampled: Vec<[f64; N]> =
        (0..resamples as u64).into_par_iter().map(|r| of(&draw(n, seed, r))).collect();
    Ok(std::array::from_fn(|metric| {
        let value = values[metric];
        let mut sorted: Vec<f64> = resampled.iter().map(|values| values[metric]).collect();
        sorted.sort_by(f64::total_cmp);
        Interval {
            value,
            low: quantile(&sorted, 0.025).unwrap_or(value),
            high: quantile(&sorted, 0.975).unwrap_or(value),
        }
    }))
}

/// The samples of resample `r`: `n` draws of `0..n`.
pub(super) fn draw(n: usize, seed: u64, r: u64) -> Vec<usize> {
    let mut rng = generator(seed, "bootstrap", 0, r);
    (0..n).map(|_| rng.random_range(0..n)).collect()
}

/// The nearest of the sorted values to the quantile `q`; `None` without values.
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q * (sorted.len().saturating_sub(1)) as f64;
    sorted.get(place.round() as usize).copied()
}
