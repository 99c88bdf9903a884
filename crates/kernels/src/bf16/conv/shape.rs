//! How the pixels of a convolution are laid out for tiles.

use super::PANEL;
use crate::bf16::product::{DEPTH, SIDE};
use crate::conv::Geometry;

/// Bytes of split input that are kept in the cache while all panels of weights pass over them.
const STRIP_BYTES: usize = 768 << 10;

/// Bytes of lines that panels of weights pass over one after the other.
const LINES_BYTES: usize = 24 << 10;

/// Images of a strip at most.
pub(super) const MAX_UNITS: usize = 16;

/// Below this many channels, windows are unfolded: planes of 32 channels would be mostly zeros.
pub(super) const MIN_CHANNELS: usize = 16;

/// How output pixels are laid out for the tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Layout {
    /// One long row: a pointwise convolution, or windows unfolded to one row each.
    Flat { unfold: bool },
    /// Image rows with their border.
    Rows,
    /// A pointwise convolution that reads lines where they lie.
    Lines,
    /// Image rows of a few channels, rounded to bf16 with their border: a window's row of values is a
    /// part of an image's, so that the rows of a tile overlap in memory and nothing is unfolded.
    Sliding { blocks: usize },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub layout: Layout,
    /// Planes of 32 channels (or of 32 unfolded values).
    pub planes: usize,
    /// Pixels from an output row to the next, and output pixels of a row that count.
    pub pitch: usize,
    pub row: usize,
    /// Output rows of a unit (a band of an image), units of a strip.
    pub rows: usize,
    pub units: usize,
    /// Pixels of one phase of one unit; values of an image row that slides.
    pub phase: usize,
    /// Phases down and across.
    pub phases: [usize; 2],
    /// Pixels of a plane, over-read included.
    pub plane: usize,
}

impl Shape {
    /// For an input of lines.
    pub fn of_lines(geometry: &Geometry) -> Self {
        if !geometry.is_flat() {
            return Self::rows(geometry, 1);
        }
        let planes = geometry.inputs.div_ceil(DEPTH);
        let row = (LINES_BYTES / (planes * 64) / PANEL).max(2) * PANEL;
        Self {
            layout: Layout::Lines,
            planes,
            pitch: row,
            row,
            rows: 1,
            units: 1,
            phase: 0,
            phases: [1, 1],
            // The strip holds the last pixels only, which tiles may not read past.
            plane: PANEL,
        }
    }

    /// For an input of values with few channels.
    pub fn sliding(geometry: &Geometry) -> Self {
        let Geometry { window, inputs, .. } = *geometry;
        let ([kh, kw], [out_h, out_w], s) = (window.kernel, window.output, window.stride);
        let blocks = (kw * inputs).div_ceil(DEPTH);
        // The last tile of a row reads rows of values for pixels that there are not.
        let reach = (out_w.next_multiple_of(SIDE) - 1) * s * inputs + blocks * DEPTH;
        let held = (window.before[1] + window.input[1]) * inputs;
        let phase = reach.max(held).next_multiple_of(DEPTH);
        let bytes = |rows: usize| ((rows - 1) * s + kh) * phase * 2;
        let mut rows = out_h;
        while rows > 1 && bytes(rows) > STRIP_BYTES {
            rows = rows.div_ceil(2);
        }
        Self {
            layout: Layout::Sliding { blocks },
            planes: kh * blocks,
            pitch: out_w,
            row: out_w,
            rows,
            units: MAX_UNITS,
            phase,
            phases: [1, 1],
            // In pixels of 64 bytes, shared by all planes.
            plane: bytes(rows).div_ceil(64 * kh * blocks),
        }
    }

    pub fn new(geometry: &Geometry, parts: usize) -> Self {
        let Geometry { window, inputs, .. } = *geometry;
        let [kh, kw] = window.kernel;
        let unfold = inputs < MIN_CHANNELS && kh * kw > 1;
        if geometry.is_flat() || unfold {
            let planes = (kh * kw * inputs).div_ceil(DEPTH);
            let pixels = (STRIP_BYTES / (planes * 64 * parts) / PANEL).max(2) * PANEL;
            return Self {
                layout: Layout::Flat { unfold },
                planes,
                pitch: pixels,
                row: pixels,
                rows: 1,
                units: 1,
                phase: pixels,
                phases: [1, 1],
                plane: pixels + PANEL,
            };
        }
        Self::rows(geometry, parts)
    }

    fn rows(geometry: &Geometry, parts: usize) -> Self {
        let Geometry { window, inputs, .. } = *geometry;
        let [kh, kw] = window.kernel;
        let [out_h, out_w] = window.output;
        let s = window.stride;
        let planes = inputs.div_ceil(DEPTH);
        let phases = [kh.min(s), kw.min(s)];
        let pitch = window.pitch();
        let shared = out_w + (kw - 1) / s - pitch;
        let bytes = |rows: usize| {
            (rows + (kh - 1) / s) * pitch * phases[0] * phases[1] * planes * 64 * parts
        };
        let mut rows = out_h;
        while rows > 1 && bytes(rows) > STRIP_BYTES {
            rows = rows.div_ceil(2);
        }
        let units = if rows == out_h { (STRIP_BYTES / bytes(rows)).clamp(1, MAX_UNITS) } else { 1 };
        let phase = (rows + (kh - 1) / s) * pitch + shared;
        Self {
            layout: Layout::Rows,
            planes,
            pitch,
            row: out_w,
            rows,
            units,
            phase,
            phases,
            plane: phase * phases[0] * phases[1] * units + PANEL,
        }
    }
}
