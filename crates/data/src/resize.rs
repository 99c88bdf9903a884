//! Antialiased resampling with Pillow's arithmetic, so that results equal `Image.resize`.

use serde::{Deserialize, Serialize};

use crate::Picture;

/// The kernel that weighs source pixels by their distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// A triangle: linear interpolation.
    Bilinear,
    /// Keys' cubic convolution with a = −½ (Keys 1981).
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

const A: f64 = -0.5;

/// Weights are integers of this many fractional bits.
const FRACTION_BITS: u32 = 32 - 8 - 2;

/// A rectangle of a resized picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Resizes to `width` × `height`.
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    let whole = Window { left: 0, top: 0, width, height };
    resize_window(picture, width, height, whole, filter)
}

/// Resizes to `width` × `height` and keeps the part in `window`, which is all that is computed.
///
/// # Panics
/// If the window is not inside the resized picture.
pub fn resize_window(
    picture: &Picture,
    width: usize,
    height: usize,
    window: Window,
    filter: Filter,
) -> Picture {
    assert!(
        window.left + window.width <= width && window.top + window.height <= height,
        "the window lies inside the resized picture"
    );
    let columns = taps(picture.width, width, window.left, window.width, filter);
    let rows = taps(picture.height, height, window.top, window.height, filter);
    let first = rows.iter().map(|t| t.first).min().unwrap_or(0);
    let last = rows.iter().map(Taps::end).max().unwrap_or(0);

    // Pillow skips a pass that changes nothing; with weights of exactly one, ours does the same.
    let c = picture.channels;
    let stride = picture.width * c;
    let mut narrow = vec![0u8; (last - first) * window.width * c];
    let sources = picture.pixels[first * stride..last * stride].chunks_exact(stride);
    for (target, source) in narrow.chunks_exact_mut(window.width * c).zip(sources) {
        match c {
            1 => along_row::<1>(source, target, &columns),
            _ => along_row::<3>(source, target, &columns),
        }
    }
    let stride = window.width * c;
    let mut pixels = vec![0u8; window.height * stride];
    let mut sums = vec![0i32; stride];
    for (target, taps) in pixels.chunks_exact_mut(stride).zip(&rows) {
        sums.fill(HALF);
        for (k, &weight) in taps.weights.iter().enumerate() {
            let at = (taps.first - first + k) * stride;
            for (sum, &value) in sums.iter_mut().zip(&narrow[at..at + stride]) {
                *sum += i32::from(value) * weight;
            }
        }
        for (value, &sum) in target.iter_mut().zip(&sums) {
            *value = to_byte(sum);
        }
    }
    Picture { width: window.width, height: window.height, channels: c, pixels }
}

const HALF: i32 = 1 << (FRACTION_BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

fn along_row<const C: usize>(source: &[u8], target: &mut [u8], columns: &[Taps]) {
    for (pixel, taps) in target.chunks_exact_mut(C).zip(columns) {
        let mut sums = [HALF; C];
        let values = source[taps.first * C..taps.end() * C].chunks_exact(C);
        for (value, &weight) in values.zip(&taps.weights) {
            for channel in 0..C {
                sums[channel] += i32::from(value[channel]) * weight;
            }
        }
        for channel in 0..C {
            pixel[channel] = to_byte(sums[channel]);
        }
    }
}

/// The source pixels that one target pixel is made of.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Taps {
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }
}

/// Taps of `count` target pixels from `start` on, when `from` pixels become `to`
/// (`precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's Resample.c).
fn taps(from: usize, to: usize, start: usize, count: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (start..start + count)
        .map(|x| {
            let centre = (x as f64 + 0.5) * scale;
            // Casts of negative numbers to usize give 0, which is the bound that is wanted.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end)
                .map(|i| filter.weight((i as f64 - centre + 0.5) * (1.0 / stretch)))
                .collect();
            let total: f64 = weights.iter().sum();
            let one = f64::from(1u32 << FRACTION_BITS);
            let weights = weights
                .into_iter()
                .map(|w| if total == 0.0 { w } else { w / total })
                .map(|w| (w * one + 0.5f64.copysign(w)) as i32)
                .collect();
            Taps { first, weights }
        })
        .collect()
}
