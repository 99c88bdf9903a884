//! RandAugment: a few random changes of one strength.

use rand::RngExt;

use super::{Augmentation, geometry, tones};
use crate::Picture;
use crate::wording::Choice;

/// `n` of the fourteen changes of torchvision's list, each of strength `m` of 30 (Cubuk et al. 2020).
pub(super) const AUGMENTATION: Augmentation = Augmentation {
    name: "rand-augment",
    summary: "a few random changes of one strength: rand-augment(n=2,m=9)",
    paper: "Cubuk et al. 2020, arXiv:1909.13719",
    choices: &[
        Choice { name: "n", default: 2.0, range: [0.0, 14.0] },
        Choice { name: "m", default: 9.0, range: [0.0, 30.0] },
    ],
    apply: |mut picture, values, draws| {
        for _ in 0..values[0] as usize {
            let which = draws.random_range(0..CHANGES);
            let sign = if draws.random::<bool>() { 1.0 } else { -1.0 };
            picture = change(picture, which, values[1] / 30.0, sign);
        }
        picture
    },
};

const CHANGES: usize = 14;

/// One change with `strength` from 0 to 1.
fn change(mut picture: Picture, which: usize, strength: f64, sign: f64) -> Picture {
    let signed = sign * strength;
    match which {
        1 => return geometry::shear_x(&picture, 0.3 * signed),
        2 => return geometry::shear_y(&picture, 0.3 * signed),
        3 => {
            let most = 150.0 / 331.0 * picture.width as f64;
            return geometry::translate(&picture, most * signed, 0.0);
        }
        4 => {
            let most = 150.0 / 331.0 * picture.height as f64;
            return geometry::translate(&picture, 0.0, most * signed);
        }
        5 => return geometry::rotate(&picture, 30.0 * signed),
        6 => tones::brightness(&mut picture, 1.0 + 0.9 * signed),
        7 => tones::saturation(&mut picture, 1.0 + 0.9 * signed),
        8 => tones::contrast(&mut picture, 1.0 + 0.9 * signed),
        9 => tones::sharpness(&mut picture, 1.0 + 0.9 * signed),
        10 => tones::posterize(&mut picture, 8 - (4.0 * strength).round() as u32),
        11 => tones::solarize(&mut picture, 255.0 * (1.0 - strength)),
        12 => tones::autocontrast(&mut picture),
        13 => tones::equalize(&mut picture),
        // The first is to leave it alone.
        _ => {}
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_strength_most_changes_change_nothing() {
        let pixels = (0..75u32).map(|i| (i * 37 % 251) as u8).collect();
        let picture = Picture { width: 5, height: 5, channels: 3, pixels };
        for which in 0..11 {
            assert_eq!(change(picture.clone(), which, 0.0, 1.0).pixels, picture.pixels, "{which}");
        }
        for which in 0..CHANGES {
            for (width, height, channels) in [(1, 1, 3), (1, 4, 1), (3, 1, 3), (5, 3, 1)] {
                let pixels = vec![200; width * height * channels];
                let small = Picture { width, height, channels, pixels };
                assert_eq!(change(small, which, 1.0, -1.0).pixels.len(), width * height * channels);
            }
        }
    }
}
