//! One vector vocabulary over the instruction sets, so that every kernel is written once.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;

use crate::stored::nearest_bf16;

/// Lanes of the widest level.
const MOST_LANES: usize = 16;

/// Vectors of `LANES` single-precision values.
///
/// # Safety
/// Callers run these only on a processor that has the instructions, inside a function that
/// enables them (see [`dispatch`]), and with pointers that are valid for the lanes touched.
pub(crate) trait Simd {
    /// One register.
    type V: Copy;
    /// Values in a register.
    const LANES: usize;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    /// The first `n < LANES` values; the rest are zero and not read.
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Writes the first `n < LANES` values only.
    unsafe fn store_first(p: *mut f32, n: usize, v: Self::V);
    /// As [`Simd::load`], of bf16 values.
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::V {
        // SAFETY: passed on.
        unsafe { Self::load_first_bf16(p, Self::LANES) }
    }
    /// The first `n ≤ LANES` bf16 values; the rest are zero and not read.
    #[inline(always)]
    unsafe fn load_first_bf16(p: *const u16, n: usize) -> Self::V {
        let mut wide = [0.0; MOST_LANES];
        for (lane, wide) in wide.iter_mut().enumerate().take(n) {
            // SAFETY: the caller grants `n` readable values.
            *wide = f32::from_bits(u32::from(unsafe { *p.add(lane) }) << 16);
        }
        // SAFETY: no level has more lanes.
        unsafe { Self::load(wide.as_ptr()) }
    }
    /// Writes values rounded to bf16, to nearest, halves to even; a NaN stays one.
    #[inline(always)]
    unsafe fn store_bf16(p: *mut u16, v: Self::V) {
        let mut wide = [0.0; MOST_LANES];
        // SAFETY: no level has more lanes; the caller grants `LANES` writable values.
        unsafe {
            Self::store(wide.as_mut_ptr(), v);
            for (lane, &wide) in wide.iter().enumerate().take(Self::LANES) {
                *p.add(lane) = nearest_bf16(wide);
            }
        }
    }
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a·b + c`.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Larger of the two; a NaN in `b` stays.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Smaller of the two; a NaN in `b` stays.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `a` where `x > 0`, zero elsewhere.
    unsafe fn where_positive(x: Self::V, a: Self::V) -> Self::V;
    /// Nearest whole number, halves to even; `|x| < 2²²`.
    unsafe fn round(x: Self::V) -> Self::V;
    /// `a·2ⁿ` for whole `n` in −127..=127; 0 for −127.
    unsafe fn scale_by_power_of_two(a: Self::V, n: Self::V) -> Self::V;
    /// Sum of all lanes, always in the same order.
    unsafe fn sum(v: Self::V) -> f32;
    /// Largest lane; meaningless where one is NaN.
    unsafe fn largest(v: Self::V) -> f32;
}

/// # Safety
/// As [`Simd::load`] for `lanes` values; `FULL` means `lanes == S::LANES`.
#[inline(always)]
pub(crate) unsafe fn load_lanes<S: Simd, const FULL: bool>(p: *const f32, lanes: usize) -> S::V {
    // SAFETY: passed on.
    unsafe { if FULL { S::load(p) } else { S::load_first(p, lanes) } }
}

/// # Safety
/// As [`Simd::store`] for `lanes` values; `FULL` means `lanes == S::LANES`.
#[inline(always)]
pub(crate) unsafe fn store_lanes<S: Simd, const FULL: bool>(p: *mut f32, lanes: usize, v: S::V) {
    // SAFETY: passed on.
    unsafe { if FULL { S::store(p, v) } else { S::store_first(p, lanes, v) } }
}

/// Runs a generic function body with the instructions of `$isa` enabled.
///
/// The body must be `#[inline(always)]`, so that it is compiled with those instructions. It stands
/// in an unsafe context: the call site states why its pointers are valid.
macro_rules! dispatch {
    ($isa:expr, $S:ident => $body:expr) => {{
        use $crate::simd::*;
        match $isa {
            #[cfg(target_arch = "x86_64")]
            $crate::Isa::Avx2 => {
                type $S = Avx2;
                #[target_feature(enable = "avx2,fma")]
                #[inline]
                unsafe fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
                    f()
                }
                // SAFETY: a plan holds this level only after `is_available` said yes.
                unsafe {
                    with_avx2(
                        #[inline(always)]
                        || $body,
                    )
                }
            }
            #[cfg(target_arch = "x86_64")]
            $crate::Isa::Avx512 | $crate::Isa::Avx512Bf16 | $crate::Isa::Amx => {
                type $S = Avx512;
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                #[inline]
                unsafe fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
                    f()
                }
                // SAFETY: a plan holds this level only after `is_available` said yes.
                unsafe {
                    with_avx512(
                        #[inline(always)]
                        || $body,
                    )
                }
            }
            #[cfg(target_arch = "aarch64")]
            $crate::Isa::Neon => {
                type $S = Neon;
                #[target_feature(enable = "neon")]
                #[inline]
                unsafe fn with_neon<R>(f: impl FnOnce() -> R) -> R {
                    f()
                }
                // SAFETY: a plan holds this level only after `is_available` said yes.
                unsafe {
                    with_neon(
                        #[inline(always)]
                        || $body,
                    )
                }
            }
            // The portable level; no plan holds a level of another architecture.
            _ => {
                type $S = Portable;
                // SAFETY: plain Rust needs no instructions; pointers as stated at the call.
                unsafe { $body }
            }
        }
    }};
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::Simd;
    use crate::Isa;

    /// What a vector holds, by way of a buffer of exactly its size.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn lanes<S: Simd>(v: S::V) -> Vec<f32> {
        let mut values = vec![f32::NAN; S::LANES];
        // SAFETY: passed on; the buffer holds all lanes.
        unsafe { S::store(values.as_mut_ptr(), v) };
        values
    }

    /// A vector of `cases`, repeated, beginning with number `first`.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn vector<S: Simd>(cases: &[f32], first: usize) -> S::V {
        let values: Vec<f32> = cases.iter().cycle().skip(first).take(S::LANES).copied().collect();
        // SAFETY: passed on; there are as many values as lanes.
        unsafe { S::load(values.as_ptr()) }
    }

    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn arithmetic<S: Simd>(level: &str) {
        const CASES: [f32; 9] = [-3.0, 2.0, 0.5, -0.25, 8.0, 1.0, -16.0, 4.0, 7.0];
        // Every case once in every lane.
        for first in 0..CASES.len() {
            // SAFETY: passed on.
            unsafe {
                let [a, b, c] = [0, 4, 7].map(|by| vector::<S>(&CASES, first + by));
                let [x, y, z] = [a, b, c].map(|v| lanes::<S>(v));
                let each = |f: fn(f32, f32, f32) -> f32| -> Vec<f32> {
                    (0..S::LANES).map(|i| f(x[i], y[i], z[i])).collect()
                };
                assert_eq!(lanes::<S>(S::splat(x[0])), vec![x[0]; S::LANES], "{level}");
                assert_eq!(lanes::<S>(S::add(a, b)), each(|x, y, _| x + y), "{level}");
                assert_eq!(lanes::<S>(S::sub(a, b)), each(|x, y, _| x - y), "{level}");
                assert_eq!(lanes::<S>(S::mul(a, b)), each(|x, y, _| x * y), "{level}");
                assert_eq!(lanes::<S>(S::div(a, b)), each(|x, y, _| x / y), "{level}");
                assert_eq!(lanes::<S>(S::mul_add(a, b, c)), each(|x, y, z| x * y + z), "{level}");
                assert_eq!(lanes::<S>(S::max(a, b)), each(|x, y, _| x.max(y)), "{level}");
                assert_eq!(lanes::<S>(S::min(a, b)), each(|x, y, _| x.min(y)), "{level}");
                assert_eq!(S::sum(a), x.iter().sum::<f32>(), "{level}");
                let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(S::largest(a), largest, "{level}");
                let nan = S::splat(f32::NAN);
                assert!(lanes::<S>(S::max(a, nan)).iter().all(|x| x.is_nan()), "{level}");
                assert!(lanes::<S>(S::min(a, nan)).iter().all(|x| x.is_nan()), "{level}");
            }
        }
    }

    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn special_values<S: Simd>(level: &str) {
        let signs = [-1.0, 0.0, -0.0, f32::NAN, f32::INFINITY, 1e-40, f32::NEG_INFINITY];
        let wholes = [0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6, 4_194_303.0, -4_194_303.0];
        let powers = [-127.0, -126.0, -1.0, 0.0, 1.0, 127.0];
        // SAFETY: passed on; powers are whole and within bounds.
        unsafe {
            for first in 0..signs.len() {
                let x = vector::<S>(&signs, first);
                let kept = lanes::<S>(S::where_positive(x, S::splat(-7.0)));
                let expected: Vec<f32> =
                    lanes::<S>(x).iter().map(|&x| if x > 0.0 { -7.0 } else { 0.0 }).collect();
                assert_eq!(kept, expected, "{level}");
            }
            for first in 0..wholes.len() {
                let x = vector::<S>(&wholes, first);
                let expected: Vec<f32> =
                    lanes::<S>(x).iter().map(|x| x.round_ties_even()).collect();
                assert_eq!(lanes::<S>(S::round(x)), expected, "{level}");
            }
            for first in 0..powers.len() {
                let n = vector::<S>(&powers, first);
                let scaled = lanes::<S>(S::scale_by_power_of_two(S::splat(1.5), n));
                let exact = |&n: &f32| if n > -127.0 { 1.5 * n.exp2() } else { 0.0 };
                let expected: Vec<f32> = lanes::<S>(n).iter().map(exact).collect();
                assert_eq!(scaled, expected, "{level}");
            }
        }
    }

    /// Buffers end where the lanes do, so that a sanitizer sees one value more.
    ///
    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn partial_vectors<S: Simd>(level: &str) {
        for n in 0..S::LANES {
            let values: Vec<f32> = (0..n).map(|i| i as f32 + 1.0).collect();
            // SAFETY: passed on; both buffers hold `n` values.
            unsafe {
                let v = S::load_first(values.as_ptr(), n);
                let mut expected = values.clone();
                expected.resize(S::LANES, 0.0);
                assert_eq!(lanes::<S>(v), expected, "{level}: first {n}");
                let mut stored = vec![f32::NAN; n];
                S::store_first(stored.as_mut_ptr(), n, S::add(v, S::splat(1.0)));
                let expected: Vec<f32> = values.iter().map(|x| x + 1.0).collect();
                assert_eq!(stored, expected, "{level}: first {n}");
                // Those behind are left as they were.
                let mut stored = vec![-1.0; S::LANES];
                S::store_first(stored.as_mut_ptr(), n, S::splat(5.0));
                assert!(stored[..n].iter().all(|&x| x == 5.0), "{level}: first {n}");
                assert!(stored[n..].iter().all(|&x| x == -1.0), "{level}: first {n}");
            }
        }
    }

    /// # Safety
    /// As [`Simd`].
    #[inline(always)]
    unsafe fn half_precision<S: Simd>(level: &str) {
        const CASES: [f32; 7] =
            [1.0, -2.5, f32::INFINITY, 0.0, -0.0, f32::from_bits(0x0001_0000), -1e38];
        for first in 0..CASES.len() {
            // SAFETY: passed on; every buffer holds the values that are read or written.
            unsafe {
                let expected = lanes::<S>(vector::<S>(&CASES, first));
                let mut halves = vec![0u16; S::LANES];
                S::store_bf16(halves.as_mut_ptr(), vector::<S>(&CASES, first));
                let rounded: Vec<u16> = expected.iter().map(|&x| super::nearest_bf16(x)).collect();
                assert_eq!(halves, rounded, "{level}");
                let upper = |h: &u16| f32::from_bits(u32::from(*h) << 16).to_bits();
                for n in 0..=S::LANES {
                    let part = halves[..n].to_vec();
                    let back = lanes::<S>(S::load_first_bf16(part.as_ptr(), n));
                    let back: Vec<u32> = back.iter().map(|x| x.to_bits()).collect();
                    let mut expected: Vec<u32> = part.iter().map(upper).collect();
                    expected.resize(S::LANES, 0);
                    assert_eq!(back, expected, "{level}: first {n}");
                }
                let back = lanes::<S>(S::load_bf16(halves.as_ptr()));
                assert!(back.iter().map(|x| x.to_bits()).eq(halves.iter().map(upper)), "{level}");
            }
        }
    }

    #[test]
    fn every_level_means_the_same() {
        for isa in Isa::available() {
            let level = isa.name();
            dispatch!(isa, S => {
                arithmetic::<S>(level);
                special_values::<S>(level);
                partial_vectors::<S>(level);
                half_precision::<S>(level);
            });
        }
    }
}
