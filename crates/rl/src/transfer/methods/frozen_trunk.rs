//! Frozen trunk: what the source sees is kept, what it does with it is learnt anew.

use super::{Method, depth, new_heads};
use crate::learn::{Shares, Start};

/// The registry line.
pub const METHOD: Method = Method {
    name: "frozen-trunk",
    summary: "keep the source's hidden layers as they are, learn new last ones",
    paper: "Yosinski et al. 2014, arXiv:1411.1792",
    maps: false,
    start: |given| {
        let mut policy = given.source.clone();
        new_heads(&mut policy, given.task.seed);
        let mut layers = vec![0.0; depth(&policy.actor)];
        if let Some(last) = layers.last_mut() {
            *last = 1.0;
        }
        let shares = vec![Shares { until: 1.0, layers }];
        Ok(Start { policy: Some(policy), shares, ..Start::default() })
    },
};
