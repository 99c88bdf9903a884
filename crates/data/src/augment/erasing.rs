//! Random erasing: a rectangle is painted over, so that no single part decides.

use rand::RngExt;

use super::Augmentation;
use crate::wording::Choice;

/// Middle grey: about the mean that networks subtract.
const PAINT: u8 = 127;

/// With probability `p`, a rectangle of 2 % to `area` of the picture with aspect 0.3 to 3.3 (Zhong et
/// al. 2020).
pub(super) const AUGMENTATION: Augmentation = Augmentation {
    name: "erasing",
    summary: "paint a rectangle over: erasing(p=0.25,area=0.33)",
    paper: "Zhong et al. 2020, arXiv:1708.04896",
    choices: &[
        Choice { name: "p", default: 0.25, range: [0.0, 1.0] },
        Choice { name: "area", default: 0.33, range: [0.02, 1.0] },
    ],
    apply: |mut picture, values, draws| {
        if draws.random::<f64>() >= values[0] {
            return picture;
        }
        let (width, height, channels) = (picture.width, picture.height, picture.channels);
        for _ in 0..10 {
            let share = 0.02 + (values[1] - 0.02) * draws.random::<f64>();
            let aspect = (3.3f64.ln() * (2.0 * draws.random::<f64>() - 1.0)).exp();
            let area = share * (width * height) as f64;
            let h = (area * aspect).sqrt().round() as usize;
            let w = (area / aspect).sqrt().round() as usize;
            if w == 0 || h == 0 || w >= width || h >= height {
                continue;
            }
            let top = draws.random_range(0..=height - h);
            let left = draws.random_range(0..=width - w);
            for y in top..top + h {
                let row = (y * width + left) * channels;
                picture.pixels[row..row + w * channels].fill(PAINT);
            }
            break;
        }
        picture
    },
};
