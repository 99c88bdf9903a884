//! Scaled dot-product attention with several heads (Vaswani et al. 2017, arXiv:1706.03762, eq. 1)
//! over one sequence of its own length: nothing is padded.
//!
//! Keys that a mask leaves out are never packed, so they cost nothing; where it leaves out all, the
//! output is zero. A query's result depends on its sequence alone.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::bf16::Multiplier;
use crate::linear::{height, panel_vectors};
use crate::simd::{Simd, dispatch, math};
use crate::tile::{Tile, Tiles};
use crate::{Isa, KernelError, Precision};

/// Queries whose scores are held at once.
const QUERIES: usize = 64;

/// Sizes of an attention for one instruction level.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    pub(crate) isa: Isa,
    /// Chooses between forms of the matrix tiles' products; vectors know f32 only.
    #[cfg(target_arch = "x86_64")]
    pub(crate) precision: Precision,
    pub(crate) heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) scale: f32,
}

/// Queries, keys and values of one sequence, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    /// Each row holds the `heads·head_dim` values of a token; the first row's first value.
    pub queries: &'a [f32],
    /// As `queries`.
    pub keys: &'a [f32],
    /// As `queries`.
    pub values: &'a [f32],
    /// Values from a token to the next, in all three.
    pub step: usize,
    /// Tokens.
    pub tokens: usize,
    /// Which keys count; all without it.
    pub keep: Option<&'a [bool]>,
}

impl Sequence<'_> {
    pub(crate) fn check(&self, width: usize) {
        let len = if self.tokens == 0 { 0 } else { (self.tokens - 1) * self.step + width };
        let rows = [self.queries, self.keys, self.values];
        assert!(self.step >= width && rows.iter().all(|r| r.len() >= len), "attention rows");
        assert!(self.keep.is_none_or(|keep| keep.len() == self.tokens), "attention mask");
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = usize> {
        (0..self.tokens).filter(|&t| self.keep.is_none_or(|keep| keep[t]))
    }
}

/// Packed operands of one head, and how wide their panels are.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Vectors in a panel over keys, and in one over the values of a head.
    pub key_vectors: usize,
    pub value_vectors: usize,
    /// Keys and values of a head, rounded up to whole panels.
    pub padded_keys: usize,
    pub padded_dim: usize,
}

impl Attention {
    /// Attention of `heads` heads of `head_dim` values each; scores are scaled by `1/√head_dim`.
    /// `precision` is that of the products; the softmax between them is computed in f32, and so are
    /// gradients.
    ///
    /// # Errors
    /// [`KernelError::Shape`] for a size of zero, [`KernelError::Unavailable`] for a level or
    /// precision that this machine lacks.
    pub fn new(
        isa: Isa,
        precision: Precision,
        heads: usize,
        head_dim: usize,
    ) -> Result<Self, KernelError> {
        if heads == 0 || head_dim == 0 {
            return Err(KernelError::Shape(format!("{heads} heads of {head_dim} values")));
        }
        if !isa.is_available() || (precision != Precision::F32 && !isa.has_bf16()) {
            return Err(KernelError::Unavailable(isa));
        }
        let scale = 1.0 / (head_dim as f32).sqrt();
        Ok(Self {
            isa,
            #[cfg(target_arch = "x86_64")]
            precision,
            heads,
            head_dim,
            scale,
        })
    }

    /// What multiplies tiles of bf16, where products run on those.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn multiplier(&self) -> Option<Multiplier> {
        Multiplier::of(self.isa, self.precision)
    }

    /// Values of a token's output row: all heads side by side.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    pub(crate) fn layout(&self, keys: usize) -> Layout {
        let tiles = Tiles::of(self.isa);
        let key_vectors = panel_vectors(tiles, keys.max(1));
        let value_vectors = panel_vectors(tiles, self.head_dim);
        let lanes = tiles.lanes();
        Layout {
            key_vectors,
            value_vectors,
            padded_keys: keys.next_multiple_of(key_vectors * lanes),
            padded_dim: self.head_dim.next_multiple_of(value_vectors * lanes),
        }
    }

    /// Values of scratch that [`Attention::run`] needs for a sequence of `tokens`.
    pub fn scratch_len(&self, tokens: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.multiplier().is_some() {
            return crate::bf16::attention_scratch_len(self, tokens);
        }
        // A mask can only lower the number of keys, but fewer keys may have wider panels.
        let lanes = Tiles::of(self.isa).max_vectors() * Tiles::of(self.isa).lanes();
        let keys = tokens + lanes;
        let dim = self.head_dim + lanes;
        keys * self.head_dim + tokens * dim + QUERIES.min(tokens) * keys + keys.max(dim)
    }

    /// Writes the attention of `queries` (a range of tokens) to `output`
    /// `[queries, heads·head_dim]`, on this thread.
    ///
    /// # Panics
    /// When rows, mask, scratch or output are too short.
    pub fn run(
        &self,
        sequence: &Sequence<'_>,
        queries: Range<usize>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        sequence.check(self.width());
        assert!(queries.end <= sequence.tokens, "attention queries");
        assert!(output.len() >= queries.len() * self.width(), "attention output");
        let keys = sequence.kept().count();
        if keys == 0 {
            output[..queries.len() * self.width()].fill(0.0);
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(multiplier) = self.multiplier() {
            // SAFETY: `new` saw that the level is available; the lengths were checked above.
            unsafe {
                crate::bf16::attend(self, multiplier, sequence, queries, keys, scratch, output)
            };
            return;
        }
        let layout = self.layout(keys);
        let (packed_keys, rest) = scratch.split_at_mut(layout.padded_keys * self.head_dim);
        let (packed_values, rest) = rest.split_at_mut(keys * layout.padded_dim);
        let (zeros, scores) = rest.split_at_mut(layout.padded_keys.max(layout.padded_dim));
        zeros.fill(0.0);
        for head in 0..self.heads {
            let first = head * self.head_dim;
            self.pack_across(
                sequence.kept().map(|t| &sequence.keys[t * sequence.step + first..]),
                layout.key_vectors,
                self.scale,
                packed_keys,
            );
            self.pack_along(
                sequence.kept().map(|t| &sequence.values[t * sequence.step + first..]),
                keys,
                layout.value_vectors,
                packed_values,
            );
            for start in queries.clone().step_by(QUERIES) {
                let rows = QUERIES.min(queries.end - start);
                let scores = &mut scores[..rows * layout.padded_keys];
                let from = &sequence.queries[start * sequence.step + first..];
                let product = Product {
                    rows,
                    depth: self.head_dim,
                    columns: layout.padded_keys,
                    vectors: layout.key_vectors,
                    zeros,
                };
                let left = Left { data: from, row: sequence.step, depth: 1 };
                product.run(self.isa, left, packed_keys, scores, layout.padded_keys);
                let place = (start - queries.start) * self.width() + first;
                let to = &mut output[place..];
                let product = Product {
                    rows,
                    depth: keys,
                    columns: self.head_dim,
                    vectors: layout.value_vectors,
                    zeros,
                };
                let padded = layout.padded_keys;
                // The scores hold `rows` rows of `padded` values; `scales` one a row.
                let mut scales = [0.0; QUERIES];
                dispatch!(self.isa, S => {
                    for (row, scale) in scales.iter_mut().enumerate().take(rows) {
                        *scale = exponentials::<S>(scores.as_mut_ptr().add(row * padded), keys);
                    }
                });
                let left = Left { data: scores, row: padded, depth: 1 };
                product.run(self.isa, left, packed_values, to, self.width());
                for (row, scale) in scales.into_iter().enumerate().take(rows) {
                    let row = &mut to[row * self.width()..][..self.head_dim];
                    row.iter_mut().for_each(|x| *x *= scale);
                }
            }
        }
    }

    /// Packs rows as the columns of a right operand, `[panels, head_dim, vectors·LANES]`, scaled.
    pub(crate) fn pack_across<'a>(
        &self,
        rows: impl Iterator<Item = &'a [f32]>,
        vectors: usize,
        scale: f32,
        packed: &mut [f32],
    ) {
        let width = vectors * Tiles::of(self.isa).lanes();
        let mut count = 0;
        for (r, row) in rows.enumerate() {
            let panel = &mut packed[r / width * self.head_dim * width..];
            for (to, x) in panel[r % width..].iter_mut().step_by(width).zip(&row[..self.head_dim]) {
                *to = x * scale;
            }
            count = r + 1;
        }
        // What the last panel has beyond the last row is computed and never read; it must still
        // be a number, for a denormal or NaN left from before would cost time.
        for r in count..count.next_multiple_of(width) {
            let panel = &mut packed[r / width * self.head_dim * width..];
            panel[r % width..].iter_mut().step_by(width).take(self.head_dim).for_each(|x| *x = 0.0);
        }
    }

    /// Packs rows as the rows of a right operand, `[panels, rows, vectors·LANES]`.
    pub(crate) fn pack_along<'a>(
        &self,
        rows: impl Iterator<Item = &'a [f32]>,
        count: usize,
        vectors: usize,
        packed: &mut [f32],
    ) {
        let width = vectors * Tiles::of(self.isa).lanes();
        if width == self.head_dim {
            // One panel of whole vectors: a call for each short row would take longer than its copy.
            let to = &mut packed[..count * width];
            let rows = rows.map(|row| &row[..width]).zip(to.chunks_exact_mut(width));
            dispatch!(self.isa, S => {
                for (row, to) in rows {
                    for i in (0..width).step_by(S::LANES) {
                        // Both hold `width` values, whole vectors.
                        S::store(to.as_mut_ptr().add(i), S::load(row.as_ptr().add(i)));
                    }
                }
            });
            return;
        }
        for (r, row) in rows.enumerate() {
            for (panel, part) in row[..self.head_dim].chunks(width).enumerate() {
                let to = &mut packed[(panel * count + r) * width..][..width];
                to[..part.len()].copy_from_slice(part);
                to[part.len()..].fill(0.0);
            }
        }
    }
}

/// The left operand of a product: value `k` of row `r` lies at `r·row + k·depth`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub depth: usize,
}

/// A product of `rows` rows with packed panels.
pub(crate) struct Product<'a> {
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
    /// Vectors in a panel.
    pub vectors: usize,
    /// At least a panel's width.
    pub zeros: &'a [f32],
}

impl Product<'_> {
    /// `to = left · panels`, where rows of `to` lie `to_step` apart.
    pub fn run(&self, isa: Isa, left: Left<'_>, panels: &[f32], to: &mut [f32], to_step: usize) {
        let tiles = Tiles::of(isa);
        let width = self.vectors * tiles.lanes();
        let last = (self.rows - 1) * left.row + (self.depth - 1) * left.depth;
        assert!(left.data.len() > last, "product input");
        assert!(to.len() >= (self.rows - 1) * to_step + self.columns, "product output");
        assert!(panels.len() >= self.columns.div_ceil(width) * self.depth * width, "panels");
        assert!(self.zeros.len() >= width, "bias");
        let (runs, run_len) = if left.depth == 1 { (1, self.depth) } else { (self.depth, 1) };
        let tallest = tiles.max_rows(self.vectors);
        for (panel, column) in (0..self.columns).step_by(width).enumerate() {
            let mut row = 0;
            while row < self.rows {
                let height = height(self.rows - row, tallest);
                // SAFETY: rows, columns and panels lie within the slices, as checked above; the
                // level was checked when the attention was made.
                unsafe {
                    tiles.get(self.vectors, height)(&Tile {
                        a: left.data.as_ptr().add(row * left.row),
                        a_step: left.row,
                        runs,
                        run_step: left.depth,
                        run_len,
                        panel: panels.as_ptr().add(panel * self.depth * width),
                        bias: self.zeros.as_ptr(),
                        residual: std::ptr::null(),
                        c: to.as_mut_ptr().add(row * to_step + column),
                        c_step: to_step,
                        columns: (self.columns - column).min(width),
                        low: f32::NEG_INFINITY,
                        high: f32::INFINITY,
                    });
                }
                row += height;
            }
        }
    }
}

/// Replaces `n` scores by `exp(score − largest)`; returns one over their sum.
///
/// # Safety
/// As [`Simd`]; `row` holds `n` values rounded up to whole vectors.
#[inline(always)]
pub(crate) unsafe fn exponentials<S: Simd>(row: *mut f32, n: usize) -> f32 {
    let padded = n.next_multiple_of(S::LANES);
    // SAFETY: passed on.
    unsafe {
        // e^−∞ = 0: what lies past the end counts for nothing.
        for i in n..padded {
            *row.add(i) = f32::NEG_INFINITY;
        }
        let mut largest = S::load(row);
        for i in (S::LANES..padded).step_by(S::LANES) {
            largest = S::max(largest, S::load(row.add(i)));
        }
        let largest = S::splat(S::largest(largest));
        let mut sum = S::splat(0.0);
        for i in (0..padded).step_by(S::LANES) {
            let e = math::exp::<S>(S::sub(S::load(row.add(i)), largest));
            sum = S::add(sum, e);
            S::store(row.add(i), e);
        }
        1.0 / S::sum(sum)
    }
}
