//! Share of samples whose most probable class is right.

use super::{Compute, Direction, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "accuracy",
    summary: "share of samples whose most probable class is right",
    direction: Direction::Higher,
    compute: Compute::Mean(|p, labels, i| f64::from(u8::from(p.predicted(i) == labels[i]))),
};
