//! One call of a convolution: splitting its input, passing the weights over it, finishing its sums.

use std::arch::x86_64::*;

use super::shape::{Layout, MAX_UNITS};
use super::{PANEL, TileConv};
use crate::Clamp;
use crate::amx::product::{self, DEPTH, Product, SIDE, TILE_BYTES};
use crate::amx::split;

/// One call of a convolution.
pub(super) struct Run<'a> {
    pub conv: &'a TileConv,
    pub input: &'a [f32],
    pub residual: *const f32,
    pub clamp: Clamp,
    /// Split pixels, high parts; each lower part begins `low` bytes on.
    pub strip: *mut u8,
    pub low: usize,
    /// End of the scratch memory, of which the last values hold one unfolded window.
    pub unfolded: *mut f32,
    pub output: *mut f32,
}

/// A run of output rows whose split input lies in the strip.
#[derive(Clone, Copy)]
struct Unit {
    /// First pixel in the strip.
    pixel: usize,
    /// Where the first output pixel goes, in pixels over all images.
    start: usize,
    /// Output rows, and pixels of a row that count.
    rows: usize,
    row: usize,
}

// Every function below runs with tiles configured, on addresses that `TileConv::run` checked.
impl Run<'_> {
    pub unsafe fn strips<const PARTS: usize>(&self, images: usize) {
        let shape = &self.conv.shape;
        let [out_h, out_w] = self.conv.geometry.window.output;
        // SAFETY: units lie within the images and within the strip, as `Shape` sized it.
        unsafe {
            if let Layout::Flat { unfold } = shape.layout {
                let all = images * out_h * out_w;
                for start in (0..all).step_by(shape.row) {
                    let row = shape.row.min(all - start);
                    if unfold {
                        self.unfold::<PARTS>(start, row);
                    } else {
                        let from = self.input.as_ptr().add(start * self.conv.geometry.inputs);
                        let plane = shape.plane * 64;
                        let inputs = self.conv.geometry.inputs;
                        split::pixels::<PARTS>(row, inputs, from, self.strip, self.low, plane);
                    }
                    self.panels::<PARTS>(&[Unit { pixel: 0, start, rows: 1, row }]);
                }
                return;
            }
            let place = &self.conv.geometry.placement;
            let unit_pixels = shape.phase * shape.phases[0] * shape.phases[1];
            let mut units = [Unit { pixel: 0, start: 0, rows: 0, row: out_w }; MAX_UNITS];
            let mut held = 0;
            for image in 0..images {
                for y in (0..out_h).step_by(shape.rows) {
                    let rows = shape.rows.min(out_h - y);
                    let start = place.image * image + place.first + place.row * y;
                    units[held] = Unit { pixel: held * unit_pixels, start, rows, row: out_w };
                    self.split_rows::<PARTS>(units[held].pixel, image, y, rows);
                    held += 1;
                    if held == shape.units {
                        self.panels::<PARTS>(&units[..held]);
                        held = 0;
                    }
                }
            }
            self.panels::<PARTS>(&units[..held]);
        }
    }

    /// Splits what the windows of output rows `y..y + rows` see, border included.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn split_rows<const PARTS: usize>(
        &self,
        pixel: usize,
        image: usize,
        y: usize,
        rows: usize,
    ) {
        let (shape, window) = (&self.conv.shape, &self.conv.geometry.window);
        let ([height, width], s) = (window.input, window.stride);
        let inputs = self.conv.geometry.inputs;
        let plane = shape.plane * 64;
        let image = &self.input[image * height * width * inputs..][..height * width * inputs];
        for phase_y in 0..shape.phases[0] {
            for phase_x in 0..shape.phases[1] {
                let phase = phase_y * shape.phases[1] + phase_x;
                let start = pixel + phase * shape.phase;
                // Output columns whose pixel lies in the image.
                let outside = window.before[1].saturating_sub(phase_x).div_ceil(s);
                let outside = outside.min(shape.pitch);
                let end = (width + window.before[1]).saturating_sub(phase_x).div_ceil(s);
                let end = end.clamp(outside, shape.pitch);
                let zeros = |from: usize, to: usize| {
                    // SAFETY: within the strip.
                    unsafe {
                        let to_row = self.strip.add(from * 64);
                        split::zeros::<PARTS>(to - from, shape.planes, to_row, self.low, plane);
                    }
                };
                let index_rows = rows + (window.kernel[0] - 1) / s;
                for row in 0..index_rows {
                    let at = start + row * shape.pitch;
                    let source = ((y + row) * s + phase_y).checked_sub(window.before[0]);
                    let Some(source) = source.filter(|&source| source < height) else {
                        zeros(at, at + shape.pitch);
                        continue;
                    };
                    zeros(at, at + outside);
                    zeros(at + end, at + shape.pitch);
                    if outside == end {
                        continue;
                    }
                    let first = outside * s + phase_x - window.before[1];
                    let from = &image[(source * width + first) * inputs..];
                    // SAFETY: within the image and the strip.
                    unsafe {
                        let to = self.strip.add((at + outside) * 64);
                        if s == 1 {
                            let count = end - outside;
                            let from = from.as_ptr();
                            split::pixels::<PARTS>(count, inputs, from, to, self.low, plane);
                        } else {
                            for i in 0..end - outside {
                                let from = from.as_ptr().add(i * s * inputs);
                                let to = to.add(i * 64);
                                split::pixels::<PARTS>(1, inputs, from, to, self.low, plane);
                            }
                        }
                    }
                }
                // What the last row borrows from the one after it.
                let after = start + index_rows * shape.pitch;
                zeros(after, after + (shape.phase - (shape.phase / shape.pitch) * shape.pitch));
            }
        }
    }

    /// Writes the windows of output pixels `start..start + count` as rows of values.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn unfold<const PARTS: usize>(&self, start: usize, count: usize) {
        let shape = &self.conv.shape;
        let geometry = &self.conv.geometry;
        let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
        let len = shape.planes * DEPTH;
        // SAFETY: `scratch_len` has room for one window at the end.
        let values = unsafe { std::slice::from_raw_parts_mut(self.unfolded.sub(len), len) };
        values.fill(0.0);
        for pixel in 0..count {
            geometry.unfold(self.input, start + pixel, &mut values[..taps * geometry.inputs]);
            // SAFETY: a row of the strip.
            unsafe {
                let to = self.strip.add(pixel * 64);
                let plane = shape.plane * 64;
                split::pixels::<PARTS>(1, len, values.as_ptr(), to, self.low, plane);
            }
        }
    }

    /// Passes every panel of weights over the units.
    unsafe fn panels<const PARTS: usize>(&self, units: &[Unit]) {
        let (conv, shape) = (self.conv, &self.conv.shape);
        let lines = conv.offsets.len() * conv.parts * (TILE_BYTES / 64);
        // A block is finished while the next one is multiplied: sums that were only just stored
        // would have to be waited for.
        let mut sums = [Sums([0.0; 2 * SIDE * PANEL]), Sums([0.0; 2 * SIDE * PANEL])];
        let mut turn = 0;
        let mut pending: Option<(&Unit, usize, usize, usize)> = None;
        for column in (0..conv.geometry.outputs).step_by(PANEL) {
            let wide = conv.geometry.outputs - column > SIDE;
            for unit in units {
                let len = (unit.rows - 1) * shape.pitch + unit.row;
                for first in (0..len).step_by(2 * SIDE) {
                    let tall = len - first > SIDE;
                    // SAFETY: rows `first..first + 32` and every tap's shift of them lie in the
                    // strip, whose planes have room for the over-read.
                    unsafe {
                        let product = Product {
                            left: self.strip.add((unit.pixel + first) * 64),
                            left_row: 64,
                            left_tile: TILE_BYTES,
                            low: self.low,
                            offsets: conv.offsets.as_ptr(),
                            blocks: conv.offsets.len(),
                            right: conv.panels.as_ptr().add(column / SIDE * lines).cast(),
                            sums: sums[turn].0.as_mut_ptr(),
                            sums_row: PANEL * 4,
                            add: false,
                        };
                        match (tall, wide) {
                            (true, true) => product::two_by_two::<PARTS>(&product),
                            (true, false) => product::two_by_one::<PARTS>(&product),
                            (false, true) => product::one_by_two::<PARTS>(&product),
                            (false, false) => product::one_by_one::<PARTS>(&product),
                        }
                        turn = 1 - turn;
                        if let Some((unit, first, rows, column)) = pending {
                            self.finish(unit, first, rows, column, &sums[turn]);
                        }
                    }
                    let rows = (len - first).min(2 * SIDE);
                    pending = Some((unit, first, rows, column));
                }
            }
        }
        if let Some((unit, first, rows, column)) = pending {
            // SAFETY: as above.
            unsafe { self.finish(unit, first, rows, column, &sums[1 - turn]) };
        }
    }

    /// Adds bias and residual to `rows` rows of sums, clamps and writes those that are pixels.
    #[target_feature(enable = "avx512f")]
    unsafe fn finish(&self, unit: &Unit, first: usize, rows: usize, column: usize, sums: &Sums) {
        let (outputs, pitch) = (self.conv.geometry.outputs, self.conv.shape.pitch);
        let place = &self.conv.geometry.placement;
        let columns = (outputs - column).min(PANEL);
        let masks = split::halves(columns);
        let tiles = columns.div_ceil(SIDE);
        // SAFETY: bias and sums are whole panels; masked lanes are neither read nor written.
        unsafe {
            let bias = self.conv.bias.as_ptr().add(column);
            let bias = [_mm512_loadu_ps(bias), _mm512_loadu_ps(bias.add(16))];
            let (low, high) = (_mm512_set1_ps(self.clamp.low), _mm512_set1_ps(self.clamp.high));
            let (mut y, mut x) = (first / pitch, first % pitch);
            let mut done = 0;
            while done < rows {
                let count = unit.row.saturating_sub(x).min(rows - done);
                let start = (unit.start + y * place.row + x * place.step) * outputs + column;
                for i in 0..count {
                    let sums = sums.0.as_ptr().add((done + i) * PANEL);
                    let at = start + i * place.step * outputs;
                    for tile in 0..tiles {
                        let at = at + tile * SIDE;
                        let mut v =
                            _mm512_add_ps(_mm512_load_ps(sums.add(tile * SIDE)), bias[tile]);
                        if !self.residual.is_null() {
                            let residual = self.residual.add(at);
                            v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(masks[tile], residual));
                        }
                        // The value comes second, so that a NaN stays.
                        v = _mm512_min_ps(high, _mm512_max_ps(low, v));
                        _mm512_mask_storeu_ps(self.output.add(at), masks[tile], v);
                    }
                }
                done += count;
                x += count;
                if x >= unit.row {
                    // The rest of the pitch is border.
                    done += pitch - x;
                    (x, y) = (0, y + 1);
                }
            }
        }
    }
}

/// A block of sums.
#[repr(C, align(64))]
struct Sums([f32; 2 * SIDE * PANEL]);
