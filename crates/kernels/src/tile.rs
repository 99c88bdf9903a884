//! The register tile: `rows` output pixels × a panel of output channels, accumulated in registers.
//!
//! Every output value is a sum over taps in one fixed order, whatever the tile's height, so a
//! pixel's result does not depend on its neighbours, its batch or its thread.

use crate::Isa;
use crate::simd::*;

/// Vectors side by side in the widest panel.
pub(crate) const MAX_VECTORS: usize = 4;

/// What a tile reads and writes.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// First input value under the window of the first output pixel.
    pub a: *const f32,
    /// Values between the windows of neighbouring output pixels.
    pub a_step: usize,
    /// Runs of consecutive input values under a window (its rows).
    pub runs: usize,
    /// Values between runs.
    pub run_step: usize,
    /// Values in a run.
    pub run_len: usize,
    /// Packed weights `[runs·run_len, vectors·LANES]`.
    pub panel: *const f32,
    /// Bias of the panel's channels, padded to `vectors·LANES`.
    pub bias: *const f32,
    /// Added before the activation: same place and step as `c`; null when absent.
    pub residual: *const f32,
    /// First output value.
    pub c: *mut f32,
    /// Values between output pixels.
    pub c_step: usize,
    /// Channels of the panel that exist, `1..=vectors·LANES`.
    pub columns: usize,
    /// Activation as a clamp.
    pub low: f32,
    /// Activation as a clamp.
    pub high: f32,
}

/// A compiled tile.
pub(crate) type TileFn = unsafe fn(&Tile);

/// A loop that is written out, because the compiler leaves a large body rolled, and then keeps the
/// accumulators in memory: a third of the speed.
macro_rules! unrolled {
    ($i:ident in $($n:literal)*; $end:expr => $body:expr) => {
        $(if $n < $end {
            let $i = $n;
            $body
        })*
    };
}

/// # Safety
/// As [`Simd`], and every address that `t` describes is valid.
#[inline(always)]
unsafe fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(t: &Tile) {
    // SAFETY: the caller vouches for the tile's addresses and the instructions.
    unsafe {
        let mut acc = [[S::splat(0.0); VECTORS]; ROWS];
        let mut w = t.panel;
        for run in 0..t.runs {
            let a = t.a.add(run * t.run_step);
            for k in 0..t.run_len {
                let mut b = [S::splat(0.0); VECTORS];
                for (v, b) in b.iter_mut().enumerate() {
                    *b = S::load(w.add(v * S::LANES));
                }
                w = w.add(VECTORS * S::LANES);
                for (r, acc) in acc.iter_mut().enumerate() {
                    let x = S::splat(*a.add(r * t.a_step + k));
                    for (acc, &b) in acc.iter_mut().zip(&b) {
                        *acc = S::mul_add(x, b, *acc);
                    }
                }
            }
        }
        unrolled!(r in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; ROWS => {
            unrolled!(v in 0 1 2 3; VECTORS => {
                finish::<S>(t, r, v * S::LANES, acc[r][v]);
            });
        });
    }
}

/// Adds bias and residual to the sums of output pixel `r`, channels from `first`; clamps, writes.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn finish<S: Simd>(t: &Tile, r: usize, first: usize, sums: S::V) {
    if first >= t.columns {
        return;
    }
    let lanes = t.columns - first;
    let place = r * t.c_step + first;
    // SAFETY: passed on; lanes past the last channel are neither read nor written.
    unsafe {
        let mut y = S::add(sums, S::load(t.bias.add(first)));
        let clamp = |y| S::min(S::splat(t.high), S::max(S::splat(t.low), y));
        if lanes >= S::LANES {
            if !t.residual.is_null() {
                y = S::add(y, S::load(t.residual.add(place)));
            }
            S::store(t.c.add(place), clamp(y));
        } else {
            if !t.residual.is_null() {
                y = S::add(y, S::load_first(t.residual.add(place), lanes));
            }
            S::store_first(t.c.add(place), lanes, clamp(y));
        }
    }
}

/// One table a level: `[vectors - 1][rows - 1]`, as tall as the registers allow.
macro_rules! tiles {
    ($name:ident, $S:ty, $(#[$feature:meta])?, $({ $vectors:literal : $($rows:literal)* })*) => {
        mod $name {
            use super::*;
            $(#[$feature])?
            unsafe fn tile<const ROWS: usize, const VECTORS: usize>(t: &Tile) {
                // SAFETY: passed on from the caller.
                unsafe { run::<$S, ROWS, VECTORS>(t) }
            }
            pub(super) static TABLE: &[&[TileFn]] = &[$(&[$(tile::<$rows, $vectors>),*]),*];
        }
    };
}

tiles!(portable, Portable, ,
    { 1: 1 2 3 4 5 6 } { 2: 1 2 3 });
#[cfg(target_arch = "aarch64")]
tiles!(neon, Neon, #[target_feature(enable = "neon")],
    { 1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 }
    { 2: 1 2 3 4 5 6 7 8 9 10 11 12 13 }
    { 3: 1 2 3 4 5 6 7 8 }
    { 4: 1 2 3 4 5 6 });
#[cfg(target_arch = "x86_64")]
tiles!(avx2, Avx2, #[target_feature(enable = "avx2,fma")],
    { 1: 1 2 3 4 5 6 7 8 9 10 } { 2: 1 2 3 4 5 6 } { 3: 1 2 3 4 });
#[cfg(target_arch = "x86_64")]
tiles!(avx512, Avx512, #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")],
    { 1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 }
    { 2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 }
    { 3: 1 2 3 4 5 6 7 8 9 }
    { 4: 1 2 3 4 5 6 7 });

/// The tiles of one level.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    table: &'static [&'static [TileFn]],
    lanes: usize,
}

impl Tiles {
    pub fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Self { table: avx2::TABLE, lanes: Avx2::LANES },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => {
                Self { table: avx512::TABLE, lanes: Avx512::LANES }
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Self { table: neon::TABLE, lanes: Neon::LANES },
            // The portable level; no plan holds a level of another architecture.
            _ => Self { table: portable::TABLE, lanes: Portable::LANES },
        }
    }

    /// Values in a register.
    pub fn lanes(self) -> usize {
        self.lanes
    }

    /// The widest panel, in vectors.
    pub fn max_vectors(self) -> usize {
        self.table.len().min(MAX_VECTORS)
    }

    /// The tallest tile for panels of `vectors`.
    pub fn max_rows(self, vectors: usize) -> usize {
        self.table[vectors - 1].len()
    }

    /// The tile of `rows` × `vectors`.
    pub fn get(self, vectors: usize, rows: usize) -> TileFn {
        self.table[vectors - 1][rows - 1]
    }
}
