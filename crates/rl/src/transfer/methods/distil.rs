//! Distillation: a new network imitates the sources while it learns.

use super::Method;
use crate::learn::Start;

/// Weight of the divergence from the teachers at first.
const WEIGHT: f32 = 1.0;

/// The registry line.
pub const METHOD: Method = Method {
    name: "distil",
    summary: "imitate one source or several while learning, less and less",
    paper: "Schmitt et al. 2018, arXiv:1803.03835 (kickstarting)",
    maps: false,
    start: |given| {
        let teachers = given.sources.to_vec();
        Ok(Start { teachers, imitation: WEIGHT, ..Start::default() })
    },
};
