//! Energy distance.

use super::{Distance, Measure, Pair};
use crate::Result;

pub(super) const DISTANCE: Distance = Distance {
    name: "energy",
    summary: "energy distance, as a share of the mean distance between the sets: from 0 to 1",
    paper: "Székely & Rizzo 2013, J. Stat. Plan. Inference 143",
    is_test: true,
    least: 0.0,
    compute,
};

/// `(2E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖) / 2E‖x − y‖`, each mean over all pairs, a sample with itself
/// included: 0 only for equal sets, 1 for two points (the coefficient H of the paper).
fn compute(pair: &Pair<'_>) -> Result<Measure> {
    let [n, m] = pair.used().map(|n| n as f64);
    let distance = &pair.pairwise().distance;
    let share = |within: f64, between: f64| {
        if between > 0.0 { (2.0 * between - within) / (2.0 * between) } else { 0.0 }
    };
    let statistics: Vec<f64> = distance
        .permuted(&pair.cells, true)
        .into_iter()
        .map(|t| share(t.source / (n * n) + t.target / (m * m), t.between / (n * m)))
        .collect();
    let resampled = distance.resampled(&pair.cells, true);
    let resampled = resampled.into_iter().map(|t| share(t.source + t.target, t.between));
    Ok(pair.test(DISTANCE.name, statistics[0].max(0.0), statistics, resampled.collect()))
}
