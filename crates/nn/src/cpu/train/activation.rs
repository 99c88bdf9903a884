//! Activations that are no clamp: a layer of their own.

use offshoot_kernels::{Activation, Isa};
use rayon::prelude::*;

use super::TensorId;
use super::buffers::Buffers;
use crate::{NnError, Result};

/// `act(input)`. Where the input is a norm's output that nobody else reads, it is formed from the
/// norm's input and takes no memory.
pub(super) struct ActLayer {
    pub isa: Isa,
    pub act: Activation,
    pub input: TensorId,
    pub output: TensorId,
}

impl ActLayer {
    pub fn forward(&self, n: usize, buffers: &mut Buffers) {
        let len = buffers.len_of(self.output);
        let mut output = buffers.take_tensor(self.output);
        {
            let x = buffers.source(self.input);
            output[..n * len].par_chunks_mut(len).enumerate().for_each(|(i, y)| {
                buffers.with_scratch(x.scratch_len(len), |scratch| {
                    self.act.apply_to(self.isa, x.read(i * len..(i + 1) * len, scratch), y);
                });
            });
        }
        buffers.put_tensor(self.output, output);
    }

    pub fn backward(&self, n: usize, buffers: &mut Buffers) -> Result<()> {
        let len = buffers.len_of(self.output);
        let mut gradient = buffers
            .take_gradient(self.output)
            .ok_or_else(|| NnError::Unsupported("an output that nothing reads".into()))?;
        {
            let x = buffers.source(self.input);
            gradient[..n * len].par_chunks_mut(len).enumerate().for_each(|(i, gradient)| {
                buffers.with_scratch(x.scratch_len(len), |scratch| {
                    let x = x.read(i * len..(i + 1) * len, scratch);
                    self.act.backward(self.isa, x, gradient);
                });
            });
        }
        buffers.add_gradient(self.input, gradient);
        Ok(())
    }
}
