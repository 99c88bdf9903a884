//! How sure a figure is.

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
    check(probabilities, labels)?;
    let n = labels.len();
    let value = metric.of(probabilities, labels)?;
    let mut values: Vec<f64> = (0..resamples as u64)
        .into_par_iter()
        .map(|r| {
            let mut rng = generator(seed, "bootstrap", 0, r);
            let samples: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
            (metric.compute)(probabilities, labels, &samples)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let place = q * (values.len().saturating_sub(1)) as f64;
        values.get(place.round() as usize).copied().unwrap_or(value)
    };
    Ok(Interval { value, low: quantile(0.025), high: quantile(0.975) })
}
