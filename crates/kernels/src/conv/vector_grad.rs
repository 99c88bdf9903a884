//! The gradient of a convolution's weights by vectors: outer products of pixels.

use super::Geometry;
use crate::Isa;
use crate::simd::*;

/// Input channels and vectors of output channels whose sums stay in registers.
const ROWS: usize = 4;
const VECTORS: usize = 3;

/// Input channels where one vector of output channels is left: as many sums hide the latency.
const NARROW_ROWS: usize = 12;

/// Sums over pixels of input × output gradient, for every tap.
pub(super) struct VectorWeightGrad {
    isa: Isa,
    geometry: Geometry,
}

/// A block of sums, and the pixels that it runs over.
struct Block {
    /// First input pixel's channels, first output pixel's.
    x: *const f32,
    dy: *const f32,
    /// Values between neighbouring pixels.
    x_step: usize,
    dy_step: usize,
    pixels: usize,
    /// `[channels, columns]`, rows `sums_row` values apart.
    sums: *mut f32,
    sums_row: usize,
    channels: usize,
    columns: usize,
}

impl VectorWeightGrad {
    /// For checked sizes and an available level.
    pub fn new(isa: Isa, geometry: Geometry) -> Self {
        Self { isa, geometry }
    }

    /// Values of the sums, `[kh, kw, inputs, outputs]`.
    pub fn sums_len(&self) -> usize {
        self.geometry.weights()
    }

    /// Adds `images` images; the caller checked the lengths.
    pub fn add(&self, images: usize, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        let Geometry { window, inputs, outputs, .. } = self.geometry;
        let ([height, width], [out_h, out_w]) = (window.input, window.output);
        let s = window.stride;
        for image in 0..images {
            for tap_y in 0..window.kernel[0] {
                // Output rows and columns under which this tap lies in the image.
                let rows = reach(s, tap_y, window.before[0], height, out_h);
                for y in rows {
                    let row = image * height + y * s + tap_y - window.before[0];
                    for tap_x in 0..window.kernel[1] {
                        let columns = reach(s, tap_x, window.before[1], width, out_w);
                        if columns.is_empty() {
                            continue;
                        }
                        let from = columns.start * s + tap_x - window.before[1];
                        let x = &x[(row * width + from) * inputs..];
                        let dy = &dy[((image * out_h + y) * out_w + columns.start) * outputs..];
                        let tap = tap_y * window.kernel[1] + tap_x;
                        let sums = &mut sums[tap * inputs * outputs..][..inputs * outputs];
                        let pixels = columns.len();
                        assert!(x.len() >= ((pixels - 1) * s + 1) * inputs);
                        assert!(dy.len() >= pixels * outputs);
                        let block = Block {
                            x: x.as_ptr(),
                            dy: dy.as_ptr(),
                            x_step: s * inputs,
                            dy_step: outputs,
                            pixels,
                            sums: sums.as_mut_ptr(),
                            sums_row: outputs,
                            channels: inputs,
                            columns: outputs,
                        };
                        // Pointers: `pixels` pixels of all channels, as asserted above.
                        dispatch!(self.isa, S => all::<S>(&block));
                    }
                }
            }
        }
    }
}

/// Output places whose window has tap `tap` inside an axis of `input` pixels.
fn reach(
    s: usize,
    tap: usize,
    before: usize,
    input: usize,
    output: usize,
) -> std::ops::Range<usize> {
    let start = before.saturating_sub(tap).div_ceil(s);
    let end = (input + before).saturating_sub(tap).div_ceil(s).min(output);
    start..end.max(start)
}

/// # Safety
/// As [`Simd`]; every address that `b` describes is valid.
#[inline(always)]
unsafe fn all<S: Simd>(b: &Block) {
    let wide = VECTORS * S::LANES;
    let mut column = 0;
    // SAFETY: blocks stay within the channels and columns that the caller vouches for.
    unsafe {
        while column < b.columns {
            let left = b.columns - column;
            let (tall, taken) = match left {
                _ if left >= wide => (ROWS, wide),
                _ if left >= S::LANES => (NARROW_ROWS, S::LANES),
                _ => (NARROW_ROWS, left),
            };
            for channel in (0..b.channels).step_by(tall) {
                let part = Block {
                    x: b.x.add(channel),
                    dy: b.dy.add(column),
                    sums: b.sums.add(channel * b.sums_row + column),
                    channels: (b.channels - channel).min(tall),
                    columns: left,
                    ..*b
                };
                let whole = part.channels == tall;
                if taken == wide {
                    if whole { run::<S, ROWS, VECTORS>(&part) } else { few::<S, VECTORS>(&part) }
                } else if taken == S::LANES {
                    if whole { run::<S, NARROW_ROWS, 1>(&part) } else { few::<S, 1>(&part) }
                } else {
                    rest::<S>(&part);
                }
            }
            column += taken;
        }
    }
}

/// The last channels, fewer than a block's, one by one.
///
/// # Safety
/// As [`all`].
#[inline(always)]
unsafe fn few<S: Simd, const WIDE: usize>(b: &Block) {
    for channel in 0..b.channels {
        // SAFETY: within the block.
        unsafe {
            run::<S, 1, WIDE>(&Block {
                x: b.x.add(channel),
                sums: b.sums.add(channel * b.sums_row),
                channels: 1,
                ..*b
            });
        }
    }
}

/// # Safety
/// As [`all`]; at least `TALL` channels and `WIDE` vectors of columns.
#[inline(always)]
unsafe fn run<S: Simd, const TALL: usize, const WIDE: usize>(b: &Block) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut sums = [[S::splat(0.0); WIDE]; TALL];
        for (r, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = S::load(b.sums.add(r * b.sums_row + v * S::LANES));
            }
        }
        for pixel in 0..b.pixels {
            let (x, dy) = (b.x.add(pixel * b.x_step), b.dy.add(pixel * b.dy_step));
            let mut gradient = [S::splat(0.0); WIDE];
            for (v, gradient) in gradient.iter_mut().enumerate() {
                *gradient = S::load(dy.add(v * S::LANES));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = S::splat(*x.add(r));
                for (sum, &gradient) in sums.iter_mut().zip(&gradient) {
                    *sum = S::mul_add(x, gradient, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                S::store(b.sums.add(r * b.sums_row + v * S::LANES), sum);
            }
        }
    }
}

/// The last columns, fewer than a vector's, of up to `NARROW_ROWS` channels.
///
/// # Safety
/// As [`all`].
#[inline(always)]
unsafe fn rest<S: Simd>(b: &Block) {
    let columns = b.columns;
    // SAFETY: as the caller vouches; lanes past the last column are neither read nor written.
    unsafe {
        let mut sums = [S::splat(0.0); NARROW_ROWS];
        for (r, sum) in sums.iter_mut().enumerate().take(b.channels) {
            *sum = S::load_first(b.sums.add(r * b.sums_row), columns);
        }
        for pixel in 0..b.pixels {
            let (x, dy) = (b.x.add(pixel * b.x_step), b.dy.add(pixel * b.dy_step));
            let gradient = S::load_first(dy, columns);
            for (r, sum) in sums.iter_mut().enumerate().take(b.channels) {
                *sum = S::mul_add(S::splat(*x.add(r)), gradient, *sum);
            }
        }
        for (r, &sum) in sums.iter().enumerate().take(b.channels) {
            S::store_first(b.sums.add(r * b.sums_row), columns, sum);
        }
    }
}
