//! Share of samples whose class is among the five most probable.

use super::{Direction, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "top5_accuracy",
    summary: "share of samples whose class is among the five most probable",
    direction: Direction::Higher,
    compute: |p, labels, samples| {
        let right = samples.iter().filter(|&&i| {
            let (row, label) = (p.row(i), labels[i] as usize);
            // Equals count in order of class, as in `Probabilities::ranked`.
            let ahead = row
                .iter()
                .enumerate()
                .filter(|&(c, &q)| q > row[label] || (q == row[label] && c < label));
            ahead.count() < 5
        });
        right.count() as f64 / samples.len() as f64
    },
};
