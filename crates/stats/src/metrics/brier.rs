//! Mean squared distance of the probabilities to the one-hot label, summed over classes.

use super::{Compute, Direction, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "brier",
    summary: "mean squared distance of probabilities to the truth (Brier 1950)",
    direction: Direction::Lower,
    compute: Compute::Mean(|p, labels, i| {
        let distance = |(c, p): (usize, &f64)| {
            let truth = f64::from(u8::from(c == labels[i] as usize));
            (p - truth) * (p - truth)
        };
        p.row(i).iter().enumerate().map(distance).sum::<f64>()
    }),
};
