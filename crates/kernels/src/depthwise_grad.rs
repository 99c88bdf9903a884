//! Gradients of a depthwise convolution with respect to its input and its weights.

use std::ops::Range;

use crate::conv::Window;
use crate::depthwise::{Depthwise, Rows};
use crate::simd::{Simd, dispatch, load_lanes, store_lanes};
use crate::{Clamp, Isa, KernelError, Order};

/// Output pixels of a band of rows, at least one row.
const BAND: usize = 128;

/// Parts of the sums of weights' gradients at most.
const MAX_PARTS: usize = 8;

/// Plans the backward pass of a depthwise convolution for one image size.
pub struct DepthwiseGrad {
    isa: Isa,
    window: Window,
    channels: usize,
    by_input: ByInput,
    /// Stands in for input rows above and below the image.
    zeros: Vec<f32>,
}

enum ByInput {
    /// Without a stride: the convolution of the output's gradient with the taps in reverse.
    Reverse(Depthwise),
    /// Gathers, for every input pixel, the outputs that saw it; weights `[kh·kw, channels]`.
    Gather(Vec<f32>),
}

impl DepthwiseGrad {
    /// Plans the gradients of a [`Depthwise`] of the same sizes.
    pub fn new(isa: Isa, window: Window, channels: usize) -> Result<Self, KernelError> {
        window.check()?;
        let taps = window.kernel[0] * window.kernel[1];
        if channels == 0 {
            return Err(KernelError::Shape("a depthwise convolution without channels".into()));
        }
        if !isa.is_available() {
            return Err(KernelError::Unavailable(isa));
        }
        let border = [0, 1].map(|i| (window.kernel[i] - 1).checked_sub(window.before[i]));
        let by_input = match border {
            [Some(top), Some(left)] if window.stride == 1 => {
                let reverse = Window {
                    input: window.output,
                    output: window.input,
                    before: [top, left],
                    ..window
                };
                let zeros = vec![0.0; taps * channels];
                let bias = &zeros[..channels];
                ByInput::Reverse(Depthwise::new(isa, reverse, channels, &zeros, bias)?)
            }
            _ => ByInput::Gather(vec![0.0; taps * channels]),
        };
        let zeros = vec![0.0; window.input[1] * channels];
        Ok(Self { isa, window, channels, by_input, zeros })
    }

    /// Brings the weights `[kh, kw, 1, channels]` for [`DepthwiseGrad::input`].
    pub fn pack(&mut self, weight: &[f32]) -> Result<(), KernelError> {
        let channels = self.channels;
        if weight.len() != self.window.kernel[0] * self.window.kernel[1] * channels {
            return Err(KernelError::Shape(format!("{} depthwise weights", weight.len())));
        }
        match &mut self.by_input {
            ByInput::Reverse(conv) => {
                let reverse: Vec<f32> = weight.rchunks_exact(channels).flatten().copied().collect();
                conv.pack(Order::Hwio, &reverse, &vec![0.0; channels])
            }
            ByInput::Gather(to) => {
                to.copy_from_slice(weight);
                Ok(())
            }
        }
    }

    fn input_len(&self) -> usize {
        self.window.input[0] * self.window.input[1] * self.channels
    }

    fn output_len(&self) -> usize {
        self.window.output[0] * self.window.output[1] * self.channels
    }

    /// `dx = gradient with respect to the input + add`, `[images, h, w, channels]`, from `dy`
    /// `[images, out_h, out_w, channels]`; on this thread.
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn input(&self, images: usize, dy: &[f32], add: Option<&[f32]>, dx: &mut [f32]) {
        let dx = &mut dx[..images * self.input_len()];
        match &self.by_input {
            ByInput::Reverse(conv) => conv.run(images, dy, Clamp::NONE, dx),
            ByInput::Gather(weight) => {
                let row_len = self.window.input[1] * self.channels;
                let dy = dy.chunks_exact(self.output_len());
                for (dy, dx) in dy.zip(dx.chunks_exact_mut(self.input_len())) {
                    for (y, dx) in dx.chunks_exact_mut(row_len).enumerate() {
                        // A whole row of the gradient; `dy` is one image.
                        dispatch!(self.isa, S => self.gather::<S>(weight, dy, y, dx));
                    }
                }
            }
        }
        if let Some(add) = add {
            dx.iter_mut().zip(&add[..images * self.input_len()]).for_each(|(dx, add)| *dx += add);
        }
    }

    /// Row `y` of one image's gradient.
    ///
    /// # Safety
    /// As [`Simd`]; `dy` is a whole image, `dx` a whole row.
    #[inline(always)]
    unsafe fn gather<S: Simd>(&self, weight: &[f32], dy: &[f32], y: usize, dx: &mut [f32]) {
        let Self { window, channels: c, .. } = *self;
        let ([kh, kw], [out_h, out_w]) = (window.kernel, window.output);
        // The output that sees `place` under tap `k`.
        let seen = |place: usize, k: usize, before: usize, outputs: usize| {
            let at = (place + before).checked_sub(k)?;
            (at % window.stride == 0 && at / window.stride < outputs).then_some(at / window.stride)
        };
        let mut pairs: Vec<(*const f32, *const f32)> = Vec::with_capacity(kh * kw);
        for (x, dx) in dx.chunks_exact_mut(c).enumerate() {
            pairs.clear();
            for i in 0..kh {
                let Some(out_y) = seen(y, i, window.before[0], out_h) else { continue };
                for j in 0..kw {
                    if let Some(out_x) = seen(x, j, window.before[1], out_w) {
                        let weight = weight[(i * kw + j) * c..][..c].as_ptr();
                        pairs.push((weight, dy[(out_y * out_w + out_x) * c..][..c].as_ptr()));
                    }
                }
            }
            // SAFETY: every pointer leads to `c` values; lanes past the last are not touched.
            unsafe {
                let mut ch = 0;
                while ch + S::LANES <= c {
                    let mut sum = S::splat(0.0);
                    for &(weight, dy) in &pairs {
                        sum = S::mul_add(S::load(weight.add(ch)), S::load(dy.add(ch)), sum);
                    }
                    S::store(dx.as_mut_ptr().add(ch), sum);
                    ch += S::LANES;
                }
                if ch < c {
                    let lanes = c - ch;
                    let mut sum = S::splat(0.0);
                    for &(weight, dy) in &pairs {
                        let weight = S::load_first(weight.add(ch), lanes);
                        sum = S::mul_add(weight, S::load_first(dy.add(ch), lanes), sum);
                    }
                    S::store_first(dx.as_mut_ptr().add(ch), lanes, sum);
                }
            }
        }
    }

    /// Parts over whose images sums of the weights' gradient are formed side by side: a power of
    /// two that depends on sizes alone.
    pub fn parts(&self, images: usize) -> usize {
        1 << images.clamp(1, MAX_PARTS).ilog2()
    }

    /// Values of one part's sums.
    pub fn sums_len(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.channels
    }

    /// Adds the gradient over `images` images to a part's sums, `[kh, kw, 1, channels]` (zero at
    /// first); on this thread.
    ///
    /// # Panics
    /// When a slice is too short.
    pub fn add(&self, images: usize, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        let (x, dy) = (&x[..images * self.input_len()], &dy[..images * self.output_len()]);
        let sums = &mut sums[..self.sums_len()];
        let each = x.chunks_exact(self.input_len()).zip(dy.chunks_exact(self.output_len()));
        for (x, dy) in each {
            // One image of each, and all taps of all channels.
            dispatch!(self.isa, S => self.image::<S>(x, dy, sums));
        }
    }

    /// Adds the parts' sums, one after the other, in order: `dw` `[kh, kw, 1, channels]`.
    pub fn collect(&self, sums: &[f32], dw: &mut [f32]) {
        let dw = &mut dw[..self.sums_len()];
        dw.fill(0.0);
        for part in sums.chunks_exact(self.sums_len()) {
            dw.iter_mut().zip(part).for_each(|(dw, part)| *dw += part);
        }
    }

    /// Adds one image's gradient of the weights.
    ///
    /// # Safety
    /// As [`Simd`]; the slices are one image each, and all weights.
    #[inline(always)]
    unsafe fn image<S: Simd>(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        // SAFETY: passed on; the const kernel and stride equal the window's.
        unsafe {
            match (self.window.kernel, self.window.stride) {
                ([3, 3], 1) => self.image_of::<S, 3, 1>(x, dy, dw),
                ([3, 3], 2) => self.image_of::<S, 3, 2>(x, dy, dw),
                ([5, 5], 1) => self.image_of::<S, 5, 1>(x, dy, dw),
                ([5, 5], 2) => self.image_of::<S, 5, 2>(x, dy, dw),
                _ => self.image_any(x, dy, dw),
            }
        }
    }

    /// # Safety
    /// As [`DepthwiseGrad::image`].
    #[inline(always)]
    unsafe fn image_of<S: Simd, const K: usize, const STRIDE: usize>(
        &self,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
    ) {
        let (c, [height, width]) = (self.channels, self.window.output);
        // Bands of rows, so that memory is read in order while the sums come and go.
        let band = (BAND / width).max(1);
        for first in (0..height).step_by(band) {
            let rows = first..(first + band).min(height);
            let mut ch = 0;
            // SAFETY: blocks of channels below `c`.
            unsafe {
                while ch + S::LANES <= c {
                    self.block::<S, K, STRIDE, true>(x, dy, dw, rows.clone(), ch, S::LANES);
                    ch += S::LANES;
                }
                if ch < c {
                    self.block::<S, K, STRIDE, false>(x, dy, dw, rows, ch, c - ch);
                }
            }
        }
    }

    /// One vector of channels, its sums in registers.
    ///
    /// # Safety
    /// As [`DepthwiseGrad::image`]; `ch + lanes` channels exist; `FULL` means `lanes == S::LANES`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the innermost loops of one function")]
    unsafe fn block<S: Simd, const K: usize, const STRIDE: usize, const FULL: bool>(
        &self,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        rows: Range<usize>,
        ch: usize,
        lanes: usize,
    ) {
        let Self { window, channels: c, .. } = *self;
        let ([height, width], out_w) = (window.input, window.output[1]);
        let [top, left] = window.before;
        // Output pixels whose whole window lies inside the row.
        let inner_first = left.div_ceil(STRIDE).min(out_w);
        let inner_last = (width + left)
            .checked_sub(K)
            .map_or(inner_first, |reach| (reach / STRIDE + 1).clamp(inner_first, out_w));
        let input = Rows::whole(x);
        // SAFETY: rows are whole; columns lie inside them as in the forward pass.
        unsafe {
            let mut sums = [[S::splat(0.0); K]; K];
            for (i, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = load_lanes::<S, FULL>(dw.as_ptr().add((i * K + j) * c + ch), lanes);
                }
            }
            for y in rows {
                let mut rows = [self.zeros.as_ptr(); K];
                for (i, row) in rows.iter_mut().enumerate() {
                    let at = (y * STRIDE + i) as isize - top as isize;
                    if let Some(found) = input.get(at, width * c, height) {
                        *row = found.as_ptr();
                    }
                }
                let dy = dy[y * out_w * c..].as_ptr().add(ch);
                for x in (0..inner_first).chain(inner_last..out_w) {
                    let gradient = load_lanes::<S, FULL>(dy.add(x * c), lanes);
                    let first = left.saturating_sub(x * STRIDE);
                    let last = K.min((width + left).saturating_sub(x * STRIDE));
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        for (j, sum) in sums.iter_mut().enumerate() {
                            if j >= first && j < last {
                                let at = (x * STRIDE + j - left) * c + ch;
                                let value = load_lanes::<S, FULL>(row.add(at), lanes);
                                *sum = S::mul_add(value, gradient, *sum);
                            }
                        }
                    }
                }
                for x in inner_first..inner_last {
                    let gradient = load_lanes::<S, FULL>(dy.add(x * c), lanes);
                    let first = (x * STRIDE - left) * c + ch;
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        for (j, sum) in sums.iter_mut().enumerate() {
                            let value = load_lanes::<S, FULL>(row.add(first + j * c), lanes);
                            *sum = S::mul_add(value, gradient, *sum);
                        }
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (j, &sum) in sums.iter().enumerate() {
                    let to = dw.as_mut_ptr().add((i * K + j) * c + ch);
                    store_lanes::<S, FULL>(to, lanes, sum);
                }
            }
        }
    }

    /// Any window, tap by tap.
    fn image_any(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let Self { window, channels: c, .. } = *self;
        let ([height, width], out_w) = (window.input, window.output[1]);
        for (at, dy) in dy.chunks_exact(c).enumerate() {
            for (tap, dw) in dw.chunks_exact_mut(c).enumerate() {
                let (i, j) = (tap / window.kernel[1], tap % window.kernel[1]);
                let y = (at / out_w * window.stride + i).wrapping_sub(window.before[0]);
                let column = (at % out_w * window.stride + j).wrapping_sub(window.before[1]);
                if y < height && column < width {
                    let x = &x[(y * width + column) * c..][..c];
                    for ((dw, x), dy) in dw.iter_mut().zip(x).zip(dy) {
                        *dw += x * dy;
                    }
                }
            }
        }
    }
}
