//! Squeeze-and-excitation: one layer of training.

use offshoot_kernels::{ExciteGradients, Order, SqueezeExcite};
use rayon::prelude::*;

use super::TensorId;
use super::buffers::Buffers;
use super::param::Param;
use crate::{NnError, Result};

/// Every channel of the input times its gate.
pub(super) struct ExciteLayer {
    pub kernel: SqueezeExcite,
    /// Places of the weight and bias of both convolutions.
    pub reduce: [usize; 2],
    pub expand: [usize; 2],
    pub input: TensorId,
    pub output: TensorId,
    /// What the last forward pass keeps of each image.
    pub kept: Vec<f32>,
    /// Whether the weights changed since they were packed.
    pub stale: bool,
    /// Whether anything before the input needs a gradient.
    pub wanted: bool,
}

impl ExciteLayer {
    pub fn forward(&mut self, n: usize, params: &[Param], buffers: &mut Buffers) -> Result<()> {
        if std::mem::take(&mut self.stale) {
            let values = |places: [usize; 2]| places.map(|at| &params[at].value[..]);
            self.kernel.pack(Order::Hwio, values(self.reduce), values(self.expand))?;
        }
        let (kernel, len) = (&self.kernel, buffers.len_of(self.output));
        self.kept.resize(n * kernel.kept_len(), 0.0);
        let mut output = buffers.take_tensor(self.output);
        let x = &buffers.tensor(self.input)[..n * len];
        let images = x.par_chunks(len).zip(output.par_chunks_mut(len));
        images.zip(self.kept.par_chunks_mut(kernel.kept_len())).for_each(|((x, y), kept)| {
            kernel.gates(x, kept);
            kernel.apply(kept, x, y);
        });
        buffers.put_tensor(self.output, output);
        Ok(())
    }

    pub fn backward(
        &mut self,
        n: usize,
        params: &mut [Param],
        buffers: &mut Buffers,
    ) -> Result<()> {
        let (kernel, len) = (&self.kernel, buffers.len_of(self.output));
        let dy = buffers
            .take_gradient(self.output)
            .ok_or_else(|| NnError::Unsupported("an output that nothing reads".into()))?;
        let mut dx = buffers.take(n * len);
        let mut deltas = buffers.take(n * kernel.deltas_len());
        {
            let x = &buffers.tensor(self.input)[..n * len];
            let images = x.par_chunks(len).zip(dy.par_chunks(len)).zip(dx.par_chunks_mut(len));
            let kept = self.kept.par_chunks(kernel.kept_len());
            let sums = kept.zip(deltas.par_chunks_mut(kernel.deltas_len()));
            images.zip(sums).for_each(|(((x, dy), dx), (kept, deltas))| {
                kernel.backward(kept, x, dy, deltas, dx);
            });
        }
        let places = [self.reduce[0], self.reduce[1], self.expand[0], self.expand[1]];
        if places.iter().any(|&at| params[at].learns) {
            // What does not learn has no room for its gradient; it is formed all the same and
            // thrown away, as these matrices are small.
            let mut own = places.map(|at| {
                let mut gradient = std::mem::take(&mut params[at].gradient);
                gradient.resize(params[at].value.len(), 0.0);
                gradient
            });
            let [reduce, reduce_bias, expand, expand_bias] = &mut own;
            let to = ExciteGradients { reduce, reduce_bias, expand, expand_bias };
            kernel.gradients(&self.kept, &deltas, to);
            for (at, gradient) in places.into_iter().zip(own) {
                if params[at].learns {
                    params[at].gradient = gradient;
                }
            }
        }
        buffers.give_back(dy);
        buffers.give_back(deltas);
        match self.wanted {
            true => buffers.add_gradient(self.input, dx),
            false => buffers.give_back(dx),
        }
        Ok(())
    }
}
