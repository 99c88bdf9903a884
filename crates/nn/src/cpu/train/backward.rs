//! Backward through a layer: norm, convolution, residual sum.

use std::ops::Range;

use offshoot_kernels::{Clamp, NormInput, Stored, StoredMut, images_of, round_to_bf16};
use rayon::prelude::*;

use super::NormMode;
use super::buffers::{Buffer, Buffers, cut, cut_stored, room, stored, stored_mut};
use super::conv::ConvLayer;
use super::param::Param;
use crate::{NnError, Result};

impl ConvLayer {
    pub fn backward(
        &mut self,
        n: usize,
        params: &mut [Param],
        buffers: &mut Buffers,
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
        let branch = (!self.factors.is_empty()).then(|| self.of_branch(&dz, y_len, buffers));
        let values = match &branch {
            Some(branch) => Stored::F32(branch),
            None => stored(&dz, buffers.is_narrow(self.output)),
        };
        let factors = self.norm_sums(n, inner, params, buffers, values);
        self.gradients(n, inner, values, factors.as_ref(), params, buffers);
        branch.into_iter().for_each(|branch| buffers.give_back(branch));
        let Some(residual) = self.residual.filter(|_| self.wanted[1]) else {
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

    /// The gradient of the branch, of which some samples were left out.
    fn of_branch(&self, dz: &[f32], y_len: usize, buffers: &mut Buffers) -> Buffer {
        let mut branch = buffers.take(dz.len());
        let images = branch.par_chunks_mut(y_len).zip(dz.par_chunks(y_len)).zip(&self.factors);
        images.for_each(|((to, dz), factor)| {
            to.iter_mut().zip(dz).for_each(|(to, dz)| *to = factor * dz);
        });
        branch
    }

    /// Gradients of the norm's parameters, and the factors with which its input's gradient follows
    /// from its output's (see [`BatchNorm::backward_apply`]).
    fn norm_sums(
        &mut self,
        n: usize,
        clamp: Clamp,
        params: &mut [Param],
        buffers: &mut Buffers,
        dz: Stored<'_>,
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
                let y = buffers.stored(before);
                let (passes, scale, shift) = (&self.passes, &norm.scale, &norm.shift);
                sums.par_chunks_mut(2 * channels).enumerate().for_each(|(i, sums)| {
                    let image = i * y_len..(i + 1) * y_len;
                    let (sums, products) = sums.split_at_mut(channels);
                    let input = NormInput { y: y.slice(image.clone()), scale, shift, clamp };
                    passes.backward_sums(dz.slice(image), input, &mean, sums, products);
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
            if let Some(beta) = params[norm.beta].gradient.get_mut(c) {
                *beta = sum as f32;
            }
            if let Some(gamma) = params[norm.gamma].gradient.get_mut(c) {
                *gamma = (product * norm.inverse[c]) as f32;
            }
            let scale = f64::from(scale[c]);
            factors[0][c] = scale as f32;
            if norm.mode == NormMode::Batch {
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
        clamp: Clamp,
        dz: Stored<'_>,
        factors: Option<&[Vec<f32>; 3]>,
        params: &mut [Param],
        buffers: &mut Buffers,
    ) {
        let (x_len, y_len) = (buffers.len_of(self.input), buffers.len_of(self.output));
        let wanted = self.wanted[0];
        let learns = params[self.weight].learns;
        let biased = self.bias.is_some_and(|bias| params[bias].learns);
        if !(wanted || learns || biased) {
            return;
        }
        // One value that nobody reads stands for the sums of weights that do not learn.
        let sums_len = if learns { self.kernel.sums_len() } else { 1 };
        let parts = self.kernel.parts(n);
        // Of the weights, and of the bias with sums that nobody reads behind them.
        let mut sums = buffers.take(parts * sums_len);
        let mut bias_sums = buffers.take(parts * 2 * self.channels);
        let add = buffers.take_gradient(self.input).filter(|_| wanted);
        let narrow = buffers.is_narrow(self.input);
        let mut dx = wanted.then(|| buffers.take(room(n * x_len, narrow)));
        let origin = buffers.origin(self.input).filter(|_| wanted && self.sole_reader);
        let origin_len = origin.as_ref().map_or(0, |origin| 2 * origin.channels);
        let mut origin_sums = origin.as_ref().map(|_| buffers.take(n * origin_len));
        {
            let shared = &*buffers;
            let x = shared.source(self.input);
            let derived = x.scratch_len(x_len);
            let y = self.before_norm.map(|id| shared.stored(id));
            let of_origin = origin.as_ref().map(|o| shared.stored(o.before_norm));
            let mut rest = dx.as_deref_mut().map(|dx| stored_mut(dx, narrow));
            let mut rest_sums = origin_sums.as_deref_mut();
            let works: Vec<Part<'_>> = (0..parts)
                .map(|part| {
                    let images = images_of(part, parts, n);
                    let dx = cut_stored(&mut rest, images.len() * x_len);
                    let sums = cut(&mut rest_sums, images.len() * origin_len);
                    Part { images, dx, sums }
                })
                .collect();
            let together = self.kernel.together(x_len + derived + 2 * y_len).min(n);
            let scratch_len = self.kernel.backward_scratch_len(together);
            works
                .into_par_iter()
                .zip(sums.par_chunks_exact_mut(sums_len))
                .zip(bias_sums.par_chunks_exact_mut(2 * self.channels))
                .for_each(|((mut part, sums), bias_sums)| {
                    sums.fill(0.0);
                    bias_sums.fill(0.0);
                    let rooms = [together * y_len, together * derived];
                    shared.with_scratch(rooms[0] + rooms[1] + scratch_len, |scratch| {
                        let (dy_room, scratch) = scratch.split_at_mut(rooms[0]);
                        let (x_room, scratch) = scratch.split_at_mut(rooms[1]);
                        for start in part.images.clone().step_by(together) {
                            let end = (start + together).min(part.images.end);
                            let images = end - start;
                            let (xs, ys) = (start * x_len..end * x_len, start * y_len..end * y_len);
                            let dy_room = &mut dy_room[..images * y_len];
                            let dy = match (factors, &self.norm, y, dz) {
                                (Some(factors), Some(norm), Some(y), dz) => {
                                    let (scale, shift) = (&norm.scale, &norm.shift);
                                    let y = y.slice(ys.clone());
                                    let input = NormInput { y, scale, shift, clamp };
                                    let factors = [&factors[0][..], &factors[1], &factors[2]];
                                    self.passes.backward_apply(
                                        dz.slice(ys),
                                        input,
                                        factors,
                                        dy_room,
                                    );
                                    &*dy_room
                                }
                                (.., Stored::F32(dz)) => &dz[ys],
                                // Only norms' gradients are stored in bf16.
                                (.., Stored::Bf16(_)) => continue,
                            };
                            if biased {
                                self.bias_sums(dy, bias_sums);
                            }
                            if learns {
                                let x = x.read(xs.clone(), x_room);
                                self.kernel.add(images, x, dy, scratch, sums);
                            }
                            let Some(dx) = cut_stored(&mut part.dx, images * x_len) else {
                                continue;
                            };
                            let add = add.as_ref().map(|add| &add[xs.clone()]);
                            let (dx, to) = match dx {
                                StoredMut::F32(dx) => (dx, None),
                                // The input has served.
                                StoredMut::Bf16(to) => (&mut x_room[..to.len()], Some(to)),
                            };
                            self.kernel.input(images, dy, add, scratch, dx);
                            if let (Some(origin), Some(y)) = (&origin, of_origin) {
                                let sums = cut(&mut part.sums, images * origin_len);
                                let sums = sums.map(|sums| sums.chunks_exact_mut(origin_len));
                                let images = dx.chunks_exact(x_len).zip(sums.into_iter().flatten());
                                for (i, (dx, sums)) in images.enumerate() {
                                    let at = (start + i) * x_len;
                                    origin.sums(Stored::F32(dx), y.slice(at..at + x_len), sums);
                                }
                            }
                            if let Some(to) = to {
                                round_to_bf16(self.passes.isa(), dx, to);
                            }
                        }
                    });
                });
        }
        if learns {
            self.kernel.collect(&sums, &mut params[self.weight].gradient);
        }
        if let Some(bias) = self.bias.filter(|_| biased) {
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
        let input =
            NormInput { y: Stored::F32(dy), scale: &ones, shift: &zeros, clamp: Clamp::NONE };
        self.passes.backward_sums(Stored::F32(dy), input, &zeros, &mut image, unused);
        sums.iter_mut().zip(&image).for_each(|(sum, image)| *sum += image);
    }
}

/// A part of the batch, and where its input's gradient goes.
struct Part<'a> {
    images: Range<usize>,
    dx: Option<StoredMut<'a>>,
    /// For the norm that the input came out of.
    sums: Option<&'a mut [f32]>,
}
