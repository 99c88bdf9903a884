//! Parameters in the order that the kernels want, and as checkpoints hold them.

use crate::{Array, Params, Result, Role};

use crate::cpu::Learned;
use crate::cpu::fold::array;

/// What a caller may know of a parameter.
#[derive(Debug, Clone, Copy)]
pub struct ParamInfo<'a> {
    /// Checkpoint key.
    pub key: &'a str,
    /// Stage of the recipe.
    pub stage: &'a str,
    /// Number of values.
    pub len: usize,
    /// What it does.
    pub role: Role,
    /// Whether weight decay is usual: weights of convolutions and linear layers, not norms and
    /// biases.
    pub decays: bool,
}

/// A parameter of the stages that are trained.
pub(super) struct Param {
    /// The checkpoint's key: one, as a slice for [`Learned`].
    key: [String; 1],
    stage: &'static str,
    role: Role,
    /// Whether it learns; else it has no gradient.
    pub learns: bool,
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
        role: Role,
        learns: bool,
    ) -> Result<Self> {
        let len = shape.iter().product();
        let gradient = if learns { vec![0.0; len] } else { Vec::new() };
        let value = vec![0.0; len];
        let mut param = Self { key: [key], stage, role, learns, shape, value, gradient };
        param.load(params)?;
        Ok(param)
    }

    /// Takes over the checkpoint's values.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        let from = array(params, &self.key[0], self.value.len())?;
        let value = &mut self.value;
        for_pairs(&self.shape, |inner, outer| value[inner] = from[outer]);
        Ok(())
    }

    pub fn key(&self) -> &str {
        &self.key[0]
    }

    pub fn learned(&mut self) -> Option<Learned<'_>> {
        self.learns.then_some(Learned {
            keys: &self.key,
            role: self.role,
            value: &mut self.value,
            gradient: &self.gradient,
        })
    }

    pub fn info(&self) -> ParamInfo<'_> {
        ParamInfo {
            key: &self.key[0],
            stage: self.stage,
            len: self.value.len(),
            role: self.role,
            decays: self.role == Role::Weight,
        }
    }

    pub fn array(&self) -> (String, Array) {
        (self.key().to_string(), self.outward(&self.value))
    }

    pub fn gradient_array(&self) -> (String, Array) {
        (self.key().to_string(), self.outward(&self.gradient))
    }

    fn outward(&self, values: &[f32]) -> Array {
        let mut data = vec![0.0; values.len()];
        for_pairs(&self.shape, |inner, outer| data[outer] = values[inner]);
        Array { shape: self.shape.clone(), data: data.into() }
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
