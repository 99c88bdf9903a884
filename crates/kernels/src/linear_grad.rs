//! Gradients of a fully connected layer with respect to its input, weights and bias.

use crate::conv::ConvGrad;
use crate::linear::{Epilogue, Linear};
use crate::simd::{Simd, dispatch};
use crate::{Isa, KernelError, Order, Precision, Window};

/// Plans the backward pass of a [`Linear`].
pub struct LinearGrad {
    isa: Isa,
    outputs: usize,
    /// What was the output is summed over.
    reverse: Linear,
    /// Zero, the reverse layer's bias.
    no_bias: Vec<f32>,
    weight: ConvGrad,
}

impl LinearGrad {
    /// Rows are summed in blocks of this many: [`LinearGrad::weight`] takes whole blocks.
    pub const BLOCK: usize = 64;

    /// Plans the gradients of `Linear::planned(isa, precision, inputs, outputs)`.
    ///
    /// # Errors
    /// As [`Linear::planned`].
    pub fn new(
        isa: Isa,
        precision: Precision,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, KernelError> {
        // A block of rows is an image of one row of pixels.
        let block = Window {
            input: [1, Self::BLOCK],
            output: [1, Self::BLOCK],
            kernel: [1, 1],
            stride: 1,
            before: [0, 0],
        };
        Ok(Self {
            isa,
            outputs,
            reverse: Linear::planned(isa, precision, outputs, inputs)?,
            no_bias: vec![0.0; inputs],
            weight: ConvGrad::new(isa, precision, block, inputs, outputs)?,
        })
    }

    /// Brings the weights `[inputs, outputs]` for [`LinearGrad::input`]; on the current rayon pool.
    ///
    /// # Errors
    /// [`KernelError::Shape`] for another number of weights.
    pub fn pack(&mut self, weight: &[f32]) -> Result<(), KernelError> {
        self.reverse.pack(Order::Oihw, weight, &self.no_bias)
    }

    /// Values of scratch that [`LinearGrad::input`] needs for `rows` rows.
    pub fn input_scratch_len(&self, rows: usize) -> usize {
        self.reverse.scratch_len(rows)
    }

    /// `dx = dy·W + add`, `[rows, inputs]`, from `dy` `[rows, outputs]`; on this thread.
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn input(
        &self,
        rows: usize,
        dy: &[f32],
        add: Option<&[f32]>,
        scratch: &mut [f32],
        dx: &mut [f32],
    ) {
        self.reverse.run(rows, dy, Epilogue { residual: add, ..Epilogue::NONE }, scratch, dx);
    }

    /// Values of scratch that [`LinearGrad::weight`] needs for `rows` rows.
    pub fn weight_scratch_len(&self, rows: usize) -> usize {
        self.weight.weight_scratch_len(rows.div_ceil(Self::BLOCK))
    }

    /// `dw = xᵀ·dy`, `[inputs, outputs]`, over `rows` rows; on the current pool, the same bits for
    /// any number of threads.
    ///
    /// `x` and `dy` hold whole blocks of [`LinearGrad::BLOCK`] rows: in those beyond `rows`, `dy`
    /// is zero and `x` finite.
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn weight(&self, rows: usize, x: &[f32], dy: &[f32], scratch: &mut [f32], dw: &mut [f32]) {
        self.weight.weight(rows.div_ceil(Self::BLOCK), x, dy, scratch, dw);
    }

    /// Adds the sum of all rows of `dy` to `db`, row after row; on this thread.
    ///
    /// # Panics
    /// When `db` is not one row, or `dy` not a whole number of them.
    pub fn bias(&self, dy: &[f32], db: &mut [f32]) {
        assert!(db.len() == self.outputs && dy.len().is_multiple_of(self.outputs), "bias gradient");
        let (from, to, rows) = (dy.as_ptr(), db.as_mut_ptr(), dy.len() / self.outputs);
        // `dy` holds `rows` rows of `outputs` values and `db` one.
        dispatch!(self.isa, S => column_sums::<S>(from, rows, self.outputs, to));
    }
}

/// # Safety
/// As [`Simd`]; `from` holds `rows · columns` values, `to` `columns`.
#[inline(always)]
unsafe fn column_sums<S: Simd>(from: *const f32, rows: usize, columns: usize, to: *mut f32) {
    // SAFETY: passed on; a partial vector touches the columns that exist.
    unsafe {
        let mut column = 0;
        while column + S::LANES <= columns {
            let mut sum = S::load(to.add(column));
            for row in 0..rows {
                sum = S::add(sum, S::load(from.add(row * columns + column)));
            }
            S::store(to.add(column), sum);
            column += S::LANES;
        }
        if column < columns {
            let left = columns - column;
            let mut sum = S::load_first(to.add(column), left);
            for row in 0..rows {
                sum = S::add(sum, S::load_first(from.add(row * columns + column), left));
            }
            S::store_first(to.add(column), left, sum);
        }
    }
}
