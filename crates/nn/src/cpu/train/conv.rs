//! Convolution (or a linear layer), norm, residual sum and activation: one layer of training.

use offshoot_kernels::{BatchNorm, Clamp, StoredMut, round_to_bf16};
use rayon::prelude::*;

use super::buffers::{Buffers, Origin, cut, cut_stored, stored, stored_mut};
use super::kernel::Kernel;
use super::norm::Norm;
use super::param::Param;
use super::{NormMode, TensorId};
use crate::Result;

/// A number in `[0, 1)` for each branch and sample, by which stochastic depth decides; `None` leaves
/// nothing out.
pub(super) type Drops<'a> = Option<&'a dyn Fn(usize, usize) -> f32>;

/// `act(norm(conv(input)) + residual)`.
pub(super) struct ConvLayer {
    pub kernel: Kernel,
    /// Places of the parameters.
    pub weight: usize,
    pub bias: Option<usize>,
    pub norm: Option<Norm>,
    pub act: Clamp,
    pub input: TensorId,
    /// The convolution's own output, where a norm follows.
    pub before_norm: Option<TensorId>,
    pub residual: Option<TensorId>,
    pub output: TensorId,
    /// Whether nobody else reads the input, so that its gradient is complete here.
    pub sole_reader: bool,
    /// Whether anything before the input, or before the residual, needs a gradient.
    pub wanted: [bool; 2],
    /// How likely a sample leaves out the branch that ends here, and the branch's number.
    pub drop: Option<(usize, f32)>,
    /// What the branch of each sample was multiplied by in the last forward pass; empty for 1.
    pub factors: Vec<f32>,
    /// Passes over the output's channels.
    pub passes: BatchNorm,
    pub channels: usize,
    /// Whether the weights changed since they were packed.
    pub stale: bool,
}

impl ConvLayer {
    pub fn forward(
        &mut self,
        n: usize,
        params: &mut [Param],
        buffers: &mut Buffers,
        drops: Drops<'_>,
    ) -> Result<()> {
        self.pack(params)?;
        self.draw(n, drops);
        let y_len = buffers.len_of(self.output);
        // A norm comes before the sum and the activation.
        let Some(before) = self.before_norm else {
            let mut output = buffers.take_tensor(self.output);
            let residual = self.residual.map(|id| &buffers.tensor(id)[..n * y_len]);
            let to = StoredMut::F32(&mut output[..n * y_len]);
            self.convolve(n, buffers, residual, self.act, to, None);
            buffers.put_tensor(self.output, output);
            return Ok(());
        };
        let narrow = buffers.is_narrow(before);
        let mut y = buffers.take_tensor(before);
        let mut sums = self.norm.as_mut().map_or_else(Vec::new, |n| std::mem::take(&mut n.sums));
        sums.resize(n * 2 * self.channels, 0.0);
        let batch = self.norm.as_ref().is_some_and(|norm| norm.mode == NormMode::Batch);
        let moments = batch.then_some(&mut sums[..]);
        self.convolve(n, buffers, None, Clamp::NONE, stored_mut(&mut y, narrow), moments);
        if let Some(norm) = &mut self.norm {
            norm.sums = sums;
            let (gamma, beta) = (&params[norm.gamma].value, &params[norm.beta].value);
            norm.settle(n * y_len / self.channels, gamma, beta);
            let origin = Origin {
                passes: self.passes,
                channels: self.channels,
                before_norm: before,
                scale: norm.scale.clone(),
                shift: norm.shift.clone(),
                mean: norm.mean.iter().map(|&m| m as f32).collect(),
                clamp: self.act,
            };
            if buffers.is_held(self.output) {
                let mut output = buffers.take_tensor(self.output);
                let residual = self.residual.map(|id| &buffers.tensor(id)[..n * y_len]);
                let y = stored(&y, narrow);
                output[..n * y_len].par_chunks_mut(y_len).enumerate().for_each(|(i, z)| {
                    let image = i * y_len..(i + 1) * y_len;
                    let (y, residual) = (y.slice(image.clone()), residual.map(|r| &r[image]));
                    match self.factors.get(i) {
                        None => origin.apply(y, residual, z),
                        Some(&factor) => origin.scaled(factor).apply(y, residual, z),
                    }
                });
                buffers.put_tensor(self.output, output);
            }
            if self.residual.is_none() {
                buffers.set_origin(self.output, origin);
            }
        }
        buffers.put_tensor(before, y);
        Ok(())
    }

    /// `y = clamp(conv(input) + residual)`, a few images at a time, and with `moments` each image's
    /// mean and squared deviations while it is in the cache: `[n][2, channels]`.
    fn convolve(
        &self,
        n: usize,
        buffers: &Buffers,
        residual: Option<&[f32]>,
        clamp: Clamp,
        y: StoredMut<'_>,
        moments: Option<&mut [f32]>,
    ) {
        let (x_len, y_len) = (buffers.len_of(self.input), buffers.len_of(self.output));
        let x = buffers.source(self.input);
        let derived = x.scratch_len(x_len);
        let group = self.kernel.together(x_len + derived + y_len);
        let group = group.min(n.div_ceil(rayon::current_num_threads()));
        let (mut rest, mut rest_of_moments) = (Some(y), moments);
        let groups: Vec<_> = (0..n)
            .step_by(group)
            .map(|first| {
                let images = group.min(n - first);
                let y = cut_stored(&mut rest, images * y_len);
                (first, images, y, cut(&mut rest_of_moments, images * 2 * self.channels))
            })
            .collect();
        groups.into_par_iter().for_each(|(first, images, y, moments)| {
            let Some(mut y) = y else { return };
            let rooms = match &y {
                StoredMut::F32(_) => [images * derived, 0],
                StoredMut::Bf16(_) => [images * derived, images * y_len],
            };
            buffers.with_scratch(rooms[0] + rooms[1], |scratch| {
                let (x_room, y_room) = scratch.split_at_mut(rooms[0]);
                let x = x.read(first * x_len..(first + images) * x_len, x_room);
                let residual = residual.map(|r| &r[first * y_len..][..images * y_len]);
                let computed = match &mut y {
                    StoredMut::F32(y) => &mut **y,
                    StoredMut::Bf16(_) => &mut y_room[..images * y_len],
                };
                self.kernel.forward(images, x, residual, clamp, buffers, computed);
                if let Some(moments) = moments {
                    let images = computed.chunks_exact(y_len);
                    for (y, moments) in images.zip(moments.chunks_exact_mut(2 * self.channels)) {
                        let (mean, squares) = moments.split_at_mut(self.channels);
                        self.passes.moments(y, mean, squares);
                    }
                }
                if let StoredMut::Bf16(to) = &mut y {
                    round_to_bf16(self.passes.isa(), &y_room[..images * y_len], to);
                }
            });
        });
    }

    /// Draws which samples leave the branch out (Huang et al. 2016, arXiv:1603.09382); the others
    /// are scaled up, so that the expectation stays.
    fn draw(&mut self, n: usize, drops: Drops<'_>) {
        self.factors.clear();
        if let (Some((branch, rate)), Some(uniform)) = (self.drop, drops) {
            let kept = 1.0 / (1.0 - rate);
            let factor = |sample| if uniform(branch, sample) < rate { 0.0 } else { kept };
            self.factors.extend((0..n).map(factor));
        }
    }

    fn pack(&mut self, params: &[Param]) -> Result<()> {
        if !std::mem::take(&mut self.stale) {
            return Ok(());
        }
        let weight = &params[self.weight].value;
        let zeros;
        let bias = match self.bias {
            Some(bias) => &params[bias].value,
            None => {
                zeros = vec![0.0; self.channels];
                &zeros
            }
        };
        self.kernel.pack(weight, bias)
    }
}
