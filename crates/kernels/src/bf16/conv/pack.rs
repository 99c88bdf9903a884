//! Weights as the right operands of tiles.

use rayon::prelude::*;

use super::{Layout, PANEL, TileConv};
use crate::bf16::product::{DEPTH, SIDE, TILE_BYTES};
use crate::bf16::split;
use crate::conv::{Geometry, Weights};

impl TileConv {
    /// Packs weights and bias, panels side by side on the current rayon pool.
    pub fn pack(&mut self, weights: &Weights<'_>, bias: &[f32]) {
        let outputs = self.geometry.outputs;
        self.bias[..outputs].copy_from_slice(bias);
        let mut panels = std::mem::take(&mut self.panels);
        let lines = TILE_BYTES / 64;
        let panel_lines = 2 * self.offsets.len() * self.parts * lines;
        panels.par_chunks_mut(panel_lines).enumerate().for_each(|(panel, to)| {
            let wide = (outputs - panel * PANEL).div_ceil(SIDE).min(2);
            for (block, to) in to.chunks_exact_mut(wide * self.parts * lines).enumerate() {
                for tile in 0..wide {
                    let first = panel * PANEL + tile * SIDE;
                    // SAFETY: the multiplier is available, and the vector instructions with it; a tile of
                    // each part lies within the block.
                    unsafe {
                        let to = to.as_mut_ptr().add(tile * lines).cast();
                        match self.parts {
                            1 => self.pack_tile::<1>(weights, block, first, to, wide * TILE_BYTES),
                            2 => self.pack_tile::<2>(weights, block, first, to, wide * TILE_BYTES),
                            _ => self.pack_tile::<3>(weights, block, first, to, wide * TILE_BYTES),
                        }
                    }
                }
            }
        });
        self.panels = panels;
    }

    /// Packs the weights that a block's 32 values of the sum meet for outputs from `first` on.
    ///
    /// # Safety
    /// The multiplier is available; `to` holds a tile for each part, `low` bytes apart.
    unsafe fn pack_tile<const PARTS: usize>(
        &self,
        weights: &Weights<'_>,
        block: usize,
        first: usize,
        to: *mut u8,
        low: usize,
    ) {
        let Geometry { inputs, outputs, .. } = self.geometry;
        let columns = (outputs - first).min(SIDE);
        let taps = weights.taps.len();
        // All values of a block lie under one tap, except where windows or their rows are values
        // side by side: values of a block, and of the row of the window that it is a part of.
        let kw = self.geometry.window.kernel[1];
        let side_by_side = match self.shape.layout {
            Layout::Flat { .. } if taps > 1 => Some((block * DEPTH, 0, taps * inputs)),
            Layout::Sliding { blocks } => {
                Some((block % blocks * DEPTH, block / blocks * kw, kw * inputs))
            }
            _ => None,
        };
        let (tap, channel) =
            if taps == 1 { (0, block * DEPTH) } else { (block % taps, block / taps * DEPTH) };
        let held = inputs.saturating_sub(channel).min(DEPTH);
        let under_one_tap = side_by_side.is_none();
        match weights.taps[tap] {
            // Where channels or outputs lie side by side, vectors read them as they are.
            Some(start) if under_one_tap && weights.output == 1 => {
                let mut rows = [std::ptr::null(); DEPTH];
                for (k, row) in rows.iter_mut().enumerate().take(held) {
                    let at = start + (channel + k) * weights.input + first;
                    *row = weights.data[at..at + columns].as_ptr();
                }
                // SAFETY: each row holds `columns` values, and `to` as the caller vouches.
                unsafe { split::rows::<PARTS>(&rows, 0, columns, to, low) };
            }
            Some(start) if under_one_tap && weights.input == 1 => {
                let mut rows = [std::ptr::null(); SIDE];
                for (j, row) in rows.iter_mut().enumerate().take(columns) {
                    let at = start + channel + (first + j) * weights.output;
                    *row = weights.data[at..at + held].as_ptr();
                }
                // SAFETY: each row holds `held` values, and `to` as the caller vouches.
                unsafe { split::across::<PARTS>(&rows, 0, held, to, low) };
            }
            _ => {
                let mut values = split::Block([[0.0; SIDE]; DEPTH]);
                for (k, values) in values.0.iter_mut().enumerate() {
                    let (tap, channel) = match side_by_side {
                        None => (tap, channel + k),
                        Some((first, tap, len)) if first + k < len => {
                            (tap + (first + k) / inputs, (first + k) % inputs)
                        }
                        Some(_) => continue,
                    };
                    if channel < inputs {
                        weights.copy(tap, channel, first, &mut values[..columns]);
                    }
                }
                // SAFETY: as the caller vouches.
                unsafe { split::pairs(PARTS, &values, to, low) };
            }
        }
    }
}
