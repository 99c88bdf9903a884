//! A few hundred bytes that re-encoding and resizing hardly change, and other pictures do.

use crate::resize::{Filter, resize};
use crate::{Picture, to_grey};

/// Side of the brightness thumbnail.
const SIDE: usize = 16;
/// Side of the colour thumbnail and of the coarse brightness.
const COARSE: usize = 4;
/// Side of the finer thumbnail of [`detail`].
const FINE: usize = 24;

// Measured on ImageNet photos, 3,786 emoji and 70,000 MNIST digits: copies at JPEG quality 50 to 90
// or resized by ½ to 2 stay below these, different digits and faces differ by more here or in
// `same_detail`.
const MAX_BRIGHTNESS: u8 = 14;
const MAX_RMS: f32 = 4.0;
/// A thumbnail of a picture with a shorter side below this keeps its finest details, which resizing does change.
const SMALL: usize = 48;
const MAX_BRIGHTNESS_SMALL: u8 = 20;
const MAX_RMS_SMALL: f32 = 5.5;
const MAX_COLOUR: u8 = 16;
/// The means of 4 × 4 pixels differ less.
const MAX_COARSE: u8 = 8;
/// Pictures with less contrast look alike without being copies.
const MIN_CONTRAST: f32 = 4.0;

/// Brightness and colour of a picture, squeezed into a square.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thumbnail {
    /// Means of 4 × 4 pixels of `brightness`.
    pub(super) coarse: [u8; COARSE * COARSE],
    brightness: Box<[u8; SIDE * SIDE]>,
    /// Red and blue minus brightness, plus 128, halved.
    colour: [[u8; COARSE * COARSE]; 2],
    contrast: f32,
    is_small: bool,
}

impl Thumbnail {
    pub(super) fn of(picture: &Picture) -> Thumbnail {
        let small = resize(picture, SIDE, SIDE, Filter::Bilinear);
        let colours = (small.channels == 3).then(|| small.pixels.clone());
        let grey = to_grey(small).pixels;
        let mut brightness = Box::new([0u8; SIDE * SIDE]);
        brightness.copy_from_slice(&grey);
        let coarse = means(|i| f32::from(grey[i])).map(|v| v.round() as u8);
        let colour = [0, 2].map(|channel| match &colours {
            None => [64; COARSE * COARSE],
            Some(rgb) => {
                let difference = |i: usize| f32::from(rgb[3 * i + channel]) - f32::from(grey[i]);
                means(difference).map(|v| ((v + 256.0) / 4.0).round() as u8)
            }
        });
        let n = grey.len() as f32;
        let mean = grey.iter().map(|&v| f32::from(v)).sum::<f32>() / n;
        let variance = grey.iter().map(|&v| (f32::from(v) - mean).powi(2)).sum::<f32>() / n;
        Thumbnail {
            coarse,
            brightness,
            colour,
            contrast: variance.sqrt(),
            is_small: picture.width.min(picture.height) < SMALL,
        }
    }

    pub(super) fn has_contrast(&self) -> bool {
        self.contrast >= MIN_CONTRAST
    }

    /// Sum of the coarse brightness; that of a copy is close.
    pub(super) fn total(&self) -> u32 {
        self.coarse.iter().map(|&v| u32::from(v)).sum()
    }

    /// Totals further apart than this cannot belong to copies.
    pub(super) const MAX_TOTAL: u32 = 16 * 3;

    /// A quick look that most pairs do not pass.
    #[inline]
    pub(super) fn may_resemble(&self, other: &Thumbnail) -> bool {
        let worst = largest(&self.coarse, &other.coarse);
        worst <= MAX_COARSE
    }

    /// True for copies, and for a few pictures that differ in detail.
    pub(super) fn resembles(&self, other: &Thumbnail) -> bool {
        let squares: u32 = self
            .brightness
            .iter()
            .zip(other.brightness.iter())
            .map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2))
            .sum();
        let rms = (squares as f32 / (SIDE * SIDE) as f32).sqrt();
        let (max_rms, max_brightness) = if self.is_small || other.is_small {
            (MAX_RMS_SMALL, MAX_BRIGHTNESS_SMALL)
        } else {
            (MAX_RMS, MAX_BRIGHTNESS)
        };
        // The contrast of pale pictures bounds what may differ.
        rms <= max_rms.min(self.contrast / 4.0)
            && largest(&self.brightness[..], &other.brightness[..]) <= max_brightness
            // Colour differences are stored at a quarter.
            && (0..2).all(|i| largest(&self.colour[i], &other.colour[i]) <= MAX_COLOUR / 4)
    }
}

/// A finer thumbnail in colour, made only for the few pairs that need it.
pub(super) fn detail(picture: &Picture) -> Vec<u8> {
    let small = resize(picture, FINE, FINE, Filter::Bilinear);
    match small.channels {
        1 => small.pixels.iter().flat_map(|&v| [v; 3]).collect(),
        _ => small.pixels,
    }
}

/// Whether two of [`detail`] are of copies.
///
/// Coding noise is spread over a picture: its largest difference is 6 to 10 times the root mean
/// square. Drawings that differ in an eye or a moustache differ in few pixels: 12 times and more.
pub(super) fn same_detail(a: &[u8], b: &[u8]) -> bool {
    const NEGLIGIBLE: u8 = 20;
    const LARGEST: u8 = 56;
    const PEAK_OVER_RMS: f32 = 11.0;
    let squares: u32 = a.iter().zip(b).map(|(&x, &y)| u32::from(x.abs_diff(y)).pow(2)).sum();
    let rms = (squares as f32 / a.len().max(1) as f32).sqrt();
    let peak = largest(a, b);
    peak <= NEGLIGIBLE || peak <= LARGEST && f32::from(peak) <= PEAK_OVER_RMS * rms
}

fn largest(a: &[u8], b: &[u8]) -> u8 {
    a.iter().zip(b).map(|(&x, &y)| x.abs_diff(y)).max().unwrap_or(0)
}

/// Means over 4 × 4 blocks of values of the thumbnail.
fn means(value: impl Fn(usize) -> f32) -> [f32; COARSE * COARSE] {
    let step = SIDE / COARSE;
    std::array::from_fn(|cell| {
        let (row, column) = (cell / COARSE, cell % COARSE);
        let inside = (0..step * step).map(|k| {
            let (y, x) = (row * step + k / step, column * step + k % step);
            value(y * SIDE + x)
        });
        inside.sum::<f32>() / (step * step) as f32
    })
}
