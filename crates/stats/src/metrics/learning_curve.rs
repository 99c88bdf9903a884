//! Accuracy by the number of labels, and how many labels one way of learning is worth in another.
//!
//! Learning curves are close to straight in the logarithm of the labels, and what is learnt from more labels
//! is no worse in expectation. So a curve is first made monotone, by the nearest one that never falls (pool
//! adjacent violators, Ayer et al. 1955), and then read off between its points in log labels.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::Interval;
use super::bootstrap::{draw, quantile};
use super::paired::draw_seeds;
use crate::{Result, StatsError};

/// Right answers of repetitions on the same samples, after learning from so many labels.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledAnswers {
    /// Labels learnt from.
    pub labels: f64,
    /// Whether the answer was right, `[seeds][samples]`.
    pub right: Vec<Vec<bool>>,
}

/// Where a curve reaches an accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// Already at its first point, which has so many labels.
    AtMost(f64),
    /// At about so many labels.
    About(f64),
    /// Not even at its last point, which has so many.
    MoreThan(f64),
}

impl Reach {
    /// The order of labels: what is reached at once is least, what is never reached is most.
    fn order(&self) -> f64 {
        match self {
            Self::AtMost(_) => f64::NEG_INFINITY,
            Self::About(labels) => *labels,
            Self::MoreThan(_) => f64::INFINITY,
        }
    }
}

/// How many labels one way of learning needs to be as good as another, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Equivalent {
    /// On the samples themselves.
    pub value: Reach,
    /// 2.5 % of resamples need fewer.
    pub low: Reach,
    /// 2.5 % of resamples need more.
    pub high: Reach,
}

/// The non-decreasing sequence nearest to `values` in squares: neighbours that fall share their mean.
pub fn monotone(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for &value in values {
        let mut block = (value, 1);
        while let Some(&(mean, n)) = blocks.last()
            && mean > block.0
        {
            blocks.pop();
            let both = n + block.1;
            block = ((mean * n as f64 + block.0 * block.1 as f64) / both as f64, both);
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(mean, n)| std::iter::repeat_n(mean, n)).collect()
}

/// The labels at which a curve of (labels, accuracy), sorted by labels, reaches `accuracy`; `None` for a
/// curve without points.
pub fn labels_to_reach(curve: &[(f64, f64)], accuracy: f64) -> Option<Reach> {
    let heights = monotone(&curve.iter().map(|point| point.1).collect::<Vec<_>>());
    let (first, last) = (curve.first()?.0, curve.last()?.0);
    let Some(after) = heights.iter().position(|&height| height >= accuracy) else {
        return Some(Reach::MoreThan(last));
    };
    let Some(before) = after.checked_sub(1) else { return Some(Reach::AtMost(first)) };
    let share = (accuracy - heights[before]) / (heights[after] - heights[before]);
    let [low, high] = [before, after].map(|i| curve[i].0.ln());
    Some(Reach::About((low + share * (high - low)).exp()))
}

/// Accuracy, the mean over seeds, with its 95 % interval over resamples of the samples and of the seeds.
///
/// # Errors
/// No samples or seeds, or seeds with different numbers of samples.
pub fn accuracy_over_seeds(
    answers: &LabelledAnswers,
    resamples: usize,
    seed: u64,
) -> Result<Interval> {
    let (n, seeds) = shape(std::iter::once(answers))?;
    let on = |counts: &[u32], drawn: &[usize]| mean(answers, counts, drawn);
    let value = on(&vec![1; n], &(0..seeds).collect::<Vec<_>>());
    let mut values: Vec<f64> = (0..resamples as u64)
        .into_par_iter()
        .map(|r| on(&counts(n, seed, r), &draw_seeds(seeds, seed, r)))
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |q| quantile(&values, q).unwrap_or(value);
    Ok(Interval { value, low: at(0.025), high: at(0.975) })
}

/// How many labels the way of learning that made `curve` needs to be as good as `reached`.
///
/// Samples and seeds are resampled together: the same draw makes the curve and what is to be reached, so
/// that what makes samples hard cancels out. Points with fewer seeds than others take theirs in turn.
///
/// # Errors
/// A curve without points; otherwise as [`accuracy_over_seeds`].
pub fn label_equivalent(
    curve: &[LabelledAnswers],
    reached: &LabelledAnswers,
    resamples: usize,
    seed: u64,
) -> Result<Equivalent> {
    let mut curve: Vec<&LabelledAnswers> = curve.iter().collect();
    curve.sort_by(|a, b| a.labels.total_cmp(&b.labels));
    let (n, seeds) = shape(curve.iter().copied().chain(std::iter::once(reached)))?;
    let empty = || StatsError::Unusable("a learning curve without points reaches nothing".into());
    let on = |counts: &[u32], drawn: &[usize]| -> Result<Reach> {
        let points: Vec<(f64, f64)> =
            curve.iter().map(|point| (point.labels, mean(point, counts, drawn))).collect();
        labels_to_reach(&points, mean(reached, counts, drawn)).ok_or_else(empty)
    };
    let value = on(&vec![1; n], &(0..seeds).collect::<Vec<_>>())?;
    let mut reaches: Vec<Reach> = (0..resamples as u64)
        .into_par_iter()
        .map(|r| on(&counts(n, seed, r), &draw_seeds(seeds, seed, r)))
        .collect::<Result<_>>()?;
    reaches.sort_by(|a, b| a.order().partial_cmp(&b.order()).unwrap_or(Ordering::Equal));
    let at = |q: f64| {
        let place = q * reaches.len().saturating_sub(1) as f64;
        reaches.get(place.round() as usize).copied().unwrap_or(value)
    };
    Ok(Equivalent { value, low: at(0.025), high: at(0.975) })
}

/// Samples and the largest number of seeds.
fn shape<'a>(all: impl Iterator<Item = &'a LabelledAnswers>) -> Result<(usize, usize)> {
    let mut found = None;
    let mut most = 0;
    for answers in all {
        if answers.right.is_empty() {
            return Err(StatsError::Unusable("a point of a learning curve without a seed".into()));
        }
        most = most.max(answers.right.len());
        for right in &answers.right {
            let n = *found.get_or_insert(right.len());
            if right.len() != n || n == 0 {
                return Err(StatsError::Shape {
                    expected: format!("answers to the same samples ({n}), one at least"),
                    actual: right.len().to_string(),
                });
            }
        }
    }
    Ok((found.unwrap_or(0), most))
}

/// How often resample `r` holds each sample.
fn counts(n: usize, seed: u64, r: u64) -> Vec<u32> {
    let mut counts = vec![0; n];
    draw(n, seed, r).into_iter().for_each(|i| counts[i] += 1);
    counts
}

/// Accuracy on a resample: the mean over the seeds drawn.
fn mean(answers: &LabelledAnswers, counts: &[u32], drawn: &[usize]) -> f64 {
    let all: u64 = counts.iter().map(|&c| u64::from(c)).sum();
    let right = |s: &usize| -> u64 {
        let right = &answers.right[s % answers.right.len()];
        right.iter().zip(counts).map(|(&r, &c)| u64::from(u32::from(r) * c)).sum()
    };
    let sum: u64 = drawn.iter().map(right).sum();
    sum as f64 / (all.max(1) * drawn.len().max(1) as u64) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(curve: &[(f64, f64)], accuracy: f64) -> f64 {
        match labels_to_reach(curve, accuracy) {
            Some(Reach::About(labels)) => labels,
            other => panic!("{other:?}"),
        }
    }

    const STRAIGHT: [(f64, f64); 3] = [(10.0, 0.2), (100.0, 0.5), (1000.0, 0.8)];

    #[test]
    fn a_straight_curve_is_read_off_in_log_labels() {
        assert!((about(&STRAIGHT, 0.35) - 10f64.powf(1.5)).abs() < 1e-9);
        assert!((about(&STRAIGHT, 0.5) - 100.0).abs() < 1e-9);
        assert!((about(&STRAIGHT, 0.8) - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn beyond_its_ends_a_curve_says_only_at_most_and_more_than() {
        assert_eq!(labels_to_reach(&STRAIGHT, 0.1), Some(Reach::AtMost(10.0)));
        assert_eq!(labels_to_reach(&STRAIGHT, 0.2), Some(Reach::AtMost(10.0)));
        assert_eq!(labels_to_reach(&STRAIGHT, 0.81), Some(Reach::MoreThan(1000.0)));
        assert_eq!(labels_to_reach(&[], 0.5), None);
        assert_eq!(labels_to_reach(&[(9.0, 0.4)], 0.5), Some(Reach::MoreThan(9.0)));
    }

    #[test]
    fn a_dip_is_shared_with_its_neighbour_and_not_taken_for_a_crossing() {
        // A lucky 0.6 at 100 labels is followed by 0.4: together they say 0.5.
        let curve = [(10.0, 0.2), (100.0, 0.6), (200.0, 0.4), (1000.0, 0.8)];
        let share = (0.55 - 0.5) / (0.8 - 0.5);
        let expected = (200f64.ln() + share * (1000f64 / 200.0).ln()).exp();
        assert!((about(&curve, 0.55) - expected).abs() < 1e-9);
        assert!((about(&curve, 0.5) - 100.0).abs() < 1e-9);
        // A curve that only falls is flat at its mean, and reaches nothing above that.
        let falling = [(10.0, 0.6), (100.0, 0.5), (1000.0, 0.4)];
        assert_eq!(labels_to_reach(&falling, 0.55), Some(Reach::MoreThan(1000.0)));
        assert_eq!(labels_to_reach(&falling, 0.5), Some(Reach::AtMost(10.0)));
    }

    #[test]
    fn monotone_is_the_nearest_that_never_falls() {
        assert_eq!(monotone(&[]), Vec::<f64>::new());
        assert_eq!(monotone(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(monotone(&[3.0, 1.0, 2.0]), [2.0, 2.0, 2.0]);
        assert_eq!(monotone(&[1.0, 4.0, 2.0, 3.0, 9.0]), [1.0, 3.0, 3.0, 3.0, 9.0]);
    }

    /// Right on the first `k` of 100 samples, for each seed.
    fn answers(labels: f64, k: &[usize]) -> LabelledAnswers {
        let right = k.iter().map(|&k| (0..100).map(|i| i < k).collect()).collect();
        LabelledAnswers { labels, right }
    }

    #[test]
    fn an_accuracy_is_the_mean_over_seeds_inside_its_interval() {
        let found = accuracy_over_seeds(&answers(10.0, &[60, 70, 80]), 400, 0).unwrap();
        assert!((found.value - 0.7).abs() < 1e-12);
        assert!(found.low < 0.66 && found.high > 0.74, "{found:?}");
        let one = accuracy_over_seeds(&answers(10.0, &[70]), 400, 0).unwrap();
        assert!(one.high - one.low < found.high - found.low);
    }

    #[test]
    fn an_equivalent_lies_in_its_interval_and_knows_when_it_is_never_reached() {
        let curve = [answers(10.0, &[20]), answers(100.0, &[50]), answers(1000.0, &[80])];
        let found = label_equivalent(&curve, &answers(5.0, &[65]), 300, 1).unwrap();
        let Reach::About(labels) = found.value else { panic!("{found:?}") };
        assert!((labels - 10f64.powf(2.5)).abs() < 1e-9, "{found:?}");
        assert!(found.low.order() <= labels && labels <= found.high.order());
        assert!(found.low.order() > 100.0, "pairing keeps the interval narrow: {found:?}");
        let never = label_equivalent(&curve, &answers(5.0, &[95]), 300, 1).unwrap();
        assert_eq!((never.value, never.high), (Reach::MoreThan(1000.0), Reach::MoreThan(1000.0)));
        let at_once = label_equivalent(&curve, &answers(5.0, &[5]), 300, 1).unwrap();
        assert_eq!((at_once.value, at_once.low), (Reach::AtMost(10.0), Reach::AtMost(10.0)));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let good = answers(10.0, &[20]);
        let short = LabelledAnswers { labels: 1.0, right: vec![vec![true; 3]] };
        assert!(label_equivalent(std::slice::from_ref(&good), &short, 10, 0).is_err());
        assert!(label_equivalent(&[], &good, 10, 0).is_err());
        let none = LabelledAnswers { labels: 1.0, right: vec![] };
        assert!(accuracy_over_seeds(&none, 10, 0).is_err());
        let empty = LabelledAnswers { labels: 1.0, right: vec![vec![]] };
        assert!(accuracy_over_seeds(&empty, 10, 0).is_err());
    }
}
