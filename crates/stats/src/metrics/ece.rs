//! Expected calibration error.

use super::{Compute, Direction, Metric};
use crate::calibrate::reliability;

/// Bins of equal mass.
const BINS: usize = 15;

pub(super) const METRIC: Metric = Metric {
    name: "ece",
    summary: "expected calibration error, 15 bins of equal mass (Naeini et al. 2015)",
    direction: Direction::Lower,
    compute: Compute::Set(|p, labels, samples| {
        let labels: Vec<u32> = samples.iter().map(|&i| labels[i]).collect();
        let gap: f64 = reliability(&p.gather(samples), &labels, BINS)
            .iter()
            .map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs())
            .sum();
        gap / samples.len() as f64
    }),
};
