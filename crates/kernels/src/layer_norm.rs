//! Layer normalisation over the last axis (Ba et al. 2016, arXiv:1607.06450), forward and backward.

use crate::Isa;
use crate::simd::{Simd, dispatch};

/// Scale, shift and what is added to the variance.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// `[features]`.
    pub weight: &'a [f32],
    /// `[features]`.
    pub bias: &'a [f32],
    /// Added to the (biased) variance.
    pub eps: f32,
}

impl LayerNorm<'_> {
    /// Replaces every row `x` of `rows` `[n, features]` by `(x − μ)/√(σ² + ε)·weight + bias`.
    ///
    /// # Panics
    /// When `rows` is not a whole number of rows, or this machine lacks `isa`.
    pub fn apply(&self, isa: Isa, rows: &mut [f32]) {
        let n = self.check(isa, rows.len());
        for row in rows.chunks_exact_mut(n) {
            let row = row.as_mut_ptr();
            // A row, the scale and the shift are valid for `n` values.
            dispatch!(isa, S => self.row::<S>(row, row, n));
        }
    }

    /// As [`LayerNorm::apply`] on the rows of `input`, written to `output`.
    ///
    /// # Panics
    /// As [`LayerNorm::apply`], and when the lengths differ.
    pub fn apply_to(&self, isa: Isa, input: &[f32], output: &mut [f32]) {
        assert_eq!(input.len(), output.len(), "layer norm output");
        let n = self.check(isa, input.len());
        for (from, to) in input.chunks_exact(n).zip(output.chunks_exact_mut(n)) {
            let (from, to) = (from.as_ptr(), to.as_mut_ptr());
            // Both rows, the scale and the shift are valid for `n` values.
            dispatch!(isa, S => self.row::<S>(from, to, n));
        }
    }

    /// As [`LayerNorm::apply`] on the sum of `rows` and `residual`, written to `rows`.
    ///
    /// # Panics
    /// As [`LayerNorm::apply`], and when the lengths differ.
    pub fn apply_to_sum(&self, isa: Isa, residual: &[f32], rows: &mut [f32]) {
        assert_eq!(rows.len(), residual.len(), "layer norm residual");
        let n = self.check(isa, rows.len());
        for (row, other) in rows.chunks_exact_mut(n).zip(residual.chunks_exact(n)) {
            for (x, y) in row.iter_mut().zip(other) {
                *x += y;
            }
            let row = row.as_mut_ptr();
            // A row, the scale and the shift are valid for `n` values.
            dispatch!(isa, S => self.row::<S>(row, row, n));
        }
    }

    /// Gradients from `input` (what was normalised) and the gradient of the output, which becomes
    /// that of the input; the gradients of scale and shift are added to, in the order of rows.
    ///
    /// # Panics
    /// When lengths disagree, or this machine lacks `isa`.
    pub fn backward(
        &self,
        isa: Isa,
        input: &[f32],
        gradient: &mut [f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        assert_eq!(input.len(), gradient.len(), "layer norm gradient");
        let n = self.check(isa, input.len());
        assert!(d_weight.len() == n && d_bias.len() == n, "layer norm parameters");
        for (x, g) in input.chunks_exact(n).zip(gradient.chunks_exact_mut(n)) {
            let (x, g) = (x.as_ptr(), g.as_mut_ptr());
            let (d_weight, d_bias) = (d_weight.as_mut_ptr(), d_bias.as_mut_ptr());
            // All five are valid for `n` values.
            dispatch!(isa, S => self.backward_row::<S>(x, g, d_weight, d_bias, n));
        }
    }

    fn check(&self, isa: Isa, values: usize) -> usize {
        assert!(isa.is_available(), "instruction level `{}`", isa.name());
        let n = self.weight.len();
        assert!(n > 0 && self.bias.len() == n && values.is_multiple_of(n), "layer norm rows");
        n
    }

    /// # Safety
    /// As [`Simd`]; `from`, `to` (which may be the same) and the parameters hold `n` values.
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, from: *const f32, to: *mut f32, n: usize) {
        // SAFETY: passed on.
        unsafe {
            let (mean, scale) = moments::<S>(from, n, self.eps);
            let (mean, scale) = (S::splat(mean), S::splat(scale));
            let (weight, bias) = (self.weight.as_ptr(), self.bias.as_ptr());
            each::<S>(
                n,
                #[inline(always)]
                |i, at| {
                    let centred = S::sub(at.load::<S>(from.add(i)), mean);
                    let factor = S::mul(scale, at.load::<S>(weight.add(i)));
                    let y = S::mul_add(centred, factor, at.load::<S>(bias.add(i)));
                    at.store::<S>(to.add(i), y);
                },
            );
        }
    }

    /// `dx = (g·γ − mean(g·γ) − x̂·mean(g·γ·x̂))/σ`.
    ///
    /// # Safety
    /// As [`Simd`]; all addresses and the parameters hold `n` values.
    #[inline(always)]
    unsafe fn backward_row<S: Simd>(
        &self,
        x: *const f32,
        g: *mut f32,
        d_weight: *mut f32,
        d_bias: *mut f32,
        n: usize,
    ) {
        // SAFETY: passed on.
        unsafe {
            let (mean, scale) = moments::<S>(x, n, self.eps);
            let (mean, scale) = (S::splat(mean), S::splat(scale));
            let weight = self.weight.as_ptr();
            let (mut plain, mut slanted) = (S::splat(0.0), S::splat(0.0));
            each::<S>(
                n,
                #[inline(always)]
                |i, at| {
                    let unit = S::mul(S::sub(at.load::<S>(x.add(i)), mean), scale);
                    let gradient = at.load::<S>(g.add(i));
                    let scaled = S::mul(gradient, at.load::<S>(weight.add(i)));
                    plain = S::add(plain, scaled);
                    // Lanes past the end have gradient 0.
                    slanted = S::mul_add(scaled, unit, slanted);
                    let sum = S::mul_add(gradient, unit, at.load::<S>(d_weight.add(i)));
                    at.store::<S>(d_weight.add(i), sum);
                    at.store::<S>(d_bias.add(i), S::add(at.load::<S>(d_bias.add(i)), gradient));
                },
            );
            let plain = S::splat(S::sum(plain) / n as f32);
            let slanted = S::splat(S::sum(slanted) / n as f32);
            each::<S>(
                n,
                #[inline(always)]
                |i, at| {
                    let unit = S::mul(S::sub(at.load::<S>(x.add(i)), mean), scale);
                    let scaled = S::mul(at.load::<S>(g.add(i)), at.load::<S>(weight.add(i)));
                    let rest = S::sub(S::sub(scaled, plain), S::mul(unit, slanted));
                    at.store::<S>(g.add(i), S::mul(scale, rest));
                },
            );
        }
    }
}

/// Mean and `1/√(variance + eps)`, the variance around that mean.
///
/// # Safety
/// As [`Simd`]; `row` holds `n` values.
#[inline(always)]
unsafe fn moments<S: Simd>(row: *const f32, n: usize, eps: f32) -> (f32, f32) {
    // SAFETY: passed on.
    unsafe {
        let mut sum = S::splat(0.0);
        each::<S>(
            n,
            #[inline(always)]
            |i, at| sum = S::add(sum, at.load::<S>(row.add(i))),
        );
        let mean = S::sum(sum) / n as f32;
        let mut squares = S::splat(0.0);
        let centre = S::splat(mean);
        each::<S>(
            n,
            #[inline(always)]
            |i, at| {
                // Lanes past the end were read as zero, which is not the mean.
                let centred = S::mul(S::sub(at.load::<S>(row.add(i)), centre), at.mask::<S>());
                squares = S::mul_add(centred, centred, squares);
            },
        );
        let variance = S::sum(squares) / n as f32;
        (mean, 1.0 / (variance + eps).sqrt())
    }
}

/// How many lanes of a vector exist.
#[derive(Clone, Copy)]
enum Lanes {
    All,
    First(usize),
}

impl Lanes {
    /// One in each lane that exists, zero in the others.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn mask<S: Simd>(self) -> S::V {
        const WINDOW: [f32; 32] = {
            let mut window = [0.0; 32];
            let mut i = 0;
            while i < 16 {
                window[i] = 1.0;
                i += 1;
            }
            window
        };
        // SAFETY: no level has more than sixteen lanes, so both windows lie within the array.
        unsafe {
            match self {
                Self::All => S::splat(1.0),
                Self::First(n) => S::load(WINDOW.as_ptr().add(16 - n)),
            }
        }
    }

    /// # Safety
    /// As [`Simd::load`] for the lanes that exist.
    #[inline(always)]
    unsafe fn load<S: Simd>(self, p: *const f32) -> S::V {
        // SAFETY: passed on.
        unsafe {
            match self {
                Self::All => S::load(p),
                Self::First(n) => S::load_first(p, n),
            }
        }
    }

    /// # Safety
    /// As [`Simd::store`] for the lanes that exist.
    #[inline(always)]
    unsafe fn store<S: Simd>(self, p: *mut f32, v: S::V) {
        // SAFETY: passed on.
        unsafe {
            match self {
                Self::All => S::store(p, v),
                Self::First(n) => S::store_first(p, n, v),
            }
        }
    }
}

/// Runs `f` on each vector of `n` values, the last of which may be partial.
#[inline(always)]
fn each<S: Simd>(n: usize, mut f: impl FnMut(usize, Lanes)) {
    let mut i = 0;
    while i + S::LANES <= n {
        f(i, Lanes::All);
        i += S::LANES;
    }
    if i < n {
        f(i, Lanes::First(n - i));
    }
}
