//! Fully connected layers: rows times a packed matrix, with bias, residual and activation fused.

use crate::simd::dispatch;
use crate::tile::{Tile, Tiles};
use crate::{Activation, Clamp, Conv, Isa, KernelError, Order, Precision, Window};
use rayon::prelude::*;

/// Input bytes that are kept in the cache while all panels of weights pass over them.
const BLOCK_BYTES: usize = 512 << 10;

/// What follows the product: `act(x·Wᵀ + bias + residual)`.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// Added before the activation, `[rows, outputs]`.
    pub residual: Option<&'a [f32]>,
    /// Applied last.
    pub act: Activation,
}

impl Epilogue<'_> {
    /// Bias alone.
    pub const NONE: Self = Self { residual: None, act: Activation::None };
}

/// A matrix packed for one instruction level: the one face for products with many rows.
pub struct Linear {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    engine: Engine,
}

enum Engine {
    Vectors(Panels),
    /// A pointwise convolution is the same product; each row is an image of one pixel.
    Pointwise(Box<Conv>),
}

struct Panels {
    tiles: Tiles,
    /// Vectors in a panel.
    vectors: usize,
    /// `[panels, inputs, vectors·LANES]`.
    weight: Vec<f32>,
    /// `[panels, vectors·LANES]`.
    bias: Vec<f32>,
}

impl Linear {
    /// Packs `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Errors
    /// [`KernelError::Shape`] for sizes that disagree, [`KernelError::Unavailable`] for a level or
    /// precision that this machine lacks.
    pub fn new(
        isa: Isa,
        precision: Precision,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        let mut linear = Self::planned(isa, precision, inputs, outputs)?;
        linear.pack(Order::Oihw, weight, bias)?;
        Ok(linear)
    }

    /// A layer whose weights and bias are zero until [`Linear::pack`].
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn planned(
        isa: Isa,
        precision: Precision,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, KernelError> {
        if inputs == 0 || outputs == 0 {
            return Err(KernelError::Shape(format!("a {outputs}×{inputs} matrix")));
        }
        if !isa.is_available() {
            return Err(KernelError::Unavailable(isa));
        }
        let engine = if isa == Isa::Amx || precision != Precision::F32 {
            let pixel = Window::PIXEL;
            Engine::Pointwise(Box::new(Conv::planned(isa, precision, pixel, inputs, outputs)?))
        } else {
            Engine::Vectors(Panels::new(isa, inputs, outputs))
        };
        Ok(Self { isa, inputs, outputs, engine })
    }

    /// Brings other weights, `[outputs, inputs]` or ([`Order::Hwio`]) `[inputs, outputs]`, and biases
    /// `[outputs]`; on the current rayon pool.
    ///
    /// # Errors
    /// [`KernelError::Shape`] for lengths that disagree.
    pub fn pack(&mut self, order: Order, weight: &[f32], bias: &[f32]) -> Result<(), KernelError> {
        let Self { inputs, outputs, .. } = *self;
        if weight.len() != inputs * outputs || bias.len() != outputs {
            return Err(KernelError::Shape(format!(
                "a {outputs}×{inputs} matrix with {} weights and {} biases",
                weight.len(),
                bias.len()
            )));
        }
        match &mut self.engine {
            Engine::Vectors(panels) => {
                panels.pack(order, inputs, outputs, weight, bias);
                Ok(())
            }
            Engine::Pointwise(conv) => conv.pack(order, weight, bias),
        }
    }

    /// Values of an input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values of an output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Values of scratch that [`Linear::run`] needs for `rows` rows.
    pub fn scratch_len(&self, rows: usize) -> usize {
        match &self.engine {
            Engine::Vectors(_) => 0,
            Engine::Pointwise(conv) => conv.scratch_len(rows),
        }
    }

    /// `output = act(input·Wᵀ + bias + residual)` for `rows` rows, on this thread.
    ///
    /// A row's result depends on that row alone.
    ///
    /// # Panics
    /// When a slice is shorter than its rows.
    pub fn run(
        &self,
        rows: usize,
        input: &[f32],
        epilogue: Epilogue<'_>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        assert!(input.len() >= rows * self.inputs, "linear input is too short");
        assert!(output.len() >= rows * self.outputs, "linear output is too short");
        let Epilogue { residual, act } = epilogue;
        assert!(
            residual.is_none_or(|r| r.len() >= rows * self.outputs),
            "linear residual is too short"
        );
        // Clamps are part of the product's own epilogue.
        let (clamp, act) = match act {
            Activation::Relu => (Clamp::RELU, Activation::None),
            Activation::Relu6 => (Clamp::RELU6, Activation::None),
            other => (Clamp::NONE, other),
        };
        match &self.engine {
            Engine::Vectors(panels) => {
                let residual = residual.map_or(std::ptr::null(), <[f32]>::as_ptr);
                let tile = Tile {
                    a: input.as_ptr(),
                    a_step: self.inputs,
                    runs: 1,
                    run_step: 0,
                    run_len: self.inputs,
                    panel: panels.weight.as_ptr(),
                    bias: panels.bias.as_ptr(),
                    residual,
                    c: output.as_mut_ptr(),
                    c_step: self.outputs,
                    columns: self.outputs,
                    low: clamp.low,
                    high: clamp.high,
                };
                // SAFETY: the lengths were checked above, and the level by `new`.
                unsafe { panels.sweep(self.isa, rows, tile, act) };
            }
            Engine::Pointwise(conv) => {
                let output = &mut output[..rows * self.outputs];
                conv.run(rows, input, residual, clamp, scratch, output);
                act.apply(self.isa, output);
            }
        }
    }
}

impl Panels {
    fn new(isa: Isa, inputs: usize, outputs: usize) -> Self {
        let tiles = Tiles::of(isa);
        let vectors = panel_vectors(tiles, outputs);
        let width = vectors * tiles.lanes();
        let count = outputs.div_ceil(width);
        let (weight, bias) = (vec![0.0; count * inputs * width], vec![0.0; count * width]);
        Self { tiles, vectors, weight, bias }
    }

    fn pack(&mut self, order: Order, inputs: usize, outputs: usize, weight: &[f32], bias: &[f32]) {
        let width = self.vectors * self.tiles.lanes();
        self.bias[..outputs].copy_from_slice(bias);
        let panels = self.weight.par_chunks_exact_mut(inputs * width).enumerate();
        panels.for_each(|(panel, to)| {
            let first = panel * width;
            let columns = (outputs - first).min(width);
            match order {
                Order::Oihw => {
                    for lane in 0..columns {
                        let row = &weight[(first + lane) * inputs..][..inputs];
                        for (to, &w) in to[lane..].iter_mut().step_by(width).zip(row) {
                            *to = w;
                        }
                    }
                }
                Order::Hwio => {
                    for (to, row) in to.chunks_exact_mut(width).zip(weight.chunks_exact(outputs)) {
                        to[..columns].copy_from_slice(&row[first..first + columns]);
                    }
                }
            }
        });
    }

    /// Passes every panel over blocks of rows that fit the cache; `whole` describes all rows and
    /// columns.
    ///
    /// # Safety
    /// The rows and columns of `whole` are valid; the level is available.
    unsafe fn sweep(&self, isa: Isa, rows: usize, whole: Tile, act: Activation) {
        let inputs = whole.run_len;
        let width = self.vectors * self.tiles.lanes();
        let tallest = self.tiles.max_rows(self.vectors);
        let block = (BLOCK_BYTES / (4 * inputs) / tallest).max(4) * tallest;
        for first in (0..rows).step_by(block) {
            let last = (first + block).min(rows);
            for (panel, column) in (0..whole.columns).step_by(width).enumerate() {
                let columns = (whole.columns - column).min(width);
                let mut row = first;
                while row < last {
                    let height = height(last - row, tallest);
                    let at = row * whole.c_step + column;
                    // SAFETY: row, column and panel lie within what the caller vouched for.
                    unsafe {
                        self.tiles.get(self.vectors, height)(&Tile {
                            a: whole.a.add(row * inputs),
                            panel: whole.panel.add(panel * inputs * width),
                            bias: whole.bias.add(column),
                            residual: if whole.residual.is_null() {
                                whole.residual
                            } else {
                                whole.residual.add(at)
                            },
                            c: whole.c.add(at),
                            columns,
                            ..whole
                        });
                    }
                    if act != Activation::None {
                        // The tile just wrote these columns of these rows.
                        dispatch!(isa, S => {
                            for row in row..row + height {
                                let c = whole.c.add(row * whole.c_step + column);
                                act.apply_at::<S>(c, c, columns);
                            }
                        });
                    }
                    row += height;
                }
            }
        }
    }
}

/// Height of the next tile when `left` rows remain: full ones, but no thin last one.
pub(crate) fn height(left: usize, tallest: usize) -> usize {
    if left >= 2 * tallest || left <= tallest { left.min(tallest) } else { left.div_ceil(2) }
}

/// The panel width that wastes the fewest multiply-adds on `outputs` columns; of equals the one
/// that reads the fewest weights a multiply-add, which is the tallest.
pub(crate) fn panel_vectors(tiles: Tiles, outputs: usize) -> usize {
    let cost = |vectors: usize| {
        let tallest = tiles.max_rows(vectors) as f64;
        let panels = outputs.div_ceil(vectors * tiles.lanes()) as f64;
        let wide = vectors as f64;
        // Two multiply-adds or two loads a cycle; a few sums cannot hide the latency.
        let latency = (8.0 / (tallest * wide)).max(1.0);
        panels * (tallest * wide).max(tallest + wide) / tallest * latency
    };
    let all = 1..=tiles.max_vectors();
    all.min_by(|&a, &b| cost(a).total_cmp(&cost(b)).then(b.min(3).cmp(&a.min(3)))).unwrap_or(1)
}
