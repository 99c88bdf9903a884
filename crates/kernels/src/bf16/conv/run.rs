//! One call of a convolution: splitting its input, passing the weights over it, finishing its sums.

use super::pixels::{Lines, Pixels, Values};
use super::shape::{Layout, MAX_UNITS};
use super::{PANEL, TileConv};
use crate::bf16::product::{self, DEPTH, Product, SIDE, TILE_BYTES};
use crate::bf16::split;
use crate::{Activation, Clamp, Line};

/// One call of a convolution.
pub(super) struct Run<'a> {
    pub conv: &'a TileConv,
    pub source: Source<'a>,
    pub target: Target,
    pub clamp: Clamp,
    /// Of the sums that become lines, after the clamp.
    pub act: Activation,
    /// Split pixels, high parts; each lower part begins `low` bytes on.
    pub strip: *mut u8,
    pub low: usize,
    /// End of the scratch memory, of which the last values hold one unfolded window.
    pub unfolded: *mut f32,
}

/// Images that a convolution reads.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Values(&'a [f32]),
    Lines(&'a [Line]),
}

/// Where it writes, and what it adds before (null: nothing).
#[derive(Clone, Copy)]
pub(crate) enum Target {
    Values { residual: *const f32, output: *mut f32 },
    Lines { residual: *const Line, output: *mut Line },
}

impl Target {
    pub fn values(residual: Option<&[f32]>, output: &mut [f32]) -> Self {
        let residual = residual.map_or(std::ptr::null(), <[f32]>::as_ptr);
        Self::Values { residual, output: output.as_mut_ptr() }
    }

    pub fn lines(residual: Option<&[Line]>, output: &mut [Line]) -> Self {
        let residual = residual.map_or(std::ptr::null(), <[Line]>::as_ptr);
        Self::Lines { residual, output: output.as_mut_ptr() }
    }
}

/// The rows of a left operand: where the first pixel's begins, and bytes from a pixel to the next.
#[derive(Clone, Copy)]
struct Left {
    first: *const u8,
    row: usize,
}

/// A run of output rows whose input lies side by side.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// Bytes from the left operand's first pixel to this unit's.
    pub at: usize,
    /// Where the first output pixel goes, in pixels over all images.
    pub start: usize,
    /// Output rows, and pixels of a row that count.
    pub rows: usize,
    pub row: usize,
}

// Every function below runs with the multiplier made ready, on addresses that `TileConv::run` checked.
impl Run<'_> {
    pub unsafe fn strips<const PARTS: usize>(&self, images: usize) {
        let shape = &self.conv.shape;
        let [out_h, out_w] = self.conv.geometry.window.output;
        let inputs = self.conv.geometry.inputs;
        let strip = Left { first: self.strip, row: 64 };
        let all = images * out_h * out_w;
        // SAFETY: units lie within the images and within the strip, as `Shape` sized it.
        unsafe {
            match (shape.layout, self.source) {
                (Layout::Flat { unfold }, Source::Values(input)) => {
                    for start in (0..all).step_by(shape.row) {
                        let row = shape.row.min(all - start);
                        if unfold {
                            self.unfold::<PARTS>(input, start, row);
                        } else {
                            let from = input.as_ptr().add(start * inputs);
                            let plane = shape.plane * 64;
                            split::pixels::<PARTS>(row, inputs, from, self.strip, self.low, plane);
                        }
                        self.panels::<PARTS>(&[Unit { at: 0, start, rows: 1, row }], strip);
                    }
                }
                (Layout::Lines, Source::Lines(input)) => self.lines(input, all),
                (Layout::Sliding { .. }, Source::Values(input)) => self.sliding(input, images),
                _ => self.rows::<PARTS>(images, strip),
            }
        }
    }

    /// A convolution of image rows with their border.
    unsafe fn rows<const PARTS: usize>(&self, images: usize, strip: Left) {
        let shape = &self.conv.shape;
        let [out_h, out_w] = self.conv.geometry.window.output;
        let place = &self.conv.geometry.placement;
        let unit_pixels = shape.phase * shape.phases[0] * shape.phases[1];
        let mut units = [Unit { at: 0, start: 0, rows: 0, row: out_w }; MAX_UNITS];
        let mut held = 0;
        // SAFETY: units lie within the images and within the strip, as `Shape` sized it.
        unsafe {
            for image in 0..images {
                for y in (0..out_h).step_by(shape.rows) {
                    let rows = shape.rows.min(out_h - y);
                    let start = place.image * image + place.first + place.row * y;
                    let pixel = held * unit_pixels;
                    units[held] = Unit { at: pixel * 64, start, rows, row: out_w };
                    match self.source {
                        Source::Values(input) => {
                            self.split_rows::<PARTS>(
                                Values::of(self, input),
                                pixel,
                                image,
                                y,
                                rows,
                            );
                        }
                        Source::Lines(input) => {
                            self.split_rows::<PARTS>(Lines::of(self, input), pixel, image, y, rows);
                        }
                    }
                    held += 1;
                    if held == shape.units {
                        self.panels::<PARTS>(&units[..held], strip);
                        held = 0;
                    }
                }
            }
            self.panels::<PARTS>(&units[..held], strip);
        }
    }

    /// A pointwise convolution of `all` pixels in lines, read where they lie.
    unsafe fn lines(&self, input: &[Line], all: usize) {
        let shape = &self.conv.shape;
        let row = shape.planes * 64;
        for start in (0..all).step_by(shape.row) {
            let count = shape.row.min(all - start);
            let whole = count / (2 * SIDE) * (2 * SIDE);
            // SAFETY: whole tiles lie within the input; the rest, copied to the strip, may be read
            // past its end.
            unsafe {
                let first = input.as_ptr().add(start * shape.planes).cast();
                if whole > 0 {
                    let unit = Unit { at: 0, start, rows: 1, row: whole };
                    self.panels::<1>(&[unit], Left { first, row });
                }
                if count > whole {
                    let rest = first.add(whole * row);
                    std::ptr::copy_nonoverlapping(rest, self.strip, (count - whole) * row);
                    let unit = Unit { at: 0, start: start + whole, rows: 1, row: count - whole };
                    self.panels::<1>(&[unit], Left { first: self.strip, row });
                }
            }
        }
    }

    /// A convolution of images with few channels.
    unsafe fn sliding(&self, input: &[f32], images: usize) {
        let (shape, window) = (&self.conv.shape, &self.conv.geometry.window);
        let inputs = self.conv.geometry.inputs;
        let ([height, width], s) = (window.input, window.stride);
        let [out_h, out_w] = window.output;
        let left = Left { first: self.strip, row: s * inputs * 2 };
        let (before, held) = (window.before[1] * inputs, width * inputs);
        let mut units = [Unit { at: 0, start: 0, rows: 1, row: out_w }; MAX_UNITS];
        for image in 0..images {
            let pixels = &input[image * height * held..][..height * held];
            for y in (0..out_h).step_by(shape.rows) {
                let rows = shape.rows.min(out_h - y);
                for row in 0..(rows - 1) * s + window.kernel[0] {
                    let source = (y * s + row).checked_sub(window.before[0]);
                    // SAFETY: a row of the strip, which holds the image's row and its border.
                    unsafe {
                        let to = self.strip.add(row * shape.phase * 2);
                        let Some(source) = source.filter(|&source| source < height) else {
                            to.write_bytes(0, shape.phase * 2);
                            continue;
                        };
                        to.write_bytes(0, before * 2);
                        let from = pixels[source * held..][..held].as_ptr();
                        split::values(held, from, to.add(before * 2));
                        let end = before + held;
                        to.add(end * 2).write_bytes(0, (shape.phase - end) * 2);
                    }
                }
                for first in (0..rows).step_by(MAX_UNITS) {
                    let count = MAX_UNITS.min(rows - first);
                    for (i, unit) in units[..count].iter_mut().enumerate() {
                        let row = first + i;
                        unit.at = row * s * shape.phase * 2;
                        unit.start = (image * out_h + y + row) * out_w;
                    }
                    // SAFETY: rows of values lie within the strip, over-reads included.
                    unsafe { self.panels::<1>(&units[..count], left) };
                }
            }
        }
    }

    /// Splits what the windows of output rows `y..y + rows` see, border included.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn split_rows<const PARTS: usize>(
        &self,
        pixels: impl Pixels,
        pixel: usize,
        image: usize,
        y: usize,
        rows: usize,
    ) {
        let (shape, window) = (&self.conv.shape, &self.conv.geometry.window);
        let ([height, width], s) = (window.input, window.stride);
        let plane = shape.plane * 64;
        let image = image * height * width;
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
                    let from = image + source * width + first;
                    // SAFETY: within the image and the strip.
                    unsafe {
                        let to = self.strip.add((at + outside) * 64);
                        if s == 1 {
                            pixels.write::<PARTS>(from, end - outside, to, self.low, plane);
                        } else {
                            for i in 0..end - outside {
                                let to = to.add(i * 64);
                                pixels.write::<PARTS>(from + i * s, 1, to, self.low, plane);
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
    unsafe fn unfold<const PARTS: usize>(&self, input: &[f32], start: usize, count: usize) {
        let shape = &self.conv.shape;
        let geometry = &self.conv.geometry;
        let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
        let len = shape.planes * DEPTH;
        // SAFETY: `scratch_len` has room for one window at the end.
        let values = unsafe { std::slice::from_raw_parts_mut(self.unfolded.sub(len), len) };
        values.fill(0.0);
        for pixel in 0..count {
            geometry.unfold(input, start + pixel, &mut values[..taps * geometry.inputs]);
            // SAFETY: a row of the strip.
            unsafe {
                let to = self.strip.add(pixel * 64);
                let plane = shape.plane * 64;
                split::pixels::<PARTS>(1, len, values.as_ptr(), to, self.low, plane);
            }
        }
    }

    /// Passes every panel of weights over the units.
    unsafe fn panels<const PARTS: usize>(&self, units: &[Unit], left: Left) {
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
                    // SAFETY: rows `first..first + 32` and every tap's shift of them can be read, as
                    // the callers saw to.
                    unsafe {
                        let product = Product {
                            left: left.first.add(unit.at + first * left.row),
                            left_row: left.row,
                            left_tile: SIDE * left.row,
                            low: self.low,
                            offsets: conv.offsets.as_ptr(),
                            blocks: conv.offsets.len(),
                            right: conv.panels.as_ptr().add(column / SIDE * lines).cast(),
                            sums: sums[turn].0.as_mut_ptr(),
                            sums_row: PANEL * 4,
                            add: false,
                        };
                        product::multiply::<PARTS>(conv.multiplier, &product, tall, wide);
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
}

/// A block of sums.
#[repr(C, align(64))]
pub(super) struct Sums(pub [f32; 2 * SIDE * PANEL]);
