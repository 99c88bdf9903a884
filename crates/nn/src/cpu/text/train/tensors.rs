//! What an encoder learns: values and gradients, laid out as the kernels want them.

use crate::cpu::fold::array;
use crate::{Array, Params, Result, Role};

/// Arrays of a checkpoint that are computed with as one.
pub(super) struct Tensor {
    pub keys: Vec<String>,
    pub role: Role,
    form: Form,
    pub value: Vec<f32>,
    /// Empty where it does not learn.
    pub gradient: Vec<f32>,
}

/// Whether an array learns, by its key.
pub(super) type Learns<'a> = &'a dyn Fn(&str) -> bool;

enum Form {
    /// Arrays of this shape, one after the other.
    Joined(Vec<usize>),
    /// Matrices `[outputs, inputs]`, transposed and side by side: `[inputs, arrays·outputs]`.
    Transposed { inputs: usize, outputs: usize },
}

impl Tensor {
    /// Reads arrays of `shape`, one after the other.
    pub fn joined(
        params: &Params,
        keys: Vec<String>,
        role: Role,
        shape: &[usize],
        learns: Learns<'_>,
    ) -> Result<Self> {
        Self::read(params, keys, role, Form::Joined(shape.to_vec()), learns)
    }

    /// Reads matrices `[outputs, inputs]` that share their input.
    pub fn transposed(
        params: &Params,
        keys: Vec<String>,
        inputs: usize,
        outputs: usize,
        learns: Learns<'_>,
    ) -> Result<Self> {
        Self::read(params, keys, Role::Weight, Form::Transposed { inputs, outputs }, learns)
    }

    /// Arrays that are computed with as one learn together.
    fn read(
        params: &Params,
        keys: Vec<String>,
        role: Role,
        form: Form,
        learns: Learns<'_>,
    ) -> Result<Self> {
        let learns = keys.iter().any(|key| learns(key));
        let mut tensor = Self { keys, role, form, value: Vec::new(), gradient: Vec::new() };
        tensor.load(params)?;
        if learns {
            tensor.gradient = vec![0.0; tensor.value.len()];
        }
        Ok(tensor)
    }

    /// Whether it learns.
    pub fn learns(&self) -> bool {
        !self.gradient.is_empty()
    }

    /// Takes over the checkpoint's values.
    pub fn load(&mut self, params: &Params) -> Result<()> {
        match &self.form {
            Form::Joined(shape) => {
                let len: usize = shape.iter().product();
                self.value.resize(self.keys.len() * len, 0.0);
                for (key, to) in self.keys.iter().zip(self.value.chunks_exact_mut(len.max(1))) {
                    to.copy_from_slice(array(params, key, len)?);
                }
            }
            &Form::Transposed { inputs, outputs } => {
                let width = self.keys.len() * outputs;
                self.value.resize(inputs * width, 0.0);
                for (i, key) in self.keys.iter().enumerate() {
                    let matrix = array(params, key, inputs * outputs)?;
                    transpose(
                        matrix,
                        [outputs, inputs],
                        inputs,
                        &mut self.value[i * outputs..],
                        width,
                    );
                }
            }
        }
        Ok(())
    }

    /// `values`, laid out as this tensor, as the checkpoint's arrays.
    pub fn arrays(&self, values: &[f32]) -> Vec<(String, Array)> {
        let arrays = self.keys.iter().enumerate().map(|(i, key)| {
            let array = match &self.form {
                Form::Joined(shape) => {
                    let len: usize = shape.iter().product();
                    Array {
                        shape: shape.clone(),
                        data: values[i * len..(i + 1) * len].to_vec().into(),
                    }
                }
                &Form::Transposed { inputs, outputs } => {
                    let width = self.keys.len() * outputs;
                    let mut data = vec![0.0; outputs * inputs];
                    let own = &values[i * outputs..];
                    transpose(own, [inputs, outputs], width, &mut data, inputs);
                    Array { shape: vec![outputs, inputs], data: data.into() }
                }
            };
            (key.clone(), array)
        });
        arrays.collect()
    }
}

/// `to[c·to_stride + r] = from[r·from_stride + c]` for `[rows, columns]`, tile by tile, so that a line of
/// memory is used up while it is near.
fn transpose(
    from: &[f32],
    [rows, columns]: [usize; 2],
    from_stride: usize,
    to: &mut [f32],
    to_stride: usize,
) {
    const TILE: usize = 16;
    for first_row in (0..rows).step_by(TILE) {
        for first in (0..columns).step_by(TILE) {
            for r in first_row..rows.min(first_row + TILE) {
                for c in first..columns.min(first + TILE) {
                    to[c * to_stride + r] = from[r * from_stride + c];
                }
            }
        }
    }
}
