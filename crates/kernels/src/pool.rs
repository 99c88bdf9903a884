//! Pooling on channels-last images.

use crate::conv::Window;

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
    for (pixel, (output, dy)) in
        output.chunks_exact(channels).zip(dy.chunks_exact(channels)).enumerate()
    {
        let (top, left) = (pixel / out_w * window.stride, pixel % out_w * window.stride);
        for (c, (&maximum, &dy)) in output.iter().zip(dy).enumerate() {
            let taps =
                (0..window.kernel[0]).flat_map(|i| (0..window.kernel[1]).map(move |j| (i, j)));
            for (i, j) in taps {
                let y = (top + i).wrapping_sub(window.before[0]);
                let x = (left + j).wrapping_sub(window.before[1]);
                let at = (y.wrapping_mul(w).wrapping_add(x)).wrapping_mul(channels).wrapping_add(c);
                if y < h && x < w && (input[at] == maximum || input[at].is_nan()) {
                    dx[at] += dy;
                    break;
                }
            }
        }
    }
}

/// Spreads the gradient of one image's mean over its pixels.
pub fn mean_pool_backward(channels: usize, dy: &[f32], dx: &mut [f32]) {
    let scale = channels as f32 / dx.len().max(1) as f32;
    for pixel in dx.chunks_exact_mut(channels) {
        pixel.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy * scale);
    }
}
