//! Scaled dot-product attention through matrix tiles, one head after the other.
//!
//! Keys are packed as the right operand of the scores, values as that of their mean; 32 queries at a
//! time get their scores, which become weights in bf16 parts where they lie in the cache.

use std::arch::x86_64::*;
use std::ops::Range;

use super::product::{self, DEPTH, Product, SIDE, TILE_BYTES};
use super::{Multiplier, aligned, split};
use crate::attention::{Attention, Sequence};
use crate::simd::{Avx512, math};

/// Queries at a time, and the width of a panel of keys or values: two tiles.
pub(super) const WIDE: usize = 2 * SIDE;

/// Bytes of a panel's two tiles, one part of them.
pub(super) const PAIR: usize = 2 * TILE_BYTES;

/// Sizes of one call.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub parts: usize,
    pub head_dim: usize,
    /// Blocks of 32 values of a head, and of 32 keys.
    pub planes: usize,
    pub blocks: usize,
}

impl Shape {
    pub fn new(attention: &Attention, keys: usize) -> Self {
        let head_dim = attention.head_dim;
        let (planes, blocks) = (head_dim.div_ceil(DEPTH), keys.div_ceil(DEPTH));
        Self { parts: attention.precision.parts(), head_dim, planes, blocks }
    }

    /// Bytes of packed keys, values, queries and weights, of scores and of the result's sums.
    fn lens(&self) -> [usize; 6] {
        let packed = self.planes * self.blocks * self.parts * PAIR;
        let rows = self.parts * WIDE * 64;
        [packed, packed, self.planes * rows, self.blocks * rows, self.blocks * 2 * PAIR, 2 * PAIR]
    }
}

/// Values of scratch that [`run`] needs for a sequence of `tokens`.
pub(crate) fn scratch_len(attention: &Attention, tokens: usize) -> usize {
    // Up to 15 values are lost to alignment.
    Shape::new(attention, tokens).lens().iter().sum::<usize>() / 4 + 16
}

/// As [`Attention::run`], for at least one key and one query.
///
/// # Safety
/// What multiplies is available; the sequence was checked, `queries` lie within it, `output` holds their rows.
pub(crate) unsafe fn run(
    attention: &Attention,
    multiplier: Multiplier,
    sequence: &Sequence<'_>,
    queries: Range<usize>,
    keys: usize,
    scratch: &mut [f32],
    output: &mut [f32],
) {
    let shape = Shape::new(attention, keys);
    let lens = shape.lens();
    let (mut at, _) = aligned(scratch, lens.iter().sum::<usize>() / 4 + 16);
    let parts = lens.map(|len| {
        let part = at;
        at = at.wrapping_add(len);
        part
    });
    let head = Heads { multiplier, attention, sequence, shape, parts };
    // SAFETY: the multiplier is available; the parts of the scratch have the lengths that were summed up.
    unsafe {
        let _ready = multiplier.ready();
        match shape.parts {
            1 => head.all::<1>(queries, keys, output),
            2 => head.all::<2>(queries, keys, output),
            _ => head.all::<3>(queries, keys, output),
        }
    }
}

/// One call.
struct Heads<'a> {
    multiplier: Multiplier,
    attention: &'a Attention,
    sequence: &'a Sequence<'a>,
    shape: Shape,
    /// Where the parts of [`Shape::lens`] begin.
    parts: [*mut u8; 6],
}

// Every function below runs with the multiplier made ready, on memory that `run` laid out.
impl Heads<'_> {
    unsafe fn all<const PARTS: usize>(
        &self,
        queries: Range<usize>,
        keys: usize,
        output: &mut [f32],
    ) {
        let Self { attention, sequence, shape, parts, .. } = self;
        let [_, _, packed_queries, _, scores, _] = *parts;
        let width = attention.width();
        let low = shape.planes * WIDE * 64;
        for head in 0..attention.heads {
            let first = head * shape.head_dim;
            // SAFETY: a head's values lie within the rows of the sequence and of the output.
            unsafe {
                self.pack::<PARTS>(first);
                for start in queries.clone().step_by(WIDE) {
                    let rows = WIDE.min(queries.end - start);
                    let from = sequence.queries.as_ptr().add(start * sequence.step + first);
                    let values = split::Rows { from, step: sequence.step, rows };
                    let scale = attention.scale;
                    let (dim, to) = (shape.head_dim, packed_queries);
                    split::scaled::<PARTS>(&values, dim, scale, to, low, WIDE * 64);
                    self.scores::<PARTS>(rows);
                    let mut scales = [0.0; WIDE];
                    self.weights::<PARTS>(rows, keys, scores.cast(), &mut scales);
                    let place = (start - queries.start) * width + first;
                    let to = output.as_mut_ptr().add(place);
                    self.mean::<PARTS>(rows, &scales, to, width);
                }
            }
        }
    }

    /// Packs the keys and values of the head whose values begin at `first`.
    unsafe fn pack<const PARTS: usize>(&self, first: usize) {
        let Self { sequence, shape, parts, .. } = self;
        let [keys_to, values_to, ..] = *parts;
        let (planes, dim) = (shape.planes, shape.head_dim);
        let mut kept = sequence.kept();
        for block in 0..shape.blocks {
            let (mut keys, mut values) = ([std::ptr::null(); DEPTH], [std::ptr::null(); DEPTH]);
            for (i, token) in kept.by_ref().take(DEPTH).enumerate() {
                let at = token * sequence.step + first;
                keys[i] = sequence.keys[at..].as_ptr();
                values[i] = sequence.values[at..].as_ptr();
            }
            for plane in 0..planes {
                // SAFETY: both operands hold a pair of tiles of each part for each block and plane.
                unsafe {
                    // Keys: panels of 32 keys, over planes. Values: panels of planes, over keys.
                    let key_pair = (block * planes + plane) * PARTS * PAIR;
                    let value_pair = (plane * shape.blocks + block) * PARTS * PAIR;
                    for tile in 0..2 {
                        let offset = tile * TILE_BYTES;
                        let sixteen = &keys.as_chunks::<SIDE>().0[tile];
                        let held = (dim - plane * DEPTH).min(DEPTH);
                        let to = keys_to.add(key_pair + offset);
                        split::across::<PARTS>(sixteen, plane * DEPTH, held, to, PAIR);
                        let place = plane * DEPTH + tile * SIDE;
                        let held = dim.saturating_sub(place).min(SIDE);
                        let to = values_to.add(value_pair + offset);
                        split::rows::<PARTS>(&values, place, held, to, PAIR);
                    }
                }
            }
        }
    }

    /// Scores of the packed queries: `[32, keys rounded up]`.
    unsafe fn scores<const PARTS: usize>(&self, rows: usize) {
        let Self { shape, parts: [keys, _, queries, _, scores, _], .. } = self;
        for block in 0..shape.blocks {
            // SAFETY: within the packed operands and the scores.
            unsafe {
                let right = keys.cast_const().add(block * shape.planes * PARTS * PAIR);
                let sums = scores.cast::<f32>().add(block * WIDE);
                let step = shape.blocks * WIDE * 4;
                let queries = queries.cast_const();
                let multiplier = self.multiplier;
                multiply::<PARTS>(
                    multiplier,
                    rows,
                    queries,
                    shape.planes,
                    right,
                    sums,
                    step,
                    false,
                );
            }
        }
    }

    /// Exponentials of the scores less each row's largest, in bf16 parts; `scales` get one over
    /// their sums.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")]
    unsafe fn weights<const PARTS: usize>(
        &self,
        rows: usize,
        keys: usize,
        scores: *const f32,
        scales: &mut [f32; WIDE],
    ) {
        let Self { shape, parts: [_, _, _, weights, ..], .. } = self;
        let step = shape.blocks * WIDE;
        let low = shape.blocks * WIDE * 64;
        let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
        let mask = |lanes: usize| ((1u32 << lanes.min(16)) - 1) as __mmask16;
        // SAFETY: scores and weights hold 32 rows of whole blocks.
        unsafe {
            for (row, scale) in scales.iter_mut().enumerate().take(rows) {
                let scores = scores.add(row * step);
                let mut largest = lowest;
                for at in (0..keys).step_by(16) {
                    let held = mask(keys - at);
                    let score = _mm512_mask_loadu_ps(lowest, held, scores.add(at));
                    largest = _mm512_max_ps(largest, score);
                }
                let largest = _mm512_set1_ps(_mm512_reduce_max_ps(largest));
                let mut sum = _mm512_setzero_ps();
                for block in 0..shape.blocks {
                    let mut pair = [_mm512_setzero_ps(); 2];
                    for (half, value) in pair.iter_mut().enumerate() {
                        let at = block * WIDE + half * 16;
                        let held = mask(keys.saturating_sub(at));
                        let score = _mm512_loadu_ps(scores.add(at));
                        // What lies past the keys counts for nothing.
                        let e = math::exp::<Avx512>(_mm512_sub_ps(score, largest));
                        *value = _mm512_maskz_mov_ps(held, e);
                        sum = _mm512_add_ps(sum, *value);
                    }
                    let to = weights.add((block * WIDE + row) * 64);
                    split::split::<PARTS>(pair[0], pair[1], to, low);
                }
                *scale = 1.0 / _mm512_reduce_add_ps(sum);
            }
        }
    }

    /// Weighted sums of values, scaled, to rows of the output `step` values apart.
    #[target_feature(enable = "avx512f")]
    unsafe fn mean<const PARTS: usize>(
        &self,
        rows: usize,
        scales: &[f32; WIDE],
        to: *mut f32,
        step: usize,
    ) {
        let Self { shape, parts: [_, values, _, weights, _, sums], .. } = self;
        let sums: *mut f32 = sums.cast();
        for plane in 0..shape.planes {
            // SAFETY: within the packed operands; a block of sums is 32 × 32.
            unsafe {
                let right = values.cast_const().add(plane * shape.blocks * PARTS * PAIR);
                let left = weights.cast_const();
                let multiplier = self.multiplier;
                multiply::<PARTS>(
                    multiplier,
                    rows,
                    left,
                    shape.blocks,
                    right,
                    sums,
                    WIDE * 4,
                    false,
                );
            }
            for tile in 0..2 {
                let place = plane * DEPTH + tile * SIDE;
                let held = shape.head_dim.saturating_sub(place).min(SIDE);
                let mask = ((1u32 << held) - 1) as __mmask16;
                if held == 0 {
                    continue;
                }
                for (row, &scale) in scales.iter().enumerate().take(rows) {
                    // SAFETY: a head's values of the output's rows; masked lanes are not written.
                    unsafe {
                        let sums = _mm512_loadu_ps(sums.add(row * WIDE + tile * SIDE));
                        let mean = _mm512_mul_ps(sums, _mm512_set1_ps(scale));
                        _mm512_mask_storeu_ps(to.add(row * step + place), mask, mean);
                    }
                }
            }
        }
    }
}

/// Blocks that one product sums over at most.
const OFFSETS: usize = 64;

/// Bytes from the first plane of 32 rows to each: planes of left operands lie side by side.
static PLANES: [usize; OFFSETS] = {
    let mut offsets = [0; OFFSETS];
    let mut i = 0;
    while i < OFFSETS {
        offsets[i] = i * WIDE * 64;
        i += 1;
    }
    offsets
};

/// The product of `rows` packed rows with a panel of 32 columns, both of so many blocks of 32 values,
/// as sums whose rows lie `step` bytes apart; `add` says whether they grow or are replaced.
///
/// # Safety
/// As [`product::multiply`]: 32 rows of left operand and sums, whatever `rows` is.
#[allow(clippy::too_many_arguments, reason = "the operands of a product, each named once")]
pub(super) unsafe fn multiply<const PARTS: usize>(
    multiplier: Multiplier,
    rows: usize,
    left: *const u8,
    blocks: usize,
    right: *const u8,
    sums: *mut f32,
    step: usize,
    add: bool,
) {
    for first in (0..blocks).step_by(OFFSETS) {
        // SAFETY: passed on.
        unsafe {
            let product = Product {
                left: left.add(first * WIDE * 64),
                left_row: 64,
                left_tile: TILE_BYTES,
                low: blocks * WIDE * 64,
                offsets: PLANES.as_ptr(),
                blocks: (blocks - first).min(OFFSETS),
                right: right.add(first * PARTS * PAIR),
                sums,
                sums_row: step,
                add: add || first > 0,
            };
            product::multiply::<PARTS>(multiplier, &product, rows > SIDE, true);
        }
    }
}
