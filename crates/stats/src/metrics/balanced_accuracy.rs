//! Mean recall over the classes that occur.

use super::{Compute, Confusion, Direction, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "balanced_accuracy",
    summary: "mean recall over the classes that occur",
    direction: Direction::Higher,
    compute: Compute::Set(|answers, samples| {
        let confusion = Confusion::of_samples(answers, samples);
        let recalls: Vec<f64> =
            confusion.by_class().into_iter().filter(|c| c.support > 0).map(|c| c.recall).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }),
};
