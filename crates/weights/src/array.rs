//! A model's parameters and buffers: named `f32` arrays in key order.

use std::collections::BTreeMap;

/// A dense row-major array, in the checkpoint's own layout (`[out, in, kh, kw]` for convolutions).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Sizes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Product of the shape values.
    pub data: Vec<f32>,
}

/// All arrays of a model by the recipe's keys.
pub type Params = BTreeMap<String, Array>;
