//! What an encoder learns: values and gradients, laid out as the kernels want them.

use crate::cpu::fold::array;
use crate::{Array, Params, Result, Role};

/// Arrays of a checkpoint that are computed with as one.
pub(super) struct Tensor {
    pub keys: Vec<String>,
    pub role: Role,
    form: Form,
    pub value: Vec<f32>,
    pub gradient: Vec<f32>,
}

enum Form {
    /// Arrays of this shape, one after the other.
    Joined(Vec<usize>),
    /// Matrices `[outputs, inputs]`, transposed and side by side: `[inputs, arrays·outputs]`.
    Transposed { inputs: usize, outputs: usize },
}

impl Tensor {
    /// Reads arrays of `shape`, one after the other.
    pub fn joined(params: &Params, keys: Vec<String>, role: Role, shape: &[usize]) -> Result<Self> {
        let mut value = Vec::new();
        for key in &keys {
            value.extend_from_slice(array(params, key, shape.iter().product())?);
        }
        let gradient = vec![0.0; value.len()];
        Ok(Self { keys, role, form: Form::Joined(shape.to_vec()), value, gradient })
    }

    /// Reads matrices `[outputs, inputs]` that share their input.
    pub fn transposed(
        params: &Params,
        keys: Vec<String>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self> {
        let width = keys.len() * outputs;
        let mut value = vec![0.0; inputs * width];
        for (i, key) in keys.iter().enumerate() {
            let matrix = array(params, key, inputs * outputs)?;
            for (o, row) in matrix.chunks_exact(inputs).enumerate() {
                for (to, &w) in value[i * outputs + o..].iter_mut().step_by(width).zip(row) {
                    *to = w;
                }
            }
        }
        let gradient = vec![0.0; value.len()];
        let form = Form::Transposed { inputs, outputs };
        Ok(Self { keys, role: Role::Weight, form, value, gradient })
    }

    /// `values`, laid out as this tensor, as the checkpoint's arrays.
    pub fn arrays(&self, values: &[f32]) -> Vec<(String, Array)> {
        let arrays = self.keys.iter().enumerate().map(|(i, key)| {
            let array = match &self.form {
                Form::Joined(shape) => {
                    let len: usize = shape.iter().product();
                    Array { shape: shape.clone(), data: values[i * len..(i + 1) * len].to_vec() }
                }
                &Form::Transposed { inputs, outputs } => {
                    let width = self.keys.len() * outputs;
                    let column = |o: usize| {
                        values[i * outputs + o..].iter().step_by(width).take(inputs).copied()
                    };
                    let data = (0..outputs).flat_map(column).collect();
                    Array { shape: vec![outputs, inputs], data }
                }
            };
            (key.clone(), array)
        });
        arrays.collect()
    }
}
