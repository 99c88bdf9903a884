//! Activation functions on rows of values, forward and backward.

use crate::Isa;
use crate::simd::{Simd, dispatch, math};

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Identity.
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x·Φ(x) with the normal distribution's Φ, by the error function (Hendrycks and Gimpel 2016,
    /// arXiv:1606.08415).
    Gelu,
    /// The same paper's approximation ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    GeluTanh,
    /// x / (1 + e⁻ˣ).
    Silu,
    /// tanh(x).
    Tanh,
}

/// √(2/π) and the cubic coefficient of [`Activation::GeluTanh`].
const SLOPE: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

impl Activation {
    /// Every function, for tests that loop over them.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Relu, Self::Relu6, Self::Gelu, Self::GeluTanh, Self::Silu, Self::Tanh];

    /// Applies the function to every value.
    ///
    /// # Panics
    /// When this machine lacks `isa`.
    pub fn apply(self, isa: Isa, values: &mut [f32]) {
        assert!(isa.is_available(), "instruction level `{}`", isa.name());
        if self != Self::None {
            let (p, n) = (values.as_mut_ptr(), values.len());
            // The slice is valid for its length.
            dispatch!(isa, S => self.apply_at::<S>(p, p, n));
        }
    }

    /// Writes the function of every value of `input` to `output`.
    ///
    /// # Panics
    /// When the lengths differ or this machine lacks `isa`.
    pub fn apply_to(self, isa: Isa, input: &[f32], output: &mut [f32]) {
        assert!(isa.is_available(), "instruction level `{}`", isa.name());
        assert_eq!(input.len(), output.len(), "activation output");
        if self == Self::None {
            output.copy_from_slice(input);
            return;
        }
        let (from, to, n) = (input.as_ptr(), output.as_mut_ptr(), input.len());
        // Both slices are valid for `n` values.
        dispatch!(isa, S => self.apply_at::<S>(from, to, n));
    }

    /// Turns the gradient of the outputs into that of the inputs: `gradient ∘ f′(input)`.
    ///
    /// # Panics
    /// When the lengths differ or this machine lacks `isa`.
    pub fn backward(self, isa: Isa, input: &[f32], gradient: &mut [f32]) {
        assert!(isa.is_available(), "instruction level `{}`", isa.name());
        assert_eq!(input.len(), gradient.len(), "activation gradient");
        if self == Self::None {
            return;
        }
        let (x, g, n) = (input.as_ptr(), gradient.as_mut_ptr(), input.len());
        // Both slices are valid for `n` values.
        dispatch!(isa, S => self.backward_at::<S>(x, g, n));
    }

    /// # Safety
    /// As [`Simd`]; `from` and `to`, which may be the same, are valid for `n` values. The identity
    /// writes nothing.
    #[inline(always)]
    pub(crate) unsafe fn apply_at<S: Simd>(self, from: *const f32, to: *mut f32, n: usize) {
        // The choice stands outside the loops.
        macro_rules! each {
            ($which:expr) => {{
                let mut i = 0;
                while i + S::LANES <= n {
                    S::store(to.add(i), $which.of::<S>(S::load(from.add(i))));
                    i += S::LANES;
                }
                if i < n {
                    let x = S::load_first(from.add(i), n - i);
                    S::store_first(to.add(i), n - i, $which.of::<S>(x));
                }
            }};
        }
        // SAFETY: passed on.
        unsafe {
            match self {
                Self::None => {}
                Self::Relu => each!(Self::Relu),
                Self::Relu6 => each!(Self::Relu6),
                Self::Gelu => each!(Self::Gelu),
                Self::GeluTanh => each!(Self::GeluTanh),
                Self::Silu => each!(Self::Silu),
                Self::Tanh => each!(Self::Tanh),
            }
        }
    }

    /// The function of a vector of values.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    pub(crate) unsafe fn of<S: Simd>(self, x: S::V) -> S::V {
        // SAFETY: passed on.
        unsafe {
            match self {
                Self::None => x,
                Self::Relu => S::max(S::splat(0.0), x),
                Self::Relu6 => S::min(S::splat(6.0), S::max(S::splat(0.0), x)),
                Self::Gelu => S::mul(x, normal::<S>(x)),
                Self::GeluTanh => {
                    let half = S::mul(S::splat(0.5), x);
                    S::mul_add(half, math::tanh::<S>(bent::<S>(x)), half)
                }
                Self::Silu => S::mul(x, sigmoid::<S>(x)),
                Self::Tanh => math::tanh::<S>(x),
            }
        }
    }

    /// # Safety
    /// As [`Simd`]; `x` and `g` are valid for `n` values.
    #[inline(always)]
    unsafe fn backward_at<S: Simd>(self, x: *const f32, g: *mut f32, n: usize) {
        macro_rules! each {
            (|$x:ident, $g:ident| $y:expr) => {{
                let mut i = 0;
                while i + S::LANES <= n {
                    let ($x, $g) = (S::load(x.add(i)), S::load(g.add(i)));
                    S::store(g.add(i), $y);
                    i += S::LANES;
                }
                if i < n {
                    let left = n - i;
                    let ($x, $g) = (S::load_first(x.add(i), left), S::load_first(g.add(i), left));
                    S::store_first(g.add(i), left, $y);
                }
            }};
        }
        // SAFETY: passed on.
        unsafe {
            match self {
                Self::None => {}
                Self::Relu => each!(|x, g| S::where_positive(x, g)),
                Self::Relu6 => each!(|x, g| S::where_positive(
                    x,
                    S::where_positive(S::sub(S::splat(6.0), x), g)
                )),
                Self::Gelu => each!(|x, g| {
                    // Φ(x) + x·φ(x), φ the normal density.
                    let half_square = S::mul(S::mul(S::splat(-0.5), x), x);
                    let density = S::mul(S::splat(0.398_942_3), math::exp::<S>(half_square));
                    S::mul(g, S::mul_add(x, density, normal::<S>(x)))
                }),
                Self::GeluTanh => each!(|x, g| {
                    // ½(1 + t) + ½x(1 − t²)·u′ for t = tanh u.
                    let t = math::tanh::<S>(bent::<S>(x));
                    let slope =
                        S::mul_add(S::mul(S::splat(3.0 * SLOPE * CUBIC), x), x, S::splat(SLOPE));
                    let rest = S::sub(S::splat(1.0), S::mul(t, t));
                    let inner = S::mul_add(S::mul(x, rest), slope, S::add(S::splat(1.0), t));
                    S::mul(g, S::mul(S::splat(0.5), inner))
                }),
                Self::Silu => each!(|x, g| {
                    // s·(1 + x·(1 − s)) for the logistic s.
                    let s = sigmoid::<S>(x);
                    let rest = S::mul_add(x, S::sub(S::splat(1.0), s), S::splat(1.0));
                    S::mul(g, S::mul(s, rest))
                }),
                Self::Tanh => each!(|x, g| {
                    let t = math::tanh::<S>(x);
                    S::mul(g, S::sub(S::splat(1.0), S::mul(t, t)))
                }),
            }
        }
    }
}

/// The normal distribution's Φ(x) = ½(1 + erf(x/√2)).
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn normal<S: Simd>(x: S::V) -> S::V {
    // SAFETY: passed on.
    unsafe {
        let erf = math::erf::<S>(S::mul(x, S::splat(std::f32::consts::FRAC_1_SQRT_2)));
        S::mul_add(erf, S::splat(0.5), S::splat(0.5))
    }
}

/// √(2/π)·(x + 0.044715·x³).
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn bent<S: Simd>(x: S::V) -> S::V {
    // SAFETY: passed on.
    unsafe {
        let scale = S::mul_add(S::mul(x, x), S::splat(SLOPE * CUBIC), S::splat(SLOPE));
        S::mul(x, scale)
    }
}

/// The logistic function 1/(1 + e⁻ˣ).
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn sigmoid<S: Simd>(x: S::V) -> S::V {
    // SAFETY: passed on.
    unsafe {
        let e = math::exp::<S>(S::sub(S::splat(0.0), x));
        S::div(S::splat(1.0), S::add(S::splat(1.0), e))
    }
}
