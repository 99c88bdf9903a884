//! Batch normalisation on channels-last values, in the passes that training needs.
//!
//! Memory decides the speed of these passes, so each reads and writes as little as possible: the
//! activation is fused into the forward pass, and its derivative, recomputed from the norm's own
//! input, into both backward passes. Sums are formed over slices of pixels by the caller and merged
//! in order ([`merge_moments`]), which makes them independent of the number of threads.

use std::ops::Range;

use crate::simd::{Simd, dispatch, load_lanes, store_lanes};
use crate::stored::{Element, with_elements};
use crate::{Clamp, Isa, KernelError, Stored};

/// Vectors of channels whose sums stay in registers.
const WIDE: usize = 4;

/// Values of a slice of pixels.
const SLICE: usize = 8 << 10;

/// Passes over values `[pixels, channels]`.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    isa: Isa,
    channels: usize,
}

/// What backward passes read beside the gradient.
#[derive(Clone, Copy)]
pub struct NormInput<'a> {
    /// The norm's input, `[pixels, channels]`.
    pub y: Stored<'a>,
    /// `scale·y + shift` went into the activation, `[channels]` each.
    pub scale: &'a [f32],
    /// See `scale`.
    pub shift: &'a [f32],
    /// The activation: its derivative is 1 strictly inside the clamp, 0 elsewhere.
    pub clamp: Clamp,
}

/// Whole vectors of channels in `WIDE`s, then one by one, then the rest under a mask.
macro_rules! by_channels {
    ($S:ident, $channels:expr, $first:ident, $lanes:ident, $V:ident, $FULL:ident => $body:block) => {{
        let mut $first = 0;
        while $first + WIDE * $S::LANES <= $channels {
            const $V: usize = WIDE;
            const $FULL: bool = true;
            let $lanes = $S::LANES;
            $body
            $first += WIDE * $S::LANES;
        }
        while $first < $channels {
            const $V: usize = 1;
            let $lanes = ($channels - $first).min($S::LANES);
            if $lanes == $S::LANES {
                const $FULL: bool = true;
                $body
            } else {
                const $FULL: bool = false;
                $body
            }
            $first += $S::LANES;
        }
    }};
}

impl BatchNorm {
    /// For `channels` channels.
    pub fn new(isa: Isa, channels: usize) -> Result<Self, KernelError> {
        if channels == 0 {
            return Err(KernelError::Shape("a norm without channels".into()));
        }
        if !isa.is_available() {
            return Err(KernelError::Unavailable(isa));
        }
        Ok(Self { isa, channels })
    }

    /// The instructions that it was made for.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    fn pixels(&self, values: usize, others: &[usize]) -> usize {
        assert!(others.iter().all(|&len| len >= values), "norm operands are too short");
        values / self.channels
    }

    /// Runs of pixels that stay in the cache while one block of channels after the other passes
    /// over them: memory is read in order.
    fn slices(&self, pixels: usize) -> impl Iterator<Item = Range<usize>> {
        let each = (SLICE / self.channels).max(32);
        (0..pixels).step_by(each).map(move |first| first..(first + each).min(pixels))
    }

    fn check_channels(&self, rows: &[usize]) {
        assert!(rows.iter().all(|&len| len >= self.channels), "too few channels");
    }

    /// Mean and sum of squared deviations of each channel of `x` `[pixels, channels]`, by two passes.
    pub fn moments(&self, x: &[f32], mean: &mut [f32], squares: &mut [f32]) {
        let pixels = self.pixels(x.len(), &[]);
        self.check_channels(&[mean.len(), squares.len()]);
        let (c, scale) = (self.channels, 1.0 / pixels.max(1) as f32);
        mean[..c].fill(0.0);
        squares[..c].fill(0.0);
        for slice in self.slices(pixels) {
            let x = x[slice.start * c..].as_ptr();
            // Lengths were checked above.
            dispatch!(self.isa, S => sum::<S>(c, slice.len(), x, mean.as_mut_ptr()));
        }
        mean[..c].iter_mut().for_each(|mean| *mean *= scale);
        for slice in self.slices(pixels) {
            let x = x[slice.start * c..].as_ptr();
            let (mean, to) = (mean.as_ptr(), squares.as_mut_ptr());
            // Lengths were checked above.
            dispatch!(self.isa, S => deviations::<S>(c, slice.len(), x, mean, to));
        }
    }

    /// `z = clamp(scale·y + shift + residual)`.
    pub fn apply(
        &self,
        y: Stored<'_>,
        [scale, shift]: [&[f32]; 2],
        residual: Option<&[f32]>,
        clamp: Clamp,
        z: &mut [f32],
    ) {
        let pixels = self.pixels(y.len(), &[z.len(), residual.map_or(y.len(), <[f32]>::len)]);
        self.check_channels(&[scale.len(), shift.len()]);
        let residual = residual.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let affine = [scale.as_ptr(), shift.as_ptr()];
        // Lengths were checked above.
        with_elements!(y, y, Y => dispatch!(self.isa, S => apply::<S, Y>(self.channels, pixels, y, affine, residual, clamp, z.as_mut_ptr())));
    }

    /// Sums over pixels of the gradient `g` of the activation's input, and of `g·(y − mean)`.
    pub fn backward_sums(
        &self,
        dz: Stored<'_>,
        input: NormInput<'_>,
        mean: &[f32],
        sums: &mut [f32],
        products: &mut [f32],
    ) {
        let pixels = self.pixels(dz.len(), &[input.y.len()]);
        let NormInput { y, scale, shift, clamp } = input;
        self.check_channels(&[scale.len(), shift.len(), mean.len(), sums.len(), products.len()]);
        let affine = [scale.as_ptr(), shift.as_ptr(), mean.as_ptr()];
        sums[..self.channels].fill(0.0);
        products[..self.channels].fill(0.0);
        let to = [sums.as_mut_ptr(), products.as_mut_ptr()];
        for slice in self.slices(pixels) {
            let range = slice.start * self.channels..slice.end * self.channels;
            let (dz, y) = (dz.slice(range.clone()), y.slice(range));
            // Lengths were checked above.
            with_elements!(dz, dz, D => with_elements!(y, y, Y => dispatch!(self.isa, S =>
                backward_sums::<S, D, Y>(self.channels, slice.len(), (dz, y), affine, clamp, to))));
        }
    }

    /// `dy = factors[0]·g + factors[1]·y + factors[2]`, each `[channels]`, with the gradient `g` of
    /// the activation's input: the gradient of the norm's input.
    pub fn backward_apply(
        &self,
        dz: Stored<'_>,
        input: NormInput<'_>,
        factors: [&[f32]; 3],
        dy: &mut [f32],
    ) {
        let pixels = self.pixels(dy.len(), &[input.y.len(), dz.len()]);
        let NormInput { y, scale, shift, clamp } = input;
        self.check_channels(&[scale.len(), shift.len()]);
        self.check_channels(&factors.map(<[f32]>::len));
        let affine = [scale.as_ptr(), shift.as_ptr()];
        let factors = factors.map(<[f32]>::as_ptr);
        let to = dy.as_mut_ptr();
        // Lengths were checked above.
        with_elements!(dz, dz, D => with_elements!(y, y, Y => dispatch!(self.isa, S =>
            backward_apply::<S, D, Y>(self.channels, pixels, (dz, y), affine, clamp, factors, to))));
    }

    /// `dz ← dz` where `z` lies strictly inside the clamp, 0 elsewhere.
    pub fn mask(&self, dz: &mut [f32], z: &[f32], clamp: Clamp) {
        assert!(z.len() >= dz.len(), "mask is too short");
        // Lengths were checked above.
        dispatch!(self.isa, S => mask::<S>(dz.len(), dz.as_mut_ptr(), z.as_ptr(), clamp));
    }
}

/// Mean and variance (biased) of all pixels from those of slices of them, `[slices][channels]` each
/// (Chan, Golub & LeVeque 1983, equation 2.1), in the given order.
pub fn merge_moments<'a>(
    slices: impl Iterator<Item = (usize, &'a [f32], &'a [f32])>,
    mean: &mut [f64],
    variance: &mut [f64],
) {
    mean.fill(0.0);
    variance.fill(0.0);
    let mut seen = 0.0;
    for (pixels, part_mean, part_squares) in slices {
        let pixels = pixels as f64;
        let all = seen + pixels;
        for (c, (mean, squares)) in mean.iter_mut().zip(variance.iter_mut()).enumerate() {
            let delta = f64::from(part_mean[c]) - *mean;
            *mean += delta * pixels / all;
            *squares += f64::from(part_squares[c]) + delta * delta * seen * pixels / all;
        }
        seen = all;
    }
    variance.iter_mut().for_each(|v| *v /= f64::max(seen, 1.0));
}

/// The gradient where the activation's input lies strictly inside the clamp.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn inside<S: Simd>(v: S::V, low: S::V, high: S::V, g: S::V) -> S::V {
    // SAFETY: passed on.
    unsafe { S::where_positive(S::sub(v, low), S::where_positive(S::sub(high, v), g)) }
}

/// Adds each channel's values to `sums`.
///
/// # Safety
/// As [`Simd`]; `x` holds `pixels · channels` values, `sums` `channels`.
#[inline(always)]
unsafe fn sum<S: Simd>(channels: usize, pixels: usize, x: *const f32, sums: *mut f32) {
    // SAFETY: passed on.
    unsafe {
        by_channels!(S, channels, first, lanes, V, FULL => {
            let mut totals = [S::splat(0.0); V];
            for (v, total) in totals.iter_mut().enumerate() {
                *total = load_lanes::<S, FULL>(sums.add(first + v * S::LANES), lanes);
            }
            for pixel in 0..pixels {
                let x = x.add(pixel * channels + first);
                for (v, total) in totals.iter_mut().enumerate() {
                    *total = S::add(*total, load_lanes::<S, FULL>(x.add(v * S::LANES), lanes));
                }
            }
            for (v, total) in totals.into_iter().enumerate() {
                store_lanes::<S, FULL>(sums.add(first + v * S::LANES), lanes, total);
            }
        });
    }
}

/// Adds each channel's squared deviations from `mean` to `squares`.
///
/// # Safety
/// As [`Simd`]; `x` holds `pixels · channels` values, the others `channels`.
#[inline(always)]
unsafe fn deviations<S: Simd>(
    channels: usize,
    pixels: usize,
    x: *const f32,
    mean: *const f32,
    squares: *mut f32,
) {
    // SAFETY: passed on.
    unsafe {
        by_channels!(S, channels, first, lanes, V, FULL => {
            let (mut totals, mut means) = ([S::splat(0.0); V], [S::splat(0.0); V]);
            for (v, (total, mean_v)) in totals.iter_mut().zip(&mut means).enumerate() {
                *total = load_lanes::<S, FULL>(squares.add(first + v * S::LANES), lanes);
                *mean_v = load_lanes::<S, FULL>(mean.add(first + v * S::LANES), lanes);
            }
            for pixel in 0..pixels {
                let x = x.add(pixel * channels + first);
                for (v, (total, &mean)) in totals.iter_mut().zip(&means).enumerate() {
                    let delta = S::sub(load_lanes::<S, FULL>(x.add(v * S::LANES), lanes), mean);
                    *total = S::mul_add(delta, delta, *total);
                }
            }
            for (v, total) in totals.into_iter().enumerate() {
                store_lanes::<S, FULL>(squares.add(first + v * S::LANES), lanes, total);
            }
        });
    }
}

/// # Safety
/// As [`Simd`]; `y`, `z` and `residual` (unless null) hold `pixels · channels` values.
#[inline(always)]
unsafe fn apply<S: Simd, Y: Element>(
    channels: usize,
    pixels: usize,
    y: *const Y,
    [scale, shift]: [*const f32; 2],
    residual: *const f32,
    clamp: Clamp,
    z: *mut f32,
) {
    // SAFETY: passed on.
    unsafe {
        let (low, high) = (S::splat(clamp.low), S::splat(clamp.high));
        for pixel in 0..pixels {
            by_channels!(S, channels, first, lanes, V, FULL => {
                for v in 0..V {
                    let (c, at) = (first + v * S::LANES, pixel * channels + first + v * S::LANES);
                    let shift = load_lanes::<S, FULL>(shift.add(c), lanes);
                    let y = Y::load::<S, FULL>(y.add(at), lanes);
                    let mut value = S::mul_add(y, load_lanes::<S, FULL>(scale.add(c), lanes), shift);
                    if !residual.is_null() {
                        value = S::add(value, load_lanes::<S, FULL>(residual.add(at), lanes));
                    }
                    store_lanes::<S, FULL>(z.add(at), lanes, S::min(high, S::max(low, value)));
                }
            });
        }
    }
}

/// # Safety
/// As [`Simd`]; `dz` and `y` hold `pixels · channels` values, the others `channels`.
#[inline(always)]
unsafe fn backward_sums<S: Simd, D: Element, Y: Element>(
    channels: usize,
    pixels: usize,
    (dz, y): (*const D, *const Y),
    [scale, shift, mean]: [*const f32; 3],
    clamp: Clamp,
    [sums_to, products_to]: [*mut f32; 2],
) {
    // SAFETY: passed on.
    unsafe {
        let (low, high) = (S::splat(clamp.low), S::splat(clamp.high));
        by_channels!(S, channels, first, lanes, V, FULL => {
            let (mut sums, mut products) = ([S::splat(0.0); V], [S::splat(0.0); V]);
            for (v, (sum, product)) in sums.iter_mut().zip(&mut products).enumerate() {
                *sum = load_lanes::<S, FULL>(sums_to.add(first + v * S::LANES), lanes);
                *product = load_lanes::<S, FULL>(products_to.add(first + v * S::LANES), lanes);
            }
            let mut affine = [[S::splat(0.0); V]; 3];
            for (affine, from) in affine.iter_mut().zip([scale, shift, mean]) {
                for (v, value) in affine.iter_mut().enumerate() {
                    *value = load_lanes::<S, FULL>(from.add(first + v * S::LANES), lanes);
                }
            }
            let [scale, shift, mean] = affine;
            for pixel in 0..pixels {
                for (v, (sum, product)) in sums.iter_mut().zip(&mut products).enumerate() {
                    let at = pixel * channels + first + v * S::LANES;
                    let y = Y::load::<S, FULL>(y.add(at), lanes);
                    let input = S::mul_add(y, scale[v], shift[v]);
                    let dz = D::load::<S, FULL>(dz.add(at), lanes);
                    let g = inside::<S>(input, low, high, dz);
                    *sum = S::add(*sum, g);
                    *product = S::mul_add(g, S::sub(y, mean[v]), *product);
                }
            }
            for (v, (sum, product)) in sums.into_iter().zip(products).enumerate() {
                store_lanes::<S, FULL>(sums_to.add(first + v * S::LANES), lanes, sum);
                store_lanes::<S, FULL>(products_to.add(first + v * S::LANES), lanes, product);
            }
        });
    }
}

/// # Safety
/// As [`Simd`]; `dz`, `y` and `to` hold `pixels · channels` values, the others `channels`.
#[inline(always)]
unsafe fn backward_apply<S: Simd, D: Element, Y: Element>(
    channels: usize,
    pixels: usize,
    (dz, y): (*const D, *const Y),
    [scale, shift]: [*const f32; 2],
    clamp: Clamp,
    factors: [*const f32; 3],
    to: *mut f32,
) {
    // SAFETY: passed on.
    unsafe {
        let (low, high) = (S::splat(clamp.low), S::splat(clamp.high));
        for pixel in 0..pixels {
            by_channels!(S, channels, first, lanes, V, FULL => {
                for v in 0..V {
                    let (c, at) = (first + v * S::LANES, pixel * channels + first + v * S::LANES);
                    let y = Y::load::<S, FULL>(y.add(at), lanes);
                    let shift = load_lanes::<S, FULL>(shift.add(c), lanes);
                    let input = S::mul_add(y, load_lanes::<S, FULL>(scale.add(c), lanes), shift);
                    let g = inside::<S>(input, low, high, D::load::<S, FULL>(dz.add(at), lanes));
                    let rest = load_lanes::<S, FULL>(factors[2].add(c), lanes);
                    let rest = S::mul_add(y, load_lanes::<S, FULL>(factors[1].add(c), lanes), rest);
                    let dy = S::mul_add(g, load_lanes::<S, FULL>(factors[0].add(c), lanes), rest);
                    store_lanes::<S, FULL>(to.add(at), lanes, dy);
                }
            });
        }
    }
}

/// # Safety
/// As [`Simd`]; `dz` and `z` hold `len` values.
#[inline(always)]
unsafe fn mask<S: Simd>(len: usize, dz: *mut f32, z: *const f32, clamp: Clamp) {
    // SAFETY: passed on.
    unsafe {
        let (low, high) = (S::splat(clamp.low), S::splat(clamp.high));
        by_channels!(S, len, first, lanes, V, FULL => {
            for v in 0..V {
                let at = first + v * S::LANES;
                let z = load_lanes::<S, FULL>(z.add(at), lanes);
                let g = inside::<S>(z, low, high, load_lanes::<S, FULL>(dz.add(at), lanes));
                store_lanes::<S, FULL>(dz.add(at), lanes, g);
            }
        });
    }
}
