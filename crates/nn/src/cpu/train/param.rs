//! Parameters in the order that the kernels want, and as checkpoints hold them.

use crate::{Array, Params, Result};

use super::super::fold::array;

/// What a caller may know of a parameter.
#[derive(Debug, Clone, Copy)]
pub struct ParamInfo<'a> {
    /// Checkpoint key.
    pub key: &'a str,
    /// Stage of the recipe.
    pub stage: &'a str,
    /// Number of values.
    pub len: usize,
    /// Whether weight decay is usual: weights of convolutions and linear layers, not norms and
    /// biases.
    pub decays: bool,
}

/// A parameter that learns.
pub(super) struct Param {
    key: String,
    stage: &'static str,
    /// As in the checkpoint.
    shape: Vec<usize>,
    /// `[taps, inputs, outputs]` for weights, `[channels]` otherwise.
    pub value: Vec<f32>,
    pub gradient: Vec<f32>,
}

impl Param {
    /// Reads `key`, whose checkpoint shape is `shape`: `[out, in, kh, kw]`, `[out, in]` or `[out]`.
    pub fn read(
        params: &Params,
        stage: &'static str,
        key: String,
        shape: Vec<usize>,
    ) -> Result<Self> {
        let len = shape.iter().product();
        let from = array(params, &key, len)?;
        let mut value = vec![0.0; len];
        for_pairs(&shape, |inner, outer| value[inner] = from[outer]);
        Ok(Self { key, stage, shape, value, gradient: vec![0.0; len] })
    }

    pub fn keys(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.key.clone())
    }

    pub fn info(&self) -> ParamInfo<'_> {
        ParamInfo {
            key: &self.key,
            stage: self.stage,
            len: self.value.len(),
            decays: self.shape.len() > 1,
        }
    }

    pub fn array(&self) -> (String, Array) {
        (self.key.clone(), self.outward(&self.value))
    }

    pub fn gradient_array(&self) -> (String, Array) {
        (self.key.clone(), self.outward(&self.gradient))
    }

    fn outward(&self, values: &[f32]) -> Array {
        let mut data = vec![0.0; values.len()];
        for_pairs(&self.shape, |inner, outer| data[outer] = values[inner]);
        Array { shape: self.shape.clone(), data }
    }
}

/// Calls `pair` with the place of every value in the kernels' order and in the checkpoint's.
fn for_pairs(shape: &[usize], mut pair: impl FnMut(usize, usize)) {
    let [outputs, inputs] = [shape[0], shape.get(1).copied().unwrap_or(1)];
    let taps: usize = shape.iter().skip(2).product();
    for o in 0..outputs {
        for c in 0..inputs {
            for t in 0..taps {
                pair((t * inputs + c) * outputs + o, (o * inputs + c) * taps + t);
            }
        }
    }
}
