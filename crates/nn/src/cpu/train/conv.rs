//! Convolution (or a linear layer), norm, residual sum and activation: one layer of training.

use std::collections::BTreeMap;
use std::ops::Range;

use offshoot_kernels::{
    BatchNorm, Clamp, Conv, ConvGrad, Depthwise, DepthwiseGrad, NormInput, Order, images_of,
    merge_moments,
};
use rayon::prelude::*;

use super::buffers::{Buffers, Origin};
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
    /// Whether nobody else reads the input, so that its gradient is complete here.
    pub sole_reader: bool,
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
                let follow = |running: &mut f32, batch: f64| {
                    *running = ((1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * batch) as f32;
                };
                for (c, &batch) in variance.iter().enumerate() {
                    follow(&mut self.running_mean[c], self.mean[c]);
                    follow(&mut self.running_var[c], batch * unbiased);
                }
            }
            NormMode::Running => {
                for (c, variance) in variance.iter_mut().enumerate() {
                    self.mean[c] = f64::from(self.running_mean[c]);
                    *variance = f64::from(self.running_var[c]);
                }
            }
        }
        for (c, variance) in variance.into_iter().enumerate() {
            self.inverse[c] = 1.0 / (variance + f64::from(self.eps)).sqrt();
            let scale = f64::from(gamma[c]) * self.inverse[c];
            self.scale[c] = scale as f32;
            self.shift[c] = (f64::from(beta[c]) - scale * self.mean[c]) as f32;
        }
    }
}

/// Bytes of activations that a worker passes through several kernels while they are in its cache.
const CACHED: usize = 768 << 10;

impl Kernel {
    /// Images that a worker takes through all passes at once: few enough for its cache, but enough
    /// to make up for reading the weights.
    fn together(&self, values: usize) -> usize {
        let weights = match self {
            Self::Dense { gradient, .. } => 4 * gradient.sums_len(),
            Self::Depthwise { .. } => 0,
        };
        (CACHED.max(2 * weights) / (4 * values)).max(1)
    }

    /// Parts of the batch over which weights' gradients are summed side by side.
    fn parts(&self, images: usize) -> usize {
        match self {
            Self::Dense { gradient, .. } => gradient.parts(images),
            Self::Depthwise { gradient, .. } => gradient.parts(images),
        }
    }

    fn sums_len(&self) -> usize {
        match self {
            Self::Dense { gradient, .. } => gradient.sums_len(),
            Self::Depthwise { gradient, .. } => gradient.sums_len(),
        }
    }

    fn backward_scratch_len(&self, images: usize) -> usize {
        match self {
            Self::Dense { gradient, .. } => {
                gradient.add_scratch_len().max(gradient.input_scratch_len(images))
            }
            Self::Depthwise { .. } => 0,
        }
    }

    fn collect(&self, sums: &[f32], dw: &mut [f32]) {
        match self {
            Self::Dense { gradient, .. } => gradient.collect(sums, dw),
            Self::Depthwise { gradient, .. } => gradient.collect(sums, dw),
        }
    }
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
            let threads = rayon::current_num_threads();
            let group = self.kernel.together(x_len + y_len).min(n.div_ceil(threads));
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
            if let (Some(norm), None) = (&self.norm, self.residual) {
                let origin = Origin {
                    passes: self.passes,
                    channels,
                    before_norm: id,
                    scale: norm.scale.clone(),
                    shift: norm.shift.clone(),
                    mean: norm.mean.iter().map(|&m| m as f32).collect(),
                    clamp: self.act,
                };
                buffers.set_origin(self.output, origin);
            }
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
        let factors = self.norm_sums(n, inner, params, buffers, mode, &dz);
        self.gradients(n, wanted, inner, &dz, factors.as_ref(), params, buffers);
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

    /// Gradients of the norm's parameters, and the factors with which its input's gradient follows
    /// from its output's (see [`BatchNorm::backward_apply`]).
    fn norm_sums(
        &mut self,
        n: usize,
        clamp: Clamp,
        params: &mut [Param],
        buffers: &mut Buffers,
        mode: NormMode,
        dz: &[f32],
    ) -> Option<[Vec<f32>; 3]> {
        let (norm, before) = (self.norm.as_mut()?, self.before_norm?);
        let y_len = buffers.len_of(self.output);
        let channels = self.channels;
        let mean: Vec<f32> = norm.mean.iter().map(|&m| m as f32).collect();
        let sums = match buffers.take_sums(self.output) {
            // Whoever formed the gradient has summed it already.
            Some(sums) => sums,
            None => {
                let mut sums = buffers.take(n * 2 * channels);
                let y = &buffers.tensor(before)[..n * y_len];
                let (passes, scale, shift) = (&self.passes, &norm.scale, &norm.shift);
                let images = dz.par_chunks(y_len).zip(y.par_chunks(y_len));
                images.zip(sums.par_chunks_mut(2 * channels)).for_each(|((dz, y), sums)| {
                    let (sums, products) = sums.split_at_mut(channels);
                    let input = NormInput { y, scale, shift, clamp };
                    passes.backward_sums(dz, input, &mean, sums, products);
                });
                sums
            }
        };
        let mut totals = vec![0.0f64; 2 * channels];
        for image in sums.chunks_exact(2 * channels) {
            totals.iter_mut().zip(image).for_each(|(total, &sum)| *total += f64::from(sum));
        }
        buffers.give_back(sums);
        let scale = &norm.scale;
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
        Some(factors)
    }

    /// Gradients of weights, bias and input from `dz`, part of the batch by part, each a few images
    /// at a time: the gradient before the norm never leaves the cache.
    #[allow(clippy::too_many_arguments, reason = "one call, and all of it is state of the step")]
    fn gradients(
        &self,
        n: usize,
        wanted: bool,
        clamp: Clamp,
        dz: &[f32],
        factors: Option<&[Vec<f32>; 3]>,
        params: &mut [Param],
        buffers: &mut Buffers,
    ) {
        let (x_len, y_len) = (buffers.len_of(self.input), buffers.len_of(self.output));
        let (parts, sums_len) = (self.kernel.parts(n), self.kernel.sums_len());
        // Of the weights, and of the bias with sums that nobody reads behind them.
        let mut sums = buffers.take(parts * sums_len);
        let mut bias_sums = buffers.take(parts * 2 * self.channels);
        let add = buffers.take_gradient(self.input).filter(|_| wanted);
        let mut dx = wanted.then(|| buffers.take(n * x_len));
        let origin = buffers.origin(self.input).filter(|_| wanted && self.sole_reader);
        let origin_len = origin.as_ref().map_or(0, |origin| 2 * origin.channels);
        let mut origin_sums = origin.as_ref().map(|_| buffers.take(n * origin_len));
        {
            let shared = &*buffers;
            let x = &shared.tensor(self.input)[..n * x_len];
            let y = self.before_norm.map(|id| &shared.tensor(id)[..n * y_len]);
            let of_origin = origin.as_ref().map(|o| &shared.tensor(o.before_norm)[..n * x_len]);
            let mut rest = dx.as_deref_mut();
            let mut rest_sums = origin_sums.as_deref_mut();
            let works: Vec<Part<'_>> = (0..parts)
                .map(|part| {
                    let images = images_of(part, parts, n);
                    let dx = cut(&mut rest, images.len() * x_len);
                    let sums = cut(&mut rest_sums, images.len() * origin_len);
                    Part { images, dx, sums }
                })
                .collect();
            let together = self.kernel.together(x_len + 2 * y_len).min(n);
            let scratch_len = self.kernel.backward_scratch_len(together);
            works
                .into_par_iter()
                .zip(sums.par_chunks_exact_mut(sums_len))
                .zip(bias_sums.par_chunks_exact_mut(2 * self.channels))
                .for_each(|((mut part, sums), bias_sums)| {
                    sums.fill(0.0);
                    bias_sums.fill(0.0);
                    shared.with_scratch(together * y_len + scratch_len, |scratch| {
                        let (dy_room, scratch) = scratch.split_at_mut(together * y_len);
                        let first = part.images.start;
                        for start in part.images.clone().step_by(together) {
                            let end = (start + together).min(part.images.end);
                            let images = end - start;
                            let (xs, ys) = (start * x_len..end * x_len, start * y_len..end * y_len);
                            let dz = &dz[ys.clone()];
                            let dy = match (factors, &self.norm, y) {
                                (Some(factors), Some(norm), Some(y)) => {
                                    let dy = &mut dy_room[..dz.len()];
                                    let (scale, shift) = (&norm.scale, &norm.shift);
                                    let input = NormInput { y: &y[ys], scale, shift, clamp };
                                    let factors = [&factors[0][..], &factors[1], &factors[2]];
                                    self.passes.backward_apply(Some(dz), input, factors, dy);
                                    &*dy
                                }
                                _ => dz,
                            };
                            if self.bias.is_some() {
                                self.bias_sums(dy, bias_sums);
                            }
                            self.kernel.add(images, &x[xs.clone()], dy, scratch, sums);
                            if let Some(dx) = &mut part.dx {
                                let to = (start - first) * x_len..(end - first) * x_len;
                                let add = add.as_ref().map(|add| &add[xs]);
                                let dx = &mut dx[to];
                                self.kernel.input(images, dy, add, scratch, dx);
                                let (Some(origin), Some(y), Some(all)) =
                                    (&origin, of_origin, &mut part.sums)
                                else {
                                    continue;
                                };
                                for (i, dx) in dx.chunks_exact(x_len).enumerate() {
                                    let y = &y[(start + i) * x_len..][..x_len];
                                    let at = (start - first + i) * origin_len;
                                    origin.sums(dx, y, &mut all[at..][..origin_len]);
                                }
                            }
                        }
                    });
                });
        }
        self.kernel.collect(&sums, &mut params[self.weight].gradient);
        if let Some(bias) = self.bias {
            let gradient = &mut params[bias].gradient;
            gradient.fill(0.0);
            for sums in bias_sums.chunks_exact(2 * self.channels) {
                gradient.iter_mut().zip(sums).for_each(|(g, sum)| *g += sum);
            }
        }
        buffers.give_back(sums);
        buffers.give_back(bias_sums);
        if let Some(add) = add {
            buffers.give_back(add);
        }
        if let Some(dx) = dx {
            buffers.set_gradient(self.input, dx);
        }
        if let Some(sums) = origin_sums {
            buffers.set_sums(self.input, sums);
        }
    }

    /// Adds sums over all pixels, image by image, to the first half of `sums`.
    fn bias_sums(&self, dy: &[f32], sums: &mut [f32]) {
        let channels = self.channels;
        let (sums, unused) = sums.split_at_mut(channels);
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let mut image = vec![0.0; channels];
        let input = NormInput { y: dy, scale: &ones, shift: &zeros, clamp: Clamp::NONE };
        self.passes.backward_sums(dy, input, &zeros, &mut image, unused);
        sums.iter_mut().zip(&image).for_each(|(sum, image)| *sum += image);
    }
}

/// A part of the batch, and where its input's gradient goes.
struct Part<'a> {
    images: Range<usize>,
    dx: Option<&'a mut [f32]>,
    /// For the norm that the input came out of.
    sums: Option<&'a mut [f32]>,
}

/// The first `len` values of what is left.
fn cut<'a>(rest: &mut Option<&'a mut [f32]>, len: usize) -> Option<&'a mut [f32]> {
    let (mine, others) = rest.take()?.split_at_mut(len);
    *rest = Some(others);
    Some(mine)
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
            // Building refuses a residual sum right after a depthwise convolution without a norm.
            Self::Depthwise { forward, .. } => forward.run(images, x, clamp, y),
        }
    }
    /// Adds the gradient of the weights over some images to a part's sums.
    fn add(&self, images: usize, x: &[f32], dy: &[f32], scratch: &mut [f32], sums: &mut [f32]) {
        match self {
            Self::Dense { gradient, .. } => gradient.add(images, x, dy, scratch, sums),
            Self::Depthwise { gradient, .. } => gradient.add(images, x, dy, sums),
        }
    }

    /// The gradient of the input, added to what other layers gave it.
    fn input(
        &self,
        images: usize,
        dy: &[f32],
        add: Option<&[f32]>,
        scratch: &mut [f32],
        dx: &mut [f32],
    ) {
        match self {
            Self::Dense { gradient, .. } => gradient.input(images, dy, add, scratch, dx),
            Self::Depthwise { gradient, .. } => gradient.input(images, dy, add, dx),
        }
    }
}
