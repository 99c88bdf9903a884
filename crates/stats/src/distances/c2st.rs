//! Classifier two-sample test.

use offshoot_random::generator;
use rand::RngExt;

use super::{Distance, Measure, Pair};
use crate::Result;

pub(super) const DISTANCE: Distance = Distance {
    name: "c2st",
    summary: "how often a linear classifier tells held-out samples of the two sets apart: from 0.5 to 1",
    paper: "Lopez-Paz & Oquab 2017, arXiv:1610.06545",
    is_test: true,
    least: 0.5,
    compute,
};

/// Balanced accuracy on held-out samples. The p-value is by permutation, each with its own
/// classifiers: predictions of cross-validation are not independent, so a binomial test would lie.
fn compute(pair: &Pair<'_>) -> Result<Measure> {
    let accuracies = pair.judged()?.accuracies.clone();
    let resampled = resampled(pair)?;
    Ok(pair.test(DISTANCE.name, accuracies[0], accuracies, resampled))
}

/// Balanced accuracies on samples drawn with replacement from each set.
pub(super) fn resampled(pair: &Pair<'_>) -> Result<Vec<f64>> {
    let scores = &pair.judged()?.scores;
    let hits = |set: usize| -> Vec<f64> {
        let of_set = pair.cells.rows.iter().zip(scores).filter(|((s, _), _)| *s == set);
        of_set.map(|(_, &score)| super::classifier::hit(score, set == 0)).collect()
    };
    let sets = [hits(0), hits(1)];
    let one = |resample: usize| {
        let mut draws = generator(pair.options.seed, "c2st", 0, resample as u64);
        let mut share = |hits: &[f64]| {
            let drawn = hits.iter().map(|_| hits[draws.random_range(0..hits.len())]);
            drawn.sum::<f64>() / hits.len() as f64
        };
        0.5 * (share(&sets[0]) + share(&sets[1]))
    };
    Ok((0..pair.options.resamples).map(one).collect())
}
