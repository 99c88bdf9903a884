//! Convolution (or a linear layer), norm, residual sum and activation: one layer of training.

use std::collections::BTreeMap;

use offshoot_kernels::{
    BatchNorm, Clamp, Conv, ConvGrad, Depthwise, DepthwiseGrad, NormInput, Order, merge_moments,
};
use rayon::prelude::*;

use super::buffers::Buffers;
use super::param::Param;
use super::{NormMode, TensorId, vector};
use crate::{Array, NnError, Result};

/// Share of the batch in running statistics, as PyTorch's default has it.
const MOMENTUM: f64 = 0.1;

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
    /// Passes over the output's channels.
    pub passes: BatchNorm,
    pub channels: usize,
    /// Whether the weights changed since they were packed.
    pub stale: bool,
}

pub(super) enum Kernel {
    Dense { forward: Box<Conv>, gradient: Box<ConvGrad> },
    Depthwise { forward: Box<Depthwise>, gradient: Box<DepthwiseGrad> },
}

/// A batch norm's state.
pub(super) struct Norm {
    pub key: String,
    pub gamma: usize,
    pub beta: usize,
    pub eps: f32,
    pub running_mean: Vec<f32>,
    pub running_var: Vec<f32>,
    /// Of the last forward pass: what was normalised by, and the affine form that it gave.
    pub mean: Vec<f64>,
    pub inverse: Vec<f64>,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    /// Two sums a channel for each image.
    pub sums: Vec<f32>,
}

impl Norm {
    pub fn statistics(&self) -> BTreeMap<String, Array> {
        BTreeMap::from([
            (format!("{}.running_mean", self.key), vector(&self.running_mean)),
            (format!("{}.running_var", self.key), vector(&self.running_var)),
        ])
    }

    /// Derives the affine form from the batch's moments or the running ones.
    fn settle(&mut self, mode: NormMode, pixels: usize, gamma: &[f32], beta: &[f32]) {
        let channels = gamma.len();
        let mut variance = vec![0.0; channels];
        match mode {
            NormMode::Batch => {
                let images = self.sums.chunks_exact(2 * channels);
                let each = pixels / images.len();
                let slices = images.map(|s| (each, &s[..channels], &s[channels..]));
                merge_moments(slices, &mut self.mean, &mut variance);
                // PyTorch keeps the unbiased variance, but normalises by the biased one.
                let unbiased = pixels as f64 / (pixels as f64 - 1.0).max(1.0);
                for c in 0..channels {
                    let follow = |running: &mut f32, batch: f64| {
                        *running =
                            ((1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * batch) as f32;
                    };
                    follow(&mut self.running_mean[c], self.mean[c]);
                    follow(&mut self.running_var[c], variance[c] * unbiased);
                }
            }
            NormMode::Running => {
                for c in 0..channels {
                    self.mean[c] = f64::from(self.running_mean[c]);
                    variance[c] = f64::from(self.running_var[c]);
                }
            }
        }
        for c in 0..channels {
            self.inverse[c] = 1.0 / (variance[c] + f64::from(self.eps)).sqrt();
            let scale = f64::from(gamma[c]) * self.inverse[c];
            self.scale[c] = scale as f32;
            self.shift[c] = (f64::from(beta[c]) - scale * self.mean[c]) as f32;
        }
    }
}

/// Images that each worker takes at once.
fn group(n: usize) -> usize {
    n.div_ceil(rayon::current_num_threads()).max(1)
}

impl ConvLayer {
    pub fn forward(
        &mut self,
        n: usize,
        params: &mut [Param],
        buffers: &mut Buffers,
        mode: NormMode,
    ) -> Result<()> {
        self.pack(params)?;
        let (x_len, y_len) = (buffers.len_of(self.input), buffers.len_of(self.output));
        let channels = self.channels;
        let mut output = buffers.take_tensor(self.output);
        let mut before = self.before_norm.map(|id| buffers.take_tensor(id));
        let wants_moments = self.norm.is_some() && mode == NormMode::Batch;
        let mut sums = match &mut self.norm {
            Some(norm) => std::mem::take(&mut norm.sums),
            None => Vec::new(),
        };
        sums.resize(n * 2 * channels, 0.0);
        {
            let x = &buffers.tensor(self.input)[..n * x_len];
            let y = &mut before.as_mut().unwrap_or(&mut output)[..n * y_len];
            let residual = self.residual.map(|id| &buffers.tensor(id)[..n * y_len]);
            // A norm comes before the sum and the activation.
            let fused = self.norm.is_none();
            let clamp = if fused { self.act } else { Clamp::NONE };
            let group = group(n);
            x.par_chunks(group * x_len)
                .zip(y.par_chunks_mut(group * y_len))
                .zip(sums.par_chunks_mut(group * 2 * channels))
                .enumerate()
                .for_each(|(i, ((x, y), sums))| {
                    let images = x.len() / x_len;
                    let residual = residual.filter(|_| fused);
                    let residual = residual.map(|r| &r[i * group * y_len..][..y.len()]);
                    self.kernel.forward(images, x, residual, clamp, buffers, y);
                    if wants_moments {
                        let images = y.chunks_exact(y_len).zip(sums.chunks_exact_mut(2 * channels));
                        for (y, sums) in images {
                            let (mean, squares) = sums.split_at_mut(channels);
                            self.passes.moments(y, mean, squares);
                        }
                    }
                });
        }
        if let (Some(norm), Some(before)) = (&mut self.norm, &before) {
            norm.sums = sums;
            let (gamma, beta) = (&params[norm.gamma].value, &params[norm.beta].value);
            norm.settle(mode, n * y_len / channels, gamma, beta);
            let residual = self.residual.map(|id| &buffers.tensor(id)[..n * y_len]);
            let (passes, act, norm) = (&self.passes, self.act, &*norm);
            let images = before[..n * y_len].par_chunks(y_len).zip(output.par_chunks_mut(y_len));
            images.enumerate().for_each(|(i, (y, z))| {
                let residual = residual.map(|r| &r[i * y_len..][..y_len]);
                passes.apply(y, [&norm.scale, &norm.shift], residual, act, z);
            });
        }
        if let (Some(id), Some(before)) = (self.before_norm, before) {
            buffers.put_tensor(id, before);
        }
        buffers.put_tensor(self.output, output);
        Ok(())
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
        match &mut self.kernel {
            Kernel::Dense { forward, gradient } => {
                forward.pack(Order::Hwio, weight, bias)?;
                gradient.pack(weight)?;
            }
            Kernel::Depthwise { forward, gradient } => {
                forward.pack(Order::Hwio, weight, bias)?;
                gradient.pack(weight)?;
            }
        }
        Ok(())
    }

    pub fn backward(
        &mut self,
        n: usize,
        wanted: bool,
        params: &mut [Param],
        buffers: &mut Buffers,
        mode: NormMode,
    ) -> Result<()> {
        let y_len = buffers.len_of(self.output);
        let mut dz = buffers
            .take_gradient(self.output)
            .ok_or_else(|| NnError::Unsupported("an output that nothing reads".into()))?;
        // Where the norm's own input does not tell what the activation saw, its output does.
        let inner = if self.norm.is_none() || self.residual.is_some() {
            if self.act != Clamp::NONE {
                let z = &buffers.tensor(self.output)[..n * y_len];
                let (passes, act) = (&self.passes, self.act);
                let images = dz.par_chunks_mut(y_len).zip(z.par_chunks(y_len));
                images.for_each(|(dz, z)| passes.mask(dz, z, act));
            }
            Clamp::NONE
        } else {
            self.act
        };
        // With a residual sum, its gradient is needed as it is; the norm's goes beside it.
        let mut beside = None;
        if self.norm.is_some() {
            if self.residual.is_some() {
                beside = Some(buffers.take(n * y_len));
            }
            self.norm_backward(n, inner, params, buffers, mode, &mut dz, beside.as_deref_mut());
        }
        {
            let dy: &[f32] = beside.as_ref().unwrap_or(&dz);
            if let Some(bias) = self.bias {
                self.bias_gradient(dy, y_len, &mut params[bias].gradient);
            }
            self.weight_gradient(n, dy, &mut params[self.weight].gradient, buffers);
            if wanted {
                self.input_gradient(n, dy, buffers);
            }
        }
        if let Some(beside) = beside {
            buffers.give_back(beside);
        }
        let Some(residual) = self.residual else {
            buffers.give_back(dz);
            return Ok(());
        };
        match buffers.take_gradient(residual) {
            None => buffers.set_gradient(residual, dz),
            Some(mut sum) => {
                let images = sum.par_chunks_mut(y_len).zip(dz.par_chunks(y_len));
                images.for_each(|(sum, dz)| sum.iter_mut().zip(dz).for_each(|(s, d)| *s += d));
                buffers.set_gradient(residual, sum);
                buffers.give_back(dz);
            }
        }
        Ok(())
    }

    /// From the gradient after the norm to the one before it, in place or beside.
    #[allow(clippy::too_many_arguments, reason = "one call, and all of it is state of the step")]
    fn norm_backward(
        &mut self,
        n: usize,
        clamp: Clamp,
        params: &mut [Param],
        buffers: &Buffers,
        mode: NormMode,
        dz: &mut [f32],
        beside: Option<&mut [f32]>,
    ) {
        let (Some(norm), Some(before)) = (&mut self.norm, self.before_norm) else { return };
        let y_len = buffers.len_of(self.output);
        let (channels, passes) = (self.channels, &self.passes);
        let y = &buffers.tensor(before)[..n * y_len];
        let mut sums = std::mem::take(&mut norm.sums);
        sums.resize(n * 2 * channels, 0.0);
        let mean: Vec<f32> = norm.mean.iter().map(|&m| m as f32).collect();
        let (scale, shift) = (&norm.scale, &norm.shift);
        let input = |i: usize| NormInput { y: &y[i * y_len..][..y_len], scale, shift, clamp };
        let images = dz.par_chunks(y_len).zip(sums.par_chunks_mut(2 * channels)).enumerate();
        images.for_each(|(i, (dz, sums))| {
            let (sums, products) = sums.split_at_mut(channels);
            passes.backward_sums(dz, input(i), &mean, sums, products);
        });
        let mut totals = vec![0.0f64; 2 * channels];
        for image in sums.chunks_exact(2 * channels) {
            totals.iter_mut().zip(image).for_each(|(total, &sum)| *total += f64::from(sum));
        }
        let pixels = (n * y_len / channels) as f64;
        let mut factors = [vec![0.0; channels], vec![0.0; channels], vec![0.0; channels]];
        for c in 0..channels {
            let (sum, product) = (totals[c], totals[channels + c]);
            params[norm.beta].gradient[c] = sum as f32;
            params[norm.gamma].gradient[c] = (product * norm.inverse[c]) as f32;
            let scale = f64::from(scale[c]);
            factors[0][c] = scale as f32;
            if mode == NormMode::Batch {
                // γ/σ·(g − mean(g) − x̂·mean(g·x̂)), written in terms of g and y.
                let through = scale * norm.inverse[c] * norm.inverse[c] * product / pixels;
                factors[1][c] = -through as f32;
                factors[2][c] = (through * f64::from(mean[c]) - scale * sum / pixels) as f32;
            }
        }
        let factors = [&factors[0][..], &factors[1], &factors[2]];
        match beside {
            None => dz.par_chunks_mut(y_len).enumerate().for_each(|(i, dz)| {
                passes.backward_apply(None, input(i), factors, dz);
            }),
            Some(dy) => {
                let images = dz.par_chunks(y_len).zip(dy.par_chunks_mut(y_len)).enumerate();
                images.for_each(|(i, (dz, dy))| {
                    passes.backward_apply(Some(dz), input(i), factors, dy);
                });
            }
        }
        norm.sums = sums;
    }

    /// Sums over all pixels, image by image.
    fn bias_gradient(&self, dy: &[f32], y_len: usize, gradient: &mut [f32]) {
        let channels = self.channels;
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let mut sums = vec![0.0; dy.len() / y_len * 2 * channels];
        let images = dy.par_chunks(y_len).zip(sums.par_chunks_mut(2 * channels));
        images.for_each(|(dy, sums)| {
            let (sums, unused) = sums.split_at_mut(channels);
            let input = NormInput { y: dy, scale: &ones, shift: &zeros, clamp: Clamp::NONE };
            self.passes.backward_sums(dy, input, &zeros, sums, unused);
        });
        let mut totals = vec![0.0f64; channels];
        for image in sums.chunks_exact(2 * channels) {
            totals.iter_mut().zip(image).for_each(|(total, &sum)| *total += f64::from(sum));
        }
        gradient.iter_mut().zip(totals).for_each(|(g, total)| *g = total as f32);
    }

    fn weight_gradient(&self, n: usize, dy: &[f32], gradient: &mut [f32], buffers: &mut Buffers) {
        let len = match &self.kernel {
            Kernel::Dense { gradient, .. } => gradient.weight_scratch_len(n),
            Kernel::Depthwise { gradient, .. } => gradient.weight_scratch_len(n),
        };
        let mut scratch = buffers.take(len);
        let x = buffers.tensor(self.input);
        match &self.kernel {
            Kernel::Dense { gradient: plan, .. } => plan.weight(n, x, dy, &mut scratch, gradient),
            Kernel::Depthwise { gradient: plan, .. } => {
                plan.weight(n, x, dy, &mut scratch, gradient);
            }
        }
        buffers.give_back(scratch);
    }

    /// Adds to what other layers have given the input.
    fn input_gradient(&self, n: usize, dy: &[f32], buffers: &mut Buffers) {
        let (x_len, y_len) = (buffers.len_of(self.input), buffers.len_of(self.output));
        let sum = buffers.take_gradient(self.input);
        let mut dx = buffers.take(n * x_len);
        let group = group(n);
        {
            let (shared, add) = (&*buffers, sum.as_deref());
            let images = dx.par_chunks_mut(group * x_len).zip(dy.par_chunks(group * y_len));
            images.enumerate().for_each(|(i, (dx, dy))| {
                let images = dx.len() / x_len;
                let add = add.map(|add| &add[i * group * x_len..][..dx.len()]);
                match &self.kernel {
                    Kernel::Dense { gradient, .. } => {
                        shared.with_scratch(gradient.input_scratch_len(images), |scratch| {
                            gradient.input(images, dy, add, scratch, dx);
                        });
                    }
                    Kernel::Depthwise { gradient, .. } => gradient.input(images, dy, add, dx),
                }
            });
        }
        if let Some(sum) = sum {
            buffers.give_back(sum);
        }
        buffers.set_gradient(self.input, dx);
    }
}

impl Kernel {
    fn forward(
        &self,
        images: usize,
        x: &[f32],
        residual: Option<&[f32]>,
        clamp: Clamp,
        buffers: &Buffers,
        y: &mut [f32],
    ) {
        match self {
            Self::Dense { forward, .. } => {
                buffers.with_scratch(forward.scratch_len(images), |scratch| {
                    forward.run(images, x, residual, clamp, scratch, y);
                });
            }
            // Lowering refuses a residual sum right after a depthwise convolution without a norm.
            Self::Depthwise { forward, .. } => forward.run(images, x, clamp, y),
        }
    }
}
