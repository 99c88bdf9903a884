//! One vector vocabulary over the instruction sets, so that every kernel is written once.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod math;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

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
            $crate::Isa::Portable => {
                type $S = Portable;
                // SAFETY: plain Rust needs no instructions; pointers as stated at the call.
                unsafe { $body }
            }
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
            $crate::Isa::Avx512 | $crate::Isa::Amx => {
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
            #[cfg(not(target_arch = "x86_64"))]
            _ => {
                type $S = Portable;
                // SAFETY: plain Rust needs no instructions; pointers as stated at the call.
                unsafe { $body }
            }
        }
    }};
}
pub(crate) use dispatch;
