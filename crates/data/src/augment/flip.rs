//! Horizontal flip. Not for digits and letters, whose mirror images are something else.

use rand::RngExt;

use super::Augmentation;
use crate::wording::Choice;

/// With probability `p`, left becomes right.
pub(super) const AUGMENTATION: Augmentation = Augmentation {
    name: "flip",
    summary: "left becomes right: flip(p=0.5)",
    paper: "Krizhevsky et al. 2012, NeurIPS",
    choices: &[Choice { name: "p", default: 0.5, range: [0.0, 1.0] }],
    apply: |mut picture, values, draws| {
        if draws.random::<f64>() < values[0] {
            let channels = picture.channels;
            for row in picture.pixels.chunks_exact_mut(picture.width * channels) {
                // Pixels in reverse, and then each pixel's values in order again.
                row.reverse();
                row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
            }
        }
        picture
    },
};
