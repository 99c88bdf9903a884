//! The tile product by AVX-512's dot product of pairs of bf16.
//!
//! A row of a right tile is a vector of sixteen pairs; each pair of a left row meets all of them. A strip of rows
//! keeps its sums in registers over all blocks.

use std::arch::x86_64::*;

use super::product::{DEPTH, Product, SIDE, TILE_BYTES};

/// Pairs of a row of a tile.
const PAIRS: usize = DEPTH / 2;

/// Which parts of left and right meet, the small products first.
const fn meetings<const PARTS: usize>() -> &'static [(usize, usize)] {
    match PARTS {
        1 => &[(0, 0)],
        2 => &[(0, 1), (1, 0), (0, 0)],
        _ => &[(0, 2), (1, 1), (2, 0), (0, 1), (1, 0), (0, 0)],
    }
}

/// One or two (where `tall`) tiles by two side by side.
///
/// # Safety
/// As [`super::product::multiply`].
pub(super) unsafe fn two_wide<const PARTS: usize>(p: &Product, tall: bool) {
    // Sixteen sums are enough to hide the latency, and leave registers for what they are made of.
    // SAFETY: passed on.
    unsafe { strips::<PARTS, 8, 2>(p, tall) }
}

/// One or two (where `tall`) tiles by one.
///
/// # Safety
/// As [`super::product::multiply`].
pub(super) unsafe fn one_wide<const PARTS: usize>(p: &Product, tall: bool) {
    // SAFETY: passed on.
    unsafe { strips::<PARTS, 16, 1>(p, tall) }
}

/// # Safety
/// As [`super::product::multiply`]; `ROWS` divides [`SIDE`].
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn strips<const PARTS: usize, const ROWS: usize, const COLUMNS: usize>(
    p: &Product,
    tall: bool,
) {
    let tiles = if tall { 2 } else { 1 };
    for first in (0..tiles * SIDE).step_by(ROWS) {
        // SAFETY: rows of the tiles and of the sums, which are valid by the caller's word.
        unsafe {
            let left = first / SIDE * p.left_tile + first % SIDE * p.left_row;
            let sums = p.sums.byte_add(first * p.sums_row);
            strip::<PARTS, ROWS, COLUMNS>(p, left, sums);
        }
    }
}

/// The rows that begin `left` bytes into the left operand.
///
/// # Safety
/// As [`strips`].
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn strip<const PARTS: usize, const ROWS: usize, const COLUMNS: usize>(
    p: &Product,
    left: usize,
    sums: *mut f32,
) {
    // SAFETY: 64 bytes of each of the rows, of each part of each block.
    unsafe {
        let mut all = [[_mm512_setzero_ps(); COLUMNS]; ROWS];
        if p.add {
            for (row, held) in all.iter_mut().enumerate() {
                for (column, sum) in held.iter_mut().enumerate() {
                    *sum = _mm512_loadu_ps(sums.byte_add(row * p.sums_row).add(column * SIDE));
                }
            }
        }
        let part = COLUMNS * TILE_BYTES;
        for block in 0..p.blocks {
            let rows = p.left.add(*p.offsets.add(block) + left);
            let panel = p.right.add(block * PARTS * part);
            for &(a, b) in meetings::<PARTS>() {
                let (rows, panel) = (rows.add(a * p.low), panel.add(b * part));
                for pair in 0..PAIRS {
                    let mut columns = [_mm512_setzero_si512(); COLUMNS];
                    for (column, pairs) in columns.iter_mut().enumerate() {
                        *pairs =
                            _mm512_loadu_si512(panel.add(column * TILE_BYTES + pair * 64).cast());
                    }
                    for (row, held) in all.iter_mut().enumerate() {
                        let two = rows.add(row * p.left_row + pair * 4).cast::<i32>();
                        let two = halves(_mm512_set1_epi32(two.read_unaligned()));
                        for (sum, &pairs) in held.iter_mut().zip(&columns) {
                            *sum = _mm512_dpbf16_ps(*sum, two, halves(pairs));
                        }
                    }
                }
            }
        }
        for (row, held) in all.iter().enumerate() {
            for (column, &sum) in held.iter().enumerate() {
                _mm512_storeu_ps(sums.byte_add(row * p.sums_row).add(column * SIDE), sum);
            }
        }
    }
}

/// The same bits as bf16.
#[target_feature(enable = "avx512f")]
fn halves(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of plain values.
    unsafe { std::mem::transmute(bits) }
}
