//! From a sample's picture to the square of bytes that a network takes.

use serde::{Deserialize, Serialize};

use crate::resize::{Filter, Window, resize, resize_window};
use crate::{Input, Limits, Picture, Result, decode};

/// How many values a pixel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One.
    Grey,
    /// Three; grey pictures repeat their value.
    Rgb,
}

impl Channels {
    /// 1 or 3.
    pub fn count(self) -> usize {
        match self {
            Channels::Grey => 1,
            Channels::Rgb => 3,
        }
    }
}

/// What a network's preprocessing does before it normalises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Side of the square, in pixels; at least 1.
    pub size: usize,
    /// `Some(f)` with 1/8 ≤ f ≤ 1: the shorter side becomes ⌊size / f⌋ and the centre is cut out;
    /// values beyond are taken as the nearest of these. `None`: both sides become `size`, whatever
    /// the aspect.
    pub crop_fraction: Option<f32>,
    /// How pixels are interpolated.
    pub filter: Filter,
    /// Grey or colour.
    pub channels: Channels,
}

impl Transform {
    /// Decodes and transforms: `[size, size, channels]` bytes, row-major.
    ///
    /// # Errors
    /// Those of [`decode`].
    pub fn apply(&self, input: &Input, limits: &Limits) -> Result<Vec<u8>> {
        Ok(self.apply_to(decode(input, limits)?))
    }

    /// Transforms a picture: `[size, size, channels]` bytes, row-major.
    pub fn apply_to(&self, picture: Picture) -> Vec<u8> {
        let picture = match self.channels {
            Channels::Grey => to_grey(picture),
            Channels::Rgb => picture,
        };
        let size = self.size.max(1);
        let resized = match self.crop_fraction {
            None => resize(&picture, size, size, self.filter),
            Some(fraction) => self.resize_and_crop(&picture, fraction),
        };
        if resized.channels == self.channels.count() {
            resized.pixels
        } else {
            // All three channels of a grey picture resize alike, so they are made here.
            resized.pixels.iter().flat_map(|&v| [v, v, v]).collect()
        }
    }

    /// The shorter side to ⌊size / fraction⌋, then the centre, with torchvision's rounding.
    fn resize_and_crop(&self, picture: &Picture, fraction: f32) -> Picture {
        // In f64 as Python computes it; the fraction is meant as the decimal that was written.
        let fraction = fraction.to_string().parse().ok();
        let fraction = fraction.filter(|f: &f64| !f.is_nan()).unwrap_or(1.0);
        let fraction = fraction.clamp(0.125, 1.0);
        let size = self.size.max(1);
        let short = (size as f64 / fraction).floor();
        let (w, h) = (picture.width as f64, picture.height as f64);
        let long = |long: f64, side: f64| (short * long / side) as usize;
        let short = short as usize;
        let (width, height) = if w <= h { (short, long(h, w)) } else { (long(w, h), short) };
        let window = Window {
            left: centred(width, size),
            top: centred(height, size),
            width: size,
            height: size,
        };
        resize_window(picture, width, height, window, self.filter)
    }
}

/// `round((outer − inner) / 2)`, halves to even as Python rounds.
fn centred(outer: usize, inner: usize) -> usize {
    ((outer - inner) as f64 / 2.0).round_ties_even() as usize
}

/// Luma by ITU-R BT.601 in Pillow's fixed point: (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶.
pub fn to_grey(picture: Picture) -> Picture {
    if picture.channels == 1 {
        return picture;
    }
    let grey = |p: &[u8]| {
        let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
        ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
    };
    Picture { channels: 1, pixels: picture.pixels.chunks_exact(3).map(grey).collect(), ..picture }
}
