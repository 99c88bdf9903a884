//! Pooling on channels-last images.

use crate::Isa;
use crate::conv::Window;
use crate::simd::{Simd, dispatch};

/// Maximum over each window of one image `[h, w, channels]`; padding never wins.
///
/// # Panics
/// When a slice does not fit the window.
pub fn max_pool(window: &Window, channels: usize, input: &[f32], output: &mut [f32]) {
    let [h, w] = window.input;
    let [out_h, out_w] = window.output;
    assert_eq!(input.len(), h * w * channels, "pooling input");
    assert_eq!(output.len(), out_h * out_w * channels, "pooling output");
    let inside = |at: usize, tap: usize, axis: usize| {
        (at * window.stride + tap)
            .checked_sub(window.before[axis])
            .filter(|&p| p < window.input[axis])
    };
    for (pixel, output) in output.chunks_exact_mut(channels).enumerate() {
        output.fill(f32::NEG_INFINITY);
        for y in (0..window.kernel[0]).filter_map(|i| inside(pixel / out_w, i, 0)) {
            for x in (0..window.kernel[1]).filter_map(|j| inside(pixel % out_w, j, 1)) {
                let input = &input[(y * w + x) * channels..][..channels];
                for (o, &i) in output.iter_mut().zip(input) {
                    // The comparison is written so that a NaN stays.
                    *o = if *o >= i { *o } else { i };
                }
            }
        }
    }
}

/// Mean over all pixels of one image `[pixels, channels]`.
pub fn mean_pool(channels: usize, input: &[f32], output: &mut [f32]) {
    output.fill(0.0);
    for pixel in input.chunks_exact(channels) {
        for (o, &i) in output.iter_mut().zip(pixel) {
            *o += i;
        }
    }
    let scale = channels as f32 / input.len().max(1) as f32;
    output.iter_mut().for_each(|o| *o *= scale);
}

/// Gives each output's gradient to the first input that had the maximum (as PyTorch does), for one
/// image; `dx` is replaced.
pub fn max_pool_backward(
    window: &Window,
    channels: usize,
    input: &[f32],
    output: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let ([h, w], out_w) = (window.input, window.output[1]);
    dx.fill(0.0);
    let isa = Isa::detect();
    // What each channel has yet to give away.
    let mut left = vec![0.0; channels];
    for (pixel, (output, dy)) in
        output.chunks_exact(channels).zip(dy.chunks_exact(channels)).enumerate()
    {
        left.copy_from_slice(dy);
        for i in 0..window.kernel[0] {
            for j in 0..window.kernel[1] {
                let y = (pixel / out_w * window.stride + i).wrapping_sub(window.before[0]);
                let x = (pixel % out_w * window.stride + j).wrapping_sub(window.before[1]);
                if y >= h || x >= w {
                    continue;
                }
                let at = (y * w + x) * channels;
                let (input, dx) = (&input[at..][..channels], &mut dx[at..][..channels]);
                // Slices of one length each.
                dispatch!(isa, S => give::<S>(input, output, dx, &mut left));
            }
        }
    }
}

/// Moves what is left of each channel's gradient to `dx` where the input is the maximum.
///
/// # Safety
/// As [`Simd`].
#[inline(always)]
unsafe fn give<S: Simd>(input: &[f32], output: &[f32], dx: &mut [f32], left: &mut [f32]) {
    for (((&x, &maximum), dx), left) in input.iter().zip(output).zip(dx).zip(left) {
        // Written without a branch, so that it runs on vectors; a NaN is a maximum.
        let hit = x == maximum || x.is_nan();
        *dx += if hit { *left } else { 0.0 };
        *left = if hit { 0.0 } else { *left };
    }
}

/// Spreads the gradient of one image's mean over its pixels.
pub fn mean_pool_backward(channels: usize, dy: &[f32], dx: &mut [f32]) {
    let scale = channels as f32 / dx.len().max(1) as f32;
    for pixel in dx.chunks_exact_mut(channels) {
        pixel.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy * scale);
    }
}
