//! Share of samples whose class is among the five most probable.

use super::{Compute, Direction, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "top5_accuracy",
    summary: "share of samples whose class is among the five most probable",
    direction: Direction::Higher,
    compute: Compute::Mean(|p, labels, i| {
        let (row, label) = (p.row(i), labels[i] as usize);
        // Equals count in order of class, as in `Probabilities::ranked`.
        let ahead = row
            .iter()
            .enumerate()
            .filter(|&(c, &q)| q > row[label] || (q == row[label] && c < label));
        f64::from(u8::from(ahead.count() < 5))
    }),
};
