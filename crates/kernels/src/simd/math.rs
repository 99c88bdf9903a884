//! Elementary functions on vectors: exponential, error function, hyperbolic tangent.
//!
//! Polynomials and quotients of polynomials fitted for the smallest largest relative error; each
//! stays within a few units in the last place of the exact value (see the tests).

use super::Simd;

/// `c[0] + c[1]·x + c[2]·x² + …`.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn polynomial<S: Simd, const N: usize>(x: S::V, c: [f32; N]) -> S::V {
    // SAFETY: passed on.
    unsafe {
        let mut y = S::splat(c[N - 1]);
        for k in (0..N - 1).rev() {
            y = S::mul_add(y, x, S::splat(c[k]));
        }
        y
    }
}

/// `eˣ`; 0 below −88, no larger than `e^88.37` above; a NaN stays.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // ln 2 in two parts: the first has trailing zeros, so that n·HIGH is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    // SAFETY: passed on; after the clamp n lies within −127..=127.
    unsafe {
        let x = S::min(S::splat(88.37), S::max(S::splat(-88.2), x));
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let r = S::mul_add(n, S::splat(-HIGH), x);
        let r = S::mul_add(n, S::splat(-LOW), r);
        let p = polynomial::<S, 7>(
            r,
            [1.0, 1.0, 0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_717, 0.001_381_459_9],
        );
        S::scale_by_power_of_two(p, n)
    }
}

/// The error function: `x·P(x²)/Q(x²)`, constant beyond ±3.925 where it is ±1 in single precision.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn erf<S: Simd>(x: S::V) -> S::V {
    // SAFETY: passed on.
    unsafe {
        let x = S::min(S::splat(3.925), S::max(S::splat(-3.925), x));
        let square = S::mul(x, x);
        let p = polynomial::<S, 6>(
            square,
            [
                std::f32::consts::FRAC_2_SQRT_PI,
                0.190_591_07,
                0.052_768_96,
                0.003_772_442,
                0.000_284_842_27,
                0.000_002_046_061_9,
            ],
        );
        let q = polynomial::<S, 6>(
            square,
            [1.0, 0.502_239_64, 0.114_181_63, 0.014_982_978, 0.001_163_833_9, 0.000_038_048_07],
        );
        S::div(S::mul(x, p), q)
    }
}

/// The hyperbolic tangent: `x·P(x²)/Q(x²)`, constant beyond ±9.01.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
pub(crate) unsafe fn tanh<S: Simd>(x: S::V) -> S::V {
    // SAFETY: passed on.
    unsafe {
        let x = S::min(S::splat(9.01), S::max(S::splat(-9.01), x));
        let square = S::mul(x, x);
        let p = polynomial::<S, 6>(
            square,
            [1.0, 0.136_803_88, 0.003_868_921_4, 2.801_945_4e-5, 3.061_393e-8, -1.222_495_2e-11],
        );
        let q = polynomial::<S, 5>(
            square,
            [1.0, 0.470_137_2, 0.027_248_01, 3.939_678_4e-4, 1.288_205_6e-6],
        );
        S::div(S::mul(x, p), q)
    }
}

#[cfg(test)]
mod tests {
    use crate::Isa;
    use crate::simd::dispatch;

    /// The error function in double precision: its power series (Abramowitz and Stegun 7.1.5).
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        (sum * std::f64::consts::FRAC_2_SQRT_PI).clamp(-1.0, 1.0)
    }

    /// Applies one function, `which` of exp, erf, tanh, to all values.
    fn apply(isa: Isa, which: usize, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        // Whole chunks of sixteen values, a multiple of every level's lanes.
        assert_eq!(x.len() % 16, 0);
        dispatch!(isa, S => {
            for i in (0..x.len()).step_by(S::LANES) {
                let v = S::load(x.as_ptr().add(i));
                let v = match which {
                    0 => math::exp::<S>(v),
                    1 => math::erf::<S>(v),
                    _ => math::tanh::<S>(v),
                };
                S::store(y.as_mut_ptr().add(i), v);
            }
        });
        y
    }

    fn worst(isa: Isa, which: usize, reach: f32, exact: fn(f64) -> f64) -> f64 {
        let n = if cfg!(miri) { 800 } else { 160_000 };
        let x: Vec<f32> =
            (0..n).map(|i| reach * (2.0 * (i as f32 + 0.5) / n as f32 - 1.0)).collect();
        let errors = apply(isa, which, &x).into_iter().zip(&x).map(|(y, &x)| {
            let exact = exact(f64::from(x));
            ((f64::from(y) - exact) / exact).abs()
        });
        errors.fold(0.0, |a: f64, b| if a >= b { a } else { b })
    }

    #[test]
    fn relative_errors_stay_below_a_millionth() {
        for isa in Isa::available() {
            for (which, reach, exact) in
                [(0, 87.0, f64::exp as fn(f64) -> f64), (1, 4.5, erf), (2, 12.0, f64::tanh)]
            {
                let error = worst(isa, which, reach, exact);
                assert!(error < 6e-7, "{}: function {which} errs by {error:e}", isa.name());
            }
        }
    }

    #[test]
    fn extremes_and_nan() {
        let mut x = [0.0; 16];
        x[..4].copy_from_slice(&[f32::NEG_INFINITY, f32::INFINITY, f32::NAN, -200.0]);
        for isa in Isa::available() {
            let y = apply(isa, 0, &x);
            assert_eq!([y[0], y[3], y[4]], [0.0, 0.0, 1.0], "{}", isa.name());
            assert!(y[1] > 1e38 && y[1].is_finite() && y[2].is_nan());
            for which in [1, 2] {
                let y = apply(isa, which, &x);
                assert!((y[0] + 1.0).abs() < 2e-7 && (y[1] - 1.0).abs() < 2e-7);
                assert!(y[2].is_nan() && y[4] == 0.0);
            }
        }
    }
}
