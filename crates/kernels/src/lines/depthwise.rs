//! Depthwise convolution of images in lines.
//!
//! The two bf16 values of 32 bits are f32 values as they lie: the upper one when the lower half is
//! cleared, the lower one when it is shifted up. So a line is two vectors, its even and its odd
//! channels, and the weights are packed in that order.

use super::{Line, WIDTH};
use crate::conv::Window;
use crate::{Clamp, Isa, KernelError};

/// A depthwise convolution from lines to lines, with f32 weights and sums.
pub struct LinesDepthwise {
    window: Window,
    planes: usize,
    /// `[planes][kh·kw + 1][even, odd]`: the weights of each tap, then the bias.
    packed: Vec<Lanes>,
    /// Stands in for input rows above and below the image.
    zeros: Vec<Line>,
}

/// The even, then the odd channels of a line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Lanes([f32; WIDTH]);

impl LinesDepthwise {
    /// Packs `weight` `[channels, 1, kh, kw]` and `bias` `[channels]`.
    ///
    /// # Errors
    /// Where the level does not multiply bf16 (whose input and output lines are), or sizes do not fit.
    pub fn new(
        isa: Isa,
        window: Window,
        channels: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        crate::depthwise::check(&window, channels, weight, bias)?;
        let taps = window.kernel[0] * window.kernel[1];
        if !isa.has_bf16() || !isa.is_available() {
            return Err(KernelError::Unavailable(Isa::Avx512Bf16));
        }
        let planes = Line::per_pixel(channels);
        let mut packed = vec![Lanes([0.0; WIDTH]); planes * (taps + 1)];
        for channel in 0..channels {
            let lane = channel % WIDTH / 2 + channel % 2 * (WIDTH / 2);
            let packed = &mut packed[channel / WIDTH * (taps + 1)..][..taps + 1];
            for (to, &w) in packed.iter_mut().zip(&weight[channel * taps..][..taps]) {
                to.0[lane] = w;
            }
            packed[taps].0[lane] = bias[channel];
        }
        let zeros = vec![Line::ZERO; window.input[1] * planes];
        Ok(Self { window, planes, packed, zeros })
    }

    /// `output = clamp(conv(input) + bias)` for `images` images, on this thread.
    ///
    /// # Panics
    /// When a slice is too short for the images.
    pub fn run(&self, images: usize, input: &[Line], clamp: Clamp, output: &mut [Line]) {
        let [height, width] = self.window.input;
        let [out_h, out_w] = self.window.output;
        let (taken, given) = (height * width * self.planes, out_h * out_w * self.planes);
        let (input, output) = (&input[..images * taken], &mut output[..images * given]);
        for (input, output) in input.chunks_exact(taken).zip(output.chunks_exact_mut(given)) {
            for (y, output) in output.chunks_exact_mut(out_w * self.planes).enumerate() {
                self.row(input, y, clamp, output);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn row(&self, input: &[Line], y: usize, clamp: Clamp, output: &mut [Line]) {
        // SAFETY: a plan exists only where the instructions do; `input` is an image and `output` a
        // row, for a window whose kernel and stride these are.
        unsafe {
            match (self.window.kernel, self.window.stride) {
                ([3, 3], 1) => vectors::row::<3, 1>(self, input, y, clamp, output),
                ([3, 3], 2) => vectors::row::<3, 2>(self, input, y, clamp, output),
                ([5, 5], 1) => vectors::row::<5, 1>(self, input, y, clamp, output),
                ([5, 5], 2) => vectors::row::<5, 2>(self, input, y, clamp, output),
                _ => vectors::any_row(self, input, y, clamp, output),
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn row(&self, _: &[Line], _: usize, _: Clamp, _: &mut [Line]) {}

    /// Input row under tap `i` of output row `y`.
    fn source<'a>(&'a self, input: &'a [Line], y: usize, i: usize) -> Option<&'a [Line]> {
        let row = (y * self.window.stride + i).checked_sub(self.window.before[0])?;
        let len = self.zeros.len();
        (row < self.window.input[0]).then(|| &input[row * len..][..len])
    }
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::*;

    use super::{Lanes, LinesDepthwise};
    use crate::bf16::{bits, clamped};
    use crate::{Clamp, Line};

    /// Output pixels that are accumulated side by side.
    const ACROSS: usize = 4;

    /// The even and the odd channels of a line.
    type Pair = [__m512; 2];

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(line: *const Line) -> Pair {
        // SAFETY: a line is as large as a vector and aligned like one.
        unsafe {
            let line = _mm512_load_si512(line.cast());
            let odd = _mm512_and_si512(line, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(line)), _mm512_castsi512_ps(odd)]
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn lanes(packed: *const Lanes) -> Pair {
        // SAFETY: two vectors, aligned.
        unsafe { [_mm512_load_ps(packed.cast()), _mm512_load_ps(packed.cast::<f32>().add(16))] }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn multiply_add(x: Pair, weight: Pair, sum: &mut Pair) {
        sum[0] = _mm512_fmadd_ps(x[0], weight[0], sum[0]);
        sum[1] = _mm512_fmadd_ps(x[1], weight[1], sum[1]);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn store(to: *mut Line, sum: Pair, clamp: Clamp) {
        let [even, odd] = clamped(sum, clamp);
        let line = bits(_mm512_cvtne2ps_pbh(odd, even));
        // SAFETY: a line is as large as a vector and aligned like one.
        unsafe {
            let interleave = _mm512_loadu_si512(crate::bf16::INTERLEAVE.as_ptr().cast());
            _mm512_store_si512(to.cast(), _mm512_permutexvar_epi16(interleave, line));
        }
    }

    /// One output row of a square kernel and a stride that are known when compiling.
    ///
    /// # Safety
    /// The instructions are there; the kernel and stride are the window's, `input` is an image and
    /// `output` a row of it.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn row<const K: usize, const STRIDE: usize>(
        conv: &LinesDepthwise,
        input: &[Line],
        y: usize,
        clamp: Clamp,
        output: &mut [Line],
    ) {
        let (w, planes) = (conv.window.input[1], conv.planes);
        let (out_w, left) = (conv.window.output[1], conv.window.before[1]);
        let mut rows = [conv.zeros.as_ptr(); K];
        for (i, row) in rows.iter_mut().enumerate() {
            if let Some(source) = conv.source(input, y, i) {
                *row = source.as_ptr();
            }
        }
        // Output pixels whose whole window lies inside the row.
        let inner_first = left.div_ceil(STRIDE).min(out_w);
        let inner_last = (w + left)
            .checked_sub(K)
            .map_or(inner_first, |reach| (reach / STRIDE + 1).clamp(inner_first, out_w));
        let taps = K * K;
        for plane in 0..planes {
            // SAFETY: columns are inside the row (inner pixels by the bounds above, others checked
            // tap by tap), planes inside a pixel.
            unsafe {
                let packed = conv.packed.as_ptr().add(plane * (taps + 1));
                let mut weight = [[[_mm512_setzero_ps(); 2]; K]; K];
                for (i, weight) in weight.iter_mut().enumerate() {
                    for (j, weight) in weight.iter_mut().enumerate() {
                        *weight = lanes(packed.add(i * K + j));
                    }
                }
                let bias = lanes(packed.add(taps));
                let output = output.as_mut_ptr().add(plane);
                for x in (0..inner_first).chain(inner_last..out_w) {
                    let mut sum = bias;
                    let first = left.saturating_sub(x * STRIDE);
                    let last = K.min((w + left).saturating_sub(x * STRIDE));
                    for (row, weight) in rows.iter().zip(&weight) {
                        for (j, &weight) in weight.iter().enumerate() {
                            if j >= first && j < last {
                                let column = x * STRIDE + j - left;
                                let value = load(row.add(column * planes + plane));
                                multiply_add(value, weight, &mut sum);
                            }
                        }
                    }
                    store(output.add(x * planes), sum, clamp);
                }
                let mut x = inner_first;
                while x + ACROSS <= inner_last {
                    let mut sums = [bias; ACROSS];
                    let first = (x * STRIDE - left) * planes + plane;
                    for (row, weight) in rows.iter().zip(&weight) {
                        let row = row.add(first);
                        // Neighbouring windows share columns: load each once.
                        for column in 0..(ACROSS - 1) * STRIDE + K {
                            let value = load(row.add(column * planes));
                            for (t, sum) in sums.iter_mut().enumerate() {
                                if column >= t * STRIDE && column < t * STRIDE + K {
                                    multiply_add(value, weight[column - t * STRIDE], sum);
                                }
                            }
                        }
                    }
                    for (t, &sum) in sums.iter().enumerate() {
                        store(output.add((x + t) * planes), sum, clamp);
                    }
                    x += ACROSS;
                }
                while x < inner_last {
                    let mut sum = bias;
                    let first = (x * STRIDE - left) * planes + plane;
                    for (row, weight) in rows.iter().zip(&weight) {
                        for (j, &weight) in weight.iter().enumerate() {
                            let value = load(row.add(first + j * planes));
                            multiply_add(value, weight, &mut sum);
                        }
                    }
                    store(output.add(x * planes), sum, clamp);
                    x += 1;
                }
            }
        }
    }

    /// One output row of any window.
    ///
    /// # Safety
    /// As [`row`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn any_row(
        conv: &LinesDepthwise,
        input: &[Line],
        y: usize,
        clamp: Clamp,
        output: &mut [Line],
    ) {
        let [kh, kw] = conv.window.kernel;
        for (at, output) in output.iter_mut().enumerate() {
            let (x, plane) = (at / conv.planes, at % conv.planes);
            let packed = &conv.packed[plane * (kh * kw + 1)..][..kh * kw + 1];
            // SAFETY: addresses of lines and weights that are there.
            unsafe {
                let mut sum = lanes(&packed[kh * kw]);
                for i in 0..kh {
                    let Some(row) = conv.source(input, y, i) else { continue };
                    for j in 0..kw {
                        let column =
                            (x * conv.window.stride + j).checked_sub(conv.window.before[1]);
                        let Some(column) = column.filter(|&c| c < conv.window.input[1]) else {
                            continue;
                        };
                        let value = load(&row[column * conv.planes + plane]);
                        multiply_add(value, lanes(&packed[i * kw + j]), &mut sum);
                    }
                }
                store(output, sum, clamp);
            }
        }
    }
}
