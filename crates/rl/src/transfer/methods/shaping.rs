//! Shaping: what the source expects of a state is a reward for getting there.

use super::Method;
use crate::learn::Start;

/// The registry line.
pub const METHOD: Method = Method {
    name: "shaping",
    summary: "reward steps towards what the source values, which changes no best policy",
    paper: "Ng, Harada & Russell 1999 (potential-based); Brys et al. 2015",
    maps: false,
    start: |given| Ok(Start { potential: Some(given.source.clone()), ..Start::default() }),
};
