//! Pooling of images in lines.

use super::{Line, WIDTH};
use crate::Isa;
use crate::conv::Window;
use crate::simd::{Simd, dispatch};

/// Maximum over each window of one image of `planes` lines a pixel; padding never wins.
///
/// # Panics
/// When a slice does not fit the window.
pub fn max_pool_lines(
    isa: Isa,
    window: &Window,
    planes: usize,
    input: &[Line],
    output: &mut [Line],
) {
    let [h, w] = window.input;
    let [out_h, out_w] = window.output;
    assert_eq!(input.len(), h * w * planes, "pooling input");
    assert_eq!(output.len(), out_h * out_w * planes, "pooling output");
    // Lengths were checked.
    dispatch!(isa, S => max_pool::<S>(window, planes, input, output));
}

/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn max_pool<S: Simd>(window: &Window, planes: usize, input: &[Line], output: &mut [Line]) {
    let (w, out_w) = (window.input[1], window.output[1]);
    // Taps of the window at output `at` that lie in the image, as input places.
    let inside = |at: usize, axis: usize| {
        let first = (at * window.stride).saturating_sub(window.before[axis]);
        let end = (at * window.stride + window.kernel[axis]).saturating_sub(window.before[axis]);
        first..end.min(window.input[axis])
    };
    for (pixel, output) in output.chunks_exact_mut(planes).enumerate() {
        let (rows, columns) = (inside(pixel / out_w, 0), inside(pixel % out_w, 1));
        for (plane, output) in output.iter_mut().enumerate() {
            for at in (0..WIDTH).step_by(S::LANES) {
                // SAFETY: within a line of the input and of the output.
                unsafe {
                    let mut most = S::splat(f32::NEG_INFINITY);
                    for y in rows.clone() {
                        for x in columns.clone() {
                            let line = &input[(y * w + x) * planes + plane];
                            // What comes second stays where it is a NaN.
                            most = S::max(most, S::load_bf16(line.0.as_ptr().add(at)));
                        }
                    }
                    S::store_bf16(output.0.as_mut_ptr().add(at), most);
                }
            }
        }
    }
}

/// Mean over all pixels of one image in lines, as `channels` f32.
///
/// # Panics
/// When the lines are not whole pixels, or `output` does not hold `channels` values.
pub fn mean_pool_lines(isa: Isa, channels: usize, input: &[Line], output: &mut [f32]) {
    let planes = Line::per_pixel(channels);
    assert_eq!(output.len(), channels, "pooling output");
    assert_eq!(input.len() % planes, 0, "pooling input");
    let scale = planes as f32 / input.len().max(1) as f32;
    for (plane, output) in output.chunks_mut(WIDTH).enumerate() {
        let mut sums = [0.0; WIDTH];
        // A line of sums.
        dispatch!(isa, S => mean::<S>(planes, &input[plane..], scale, &mut sums));
        output.copy_from_slice(&sums[..output.len()]);
    }
}

/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn mean<S: Simd>(planes: usize, input: &[Line], scale: f32, sums: &mut [f32; WIDTH]) {
    for at in (0..WIDTH).step_by(S::LANES) {
        // SAFETY: within a line and the sums.
        unsafe {
            let mut sum = S::splat(0.0);
            for line in input.iter().step_by(planes) {
                sum = S::add(sum, S::load_bf16(line.0.as_ptr().add(at)));
            }
            S::store(sums.as_mut_ptr().add(at), S::mul(sum, S::splat(scale)));
        }
    }
}
