//! Warm start: training goes on from the source's policy and values.

use super::Method;
use crate::learn::Start;

/// The registry line.
pub const METHOD: Method = Method {
    name: "warm-start",
    summary: "go on from the source's policy and values",
    paper: "Taylor & Stone 2009, JMLR 10, section 4.1",
    maps: false,
    start: |given| Ok(Start { policy: Some(given.source.clone()), ..Start::default() }),
};
