//! Gradients of attention through matrix tiles, one head after the other.
//!
//! As on vectors, probabilities are computed again. 32 queries at a time get their scores and the
//! slopes of these; keys' and values' gradients grow by each such block, whose 32 queries are just
//! the depth of one product.

use std::array;

use super::attention::{PAIR, Shape, WIDE, multiply};
use super::product::{DEPTH, SIDE, TILE_BYTES};
use super::{Multiplier, aligned, split};
use crate::attention::{Attention, Sequence};
use crate::attention_grad::softmax_backward;

/// Bytes of each part of the scratch.
fn lens(shape: &Shape) -> [usize; 13] {
    let packed = shape.planes * shape.blocks * shape.parts * PAIR;
    let rows = shape.parts * WIDE * 64;
    let (queries, block) = (shape.planes * rows, shape.planes * shape.parts * PAIR);
    let scores = shape.blocks * 2 * PAIR;
    let sums = shape.planes * scores;
    let over_keys = shape.blocks * rows;
    [
        packed, packed, packed, queries, queries, block, block, scores, scores, over_keys,
        // The transposed probabilities, then slopes, take turns in one part.
        over_keys, sums, sums,
    ]
}

/// Values of scratch that [`run`] needs for a sequence of `tokens`.
pub(crate) fn scratch_len(attention: &Attention, tokens: usize) -> usize {
    let shape = Shape::new(attention, tokens.max(1));
    // The sums of one block of queries' gradients, and up to 15 values that are lost to alignment.
    (lens(&shape).iter().sum::<usize>() + 2 * PAIR) / 4 + 16
}

/// As [`Attention::backward`], for at least one key; rows of keys that do not count were cleared.
///
/// # Safety
/// What multiplies is available; sequence, gradient and output were checked.
#[allow(clippy::too_many_arguments, reason = "one call, forwarded")]
pub(crate) unsafe fn run(
    attention: &Attention,
    multiplier: Multiplier,
    sequence: &Sequence<'_>,
    keys: usize,
    gradient: &[f32],
    scratch: &mut [f32],
    output: &mut [f32],
    step: usize,
) {
    let shape = Shape::new(attention, keys);
    let lens = lens(&shape);
    let (mut at, _) = aligned(scratch, (lens.iter().sum::<usize>() + 2 * PAIR) / 4 + 16);
    let parts = lens.map(|len| {
        let part = at;
        at = at.wrapping_add(len);
        part
    });
    let sums = at.cast();
    let head = Heads { multiplier, attention, sequence, shape, keys, gradient, parts, sums };
    // SAFETY: the multiplier is available; the parts of the scratch have the lengths that were summed up.
    unsafe {
        let _ready = multiplier.ready();
        for first in (0..attention.width()).step_by(shape.head_dim) {
            match shape.parts {
                1 => head.one::<1>(first, output, step),
                2 => head.one::<2>(first, output, step),
                _ => head.one::<3>(first, output, step),
            }
        }
    }
}

/// One call.
struct Heads<'a> {
    multiplier: Multiplier,
    attention: &'a Attention,
    sequence: &'a Sequence<'a>,
    shape: Shape,
    keys: usize,
    gradient: &'a [f32],
    /// Where the parts of [`lens`] begin.
    parts: [*mut u8; 13],
    /// A block of sums, 32 × 32.
    sums: *mut f32,
}

// Every function below runs with the multiplier made ready, on memory that `run` laid out.
impl Heads<'_> {
    /// The head whose values begin at `first`.
    unsafe fn one<const PARTS: usize>(&self, first: usize, output: &mut [f32], step: usize) {
        let Self { attention, sequence, shape, keys, .. } = self;
        let Shape { planes, blocks, head_dim: dim, .. } = *shape;
        let [keys_across, values_across, keys_along, ..] = self.parts;
        let [.., d_keys, d_values] = self.parts;
        let (d_keys, d_values): (*mut f32, *mut f32) = (d_keys.cast(), d_values.cast());
        // SAFETY: a head's values lie within the rows of the sequence and of the output.
        unsafe {
            self.pack_across::<PARTS>(&sequence.keys[first..], keys_across);
            self.pack_across::<PARTS>(&sequence.values[first..], values_across);
            for block in 0..blocks {
                let rows = self.key_rows(block, &sequence.keys[first..]);
                // Panels of planes, over blocks of keys.
                let to = keys_along.add(block * PARTS * PAIR);
                self.pack_along::<PARTS>(&rows, to, blocks * PARTS * PAIR);
            }
            for start in (0..sequence.tokens).step_by(WIDE) {
                let to = output.as_mut_ptr().add(start * step + first);
                self.queries::<PARTS>(first, start, to, step);
            }
            let width = attention.width();
            for (i, token) in sequence.kept().enumerate().take(*keys) {
                let row = &mut output[token * step + first..];
                for (place, sums) in [(width, d_keys), (2 * width, d_values)] {
                    let sums = std::slice::from_raw_parts(sums.add(i * planes * WIDE), dim);
                    row[place..place + dim].copy_from_slice(sums);
                }
            }
        }
    }

    /// The rows of a block of 32 keys that count, null past the last.
    fn key_rows(&self, block: usize, rows: &[f32]) -> [*const f32; DEPTH] {
        let mut kept = self.sequence.kept().skip(block * DEPTH);
        array::from_fn(|_| match kept.next() {
            Some(token) => rows[token * self.sequence.step..].as_ptr(),
            None => std::ptr::null(),
        })
    }

    /// Keys or values as the right operand of scores: panels of 32, over planes.
    unsafe fn pack_across<const PARTS: usize>(&self, rows: &[f32], to: *mut u8) {
        let Shape { planes, blocks, head_dim: dim, .. } = self.shape;
        for block in 0..blocks {
            let rows = self.key_rows(block, rows);
            for plane in 0..planes {
                for (tile, sixteen) in rows.as_chunks::<SIDE>().0.iter().enumerate() {
                    let held = (dim - plane * DEPTH).min(DEPTH);
                    // SAFETY: a pair of tiles of each part for each block and plane.
                    unsafe {
                        let to = to.add((block * planes + plane) * PARTS * PAIR);
                        let to = to.add(tile * TILE_BYTES);
                        split::across::<PARTS>(sixteen, plane * DEPTH, held, to, PAIR);
                    }
                }
            }
        }
    }

    /// 32 rows as one block of a right operand whose columns are a head's values: a panel for each
    /// plane, `panel` bytes apart.
    unsafe fn pack_along<const PARTS: usize>(
        &self,
        rows: &[*const f32; DEPTH],
        to: *mut u8,
        panel: usize,
    ) {
        for plane in 0..self.shape.planes {
            for tile in 0..2 {
                let place = plane * DEPTH + tile * SIDE;
                let held = self.shape.head_dim.saturating_sub(place).min(SIDE);
                // SAFETY: a pair of tiles of each part for each plane.
                unsafe {
                    let to = to.add(plane * panel + tile * TILE_BYTES);
                    split::rows::<PARTS>(rows, place, held, to, PAIR);
                }
            }
        }
    }

    /// The 32 queries from `start` on: their gradients go to rows `step` values apart, and the sums of
    /// keys and values grow.
    unsafe fn queries<const PARTS: usize>(
        &self,
        first: usize,
        start: usize,
        to: *mut f32,
        step: usize,
    ) {
        let Self { attention, sequence, shape, gradient, sums, .. } = self;
        let [
            keys_across,
            values_across,
            keys_along,
            queries,
            outputs,
            queries_along,
            outputs_along,
            weights,
            slopes,
            left,
            turned,
            d_keys,
            d_values,
        ] = self.parts;
        let (multiplier, Shape { planes, blocks, head_dim: dim, .. }) = (self.multiplier, *shape);
        let (width, padded) = (attention.width(), blocks * WIDE);
        let rows = WIDE.min(sequence.tokens - start);
        let low = planes * WIDE * 64;
        let query_rows = &sequence.queries[start * sequence.step + first..];
        let output_rows = &gradient[start * width + first..];
        let pointers =
            |rows_of: &[f32], step: usize| -> [*const f32; DEPTH] {
                array::from_fn(|i| {
                    if i < rows { rows_of[i * step..].as_ptr() } else { std::ptr::null() }
                })
            };
        // SAFETY: rows of the sequence and of the gradient; operands and sums as `lens` sized them.
        unsafe {
            let values = split::Rows { from: query_rows.as_ptr(), step: sequence.step, rows };
            split::scaled::<PARTS>(&values, dim, attention.scale, queries, low, WIDE * 64);
            let values = split::Rows { from: output_rows.as_ptr(), step: width, rows };
            split::scaled::<PARTS>(&values, dim, 1.0, outputs, low, WIDE * 64);
            let along = pointers(query_rows, sequence.step);
            self.pack_along::<PARTS>(&along, queries_along, PARTS * PAIR);
            let along = pointers(output_rows, width);
            self.pack_along::<PARTS>(&along, outputs_along, PARTS * PAIR);
            // S = Q·Kᵀ and dP = dO·Vᵀ.
            for block in 0..blocks {
                for (left, right, to) in
                    [(queries, keys_across, weights), (outputs, values_across, slopes)]
                {
                    let right = right.cast_const().add(block * planes * PARTS * PAIR);
                    let to = to.cast::<f32>().add(block * WIDE);
                    let left = left.cast_const();
                    multiply::<PARTS>(multiplier, rows, left, planes, right, to, padded * 4, false);
                }
            }
            let weights = std::slice::from_raw_parts_mut(weights.cast::<f32>(), rows * padded);
            let slopes = std::slice::from_raw_parts_mut(slopes.cast::<f32>(), rows * padded);
            let (isa, scale) = (attention.isa, attention.scale);
            softmax_backward(isa, self.keys, padded, scale, weights, slopes);
            // dQ = dS·K.
            let values = split::Rows { from: slopes.as_ptr(), step: padded, rows };
            let low = blocks * WIDE * 64;
            split::scaled::<PARTS>(&values, padded, 1.0, left, low, WIDE * 64);
            for plane in 0..planes {
                let right = keys_along.cast_const().add(plane * blocks * PARTS * PAIR);
                let left = left.cast_const();
                multiply::<PARTS>(multiplier, rows, left, blocks, right, *sums, WIDE * 4, false);
                let held = (dim - plane * WIDE).min(WIDE);
                for row in 0..rows {
                    let from = sums.add(row * WIDE).cast_const();
                    let to = to.add(row * step + plane * WIDE);
                    std::ptr::copy_nonoverlapping(from, to, held);
                }
            }
            // dV += Pᵀ·dO and dK += dSᵀ·Q.
            for (values, right, sums) in
                [(weights, outputs_along, d_values), (slopes, queries_along, d_keys)]
            {
                let values = pointers(values, padded);
                for block in 0..blocks {
                    let turned = turned.add(block * PARTS * WIDE * 64);
                    for half in 0..2 {
                        let key = block * WIDE + half * SIDE;
                        let to = turned.add(half * TILE_BYTES);
                        split::columns::<PARTS>(&values, key, SIDE, to, 64, WIDE * 64);
                    }
                    let rows = WIDE.min(self.keys - block * WIDE);
                    for plane in 0..planes {
                        let right = right.cast_const().add(plane * PARTS * PAIR);
                        let sums = sums.cast::<f32>().add(block * WIDE * planes * WIDE);
                        let sums = sums.add(plane * WIDE);
                        let (left, grow) = (turned.cast_const(), start > 0);
                        multiply::<PARTS>(
                            multiplier,
                            rows,
                            left,
                            1,
                            right,
                            sums,
                            planes * WIDE * 4,
                            grow,
                        );
                    }
                }
            }
        }
    }
}
