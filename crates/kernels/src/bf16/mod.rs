//! Products of bf16 tiles, summed in f32.
//!
//! A tile is 16 rows of 64 bytes. Matrix tiles (Intel AMX) multiply 16×32 by 32×16 values of bf16 by
//! one instruction and add to 16×16 sums in f32: sixteen times the work of an AVX-512 multiply-add.
//! With f32 operands split into the sum of two bf16 values, three such products give the f32 product
//! to about 2⁻¹⁷ relative, still several times as fast as AVX-512 (measured in `benches/`).
//!
//! Processors without them may have AVX-512's dot product of pairs of bf16, with twice the work of a
//! multiply-add. It reads the same tiles; but three products would take longer than one in f32, so
//! there f32 stays with vectors of f32.

mod attention;
mod attention_grad;
mod conv;
mod product;
mod split;
mod tiles;
mod vectors;
mod weight_grad;

pub(crate) use attention::{run as attend, scratch_len as attention_scratch_len};
pub(crate) use attention_grad::{
    run as attend_backward, scratch_len as attention_backward_scratch_len,
};
pub(crate) use conv::{Source as ConvSource, Target as ConvTarget, TileConv};
pub(crate) use split::{INTERLEAVE, bits, clamped, round};
pub(crate) use tiles::is_available as tiles_are_available;
pub(crate) use weight_grad::TileWeightGrad;

use crate::{Isa, Precision};
use tiles::Configured;

/// What multiplies tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Multiplier {
    /// Matrix tiles.
    Tiles,
    /// Vectors of pairs.
    Vectors,
}

impl Multiplier {
    /// What multiplies at a level, in a precision; `None` where vectors of f32 are better or all there is.
    pub fn of(isa: Isa, precision: Precision) -> Option<Self> {
        match (isa, precision) {
            (Isa::Amx, _) => Some(Self::Tiles),
            (Isa::Avx512Bf16, Precision::Bf16x3 | Precision::Bf16) => Some(Self::Vectors),
            _ => None,
        }
    }

    /// Prepares this thread for [`product::multiply`], as long as the result lives.
    ///
    /// # Safety
    /// The level that the multiplier is of is available.
    unsafe fn ready(self) -> Option<Configured> {
        // SAFETY: passed on.
        (self == Self::Tiles).then(|| unsafe { Configured::new() })
    }
}

/// The part of `scratch` that begins at a cache line, and what follows its `len` values.
fn aligned(scratch: &mut [f32], len: usize) -> (*mut u8, *mut f32) {
    assert!(scratch.len() >= len, "scratch for tiles is too short");
    let skip = scratch.as_ptr().align_offset(64).min(15);
    let scratch = &mut scratch[skip..len];
    let end = scratch.as_mut_ptr_range().end;
    (scratch.as_mut_ptr().cast(), end)
}
