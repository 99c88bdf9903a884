//! Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507): every channel of an image is
//! multiplied by a gate, which follows from the means of all channels.
//!
//! With the means `s`: `r = R·s + b`, `h = act(r)`, `g = σ(E·h + d)`, `y = x·g`.

use rayon::prelude::*;

use crate::activation::sigmoid;
use crate::simd::{Simd, dispatch};
use crate::{Activation, Isa, KernelError, Order};

/// Vectors of channels that are summed over pixels side by side.
const WIDE: usize = 4;

/// Squeeze-and-excitation of images of `channels` channels.
pub struct SqueezeExcite {
    isa: Isa,
    channels: usize,
    hidden: usize,
    act: Activation,
    /// `R` as `[channels, hidden]` and `b` `[hidden]`.
    reduce: [Vec<f32>; 2],
    /// `E` as `[hidden, channels]` and `d` `[channels]`.
    expand: [Vec<f32>; 2],
}

/// Gradients of the parameters, in the order [`Order::Hwio`].
pub struct ExciteGradients<'a> {
    /// Of `R`, `[channels, hidden]`.
    pub reduce: &'a mut [f32],
    /// Of `b`, `[hidden]`.
    pub reduce_bias: &'a mut [f32],
    /// Of `E`, `[hidden, channels]`.
    pub expand: &'a mut [f32],
    /// Of `d`, `[channels]`.
    pub expand_bias: &'a mut [f32],
}

impl SqueezeExcite {
    /// All parameters are zero until [`SqueezeExcite::pack`].
    ///
    /// # Errors
    /// Without channels, and where this machine lacks `isa`.
    pub fn new(
        isa: Isa,
        channels: usize,
        hidden: usize,
        act: Activation,
    ) -> Result<Self, KernelError> {
        if channels == 0 || hidden == 0 {
            let sizes = format!("squeeze-excite of {channels} channels by {hidden}");
            return Err(KernelError::Shape(sizes));
        }
        if !isa.is_available() {
            return Err(KernelError::Unavailable(isa));
        }
        let zeros = |n: usize| vec![0.0; n];
        let reduce = [zeros(channels * hidden), zeros(hidden)];
        let expand = [zeros(channels * hidden), zeros(channels)];
        Ok(Self { isa, channels, hidden, act, reduce, expand })
    }

    /// Brings the weights and biases of both layers, as 1×1 convolutions hold them.
    ///
    /// # Errors
    /// Where there are more or fewer of them.
    pub fn pack(
        &mut self,
        order: Order,
        [reduce, reduce_bias]: [&[f32]; 2],
        [expand, expand_bias]: [&[f32]; 2],
    ) -> Result<(), KernelError> {
        let both =
            [(&mut self.reduce, reduce, reduce_bias), (&mut self.expand, expand, expand_bias)];
        for ([to, to_bias], weight, bias) in both {
            if weight.len() != to.len() || bias.len() != to_bias.len() {
                return Err(KernelError::Shape(format!(
                    "squeeze-excite of {} channels by {} with {} weights and {} biases",
                    self.channels,
                    self.hidden,
                    weight.len(),
                    bias.len()
                )));
            }
            let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
            match order {
                Order::Hwio => to.copy_from_slice(weight),
                Order::Oihw => {
                    for (at, to) in to.iter_mut().enumerate() {
                        *to = weight[at % outputs * inputs + at / outputs];
                    }
                }
            }
            to_bias.copy_from_slice(bias);
        }
        Ok(())
    }

    /// Values that [`SqueezeExcite::gates`] writes for an image: `g`, `s`, `r` and `h`.
    pub fn kept_len(&self) -> usize {
        2 * (self.channels + self.hidden)
    }

    /// Values that [`SqueezeExcite::backward`] writes for an image: gradients of what goes into the
    /// sigmoid and into the activation.
    pub fn deltas_len(&self) -> usize {
        self.channels + self.hidden
    }

    /// Works out the gates of one image `[pixels, channels]`, and what its backward pass needs.
    ///
    /// # Panics
    /// When `kept` has another length than [`SqueezeExcite::kept_len`], or `image` no pixel.
    pub fn gates(&self, image: &[f32], kept: &mut [f32]) {
        let (channels, hidden, isa) = (self.channels, self.hidden, self.isa);
        assert!(!image.is_empty() && image.len().is_multiple_of(channels), "squeeze-excite image");
        assert_eq!(kept.len(), self.kept_len(), "squeeze-excite means");
        let (gates, kept) = kept.split_at_mut(channels);
        let (means, kept) = kept.split_at_mut(channels);
        let (before, after) = kept.split_at_mut(hidden);
        let scale = channels as f32 / image.len() as f32;
        // The image is whole pixels, and there is a mean for each channel.
        dispatch!(isa, S => sums::<S>(image, None, means));
        means.iter_mut().for_each(|mean| *mean *= scale);
        let [weight, bias] = &self.reduce;
        // `[channels, hidden]` times `[channels]`.
        dispatch!(isa, S => product::<S>(means, weight, bias, before));
        self.act.apply_to(isa, before, after);
        let [weight, bias] = &self.expand;
        // `[hidden, channels]` times `[hidden]`.
        dispatch!(isa, S => product::<S>(after, weight, bias, gates));
        // The slice is valid for its length.
        dispatch!(isa, S => logistic::<S>(gates));
    }

    /// `y = x·g`, for one image, with what [`SqueezeExcite::gates`] kept.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn apply(&self, kept: &[f32], x: &[f32], y: &mut [f32]) {
        assert!(
            x.len() == y.len() && x.len().is_multiple_of(self.channels),
            "squeeze-excite output"
        );
        let gates = &kept[..self.channels];
        let (from, to) = (x.as_ptr(), y.as_mut_ptr());
        // Both are valid for whole pixels of as many channels as there are gates.
        dispatch!(self.isa, S => scale::<S>(from, x.len(), gates, None, to));
    }

    /// [`SqueezeExcite::gates`] and [`SqueezeExcite::apply`] in place.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn run(&self, kept: &mut [f32], image: &mut [f32]) {
        self.gates(image, kept);
        let (gates, p) = (&kept[..self.channels], image.as_mut_ptr());
        // As in `apply`; every value is read before it is written.
        dispatch!(self.isa, S => scale::<S>(p, image.len(), gates, None, p));
    }

    /// Gradient with respect to one image `x`, from that of its output; `deltas` are what
    /// [`SqueezeExcite::gradients`] asks for.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn backward(
        &self,
        kept: &[f32],
        x: &[f32],
        dy: &[f32],
        deltas: &mut [f32],
        dx: &mut [f32],
    ) {
        let (channels, hidden, isa) = (self.channels, self.hidden, self.isa);
        let fits = x.len().is_multiple_of(channels) && dy.len() == x.len() && dx.len() == x.len();
        assert!(fits && !x.is_empty(), "squeeze-excite gradient");
        assert_eq!(kept.len(), self.kept_len(), "squeeze-excite means");
        assert_eq!(deltas.len(), self.deltas_len(), "squeeze-excite deltas");
        let (gates, before) = (&kept[..channels], &kept[2 * channels..][..hidden]);
        let (of_gates, of_hidden) = deltas.split_at_mut(channels);
        // Images of one length, whole pixels, and a sum for each channel.
        dispatch!(isa, S => sums::<S>(x, Some(dy), of_gates));
        of_gates.iter_mut().zip(gates).for_each(|(d, g)| *d *= g * (1.0 - g));
        // `[hidden, channels]`, row by row, times `[channels]`.
        dispatch!(isa, S => row_products::<S>(&self.expand[0], of_gates, of_hidden));
        self.act.backward(isa, before, of_hidden);
        let mut of_means = vec![0.0; channels];
        // `[channels, hidden]`, row by row, times `[hidden]`.
        dispatch!(isa, S => row_products::<S>(&self.reduce[0], of_hidden, &mut of_means));
        let share = channels as f32 / x.len() as f32;
        of_means.iter_mut().for_each(|d| *d *= share);
        let (from, to) = (dy.as_ptr(), dx.as_mut_ptr());
        // As in `apply`, and there is a mean's gradient for each channel.
        dispatch!(isa, S => scale::<S>(from, dy.len(), gates, Some(&of_means), to));
    }

    /// Gradients of the parameters, summed over images in order, from what [`SqueezeExcite::gates`]
    /// kept and what [`SqueezeExcite::backward`] gave for each; on the current pool.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn gradients(&self, kept: &[f32], deltas: &[f32], gradients: ExciteGradients<'_>) {
        let (channels, hidden) = (self.channels, self.hidden);
        let images = deltas.len() / self.deltas_len();
        assert_eq!(kept.len(), images * self.kept_len(), "squeeze-excite means");
        let kept = |i: usize| &kept[i * self.kept_len()..][..self.kept_len()];
        let deltas = |i: usize| &deltas[i * self.deltas_len()..][..self.deltas_len()];
        let add = |row: &mut [f32], by: f32, delta: &[f32]| {
            row.iter_mut().zip(delta).for_each(|(sum, delta)| *sum += by * delta);
        };
        gradients.reduce.par_chunks_exact_mut(hidden).enumerate().for_each(|(c, row)| {
            row.fill(0.0);
            (0..images).for_each(|i| add(row, kept(i)[channels + c], &deltas(i)[channels..]));
        });
        gradients.expand.par_chunks_exact_mut(channels).enumerate().for_each(|(h, row)| {
            row.fill(0.0);
            let at = 2 * channels + hidden + h;
            (0..images).for_each(|i| add(row, kept(i)[at], &deltas(i)[..channels]));
        });
        gradients.reduce_bias.fill(0.0);
        gradients.expand_bias.fill(0.0);
        for i in 0..images {
            add(gradients.reduce_bias, 1.0, &deltas(i)[channels..]);
            add(gradients.expand_bias, 1.0, &deltas(i)[..channels]);
        }
    }
}

/// Sums of `x`, or of `x·by`, over all pixels: one for each of `sums`.
///
/// # Safety
/// As [`Simd`]; `by` is as long as `x`.
#[inline(always)]
unsafe fn sums<S: Simd>(x: &[f32], by: Option<&[f32]>, sums: &mut [f32]) {
    let channels = sums.len();
    let pixels = x.len() / channels;
    let step = WIDE * S::LANES;
    for first in (0..channels).step_by(step) {
        let columns = (channels - first).min(step);
        // SAFETY: `first + columns` is at most the channels of each pixel.
        unsafe {
            let mut totals = [S::splat(0.0); WIDE];
            for pixel in 0..pixels {
                let at = pixel * channels + first;
                for (v, total) in totals.iter_mut().enumerate() {
                    let lanes = columns.saturating_sub(v * S::LANES).min(S::LANES);
                    if lanes == 0 {
                        break;
                    }
                    let value = load::<S>(x.as_ptr().add(at + v * S::LANES), lanes);
                    *total = match by {
                        None => S::add(*total, value),
                        Some(by) => {
                            let by = load::<S>(by.as_ptr().add(at + v * S::LANES), lanes);
                            S::mul_add(value, by, *total)
                        }
                    };
                }
            }
            for (v, &total) in totals.iter().enumerate() {
                let lanes = columns.saturating_sub(v * S::LANES).min(S::LANES);
                if lanes > 0 {
                    store::<S>(sums.as_mut_ptr().add(first + v * S::LANES), lanes, total);
                }
            }
        }
    }
}

/// `to = bias + x·weight` for a matrix `[x, to]`.
///
/// # Safety
/// As [`Simd`]; `weight` has that many values, and `bias` as many as `to`.
#[inline(always)]
unsafe fn product<S: Simd>(x: &[f32], weight: &[f32], bias: &[f32], to: &mut [f32]) {
    let columns = to.len();
    for first in (0..columns).step_by(S::LANES) {
        let lanes = (columns - first).min(S::LANES);
        // SAFETY: `first + lanes` is at most the columns of each row.
        unsafe {
            let mut total = load::<S>(bias.as_ptr().add(first), lanes);
            for (row, &x) in x.iter().enumerate() {
                let weight = load::<S>(weight.as_ptr().add(row * columns + first), lanes);
                total = S::mul_add(S::splat(x), weight, total);
            }
            store::<S>(to.as_mut_ptr().add(first), lanes, total);
        }
    }
}

/// The product of each row of `weight`, `[to, x]`, with `x`.
///
/// # Safety
/// As [`Simd`]; `weight` has that many values.
#[inline(always)]
unsafe fn row_products<S: Simd>(weight: &[f32], x: &[f32], to: &mut [f32]) {
    let columns = x.len();
    for (row, to) in to.iter_mut().enumerate() {
        // SAFETY: within the row.
        unsafe {
            let mut total = S::splat(0.0);
            for first in (0..columns).step_by(S::LANES) {
                let lanes = (columns - first).min(S::LANES);
                let weight = load::<S>(weight.as_ptr().add(row * columns + first), lanes);
                total = S::mul_add(load::<S>(x.as_ptr().add(first), lanes), weight, total);
            }
            *to = S::sum(total);
        }
    }
}

/// The logistic function of every value.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn logistic<S: Simd>(values: &mut [f32]) {
    let n = values.len();
    for first in (0..n).step_by(S::LANES) {
        let lanes = (n - first).min(S::LANES);
        // SAFETY: within the slice.
        unsafe {
            let p = values.as_mut_ptr().add(first);
            store::<S>(p, lanes, sigmoid::<S>(load::<S>(p, lanes)));
        }
    }
}

/// `to = from·gate + shift` for every pixel.
///
/// # Safety
/// As [`Simd`]; `from` and `to`, which may be the same, are valid for `n` values, whole pixels of as
/// many channels as there are gates and shifts.
#[inline(always)]
unsafe fn scale<S: Simd>(
    from: *const f32,
    n: usize,
    gates: &[f32],
    shift: Option<&[f32]>,
    to: *mut f32,
) {
    let channels = gates.len();
    for pixel in (0..n).step_by(channels) {
        for first in (0..channels).step_by(S::LANES) {
            let lanes = (channels - first).min(S::LANES);
            // SAFETY: `first + lanes` is at most the pixel's channels.
            unsafe {
                let value = load::<S>(from.add(pixel + first), lanes);
                let gate = load::<S>(gates.as_ptr().add(first), lanes);
                let value = match shift {
                    None => S::mul(value, gate),
                    Some(shift) => {
                        S::mul_add(value, gate, load::<S>(shift.as_ptr().add(first), lanes))
                    }
                };
                store::<S>(to.add(pixel + first), lanes, value);
            }
        }
    }
}

/// # Safety
/// As [`Simd`]; `p` is valid for `lanes` values, at most a vector's.
#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, lanes: usize) -> S::V {
    // SAFETY: passed on.
    unsafe { if lanes == S::LANES { S::load(p) } else { S::load_first(p, lanes) } }
}

/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, lanes: usize, value: S::V) {
    // SAFETY: passed on.
    unsafe {
        if lanes == S::LANES {
            S::store(p, value);
        } else {
            S::store_first(p, lanes, value);
        }
    }
}
