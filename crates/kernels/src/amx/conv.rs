//! Dense convolution through matrix tiles.
//!
//! The image is split into bf16 parts, in planes of 32 channels, with its zero border and, for a
//! stride, one sub-image for each phase of the window. In that form the 16 output pixels of a tile
//! read 16 neighbouring rows of 64 bytes for every tap: tiles run over the border between image
//! rows, and what they compute there is dropped.

use std::arch::x86_64::*;

use rayon::prelude::*;

use super::product::{self, DEPTH, Product, SIDE, TILE_BYTES};
use super::{Configured, aligned, split};
use crate::Clamp;
use crate::conv::{Geometry, Weights};

/// Bytes of split input that are kept in the cache while all panels of weights pass over them.
const STRIP_BYTES: usize = 768 << 10;

/// Images of a strip at most.
const MAX_UNITS: usize = 16;

/// Below this many channels, windows are unfolded: planes of 32 channels would be mostly zeros.
const MIN_CHANNELS: usize = 16;

/// Columns of a panel: two tiles side by side.
const PANEL: usize = 2 * SIDE;

/// A convolution with its weights packed for tiles and one image size.
pub(crate) struct TileConv {
    geometry: Geometry,
    /// bf16 parts whose sum an operand is.
    parts: usize,
    shape: Shape,
    /// For each block of 32 values of the sum, bytes from a pixel to its rows.
    offsets: Vec<usize>,
    /// `[panels, blocks, parts, tiles, 16, 16, 2]` bf16, aligned by its type.
    panels: Vec<Line>,
    /// `[panels, PANEL]`.
    bias: Vec<f32>,
}

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u16; 32]);

/// How output pixels are laid out for the tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    /// One long row: a pointwise convolution, or windows unfolded to one row each.
    Flat { unfold: bool },
    /// Image rows with their border.
    Rows,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    layout: Layout,
    /// Planes of 32 channels (or of 32 unfolded values).
    planes: usize,
    /// Pixels from an output row to the next, and output pixels of a row that count.
    pitch: usize,
    row: usize,
    /// Output rows of a unit (a band of an image), units of a strip.
    rows: usize,
    units: usize,
    /// Pixels of one phase of one unit.
    phase: usize,
    /// Phases down and across.
    phases: [usize; 2],
    /// Pixels of a plane, over-read included.
    plane: usize,
}

impl Shape {
    fn new(geometry: &Geometry, parts: usize) -> Self {
        let Geometry { window, inputs, .. } = *geometry;
        let [kh, kw] = window.kernel;
        let [out_h, out_w] = window.output;
        let s = window.stride;
        let unfold = inputs < MIN_CHANNELS && kh * kw > 1;
        if geometry.is_flat() || unfold {
            let planes = (kh * kw * inputs).div_ceil(DEPTH);
            let pixels = (STRIP_BYTES / (planes * 64 * parts) / PANEL).max(2) * PANEL;
            return Self {
                layout: Layout::Flat { unfold },
                planes,
                pitch: pixels,
                row: pixels,
                rows: 1,
                units: 1,
                phase: pixels,
                phases: [1, 1],
                plane: pixels + PANEL,
            };
        }
        let planes = inputs.div_ceil(DEPTH);
        let phases = [kh.min(s), kw.min(s)];
        let pitch = window.pitch();
        let shared = out_w + (kw - 1) / s - pitch;
        let bytes = |rows: usize| {
            (rows + (kh - 1) / s) * pitch * phases[0] * phases[1] * planes * 64 * parts
        };
        let mut rows = out_h;
        while rows > 1 && bytes(rows) > STRIP_BYTES {
            rows = rows.div_ceil(2);
        }
        let units = if rows == out_h { (STRIP_BYTES / bytes(rows)).clamp(1, MAX_UNITS) } else { 1 };
        let phase = (rows + (kh - 1) / s) * pitch + shared;
        Self {
            layout: Layout::Rows,
            planes,
            pitch,
            row: out_w,
            rows,
            units,
            phase,
            phases,
            plane: phase * phases[0] * phases[1] * units + PANEL,
        }
    }
}

impl TileConv {
    /// Whether tiles are faster than vectors, measured with `examples/kernel_speed`: splitting
    /// the input must be made up for by many outputs, and sums of a few values waste blocks of 32.
    pub fn pays(geometry: &Geometry, parts: usize) -> bool {
        let Geometry { window, inputs, outputs, .. } = *geometry;
        let taps = window.kernel[0] * window.kernel[1] * inputs;
        if inputs < MIN_CHANNELS && window.kernel != [1, 1] {
            // Unfolding costs more than it brings where six products follow.
            return parts < 3 && taps >= 128 && geometry.is_dense();
        }
        taps >= DEPTH && (parts < 3 || outputs >= DEPTH)
    }

    /// Plans for one image size; [`TileConv::pack`] brings the weights. The sizes were checked.
    pub fn new(geometry: Geometry, parts: usize) -> Self {
        let Geometry { window, outputs, .. } = geometry;
        let shape = Shape::new(&geometry, parts);
        let [kh, kw] = window.kernel;
        let s = window.stride;
        let mut offsets = Vec::new();
        for plane in 0..shape.planes {
            let start = plane * shape.plane;
            if let Layout::Flat { .. } = shape.layout {
                offsets.push(start * 64);
                continue;
            }
            for y in 0..kh {
                for x in 0..kw {
                    let phase = y % s * shape.phases[1] + x % s;
                    let pixel = phase * shape.phase + y / s * shape.pitch + x / s;
                    offsets.push((start + pixel) * 64);
                }
            }
        }
        let tiles = outputs.div_ceil(SIDE);
        let panels = vec![Line([0; 32]); tiles * offsets.len() * parts * (TILE_BYTES / 64)];
        let bias = vec![0.0; outputs.div_ceil(PANEL) * PANEL];
        Self { geometry, parts, shape, offsets, panels, bias }
    }

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
                    // SAFETY: tiles are available, and the vector instructions with them; a tile of
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
    /// Tiles are available; `to` holds a tile for each part, `low` bytes apart.
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
        let flat = matches!(self.shape.layout, Layout::Flat { .. });
        // All values of a block lie under one tap, except where windows are unfolded.
        let (tap, channel) =
            if taps == 1 { (0, block * DEPTH) } else { (block % taps, block / taps * DEPTH) };
        let held = inputs.saturating_sub(channel).min(DEPTH);
        let under_one_tap = taps == 1 || !flat;
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
                    let value = block * DEPTH + k;
                    let (tap, channel) = if under_one_tap {
                        (tap, channel + k)
                    } else {
                        (value / inputs, value % inputs)
                    };
                    if channel < inputs && tap < taps {
                        weights.copy(tap, channel, first, &mut values[..columns]);
                    }
                }
                // SAFETY: as the caller vouches.
                unsafe { split::pairs(PARTS, &values, to, low) };
            }
        }
    }

    /// Values of scratch that [`TileConv::run`] needs, however many images there are.
    pub fn scratch_len(&self) -> usize {
        let unfolded = if self.shape.layout == (Layout::Flat { unfold: true }) {
            self.shape.planes * DEPTH
        } else {
            0
        };
        // Up to 15 values are lost to alignment.
        self.shape.planes * self.shape.plane * self.parts * 16 + 16 + unfolded
    }

    /// `output = clamp(conv(input) + bias + residual)`; the caller checked all lengths.
    ///
    /// # Safety
    /// Tiles are available; `input`, `residual` and `output` hold `images` images.
    pub unsafe fn run(
        &self,
        images: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        clamp: Clamp,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let (scratch, unfolded) = aligned(scratch, self.scratch_len());
        let run = Run {
            conv: self,
            input,
            residual: residual.map_or(std::ptr::null(), <[f32]>::as_ptr),
            clamp,
            strip: scratch,
            low: self.shape.planes * self.shape.plane * 64,
            unfolded,
            output: output.as_mut_ptr(),
        };
        // SAFETY: tiles are available, and with them all vector instructions used below.
        unsafe {
            let _configured = Configured::new();
            match self.parts {
                1 => run.strips::<1>(images),
                2 => run.strips::<2>(images),
                _ => run.strips::<3>(images),
            }
        }
    }
}

/// One call of a convolution.
struct Run<'a> {
    conv: &'a TileConv,
    input: &'a [f32],
    residual: *const f32,
    clamp: Clamp,
    /// Split pixels, high parts; each lower part begins `low` bytes on.
    strip: *mut u8,
    low: usize,
    /// End of the scratch memory, of which the last values hold one unfolded window.
    unfolded: *mut f32,
    output: *mut f32,
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
    unsafe fn strips<const PARTS: usize>(&self, images: usize) {
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
        let mask = |lanes: usize| ((1u32 << lanes.min(16)) - 1) as __mmask16;
        let masks = [mask(columns), mask(columns.saturating_sub(16))];
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
