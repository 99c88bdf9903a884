//! Depthwise convolution on channels-last images: vector over channels, no unfolding.

use crate::conv::Window;
use crate::simd::{Simd, dispatch, load_lanes, store_lanes};
use crate::{Clamp, Isa, KernelError, Order};

/// Output pixels that are accumulated side by side.
const ACROSS: usize = 4;

/// A depthwise convolution with its weights packed.
pub struct Depthwise {
    isa: Isa,
    window: Window,
    channels: usize,
    /// `[kh·kw, channels]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// Stands in for input rows above and below the image.
    zeros: Vec<f32>,
}

impl Depthwise {
    /// Packs `weight` `[channels, 1, kh, kw]` and `bias` `[channels]`.
    pub fn new(
        isa: Isa,
        window: Window,
        channels: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        check(&window, channels, weight, bias)?;
        if !isa.is_available() {
            return Err(KernelError::Unavailable(isa));
        }
        let zeros = vec![0.0; window.input[1] * channels];
        let packed = vec![0.0; weight.len()];
        let mut conv = Self { isa, window, channels, weight: packed, bias: bias.to_vec(), zeros };
        conv.pack(Order::Oihw, weight, bias)?;
        Ok(conv)
    }

    /// Brings other weights (`channels · kh · kw` values) and biases (`channels`).
    pub fn pack(&mut self, order: Order, weight: &[f32], bias: &[f32]) -> Result<(), KernelError> {
        if weight.len() != self.weight.len() || bias.len() != self.channels {
            return Err(KernelError::Shape(format!(
                "{} depthwise weights and {} biases",
                weight.len(),
                bias.len()
            )));
        }
        self.bias.copy_from_slice(bias);
        match order {
            Order::Hwio => self.weight.copy_from_slice(weight),
            Order::Oihw => {
                let taps = weight.len() / self.channels;
                for (c, weight) in weight.chunks_exact(taps).enumerate() {
                    for (tap, &w) in weight.iter().enumerate() {
                        self.weight[tap * self.channels + c] = w;
                    }
                }
            }
        }
        Ok(())
    }

    /// Values of one input image.
    pub fn input_len(&self) -> usize {
        self.window.input[0] * self.window.input[1] * self.channels
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        self.window.output[0] * self.window.output[1] * self.channels
    }

    /// Multiply-adds for one image.
    pub fn multiply_adds(&self) -> usize {
        self.output_len() * self.window.kernel[0] * self.window.kernel[1]
    }

    /// `output = clamp(conv(input) + bias)` for `images` images, on this thread.
    ///
    /// # Panics
    /// When a slice is shorter than its `*_len` times `images`.
    pub fn run(&self, images: usize, input: &[f32], clamp: Clamp, output: &mut [f32]) {
        for image in 0..images {
            let input = &input[image * self.input_len()..][..self.input_len()];
            let output = &mut output[image * self.output_len()..][..self.output_len()];
            self.rows(Rows::whole(input), 0..self.window.output[0], clamp, output);
        }
    }

    /// Output rows `rows` of one image, written to `output` from its start.
    pub(crate) fn rows(
        &self,
        input: Rows<'_>,
        rows: std::ops::Range<usize>,
        clamp: Clamp,
        output: &mut [f32],
    ) {
        let row_len = self.window.output[1] * self.channels;
        assert!(output.len() >= rows.len() * row_len, "depthwise output is too short");
        for (y, output) in rows.zip(output.chunks_exact_mut(row_len)) {
            let top = (y * self.window.stride) as isize - self.window.before[0] as isize;
            // The lengths that `row` relies on were checked above and are by `Rows::get`.
            dispatch!(self.isa, S => self.row::<S>(&input, top, clamp, output));
        }
    }

    /// One output row whose window starts at input row `top`.
    ///
    /// # Safety
    /// As [`Simd`]; `output` holds a whole output row.
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, input: &Rows<'_>, top: isize, clamp: Clamp, output: &mut [f32]) {
        // SAFETY: passed on; the const kernel and stride equal the window's.
        unsafe {
            match (self.window.kernel, self.window.stride) {
                ([3, 3], 1) => self.row_of::<S, 3, 1>(input, top, clamp, output),
                ([3, 3], 2) => self.row_of::<S, 3, 2>(input, top, clamp, output),
                ([5, 5], 1) => self.row_of::<S, 5, 1>(input, top, clamp, output),
                ([5, 5], 2) => self.row_of::<S, 5, 2>(input, top, clamp, output),
                _ => self.row_any::<S>(input, top, clamp, output),
            }
        }
    }

    /// A row for a square kernel and a stride that are known when compiling.
    ///
    /// # Safety
    /// As [`Depthwise::row`].
    #[inline(always)]
    unsafe fn row_of<S: Simd, const K: usize, const STRIDE: usize>(
        &self,
        input: &Rows<'_>,
        top: isize,
        clamp: Clamp,
        output: &mut [f32],
    ) {
        let c = self.channels;
        let rows: [*const f32; K] = std::array::from_fn(|i| {
            let row = input.get(top + i as isize, self.zeros.len(), self.window.input[0]);
            row.unwrap_or(&self.zeros).as_ptr()
        });
        let full = c / S::LANES * S::LANES;
        // SAFETY: each row holds `input[1]·c` values, and blocks touch `lanes` channels below `c`.
        unsafe {
            for ch in (0..full).step_by(S::LANES) {
                self.block::<S, K, STRIDE, true>(&rows, ch, S::LANES, clamp, output);
            }
            if full < c {
                self.block::<S, K, STRIDE, false>(&rows, full, c - full, clamp, output);
            }
        }
    }

    /// A row of one vector of channels, with its weights in registers.
    ///
    /// # Safety
    /// As [`Depthwise::row`]; `rows` point at whole input rows; `FULL` means `lanes == S::LANES`.
    #[inline(always)]
    unsafe fn block<S: Simd, const K: usize, const STRIDE: usize, const FULL: bool>(
        &self,
        rows: &[*const f32; K],
        ch: usize,
        lanes: usize,
        clamp: Clamp,
        output: &mut [f32],
    ) {
        let (w, c) = (self.window.input[1], self.channels);
        let (out_w, left) = (self.window.output[1], self.window.before[1]);
        // Output pixels whose whole window lies inside the row.
        let inner_first = left.div_ceil(STRIDE).min(out_w);
        let inner_last = (w + left)
            .checked_sub(K)
            .map_or(inner_first, |reach| (reach / STRIDE + 1).clamp(inner_first, out_w));
        let output = output.as_mut_ptr();
        // SAFETY: columns are inside the row (inner pixels by the bounds above, others checked
        // tap by tap); lanes past the last channel are neither read nor written.
        unsafe {
            let (low, high) = (S::splat(clamp.low), S::splat(clamp.high));
            // Loops, not closures: a closure would not inherit the instructions of its caller.
            let mut weight = [[S::splat(0.0); K]; K];
            for (i, weight) in weight.iter_mut().enumerate() {
                for (j, weight) in weight.iter_mut().enumerate() {
                    *weight = load_lanes::<S, FULL>(
                        self.weight.as_ptr().add((i * K + j) * c + ch),
                        lanes,
                    );
                }
            }
            let bias = load_lanes::<S, FULL>(self.bias.as_ptr().add(ch), lanes);
            for x in (0..inner_first).chain(inner_last..out_w) {
                let mut acc = bias;
                // Taps of the window that lie inside the row.
                let first = left.saturating_sub(x * STRIDE);
                let last = K.min((w + left).saturating_sub(x * STRIDE));
                for (row, weight) in rows.iter().zip(&weight) {
                    for (j, &weight) in weight.iter().enumerate() {
                        if j >= first && j < last {
                            let column = x * STRIDE + j - left;
                            let value = load_lanes::<S, FULL>(row.add(column * c + ch), lanes);
                            acc = S::mul_add(value, weight, acc);
                        }
                    }
                }
                let y = S::min(high, S::max(low, acc));
                store_lanes::<S, FULL>(output.add(x * c + ch), lanes, y);
            }
            let mut x = inner_first;
            while x + ACROSS <= inner_last {
                let mut acc = [bias; ACROSS];
                let first = (x * STRIDE - left) * c + ch;
                for (row, weight) in rows.iter().zip(&weight) {
                    let row = row.add(first);
                    // Neighbouring windows share columns: load each once.
                    for column in 0..(ACROSS - 1) * STRIDE + K {
                        let value = load_lanes::<S, FULL>(row.add(column * c), lanes);
                        for (t, acc) in acc.iter_mut().enumerate() {
                            if column >= t * STRIDE && column < t * STRIDE + K {
                                *acc = S::mul_add(value, weight[column - t * STRIDE], *acc);
                            }
                        }
                    }
                }
                for (t, &acc) in acc.iter().enumerate() {
                    let y = S::min(high, S::max(low, acc));
                    store_lanes::<S, FULL>(output.add((x + t) * c + ch), lanes, y);
                }
                x += ACROSS;
            }
            while x < inner_last {
                let mut acc = bias;
                let first = (x * STRIDE - left) * c + ch;
                for (row, weight) in rows.iter().zip(&weight) {
                    for (j, &weight) in weight.iter().enumerate() {
                        let value = load_lanes::<S, FULL>(row.add(first + j * c), lanes);
                        acc = S::mul_add(value, weight, acc);
                    }
                }
                let y = S::min(high, S::max(low, acc));
                store_lanes::<S, FULL>(output.add(x * c + ch), lanes, y);
                x += 1;
            }
        }
    }

    /// A row of any window, tap by tap.
    ///
    /// # Safety
    /// As [`Depthwise::row`].
    #[inline(always)]
    unsafe fn row_any<S: Simd>(
        &self,
        input: &Rows<'_>,
        top: isize,
        clamp: Clamp,
        output: &mut [f32],
    ) {
        let (w, c) = (self.window.input[1], self.channels);
        let [kh, kw] = self.window.kernel;
        for x in 0..self.window.output[1] {
            for ch in 0..c {
                let mut acc = self.bias[ch];
                for i in 0..kh {
                    let row = input.get(top + i as isize, w * c, self.window.input[0]);
                    for j in 0..kw {
                        let column =
                            (x * self.window.stride + j).checked_sub(self.window.before[1]);
                        if let (Some(row), Some(column)) = (row, column.filter(|&x| x < w)) {
                            acc += row[column * c + ch] * self.weight[(i * kw + j) * c + ch];
                        }
                    }
                }
                output[x * c + ch] =
                    if acc.is_nan() { acc } else { acc.clamp(clamp.low, clamp.high) };
            }
        }
    }
}

/// Whether the sizes of a depthwise convolution fit together.
pub(crate) fn check(
    window: &Window,
    channels: usize,
    weight: &[f32],
    bias: &[f32],
) -> Result<(), KernelError> {
    window.check()?;
    let taps = window.kernel[0] * window.kernel[1];
    if channels == 0 || weight.len() != channels * taps || bias.len() != channels {
        return Err(KernelError::Shape(format!(
            "a depthwise convolution of {channels} channels with {} weights and {} biases",
            weight.len(),
            bias.len()
        )));
    }
    Ok(())
}

/// Rows of one image, of which a rolling buffer may hold only the latest.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    data: &'a [f32],
    /// Rows that the buffer holds before it wraps; `usize::MAX` for a whole image.
    held: usize,
}

impl<'a> Rows<'a> {
    pub fn whole(data: &'a [f32]) -> Self {
        Self { data, held: usize::MAX }
    }

    /// Row `y` of `row_len` values; `None` outside `0..height`.
    #[inline(always)]
    pub fn get(&self, y: isize, row_len: usize, height: usize) -> Option<&'a [f32]> {
        let y = usize::try_from(y).ok().filter(|&y| y < height)? % self.held;
        Some(&self.data[y * row_len..(y + 1) * row_len])
    }
}
