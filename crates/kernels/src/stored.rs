//! Values as they lie in memory between the passes of a training step: in f32, or rounded to bf16
//! where memory, not arithmetic, decides the speed.

use crate::Isa;
use crate::simd::{Simd, dispatch};

/// Values to read.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// As they were computed.
    F32(&'a [f32]),
    /// The upper halves of f32 bits.
    Bf16(&'a [u16]),
}

/// Values to write.
#[derive(Debug)]
pub enum StoredMut<'a> {
    /// As they are computed.
    F32(&'a mut [f32]),
    /// The upper halves of f32 bits, rounded to nearest, halves to even; a NaN stays one.
    Bf16(&'a mut [u16]),
}

impl<'a> Stored<'a> {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the values; panics where there are fewer.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Stored<'a> {
        match self {
            Self::F32(values) => Self::F32(&values[range]),
            Self::Bf16(values) => Self::Bf16(&values[range]),
        }
    }
}

impl<'a> StoredMut<'a> {
    /// The first `len` values and the others; panics where there are fewer.
    #[must_use]
    pub fn split(self, len: usize) -> (Self, Self) {
        match self {
            Self::F32(values) => {
                let (first, rest) = values.split_at_mut(len);
                (Self::F32(first), Self::F32(rest))
            }
            Self::Bf16(values) => {
                let (first, rest) = values.split_at_mut(len);
                (Self::Bf16(first), Self::Bf16(rest))
            }
        }
    }
}

/// Rounds values to bf16, to nearest, halves to even; a NaN stays one.
///
/// # Panics
/// Where `to` is shorter than `from`.
pub fn round_to_bf16(isa: Isa, from: &[f32], to: &mut [u16]) {
    assert!(to.len() >= from.len(), "too few places");
    let (from, len, to) = (from.as_ptr(), from.len(), to.as_mut_ptr());
    #[cfg(target_arch = "x86_64")]
    if isa.has_bf16() && isa.is_available() {
        // SAFETY: the level is there, with its instruction for this; lengths were checked above.
        return unsafe { crate::bf16::round(from, len, to) };
    }
    // Lengths were checked above.
    dispatch!(isa, S => round::<S>(from, len, to));
}

/// # Safety
/// As [`Simd`]; `from` and `to` hold `len` values.
#[inline(always)]
unsafe fn round<S: Simd>(from: *const f32, len: usize, to: *mut u16) {
    let whole = len / S::LANES * S::LANES;
    // SAFETY: passed on.
    unsafe {
        for at in (0..whole).step_by(S::LANES) {
            S::store_bf16(to.add(at), S::load(from.add(at)));
        }
        for at in whole..len {
            *to.add(at) = nearest_bf16(*from.add(at));
        }
    }
}

/// The bits of the bf16 value nearest to `x`.
#[inline(always)]
pub(crate) fn nearest_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        // Rounding could carry a NaN's payload into the exponent.
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// A kind of stored value that kernels read as vectors of f32.
pub(crate) trait Element: Copy {
    /// # Safety
    /// As [`crate::simd::load_lanes`].
    unsafe fn load<S: Simd, const FULL: bool>(p: *const Self, lanes: usize) -> S::V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd, const FULL: bool>(p: *const Self, lanes: usize) -> S::V {
        // SAFETY: passed on.
        unsafe { crate::simd::load_lanes::<S, FULL>(p, lanes) }
    }
}

impl Element for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd, const FULL: bool>(p: *const Self, lanes: usize) -> S::V {
        // SAFETY: passed on.
        unsafe { if FULL { S::load_bf16(p) } else { S::load_first_bf16(p, lanes) } }
    }
}

/// Runs an expression with `$p` as a pointer to the values and `$E` as their type.
macro_rules! with_elements {
    ($stored:expr, $p:ident, $E:ident => $body:expr) => {
        match $stored {
            $crate::Stored::F32(values) => {
                type $E = f32;
                let $p = values.as_ptr();
                $body
            }
            $crate::Stored::Bf16(values) => {
                type $E = u16;
                let $p = values.as_ptr();
                $body
            }
        }
    };
}
pub(crate) use with_elements;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_level_rounds_alike() {
        let values: Vec<f32> = [0.0, -0.0, 1.0, 1.003_906_3, 1.011_718_8, f32::MAX, f32::INFINITY]
            .into_iter()
            .chain([f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::MIN_POSITIVE, 1e-40])
            .chain((0..200).map(|i| (i as f32 * 0.37).sin() * 10f32.powi(i % 30 - 15)))
            .collect();
        for isa in Isa::available() {
            let mut rounded = vec![0; values.len()];
            round_to_bf16(isa, &values, &mut rounded);
            for (&x, &bits) in values.iter().zip(&rounded) {
                let back = f32::from_bits(u32::from(bits) << 16);
                assert_eq!(bits, nearest_bf16(x), "{isa:?} {x}");
                assert_eq!(back.is_nan(), x.is_nan(), "{isa:?} {x}");
                if x.abs() >= f32::MIN_POSITIVE && x.abs() < 1e38 {
                    assert!((back - x).abs() <= x.abs() / 256.0, "{isa:?} {x} {back}");
                }
            }
        }
    }
}
