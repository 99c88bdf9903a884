//! Images whose activations are kept in bf16 from layer to layer: half the memory traffic, and
//! nothing to round before a matrix tile reads them.
//!
//! An image is `[pixels, ⌈channels/32⌉]` of [`Line`]s; channels beyond the last are zero. Sums,
//! biases and clamps are f32; each value is rounded once, when it is written.

mod conv;
mod depthwise;
mod pool;

pub use conv::LinesConv;
pub use depthwise::LinesDepthwise;
pub use pool::{max_pool_lines, mean_pool_lines};

use crate::Isa;
use crate::simd::{Simd, dispatch, store_lanes};
use crate::stored::Element;

/// Channels of a line.
pub(crate) const WIDTH: usize = 32;

/// Thirty-two neighbouring channels of a pixel in bf16 (the upper halves of f32 bits): a cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u16; WIDTH]);

impl Line {
    /// Thirty-two zeros.
    pub const ZERO: Self = Self([0; WIDTH]);

    /// Lines that hold a pixel of `channels`.
    #[must_use]
    pub fn per_pixel(channels: usize) -> usize {
        channels.div_ceil(WIDTH)
    }
}

/// Rounds pixels `[pixels, channels]` to lines, as [`crate::round_to_bf16`] rounds.
///
/// # Panics
/// When `lines` does not hold as many pixels.
pub fn values_to_lines(isa: Isa, channels: usize, values: &[f32], lines: &mut [Line]) {
    let each = Line::per_pixel(channels);
    assert_eq!(values.len() / channels.max(1) * each, lines.len(), "pixels in lines");
    for (pixel, lines) in values.chunks_exact(channels).zip(lines.chunks_exact_mut(each)) {
        for (values, line) in pixel.chunks(WIDTH).zip(lines) {
            line.0[values.len()..].fill(0);
            crate::round_to_bf16(isa, values, &mut line.0);
        }
    }
}

/// Pixels of lines as f32 `[pixels, channels]`.
///
/// # Panics
/// When `values` does not hold as many pixels.
pub fn lines_to_values(isa: Isa, channels: usize, lines: &[Line], values: &mut [f32]) {
    let each = Line::per_pixel(channels);
    assert_eq!(values.len() / channels.max(1) * each, lines.len(), "pixels in lines");
    for (pixel, lines) in values.chunks_exact_mut(channels).zip(lines.chunks_exact(each)) {
        for (values, line) in pixel.chunks_mut(WIDTH).zip(lines) {
            // A line holds at least as many values.
            dispatch!(isa, S => widen::<S>(line, values));
        }
    }
}

/// # Safety
/// As [`Simd`]; `values` are at most a line's.
#[inline(always)]
unsafe fn widen<S: Simd>(line: &Line, values: &mut [f32]) {
    let (from, to) = (line.0.as_ptr(), values.as_mut_ptr());
    for at in (0..values.len()).step_by(S::LANES) {
        let lanes = S::LANES.min(values.len() - at);
        // SAFETY: within the line and the values.
        unsafe {
            let v = <u16 as Element>::load::<S, false>(from.add(at), lanes);
            store_lanes::<S, false>(to.add(at), lanes, v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bf16_holds_comes_back_from_lines() {
        for channels in [1, 7, 32, 33, 70] {
            let values: Vec<f32> = (0..5 * channels).map(|i| (i % 251) as f32 - 125.0).collect();
            for isa in Isa::available() {
                let mut lines = vec![Line([1; WIDTH]); 5 * Line::per_pixel(channels)];
                values_to_lines(isa, channels, &values, &mut lines);
                let mut back = vec![f32::NAN; values.len()];
                lines_to_values(isa, channels, &lines, &mut back);
                assert_eq!(values, back, "{channels} channels, {isa:?}");
                let last = lines[lines.len() - 1].0;
                let held = channels - (Line::per_pixel(channels) - 1) * WIDTH;
                assert!(last[held..].iter().all(|&bits| bits == 0), "{channels}, {isa:?}");
            }
        }
    }
}
