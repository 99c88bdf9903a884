//! Share of samples whose most probable class is right.

use super::{Direction, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "accuracy",
    summary: "share of samples whose most probable class is right",
    direction: Direction::Higher,
    compute: |p, labels, samples| {
        let right = samples.iter().filter(|&&i| p.predicted(i) == labels[i]).count();
        right as f64 / samples.len() as f64
    },
};
