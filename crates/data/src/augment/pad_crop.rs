//! Pad and crop: the picture is moved by a few pixels, and what comes in from outside repeats its border.
//! The usual augmentation of digits and other small pictures.

use rand::RngExt;

use super::Augmentation;
use crate::Picture;
use crate::wording::Choice;

/// Moved by up to `share` of the side in each direction.
pub(super) const AUGMENTATION: Augmentation = Augmentation {
    name: "pad-crop",
    summary: "moved by a few pixels: pad-crop(share=0.125)",
    paper: "He et al. 2016, arXiv:1512.03385",
    choices: &[Choice { name: "share", default: 0.125, range: [0.0, 0.5] }],
    apply: |picture, values, draws| {
        let mut shift = |side: usize| {
            let most = (values[0] * side as f64).round() as i64;
            draws.random_range(-most..=most)
        };
        let (dx, dy) = (shift(picture.width), shift(picture.height));
        moved(&picture, dx, dy)
    },
};

fn moved(picture: &Picture, dx: i64, dy: i64) -> Picture {
    let Picture { width, height, channels, .. } = *picture;
    let mut pixels = Vec::with_capacity(picture.pixels.len());
    let within = |at: i64, side: usize| at.clamp(0, side as i64 - 1) as usize;
    for y in 0..height {
        let from = within(y as i64 - dy, height) * width;
        for x in 0..width {
            let at = (from + within(x as i64 - dx, width)) * channels;
            pixels.extend_from_slice(&picture.pixels[at..at + channels]);
        }
    }
    Picture { pixels, ..*picture }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_is_repeated() {
        let picture = Picture { width: 3, height: 2, channels: 1, pixels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(moved(&picture, 1, 0).pixels, [1, 1, 2, 4, 4, 5]);
        assert_eq!(moved(&picture, 0, -1).pixels, [4, 5, 6, 4, 5, 6]);
    }
}
