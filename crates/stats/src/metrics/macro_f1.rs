//! Mean F1 over the classes that occur or are predicted.

use super::{Compute, Confusion, Direction, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "macro_f1",
    summary: "mean F1 over the classes that occur or are predicted",
    direction: Direction::Higher,
    compute: Compute::Set(|answers, samples| {
        let confusion = Confusion::of_samples(answers, samples);
        let scores: Vec<f64> = confusion
            .by_class()
            .into_iter()
            .filter(|c| c.support > 0 || c.predicted > 0)
            .map(|c| c.f1)
            .collect();
        scores.iter().sum::<f64>() / scores.len() as f64
    }),
};
