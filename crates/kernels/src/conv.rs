//! Dense convolution on channels-last images, with bias, residual and activation fused.
//!
//! A window's rows are contiguous in channels-last memory, so a convolution is a matrix product
//! whose left operand is read straight from the (zero-padded) image: nothing is unfolded.

#[cfg(target_arch = "x86_64")]
use crate::amx::TileConv;
use crate::tile::{Tile, Tiles};
use crate::{Clamp, Isa, KernelError, Precision};

/// Geometry of a convolution or pooling window over one image size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Input height and width in pixels.
    pub input: [usize; 2],
    /// Output height and width in pixels.
    pub output: [usize; 2],
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: usize,
    /// Zero pixels above and to the left.
    pub before: [usize; 2],
}

impl Window {
    /// Height and width that the padded image must have for every window to lie inside.
    pub fn padded(&self) -> [usize; 2] {
        std::array::from_fn(|i| {
            let reach = (self.output[i] - 1) * self.stride + self.kernel[i];
            reach.max(self.before[i] + self.input[i])
        })
    }

    pub(crate) fn needs_padding(&self) -> bool {
        self.padded() != self.input
    }

    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let sizes = [self.input, self.output, self.kernel].concat();
        if self.stride == 0 || sizes.contains(&0) {
            return Err(KernelError::Shape(format!("a window without extent: {self:?}")));
        }
        Ok(())
    }
}

/// Input bytes that are kept in the cache while all panels of weights pass over them.
const BLOCK_BYTES: usize = 384 << 10;

/// A convolution with its weights packed for one instruction level and one image size.
pub struct Conv {
    window: Window,
    inputs: usize,
    outputs: usize,
    tiles: Tiles,
    /// Vectors in a panel.
    vectors: usize,
    /// `[panels, kh·kw·inputs, vectors·LANES]`.
    panels: Vec<f32>,
    /// `[panels, vectors·LANES]`.
    bias: Vec<f32>,
    /// Does the work instead where the machine has matrix tiles; the panels are then empty.
    #[cfg(target_arch = "x86_64")]
    by_tiles: Option<Box<TileConv>>,
}

impl Conv {
    /// Packs `weight` `[outputs, inputs, kh, kw]` and `bias` `[outputs]`.
    pub fn new(
        isa: Isa,
        window: Window,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        Self::with_precision(isa, Precision::F32, window, inputs, outputs, weight, bias)
    }

    /// As [`Conv::new`], in the given precision; any but f32 needs [`Isa::Amx`].
    pub fn with_precision(
        isa: Isa,
        precision: Precision,
        window: Window,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        window.check()?;
        let [kh, kw] = window.kernel;
        let taps = kh * kw * inputs;
        if inputs == 0 || outputs == 0 || weight.len() != outputs * taps || bias.len() != outputs {
            return Err(KernelError::Shape(format!(
                "a {outputs}×{inputs}×{kh}×{kw} convolution with {} weights and {} biases",
                weight.len(),
                bias.len()
            )));
        }
        if !isa.is_available() {
            return Err(KernelError::Unavailable(isa));
        }
        if precision != Precision::F32 && isa != Isa::Amx {
            return Err(KernelError::Unavailable(Isa::Amx));
        }
        let tiles = Tiles::of(isa);
        #[cfg(target_arch = "x86_64")]
        if isa == Isa::Amx && TileConv::pays(&window, inputs, outputs, precision.parts()) {
            let mut conv = TileConv::new(window, inputs, outputs, precision.parts());
            conv.pack(weight, bias);
            return Ok(Self {
                window,
                inputs,
                outputs,
                tiles,
                vectors: 1,
                panels: Vec::new(),
                bias: Vec::new(),
                by_tiles: Some(Box::new(conv)),
            });
        }
        let row = if kh == 1 && kw == 1 && window.stride == 1 {
            window.output[0] * window.output[1]
        } else {
            window.output[1]
        };
        let vectors = best_vectors(tiles, outputs, row);
        let width = vectors * tiles.lanes();
        let count = outputs.div_ceil(width);
        let mut panels = vec![0.0; count * taps * width];
        let mut padded_bias = vec![0.0; count * width];
        padded_bias[..outputs].copy_from_slice(bias);
        for (o, weight) in weight.chunks_exact(taps).enumerate() {
            let (panel, lane) = (o / width, o % width);
            for c in 0..inputs {
                for y in 0..kh {
                    for x in 0..kw {
                        let tap = (y * kw + x) * inputs + c;
                        panels[(panel * taps + tap) * width + lane] = weight[(c * kh + y) * kw + x];
                    }
                }
            }
        }
        Ok(Self {
            window,
            inputs,
            outputs,
            tiles,
            vectors,
            panels,
            bias: padded_bias,
            #[cfg(target_arch = "x86_64")]
            by_tiles: None,
        })
    }

    /// Values of one input image.
    pub fn input_len(&self) -> usize {
        self.window.input[0] * self.window.input[1] * self.inputs
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        self.window.output[0] * self.window.output[1] * self.outputs
    }

    /// Values of scratch that [`Conv::run`] needs for `images` images.
    pub fn scratch_len(&self, images: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if let Some(conv) = &self.by_tiles {
            return conv.scratch_len();
        }
        images * self.padded_len()
    }

    fn padded_len(&self) -> usize {
        if self.window.needs_padding() {
            let [h, w] = self.window.padded();
            h * w * self.inputs
        } else {
            0
        }
    }

    /// Multiply-adds for one image.
    pub fn multiply_adds(&self) -> usize {
        self.output_len() * self.window.kernel[0] * self.window.kernel[1] * self.inputs
    }

    /// `output = clamp(conv(input) + bias + residual)` for `images` images, on this thread.
    ///
    /// # Panics
    /// When a slice is shorter than its `*_len` times `images`: a plan sized it wrongly.
    pub fn run(
        &self,
        images: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        clamp: Clamp,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        assert!(input.len() >= images * self.input_len(), "convolution input is too short");
        assert!(output.len() >= images * self.output_len(), "convolution output is too short");
        assert!(
            residual.is_none_or(|r| r.len() >= images * self.output_len()),
            "convolution residual is too short"
        );
        #[cfg(target_arch = "x86_64")]
        if let Some(conv) = &self.by_tiles {
            // SAFETY: `new` made it because tiles are available; the lengths were checked above.
            return unsafe { conv.run(images, input, residual, clamp, scratch, output) };
        }
        let [out_h, out_w] = self.window.output;
        let [kh, kw] = self.window.kernel;
        let padded = self.window.needs_padding();
        let (source, [source_h, source_w]) = if padded {
            let scratch = &mut scratch[..self.scratch_len(images)];
            self.pad(images, input, scratch);
            (&*scratch, self.window.padded())
        } else {
            (input, self.window.input)
        };
        // A pointwise convolution sees one long row; others go row by row.
        let pointwise = kh == 1 && kw == 1 && self.window.stride == 1 && !padded;
        let grid = if pointwise {
            Grid { rows: 1, row_len: images * out_h * out_w, source_row: 0 }
        } else {
            Grid { rows: images * out_h, row_len: out_w, source_row: source_w * self.inputs }
        };
        let stride = self.window.stride;
        let tile = Tile {
            a: source.as_ptr(),
            a_step: stride * self.inputs,
            runs: kh,
            run_step: source_w * self.inputs,
            run_len: kw * self.inputs,
            panel: self.panels.as_ptr(),
            bias: self.bias.as_ptr(),
            residual: residual.map_or(std::ptr::null(), <[f32]>::as_ptr),
            c: output.as_mut_ptr(),
            c_step: self.outputs,
            columns: 0,
            low: clamp.low,
            high: clamp.high,
        };
        // SAFETY: the lengths were checked above; `Grid` places windows inside `source` because
        // `Window::padded` covers the reach of every one; panels and bias were padded to whole
        // panels by `new`; the instructions were checked by `new`.
        unsafe {
            self.sweep(tile, grid, |row| {
                if pointwise {
                    0
                } else {
                    (row / out_h * source_h + row % out_h * stride) * grid.source_row
                }
            });
        }
    }

    /// Passes every panel over blocks of output rows that fit the cache.
    ///
    /// # Safety
    /// `origin(row)` is the place in `tile.a` of the first window of output row `row`; all windows,
    /// output pixels and residual pixels of `grid` are valid.
    unsafe fn sweep(&self, tile: Tile, grid: Grid, origin: impl Fn(usize) -> usize) {
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
        let panels = self.outputs.div_ceil(width);
        for first_row in (0..grid.rows).step_by(block_rows) {
            let last_row = (first_row + block_rows).min(grid.rows);
            for first in (0..grid.row_len).step_by(block_len) {
                let last = (first + block_len).min(grid.row_len);
                for panel in 0..panels {
                    let column = panel * width;
                    for row in first_row..last_row {
                        let (place, start) = (origin(row), row * grid.row_len);
                        let mut pixel = first;
                        while pixel < last {
                            let rows = balanced(last - pixel, tallest);
                            let at = (start + pixel) * tile.c_step + column;
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
                                    columns: (self.outputs - column).min(width),
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
        let [h, w] = self.window.input;
        let [padded_h, padded_w] = self.window.padded();
        let (row, padded_row) = (w * self.inputs, padded_w * self.inputs);
        let [top, left] = self.window.before.map(|pixels| pixels * self.inputs);
        let top = top / self.inputs;
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
    /// Values in a row of the source image.
    source_row: usize,
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
