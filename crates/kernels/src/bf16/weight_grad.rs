//! The gradient of a convolution's weights through tiles of bf16.
//!
//! `dW[tap] = Xᵀ · dY` sums over pixels. Both operands are split into bf16 parts and laid on the
//! same grid of pixels, border included: input channels as long rows of pixels, so that a tap is a
//! shift within the row, and the output's gradient as pairs of pixels, with zeros wherever the
//! grid holds no output.

use super::product::{self, DEPTH, Product, SIDE, TILE_BYTES};
use super::{Multiplier, aligned, split};
use crate::conv::Geometry;

/// Bytes of split operands that should stay in the cache.
const STRIP_BYTES: usize = 1 << 20;

/// Pixels of a strip that make loading and storing the sums cheap.
const MANY_PIXELS: usize = 512;

/// Blocks of 32 pixels that stay in the first-level cache while all taps pass over them.
const CHUNK: usize = 16;

/// Bands of a strip at most.
const MAX_UNITS: usize = 16;

/// Below this many channels, windows are unfolded to rows of values.
const MIN_CHANNELS: usize = 16;

/// Columns of a panel: two tiles side by side.
const PANEL: usize = 2 * SIDE;

/// Plans the weight gradient for one image size.
pub(crate) struct TileWeightGrad {
    multiplier: Multiplier,
    geometry: Geometry,
    parts: usize,
    grid: Grid,
    /// Rows and columns of the sums of one tap, whole tiles.
    rows: usize,
    columns: usize,
    /// For each block of 32 pixels of a strip, bytes from the start of a row.
    offsets: Vec<usize>,
}

/// Where pixels come from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    /// One long row over all images: a pointwise convolution.
    Flat,
    /// One long row of unfolded windows.
    Unfolded,
    /// Image rows with their border.
    Rows,
}

#[derive(Debug, Clone, Copy)]
struct Grid {
    source: Source,
    /// Pixels from an image row to the next.
    pitch: usize,
    /// Output rows of a unit (a band of an image), units of a strip.
    band: usize,
    units: usize,
    /// Pixels that a unit is summed over, and pixels of it that taps can reach; multiples of 32.
    summed: usize,
    reached: usize,
    /// Phases down and across.
    phases: [usize; 2],
    /// Bytes of a row of pixels.
    row_bytes: usize,
}

impl Grid {
    fn new(geometry: &Geometry, source: Source, rows: usize, columns: usize, parts: usize) -> Self {
        let window = &geometry.window;
        let ([kh, kw], s) = (window.kernel, window.stride);
        // An odd number of lines, so that the rows of a tile fall into different sets of the cache.
        let row_bytes = |pixels: usize| ((pixels * 2).div_ceil(64) | 1) * 64;
        if source != Source::Rows {
            let blocks = STRIP_BYTES / ((rows + columns) * 2 * parts * DEPTH);
            let pixels = blocks.clamp(2, 2 * MANY_PIXELS / DEPTH) * DEPTH;
            return Self {
                source,
                pitch: pixels,
                band: 1,
                units: 1,
                summed: pixels,
                reached: pixels,
                phases: [1, 1],
                row_bytes: row_bytes(pixels),
            };
        }
        let phases = [kh.min(s), kw.min(s)];
        let [out_h, out_w] = window.output;
        let pitch = window.pitch();
        let shift = (kh - 1) / s * pitch + (kw - 1) / s;
        let summed = |band: usize| ((band - 1) * pitch + out_w).next_multiple_of(DEPTH);
        let reached = |band: usize| (summed(band) + shift).next_multiple_of(DEPTH);
        let bytes = |band: usize| {
            (reached(band) * phases[0] * phases[1] * rows + summed(band) * columns) * 2 * parts
        };
        // Large sums pass through the cache once a strip, so their strips are larger, too.
        let strip = (kh * kw * rows * columns * 2).clamp(STRIP_BYTES, 4 * STRIP_BYTES);
        let mut band = out_h;
        while band > 1 && (bytes(band) > strip || summed(band) > 3 * MANY_PIXELS) {
            band = band.div_ceil(2);
        }
        let units = if band == out_h {
            (strip / bytes(band)).min(MANY_PIXELS / summed(band)).clamp(1, MAX_UNITS)
        } else {
            1
        };
        let (summed, reached) = (summed(band), reached(band));
        let row_bytes = row_bytes(units * reached);
        Self { source, pitch, band, units, summed, reached, phases, row_bytes }
    }
}

/// Output rows of an image on the grid.
#[derive(Clone, Copy)]
struct Unit {
    image: usize,
    y: usize,
    rows: usize,
}

/// Channels of 32 pixels; null stands for zeros.
type Pixels = [*const f32; DEPTH];

impl TileWeightGrad {
    /// Whether tiles are faster than vectors, measured with `examples/kernel_speed`: each split
    /// value must meet enough others.
    pub fn pays(geometry: &Geometry, parts: usize) -> bool {
        let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
        let (inputs, outputs) = (taps * geometry.inputs, geometry.outputs);
        parts < 3 || inputs * outputs >= 40 * (inputs + outputs)
    }

    /// Plans for checked sizes.
    pub fn new(multiplier: Multiplier, geometry: Geometry, parts: usize) -> Self {
        let Geometry { window, inputs, outputs, .. } = geometry;
        let taps = window.kernel[0] * window.kernel[1];
        let (source, rows) = if geometry.is_flat() {
            (Source::Flat, inputs)
        } else if inputs < MIN_CHANNELS {
            (Source::Unfolded, taps * inputs)
        } else {
            (Source::Rows, inputs)
        };
        let rows = rows.next_multiple_of(SIDE);
        let columns = outputs.next_multiple_of(SIDE);
        let grid = Grid::new(&geometry, source, rows, columns, parts);
        let mut offsets = Vec::new();
        for unit in 0..grid.units {
            for block in 0..grid.summed / DEPTH {
                offsets.push((unit * grid.reached + block * DEPTH) * 2);
            }
        }
        Self { multiplier, geometry, parts, grid, rows, columns, offsets }
    }

    /// Taps that each have their own sums.
    fn taps(&self) -> usize {
        match self.grid.source {
            Source::Rows => self.geometry.window.kernel[0] * self.geometry.window.kernel[1],
            _ => 1,
        }
    }

    /// Values of the sums: `[taps, rows, columns]`, or with unfolded windows `[rows, columns]`.
    pub fn sums_len(&self) -> usize {
        self.taps() * self.rows * self.columns
    }

    /// Values of a row of the sums, and rows from a tap to the next.
    pub fn sums_shape(&self) -> (usize, usize) {
        let rows = match self.grid.source {
            Source::Rows => self.rows,
            _ => self.geometry.inputs,
        };
        (self.columns, rows)
    }

    /// Bytes of one part of the split input.
    fn left_bytes(&self) -> usize {
        self.grid.phases[0] * self.grid.phases[1] * self.rows * self.grid.row_bytes
    }

    /// Bytes of the split gradient of the output.
    fn right_bytes(&self) -> usize {
        self.offsets.len() * self.parts * (self.columns / SIDE) * TILE_BYTES
    }

    /// Values of the unfolded windows of one block of pixels.
    fn unfolded_len(&self) -> usize {
        if self.grid.source == Source::Unfolded { DEPTH * self.rows } else { 0 }
    }

    /// Values of scratch that [`TileWeightGrad::add`] needs.
    pub fn scratch_len(&self) -> usize {
        // Up to 15 values are lost to alignment.
        (self.left_bytes() * self.parts + self.right_bytes()) / 4 + self.unfolded_len() + 16
    }

    /// Adds `images` images to the sums.
    ///
    /// # Safety
    /// The multiplier is available; `x` and `dy` hold `images` images, `sums` [`Self::sums_len`] values.
    pub unsafe fn add(
        &self,
        images: usize,
        x: &[f32],
        dy: &[f32],
        scratch: &mut [f32],
        sums: &mut [f32],
    ) {
        assert!(sums.len() >= self.sums_len(), "gradient sums are too short");
        let (left, _) = aligned(scratch, self.scratch_len());
        // SAFETY: the parts follow each other within `scratch_len`; the multiplier is available.
        unsafe {
            let right = left.add(self.left_bytes() * self.parts);
            let unfolded = right.add(self.right_bytes()).cast();
            let add = Add { plan: self, x, dy, left, right, unfolded, sums: sums.as_mut_ptr() };
            let _ready = self.multiplier.ready();
            match self.parts {
                1 => add.strips::<1>(images),
                2 => add.strips::<2>(images),
                _ => add.strips::<3>(images),
            }
        }
    }
}

/// One call.
struct Add<'a> {
    plan: &'a TileWeightGrad,
    x: &'a [f32],
    dy: &'a [f32],
    left: *mut u8,
    right: *mut u8,
    unfolded: *mut f32,
    sums: *mut f32,
}

// Every function below runs with the multiplier made ready, on addresses that `TileWeightGrad::add` checked.
impl Add<'_> {
    unsafe fn strips<const PARTS: usize>(&self, images: usize) {
        let plan = self.plan;
        let grid = &plan.grid;
        let [out_h, out_w] = plan.geometry.window.output;
        // SAFETY: units lie within the images and within the strip, as `Grid` sized it.
        unsafe {
            if grid.source != Source::Rows {
                let all = images * out_h * out_w;
                for start in (0..all).step_by(grid.summed) {
                    let count = grid.summed.min(all - start);
                    for block in 0..count.div_ceil(DEPTH) {
                        let first = start + block * DEPTH;
                        let held = DEPTH.min(all - first);
                        self.flat_block::<PARTS>(block, first, held);
                    }
                    self.products::<PARTS>(count.div_ceil(DEPTH));
                }
                return;
            }
            let mut held = 0;
            for image in 0..images {
                for y in (0..out_h).step_by(grid.band) {
                    let unit = Unit { image, y, rows: grid.band.min(out_h - y) };
                    self.unit::<PARTS>(held, unit);
                    held += 1;
                    if held == grid.units {
                        self.products::<PARTS>(held * grid.summed / DEPTH);
                        held = 0;
                    }
                }
            }
            if held > 0 {
                self.products::<PARTS>(held * grid.summed / DEPTH);
            }
        }
    }

    /// Splits `held` pixels from `first` on, of all images, as block `block`.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn flat_block<const PARTS: usize>(&self, block: usize, first: usize, held: usize) {
        let geometry = &self.plan.geometry;
        let none: Pixels = [std::ptr::null(); DEPTH];
        let (mut x, mut dy) = (none, none);
        for i in 0..held {
            dy[i] = self.dy[(first + i) * geometry.outputs..].as_ptr();
            x[i] = if self.plan.grid.source == Source::Flat {
                self.x[(first + i) * geometry.inputs..].as_ptr()
            } else {
                let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
                let len = taps * geometry.inputs;
                // SAFETY: room for 32 windows, as `scratch_len` says.
                unsafe {
                    let values = self.unfolded.add(i * self.plan.rows);
                    let window = std::slice::from_raw_parts_mut(values, len);
                    geometry.unfold(self.x, first + i, window);
                    values
                }
            };
        }
        let channels = match self.plan.grid.source {
            Source::Unfolded => {
                geometry.window.kernel[0] * geometry.window.kernel[1] * geometry.inputs
            }
            _ => geometry.inputs,
        };
        // SAFETY: pixels have as many channels.
        unsafe {
            self.left_block::<PARTS>(&x, channels, 0, block * DEPTH);
            self.right_block::<PARTS>(&dy, block);
        }
    }

    /// Splits what the windows of a unit's output rows see, and their gradient.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn unit<const PARTS: usize>(&self, place: usize, unit: Unit) {
        let (geometry, grid) = (&self.plan.geometry, &self.plan.grid);
        let window = &geometry.window;
        let ([height, width], [out_h, out_w], s) = (window.input, window.output, window.stride);
        let rows = unit.rows + (window.kernel[0] - 1) / s;
        for phase_y in 0..grid.phases[0] {
            for phase_x in 0..grid.phases[1] {
                let pixel = |row: usize, column: usize| {
                    let y = ((unit.y + row) * s + phase_y).checked_sub(window.before[0])?;
                    let x = (column * s + phase_x).checked_sub(window.before[1])?;
                    let at = (unit.image * height + y) * width + x;
                    (row < rows && y < height && x < width)
                        .then(|| self.x[at * geometry.inputs..].as_ptr())
                };
                let phase = phase_y * grid.phases[1] + phase_x;
                for first in (0..grid.reached).step_by(DEPTH) {
                    let pixels = self.gather(first, pixel);
                    // SAFETY: pixels of all input channels.
                    unsafe {
                        let at = place * grid.reached + first;
                        self.left_block::<PARTS>(&pixels, geometry.inputs, phase, at);
                    }
                }
            }
        }
        let pixel = |row: usize, column: usize| {
            let at = (unit.image * out_h + unit.y + row) * out_w + column;
            (row < unit.rows && column < out_w).then(|| self.dy[at * geometry.outputs..].as_ptr())
        };
        for first in (0..grid.summed).step_by(DEPTH) {
            let pixels = self.gather(first, pixel);
            // SAFETY: pixels of all output channels.
            unsafe {
                self.right_block::<PARTS>(&pixels, (place * grid.summed + first) / DEPTH);
            }
        }
    }

    /// The 32 pixels of a unit's grid from `first` on.
    #[inline]
    fn gather(&self, first: usize, pixel: impl Fn(usize, usize) -> Option<*const f32>) -> Pixels {
        let pitch = self.plan.grid.pitch;
        let (mut row, mut column) = (first / pitch, first % pitch);
        let mut pixels = [std::ptr::null(); DEPTH];
        for found in &mut pixels {
            *found = pixel(row, column).unwrap_or(std::ptr::null());
            column += 1;
            if column == pitch {
                (row, column) = (row + 1, 0);
            }
        }
        pixels
    }

    /// Splits 32 pixels of the input as a block of columns at pixel `at` of the rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn left_block<const PARTS: usize>(
        &self,
        pixels: &Pixels,
        channels: usize,
        phase: usize,
        at: usize,
    ) {
        let plan = self.plan;
        let low = plan.left_bytes();
        for first in (0..plan.rows).step_by(SIDE) {
            let held = channels.saturating_sub(first).min(SIDE);
            // SAFETY: 16 rows of the phase; the pixels have the channels that are read.
            unsafe {
                let row = (phase * plan.rows + first) * plan.grid.row_bytes;
                let to = self.left.add(row + at * 2);
                split::columns::<PARTS>(pixels, first, held, to, plan.grid.row_bytes, low);
            }
        }
    }

    /// Splits 32 pixels of the output's gradient as block `block` of pairs.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn right_block<const PARTS: usize>(&self, pixels: &Pixels, block: usize) {
        let plan = self.plan;
        for first in (0..plan.columns).step_by(SIDE) {
            let held = (plan.geometry.outputs - first).min(SIDE);
            let panel = first / PANEL;
            let wide = (plan.columns - panel * PANEL).min(PANEL) / SIDE;
            let tiles = panel * 2 * plan.offsets.len() * PARTS + block * PARTS * wide;
            // SAFETY: a tile of each part within the strip; as above.
            unsafe {
                let to = self.right.add((tiles + first % PANEL / SIDE) * TILE_BYTES);
                split::rows::<PARTS>(pixels, first, held, to, wide * TILE_BYTES);
            }
        }
    }

    /// Adds the products of the first `blocks` blocks to the sums.
    unsafe fn products<const PARTS: usize>(&self, blocks: usize) {
        let plan = self.plan;
        let (grid, window) = (&plan.grid, &plan.geometry.window);
        let s = window.stride;
        let chunk = if plan.taps() == 1 { blocks } else { CHUNK };
        for column in (0..plan.columns).step_by(PANEL) {
            let wide = plan.columns - column > SIDE;
            let tiles = if wide { 2 } else { 1 };
            for row in (0..plan.rows).step_by(2 * SIDE) {
                let tall = plan.rows - row > SIDE;
                let chunks =
                    (0..blocks).step_by(chunk).flat_map(|b| (0..plan.taps()).map(move |t| (b, t)));
                for (block, tap) in chunks {
                    let (y, x) = (tap / window.kernel[1], tap % window.kernel[1]);
                    let (phase, shift) = if grid.source == Source::Rows {
                        (y % s * grid.phases[1] + x % s, y / s * grid.pitch + x / s)
                    } else {
                        (0, 0)
                    };
                    let panel = column / PANEL * 2 * plan.offsets.len() * PARTS * TILE_BYTES;
                    let sums = (tap * plan.rows + row) * plan.columns + column;
                    // SAFETY: the tap's shift stays within what `reached` covers.
                    unsafe {
                        let start = (phase * plan.rows + row) * grid.row_bytes + shift * 2;
                        let product = Product {
                            left: self.left.add(start),
                            left_row: grid.row_bytes,
                            left_tile: SIDE * grid.row_bytes,
                            low: plan.left_bytes(),
                            offsets: plan.offsets.as_ptr().add(block),
                            blocks: chunk.min(blocks - block),
                            right: self.right.add(panel + block * PARTS * tiles * TILE_BYTES),
                            sums: self.sums.add(sums),
                            sums_row: plan.columns * 4,
                            add: true,
                        };
                        product::multiply::<PARTS>(plan.multiplier, &product, tall, wide);
                    }
                }
            }
        }
    }
}
