//! Colour jitter: brightness, contrast and saturation change a little, in a random order.

use rand::RngExt;

use super::{Augmentation, tones};
use crate::wording::Choice;

/// Each factor is uniform from 1 − `strength` to 1 + `strength` (as torchvision's `ColorJitter`).
pub(super) const AUGMENTATION: Augmentation = Augmentation {
    name: "jitter",
    summary: "change brightness, contrast and saturation: jitter(strength=0.3)",
    paper: "Howard 2013, arXiv:1312.5402",
    choices: &[Choice { name: "strength", default: 0.3, range: [0.0, 1.0] }],
    apply: |mut picture, values, draws| {
        let mut order = [tones::brightness, tones::contrast, tones::saturation];
        for i in (1..order.len()).rev() {
            order.swap(i, draws.random_range(0..=i));
        }
        for change in order {
            let factor = 1.0 + values[0] * (2.0 * draws.random::<f64>() - 1.0);
            change(&mut picture, factor);
        }
        picture
    },
};
