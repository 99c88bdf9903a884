//! Random resized crop: a part of the picture of random area and aspect, resized to the network's input.

use offshoot_random::Generator;
use rand::RngExt;

use super::Augmentation;
use crate::resize::{Window, resize, resize_window};
use crate::transform::to_grey;
use crate::wording::Choice;
use crate::{Channels, Picture, Transform};

/// Area uniform from `scale` to 1, the aspect's logarithm uniform from −ln `ratio` to ln `ratio`; after
/// ten tries that do not fit, the largest centred part (Szegedy et al. 2015).
pub(super) const AUGMENTATION: Augmentation = Augmentation {
    name: "crop",
    summary: "a random part, resized: crop(scale=0.35,ratio=1.3333)",
    paper: "Szegedy et al. 2015, arXiv:1409.4842",
    choices: &[
        Choice { name: "scale", default: 0.35, range: [0.01, 1.0] },
        Choice { name: "ratio", default: 4.0 / 3.0, range: [1.0, 10.0] },
    ],
    // It needs the network's size; the pipeline calls `crop` itself.
    apply: |picture, _, _| picture,
};

/// Cuts and resizes to what `transform` makes.
pub(super) fn crop(
    picture: Picture,
    transform: &Transform,
    values: &[f64],
    draws: &mut Generator,
) -> Picture {
    let picture = match transform.channels {
        Channels::Grey => to_grey(picture),
        Channels::Rgb => picture,
    };
    let window = window(picture.width, picture.height, values[0], values[1], draws);
    let part = resize_window(&picture, picture.width, picture.height, window, transform.filter);
    let side = transform.size.max(1);
    let mut resized = resize(&part, side, side, transform.filter);
    if resized.channels < transform.channels.count() {
        resized.pixels = resized.pixels.iter().flat_map(|&v| [v, v, v]).collect();
        resized.channels = 3;
    }
    resized
}

fn window(width: usize, height: usize, scale: f64, ratio: f64, draws: &mut Generator) -> Window {
    let area = (width * height) as f64;
    let log = ratio.ln();
    for _ in 0..10 {
        let target = area * (scale + (1.0 - scale) * draws.random::<f64>());
        let aspect = (log * (2.0 * draws.random::<f64>() - 1.0)).exp();
        let w = (target * aspect).sqrt().round() as usize;
        let h = (target / aspect).sqrt().round() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let left = draws.random_range(0..=width - w);
            let top = draws.random_range(0..=height - h);
            return Window { left, top, width: w, height: h };
        }
    }
    let aspect = width as f64 / height as f64;
    let (w, h) = if aspect < 1.0 / ratio {
        (width, ((width as f64 * ratio).round() as usize).clamp(1, height))
    } else if aspect > ratio {
        (((height as f64 * ratio).round() as usize).clamp(1, width), height)
    } else {
        (width, height)
    };
    Window { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_random::generator;

    #[test]
    fn parts_have_the_areas_and_aspects_that_were_asked_for() {
        let mut areas = Vec::new();
        for i in 0..500 {
            let w = window(200, 150, 0.35, 4.0 / 3.0, &mut generator(0, "test", 0, i));
            assert!(w.left + w.width <= 200 && w.top + w.height <= 150);
            let aspect = w.width as f64 / w.height as f64;
            assert!((0.74..1.36).contains(&aspect), "{aspect}");
            areas.push((w.width * w.height) as f64 / 30_000.0);
        }
        let lowest = areas.iter().copied().fold(1.0, f64::min);
        let mean = areas.iter().sum::<f64>() / 500.0;
        assert!((0.34..0.4).contains(&lowest) && (0.55..0.7).contains(&mean), "{lowest} {mean}");
    }

    #[test]
    fn a_strip_is_cut_at_its_centre() {
        let w = window(1000, 10, 0.9, 4.0 / 3.0, &mut generator(0, "test", 0, 0));
        assert_eq!((w.width, w.height, w.left), (13, 10, 493));
    }
}
