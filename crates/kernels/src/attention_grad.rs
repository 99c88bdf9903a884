//! Gradients of attention. Probabilities are computed again rather than kept: a sequence's scores fit
//! the cache, those of a batch do not fit much else.

use crate::attention::{Left, Product, Sequence, exponentials};
use crate::simd::{Simd, dispatch};
use crate::tile::Tiles;
use crate::{Attention, Isa};

/// A head's packed operands and intermediate results, cut from one scratch buffer.
struct Buffers<'a> {
    /// Keys, and values, as columns: `[panels, head_dim, width]`.
    keys_across: &'a mut [f32],
    values_across: &'a mut [f32],
    /// Keys, queries and output gradients as rows: `[panels, tokens, width]`.
    keys_along: &'a mut [f32],
    queries_along: &'a mut [f32],
    gradient_along: &'a mut [f32],
    /// Probabilities, and their gradient: `[tokens, padded keys]`.
    weights: &'a mut [f32],
    slopes: &'a mut [f32],
    /// Gradients of this head's keys and values: `[keys, head_dim]`.
    d_keys: &'a mut [f32],
    d_values: &'a mut [f32],
    zeros: &'a mut [f32],
}

impl Attention {
    fn backward_lens(&self, tokens: usize, keys: usize) -> [usize; 10] {
        let layout = self.layout(keys);
        let (across, dim) = (layout.padded_keys * self.head_dim, layout.padded_dim);
        let scores = tokens * layout.padded_keys;
        let rows = keys * self.head_dim;
        let zeros = layout.padded_keys.max(dim);
        [across, across, keys * dim, tokens * dim, tokens * dim, scores, scores, rows, rows, zeros]
    }

    /// Values of scratch that [`Attention::backward`] needs for a sequence of `tokens`.
    pub fn backward_scratch_len(&self, tokens: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.multiplier().is_some() {
            return crate::bf16::attention_backward_scratch_len(self, tokens);
        }
        // A mask can only lower the number of keys, but fewer keys may have wider panels.
        let tiles = Tiles::of(self.isa);
        let widest = tiles.max_vectors() * tiles.lanes();
        self.backward_lens(tokens, tokens.max(1)).into_iter().sum::<usize>()
            + widest * (2 * self.head_dim + 2 * tokens + 1)
    }

    /// Gradients of queries, keys and values from that of the output, on this thread.
    ///
    /// `gradient` is `[tokens, heads·head_dim]`; the results go to rows of `output`, `step` values
    /// apart: queries' at the row's start, keys' after `heads·head_dim` values, values' after twice
    /// as many. Rows of keys that do not count are zero.
    ///
    /// # Panics
    /// When rows, mask, gradient, scratch or output are too short.
    pub fn backward(
        &self,
        sequence: &Sequence<'_>,
        gradient: &[f32],
        scratch: &mut [f32],
        output: &mut [f32],
        step: usize,
    ) {
        let (tokens, width, d) = (sequence.tokens, self.width(), self.head_dim);
        sequence.check(width);
        assert!(gradient.len() >= tokens * width, "attention gradient");
        assert!(step >= 3 * width && output.len() >= tokens * step, "attention gradients' rows");
        for row in output.chunks_exact_mut(step).take(tokens) {
            row[..3 * width].fill(0.0);
        }
        let keys = sequence.kept().count();
        if keys == 0 {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(multiplier) = self.multiplier() {
            // SAFETY: `new` saw that the level is available; the lengths were checked above.
            unsafe {
                crate::bf16::attend_backward(
                    self, multiplier, sequence, keys, gradient, scratch, output, step,
                );
            }
            return;
        }
        let mut rest = scratch;
        let mut cut = |len: usize| {
            let (part, other) = std::mem::take(&mut rest).split_at_mut(len);
            rest = other;
            part
        };
        let [
            keys_across,
            values_across,
            keys_along,
            queries_along,
            gradient_along,
            weights,
            slopes,
            d_keys,
            d_values,
            zeros,
        ] = self.backward_lens(tokens, keys).map(&mut cut);
        zeros.fill(0.0);
        let mut buffers = Buffers {
            keys_across,
            values_across,
            keys_along,
            queries_along,
            gradient_along,
            weights,
            slopes,
            d_keys,
            d_values,
            zeros,
        };
        for head in 0..self.heads {
            let first = head * d;
            self.head(sequence, keys, first, gradient, &mut buffers);
            let Buffers {
                weights,
                slopes,
                keys_along,
                queries_along,
                gradient_along,
                d_keys,
                d_values,
                zeros,
                ..
            } = &mut buffers;
            let layout = self.layout(keys);
            // dQ = dS·K, straight to its rows.
            let padded = layout.padded_keys;
            let rows = |rows, depth| Product {
                rows,
                depth,
                columns: d,
                vectors: layout.value_vectors,
                zeros,
            };
            let left = Left { data: slopes, row: padded, depth: 1 };
            rows(tokens, keys).run(self.isa, left, keys_along, &mut output[first..], step);
            // dK = dSᵀ·Q and dV = Pᵀ·dO.
            let left = Left { data: slopes, row: 1, depth: padded };
            rows(keys, tokens).run(self.isa, left, queries_along, d_keys, d);
            let left = Left { data: weights, row: 1, depth: padded };
            rows(keys, tokens).run(self.isa, left, gradient_along, d_values, d);
            let pairs = d_keys.chunks_exact(d).zip(d_values.chunks_exact(d));
            for (t, (d_key, d_value)) in sequence.kept().zip(pairs) {
                let row = &mut output[t * step + first..];
                row[width..width + d].copy_from_slice(d_key);
                row[2 * width..2 * width + d].copy_from_slice(d_value);
            }
        }
    }

    /// Packs the operands of the head at `first`; computes its probabilities and the gradient of
    /// its scores, which includes their scale.
    fn head(
        &self,
        sequence: &Sequence<'_>,
        keys: usize,
        first: usize,
        gradient: &[f32],
        buffers: &mut Buffers<'_>,
    ) {
        let (tokens, width, d) = (sequence.tokens, self.width(), self.head_dim);
        let layout = self.layout(keys);
        let (key_vectors, value_vectors) = (layout.key_vectors, layout.value_vectors);
        let step = sequence.step;
        let key_rows = || sequence.kept().map(|t| &sequence.keys[t * step + first..]);
        let value_rows = sequence.kept().map(|t| &sequence.values[t * step + first..]);
        let query_rows = (0..tokens).map(|t| &sequence.queries[t * step + first..]);
        let gradient_rows = (0..tokens).map(|t| &gradient[t * width + first..]);
        self.pack_across(key_rows(), key_vectors, self.scale, buffers.keys_across);
        self.pack_across(value_rows, key_vectors, 1.0, buffers.values_across);
        self.pack_along(key_rows(), keys, value_vectors, buffers.keys_along);
        self.pack_along(query_rows, tokens, value_vectors, buffers.queries_along);
        self.pack_along(gradient_rows, tokens, value_vectors, buffers.gradient_along);
        let padded = layout.padded_keys;
        let scores = Product {
            rows: tokens,
            depth: d,
            columns: padded,
            vectors: key_vectors,
            zeros: buffers.zeros,
        };
        let left = Left { data: &sequence.queries[first..], row: step, depth: 1 };
        scores.run(self.isa, left, buffers.keys_across, buffers.weights, padded);
        // dP = dO·Vᵀ.
        let left = Left { data: &gradient[first..], row: width, depth: 1 };
        scores.run(self.isa, left, buffers.values_across, buffers.slopes, padded);
        softmax_backward(self.isa, keys, padded, self.scale, buffers.weights, buffers.slopes);
    }
}

/// Row by row, `weights` from scores to probabilities and `slopes` from the gradient of the
/// probabilities to `scale` times that of the scores: `dS = P∘(dP − Σ P∘dP)`.
pub(crate) fn softmax_backward(
    isa: Isa,
    keys: usize,
    padded: usize,
    scale: f32,
    weights: &mut [f32],
    slopes: &mut [f32],
) {
    for (weights, slopes) in weights.chunks_exact_mut(padded).zip(slopes.chunks_exact_mut(padded)) {
        let (weights, slopes) = (weights.as_mut_ptr(), slopes.as_mut_ptr());
        // Both rows hold `padded` values, which are whole vectors and no fewer than `keys`.
        dispatch!(isa, S => softmax_backward_row::<S>(keys, scale, weights, slopes));
    }
}

/// # Safety
/// As [`Simd`]; both rows hold `keys` values rounded up to whole vectors.
#[inline(always)]
unsafe fn softmax_backward_row<S: Simd>(
    keys: usize,
    scale: f32,
    weights: *mut f32,
    slopes: *mut f32,
) {
    // SAFETY: passed on.
    unsafe {
        let share = S::splat(exponentials::<S>(weights, keys));
        let mut dot = S::splat(0.0);
        for i in (0..keys).step_by(S::LANES) {
            let weight = S::mul(S::load(weights.add(i)), share);
            S::store(weights.add(i), weight);
            // Past the last key the probability is zero, and the slope is that of a zero value.
            dot = S::mul_add(weight, S::load(slopes.add(i)), dot);
        }
        let dot = S::splat(S::sum(dot));
        let scale = S::splat(scale);
        for i in (0..keys).step_by(S::LANES) {
            let weight = S::mul(S::load(weights.add(i)), scale);
            S::store(slopes.add(i), S::mul(weight, S::sub(S::load(slopes.add(i)), dot)));
        }
    }
}
