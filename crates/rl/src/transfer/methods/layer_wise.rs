//! Layer-wise: the last layer learns first and fastest, those below follow.

use super::{Method, depth};
use crate::learn::{Shares, Start};

/// By which the rate falls from a layer to the one below.
const DECAY: f32 = 2.6;
/// Part of the steps after which one more layer learns.
const EACH: f64 = 0.05;

/// The registry line.
pub const METHOD: Method = Method {
    name: "layer-wise",
    summary: "thaw the source's layers from the last on, lower ones at lower rates",
    paper: "Howard & Ruder 2018, arXiv:1801.06146",
    maps: false,
    start: |given| {
        let layers = depth(&given.source.actor);
        let shares = (1..=layers)
            .map(|thawed| Shares {
                until: if thawed == layers { 1.0 } else { EACH * thawed as f64 },
                layers: (0..layers)
                    .map(|layer| {
                        let above = (layers - 1 - layer) as i32;
                        if layer + thawed >= layers { DECAY.powi(-above) } else { 0.0 }
                    })
                    .collect(),
            })
            .collect();
        Ok(Start { policy: Some(given.source.clone()), shares, ..Start::default() })
    },
};
