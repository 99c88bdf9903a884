//! Convolution by vectors: register tiles of output pixels × channels.

use super::{Geometry, Weights};
use crate::tile::{Tile, Tiles};
use crate::{Clamp, Isa};

/// Input bytes that are kept in the cache while all panels of weights pass over them.
const BLOCK_BYTES: usize = 384 << 10;

/// A convolution with its weights packed in panels of vectors.
pub(super) struct VectorConv {
    geometry: Geometry,
    tiles: Tiles,
    /// Vectors in a panel.
    vectors: usize,
    /// `[panels, kh·kw·inputs, vectors·LANES]`.
    panels: Vec<f32>,
    /// `[panels, vectors·LANES]`.
    bias: Vec<f32>,
}

impl VectorConv {
    /// Plans for checked sizes and an available level.
    pub fn new(isa: Isa, geometry: Geometry) -> Self {
        let tiles = Tiles::of(isa);
        let [height, width] = geometry.window.output;
        let row = if geometry.is_flat() { height * width } else { width };
        let vectors = best_vectors(tiles, geometry.outputs, row);
        let width = vectors * tiles.lanes();
        let count = geometry.outputs.div_ceil(width);
        let taps = geometry.window.kernel[0] * geometry.window.kernel[1] * geometry.inputs;
        let (panels, bias) = (vec![0.0; count * taps * width], vec![0.0; count * width]);
        Self { geometry, tiles, vectors, panels, bias }
    }

    /// Copies weights and bias into panels.
    pub fn pack(&mut self, weights: &Weights<'_>, bias: &[f32]) {
        let Geometry { inputs, outputs, .. } = self.geometry;
        self.bias[..outputs].copy_from_slice(bias);
        let width = self.vectors * self.tiles.lanes();
        let rows = weights.taps.len() * inputs;
        for (panel, to) in self.panels.chunks_exact_mut(rows * width).enumerate() {
            let columns = (outputs - panel * width).min(width);
            for (row, to) in to.chunks_exact_mut(width).enumerate() {
                let (tap, channel) = (row / inputs, row % inputs);
                weights.copy(tap, channel, panel * width, &mut to[..columns]);
            }
        }
    }

    /// Values of the image with its border, when it needs one.
    pub fn padded_len(&self) -> usize {
        if self.geometry.window.needs_padding() {
            let [h, w] = self.geometry.window.padded();
            h * w * self.geometry.inputs
        } else {
            0
        }
    }

    /// `output = clamp(conv(input) + bias + residual)`; the caller checked all lengths.
    pub fn run(
        &self,
        images: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        clamp: Clamp,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let Geometry { window, inputs, outputs, placement } = self.geometry;
        let [out_h, out_w] = window.output;
        let [kh, kw] = window.kernel;
        let padded = window.needs_padding();
        let (source, [source_h, source_w]) = if padded {
            let scratch = &mut scratch[..images * self.padded_len()];
            self.pad(images, input, scratch);
            (&*scratch, window.padded())
        } else {
            (input, window.input)
        };
        // A pointwise convolution sees one long row; others go row by row.
        let flat = self.geometry.is_flat();
        let grid = if flat {
            Grid { rows: 1, row_len: images * out_h * out_w }
        } else {
            Grid { rows: images * out_h, row_len: out_w }
        };
        let stride = window.stride;
        let tile = Tile {
            a: source.as_ptr(),
            a_step: stride * inputs,
            runs: kh,
            run_step: source_w * inputs,
            run_len: kw * inputs,
            panel: self.panels.as_ptr(),
            bias: self.bias.as_ptr(),
            residual: residual.map_or(std::ptr::null(), <[f32]>::as_ptr),
            c: output.as_mut_ptr(),
            c_step: placement.step * outputs,
            columns: 0,
            low: clamp.low,
            high: clamp.high,
        };
        // SAFETY: the caller checked the lengths; `origins` places windows inside `source` because
        // `Window::padded` covers the reach of every one; panels and bias were padded to whole
        // panels by `new`; the instructions were checked.
        unsafe {
            self.sweep(tile, grid, |row| {
                if flat {
                    return (0, 0);
                }
                let (image, y) = (row / out_h, row % out_h);
                let from = (image * source_h + y * stride) * source_w * inputs;
                let to = placement.image * image + placement.first + placement.row * y;
                (from, to * outputs)
            });
        }
    }

    /// Passes every panel over blocks of output rows that fit the cache.
    ///
    /// # Safety
    /// `origins(row)` is the place in `tile.a` of the first window of output row `row`, and the
    /// place in `tile.c` of its first pixel; all windows, output pixels and residual pixels of
    /// `grid` are valid.
    unsafe fn sweep(&self, tile: Tile, grid: Grid, origins: impl Fn(usize) -> (usize, usize)) {
        let width = self.vectors * self.tiles.lanes();
        let taps = tile.runs * tile.run_len;
        let tallest = self.tiles.max_rows(self.vectors);
        let row_bytes = (grid.row_len * tile.a_step * 4).max(1);
        let (block_rows, block_len) = if grid.rows == 1 {
            let pixels = BLOCK_BYTES / (tile.a_step * 4).max(1);
            (1, (pixels / tallest * tallest).max(4 * tallest))
        } else {
            ((BLOCK_BYTES / row_bytes).max(1), grid.row_len)
        };
        let panels = self.geometry.outputs.div_ceil(width);
        for first_row in (0..grid.rows).step_by(block_rows) {
            let last_row = (first_row + block_rows).min(grid.rows);
            for first in (0..grid.row_len).step_by(block_len) {
                let last = (first + block_len).min(grid.row_len);
                for panel in 0..panels {
                    let column = panel * width;
                    for row in first_row..last_row {
                        let (place, start) = origins(row);
                        let mut pixel = first;
                        while pixel < last {
                            let rows = balanced(last - pixel, tallest);
                            let at = start + pixel * tile.c_step + column;
                            // SAFETY: the offsets stay inside what the caller vouched for.
                            unsafe {
                                self.tiles.get(self.vectors, rows)(&Tile {
                                    a: tile.a.add(place + pixel * tile.a_step),
                                    panel: tile.panel.add(panel * taps * width),
                                    bias: tile.bias.add(column),
                                    residual: if tile.residual.is_null() {
                                        tile.residual
                                    } else {
                                        tile.residual.add(at)
                                    },
                                    c: tile.c.add(at),
                                    columns: (self.geometry.outputs - column).min(width),
                                    ..tile
                                });
                            }
                            pixel += rows;
                        }
                    }
                }
            }
        }
    }

    /// Copies the images into zero-bordered ones.
    fn pad(&self, images: usize, input: &[f32], scratch: &mut [f32]) {
        let [h, w] = self.geometry.window.input;
        let [padded_h, padded_w] = self.geometry.window.padded();
        let (row, padded_row) = (w * self.geometry.inputs, padded_w * self.geometry.inputs);
        let [top, left] = self.geometry.window.before.map(|pixels| pixels * self.geometry.inputs);
        let top = top / self.geometry.inputs;
        for image in 0..images {
            let input = &input[image * h * row..][..h * row];
            let padded = &mut scratch[image * padded_h * padded_row..][..padded_h * padded_row];
            for (y, to) in padded.chunks_exact_mut(padded_row).enumerate() {
                match y.checked_sub(top).filter(|&y| y < h) {
                    Some(y) => {
                        to[..left].fill(0.0);
                        to[left..left + row].copy_from_slice(&input[y * row..][..row]);
                        to[left + row..].fill(0.0);
                    }
                    None => to.fill(0.0),
                }
            }
        }
    }
}

/// Output rows of a sweep.
#[derive(Clone, Copy)]
struct Grid {
    rows: usize,
    /// Output pixels in a row.
    row_len: usize,
}

/// Height of the next tile when `left` pixels remain: full ones, but no thin last one.
fn balanced(left: usize, tallest: usize) -> usize {
    if left >= 2 * tallest || left <= tallest { left.min(tallest) } else { left.div_ceil(2) }
}

/// The panel width that wastes the least work on `outputs` channels and rows of `row` pixels.
fn best_vectors(tiles: Tiles, outputs: usize, row: usize) -> usize {
    let cost = |vectors: usize| {
        let width = vectors * tiles.lanes();
        let tallest = tiles.max_rows(vectors).min(row);
        // A tile takes max(multiply-adds, loads): two of either a cycle.
        let per_tap = (tallest * vectors).max(tallest + vectors) as f64;
        let tiles_in_row = (row as f64 / tallest as f64).ceil();
        let panels = outputs.div_ceil(width) as f64;
        // Few accumulators cannot hide the latency of the multiply-add (four cycles, two ports).
        let latency = (8.0 / (tallest * vectors) as f64).max(1.0);
        panels * tiles_in_row * per_tap * latency
    };
    let mut best = 1;
    for vectors in 2..=tiles.max_vectors() {
        if cost(vectors) <= cost(best) {
            best = vectors;
        }
    }
    best
}
