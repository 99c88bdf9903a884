//! Expected calibration error.

use super::{Compute, Direction, Metric};

/// Bins of equal mass.
const BINS: usize = 15;

pub(super) const METRIC: Metric = Metric {
    name: "ece",
    summary: "expected calibration error, 15 bins of equal mass (Naeini et al. 2015)",
    direction: Direction::Lower,
    compute: Compute::Set(|answers, samples| {
        let gap: f64 = answers
            .reliability(samples, BINS)
            .iter()
            .map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs())
            .sum();
        gap / samples.len() as f64
    }),
};
