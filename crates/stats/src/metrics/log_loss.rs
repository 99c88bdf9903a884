//! Mean −ln p of the right class.

use super::{Compute, Direction, Metric};

/// Smallest probability that is taken at its word, as in scikit-learn: the rounding of `f64`.
const FLOOR: f64 = f64::EPSILON;

pub(super) const METRIC: Metric = Metric {
    name: "log_loss",
    summary: "mean -ln p of the right class",
    direction: Direction::Lower,
    compute: Compute::Mean(|p, labels, i| {
        -p.row(i)[labels[i] as usize].clamp(FLOOR, 1.0 - FLOOR).ln()
    }),
};
