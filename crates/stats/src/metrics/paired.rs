//! Is one classifier better than another on the same samples, and how sure is that?
//!
//! Both are measured on the same resamples, so that what makes samples hard cancels out: the interval of
//! a difference is far narrower than those of the two figures suggest (Efron & Tibshirani 1993, chapter
//! 16). Draws are those of [`super::bootstrap`]: a difference, the figures it is made of and every other
//! difference on the same samples are paired.

use std::cell::OnceCell;

use offshoot_random::generator;
use rand::RngExt;
use rayon::prelude::*;

use super::bootstrap::{draw, quantile};
use super::{Metric, Prepared, check};
use crate::{Probabilities, Result, StatsError};

/// How differences are resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairedOptions {
    /// Number of resamples.
    pub resamples: usize,
    /// Keys the draws, with the number of the resample.
    pub seed: u64,
}

impl Default for PairedOptions {
    fn default() -> Self {
        Self { resamples: 1000, seed: 0 }
    }
}

/// `metric(a) − metric(b)` on the same samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// On the samples themselves.
    pub value: f64,
    /// 2.5 % of resamples are lower.
    pub low: f64,
    /// 2.5 % of resamples are higher.
    pub high: f64,
    /// Two-sided: twice the share of resamples on the other side of 0 or on it, one added to both
    /// counts, at most 1. It is below 0.05 about where the interval leaves 0 out.
    pub p: f64,
}

impl Difference {
    /// Whether the interval lies below 0: `a` has less than `b`.
    pub fn is_below_zero(&self) -> bool {
        self.high < 0.0
    }

    /// Whether the interval lies above 0: `a` has more than `b`.
    pub fn is_above_zero(&self) -> bool {
        self.low > 0.0
    }
}

/// The difference within one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassDifference {
    /// Samples of the class.
    pub support: usize,
    /// On the class's samples: for accuracy, the difference of the recalls. `None` without samples.
    pub difference: Option<Difference>,
    /// `p` held against as many classes as have samples (see [`holm`]); 1 without samples.
    pub adjusted_p: f64,
}

/// `metric(a) − metric(b)` with its 95 % percentile interval over resamples of the samples.
///
/// # Errors
/// As [`Metric::of`], of either classifier.
pub fn paired(
    metric: &Metric,
    a: &Probabilities,
    b: &Probabilities,
    labels: &[u32],
    options: PairedOptions,
) -> Result<Difference> {
    paired_over_seeds(metric, &[a], &[b], labels, options)
}

/// The same over repetitions: `a[s]` and `b[s]` come from runs with the same seed and answer the same
/// samples, and the metric is the mean over seeds.
///
/// Samples and seeds are drawn independently of each other, each with replacement (Owen 2007,
/// doi:10.1214/07-AOAS122), so the interval covers other samples and other seeds at once. Few
/// seeds say little about others: with S of them, a bootstrap sees (S − 1)/S of their variance.
///
/// # Errors
/// As [`Metric::of`]; another number of seeds on one side, or none.
pub fn paired_over_seeds(
    metric: &Metric,
    a: &[&Probabilities],
    b: &[&Probabilities],
    labels: &[u32],
    options: PairedOptions,
) -> Result<Difference> {
    let pairs = pairs(metric, a, b, labels)?;
    let n = labels.len();
    let on = |samples: &[usize], seeds: &[usize]| mean_difference(&pairs, samples, seeds);
    let all: Vec<usize> = (0..pairs.len()).collect();
    let value = on(&(0..n).collect::<Vec<_>>(), &all);
    let values: Vec<f64> = (0..options.resamples as u64)
        .into_par_iter()
        .map(|r| on(&draw(n, options.seed, r), &draw_seeds(pairs.len(), options.seed, r)))
        .collect();
    Ok(summarise(value, values))
}

/// [`paired_over_seeds`] within each class, with the same draws; resamples without a sample of a class
/// say nothing about it.
///
/// # Errors
/// As [`paired_over_seeds`].
pub fn paired_by_class(
    metric: &Metric,
    a: &[&Probabilities],
    b: &[&Probabilities],
    labels: &[u32],
    options: PairedOptions,
) -> Result<Vec<ClassDifference>> {
    let pairs = pairs(metric, a, b, labels)?;
    let classes = a[0].n_classes();
    let of_classes = |samples: &[usize], seeds: &[usize]| -> Vec<Option<f64>> {
        let mut members = vec![Vec::new(); classes];
        samples.iter().for_each(|&i| members[labels[i] as usize].push(i));
        let one = |members: &Vec<usize>| {
            (!members.is_empty()).then(|| mean_difference(&pairs, members, seeds))
        };
        members.iter().map(one).collect()
    };
    let n = labels.len();
    let all: Vec<usize> = (0..pairs.len()).collect();
    let values = of_classes(&(0..n).collect::<Vec<_>>(), &all);
    let resampled: Vec<Vec<Option<f64>>> = (0..options.resamples as u64)
        .into_par_iter()
        .map(|r| of_classes(&draw(n, options.seed, r), &draw_seeds(pairs.len(), options.seed, r)))
        .collect();
    let difference = |class: usize| {
        let value = values[class]?;
        Some(summarise(value, resampled.iter().filter_map(|r| r[class]).collect()))
    };
    let differences: Vec<Option<Difference>> = (0..classes).map(difference).collect();
    let mut adjusted =
        holm(&differences.iter().flatten().map(|d| d.p).collect::<Vec<_>>()).into_iter();
    let mut supports = vec![0; classes];
    labels.iter().for_each(|&y| supports[y as usize] += 1);
    Ok(differences
        .into_iter()
        .zip(supports)
        .map(|(difference, support)| ClassDifference {
            support,
            difference,
            adjusted_p: difference.and_then(|_| adjusted.next()).unwrap_or(1.0),
        })
        .collect())
}

/// p-values that may be held against one level together: the chance that any true hypothesis is
/// rejected stays below it, however they depend on each other (Holm 1979).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, i) in order.into_iter().enumerate() {
        least = least.max((p.len() - rank) as f64 * p[i]).min(1.0);
        adjusted[i] = least;
    }
    adjusted
}

/// Exact one-sided p-value of the sign test: how probable `losses` or more of `losses + wins` would be if
/// both sides were equally likely (McNemar 1947, for samples on which two classifiers disagree).
/// 1 where there is nothing to compare.
pub fn sign_test(losses: usize, wins: usize) -> f64 {
    let n = losses + wins;
    // ln of n choose k over 2ⁿ, from k = n downwards; the sum of what lies beyond is the p-value.
    let mut log = -(n as f64) * std::f64::consts::LN_2;
    let mut p = 0.0;
    for k in (losses..=n).rev() {
        p += log.exp();
        log += (k as f64).ln() - ((n - k + 1) as f64).ln();
    }
    p.min(1.0)
}

/// Two-sided p-value of a standard normal deviate, `erfc(|z|/√2)`: that of a mean over its standard error, where
/// samples are many.
pub fn normal_test(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    if !x.is_finite() {
        return if x.is_nan() { 1.0 } else { 0.0 };
    }
    let root = std::f64::consts::PI.sqrt();
    if x < 2.5 {
        // The power series of erf; its largest term is below 50 here.
        let (mut power, mut sum) = (x, x);
        for n in 1..80 {
            power *= -x * x / f64::from(n);
            sum += power / f64::from(2 * n + 1);
        }
        return (1.0 - 2.0 / root * sum).clamp(0.0, 1.0);
    }
    // The continued fraction of erfc (Abramowitz & Stegun 1964, 7.1.14), from within.
    let fraction = (1..=80).rev().fold(x, |within, n| x + 0.5 * f64::from(n) / within);
    (-x * x).exp() / (root * fraction)
}

/// Both classifiers of one seed.
type Pair<'a> = (Prepared<'a>, Prepared<'a>);

fn pairs<'a>(
    metric: &Metric,
    a: &[&'a Probabilities],
    b: &[&'a Probabilities],
    labels: &'a [u32],
) -> Result<Vec<Pair<'a>>> {
    if a.len() != b.len() || a.is_empty() {
        return Err(StatsError::Shape {
            expected: "as many seeds of one classifier as of the other, one at least".into(),
            actual: format!("{} and {}", a.len(), b.len()),
        });
    }
    if let Some(other) = a.iter().chain(b).find(|p| p.n_classes() != a[0].n_classes()) {
        return Err(StatsError::Shape {
            expected: format!("{} classes in all", a[0].n_classes()),
            actual: other.n_classes().to_string(),
        });
    }
    let prepare = |p: &'a Probabilities| -> Result<Prepared<'a>> {
        check(p, labels)?;
        Ok(metric.prepare(p, labels, &OnceCell::new()))
    };
    a.iter().zip(b).map(|(&a, &b)| Ok((prepare(a)?, prepare(b)?))).collect()
}

fn mean_difference(pairs: &[Pair<'_>], samples: &[usize], seeds: &[usize]) -> f64 {
    let of = |&s: &usize| pairs[s].0.on(samples) - pairs[s].1.on(samples);
    seeds.iter().map(of).sum::<f64>() / seeds.len() as f64
}

/// The seeds of resample `r`. One seed needs no draw, which leaves plain pairs what they are.
pub(super) fn draw_seeds(n: usize, seed: u64, r: u64) -> Vec<usize> {
    if n == 1 {
        return vec![0];
    }
    let mut rng = generator(seed, "bootstrap seeds", 0, r);
    (0..n).map(|_| rng.random_range(0..n)).collect()
}

fn summarise(value: f64, mut values: Vec<f64>) -> Difference {
    values.sort_by(f64::total_cmp);
    let share = |beyond: usize| (beyond + 1) as f64 / (values.len() + 1) as f64;
    let below = share(values.iter().filter(|&&v| v <= 0.0).count());
    let above = share(values.iter().filter(|&&v| v >= 0.0).count());
    Difference {
        value,
        low: quantile(&values, 0.025).unwrap_or(value),
        high: quantile(&values, 0.975).unwrap_or(value),
        p: (2.0 * below.min(above)).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviates_have_the_p_values_of_tables() {
        for (z, p) in [
            (0.0, 1.0),
            (1.0, 0.317_310_507_862_914_1),
            (-1.959_963_984_540_054, 0.05),
            (3.290_526_731_491_894_5, 0.001),
            (4.0, 6.334_248_366_623_99e-5),
            (6.0, 1.973_175_290_075_396e-9),
        ] {
            let found = normal_test(z);
            assert!((found - p).abs() <= 1e-11 * p.max(1e-2), "{z}: {found} is not {p}");
        }
        assert_eq!((normal_test(f64::INFINITY), normal_test(f64::NAN)), (0.0, 1.0));
    }
}
