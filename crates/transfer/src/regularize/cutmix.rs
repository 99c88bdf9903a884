//! CutMix: a rectangle of every picture is replaced by that of another one, and the targets are shared
//! out by area.

use offshoot_data::wording::Choice;
use offshoot_random::generator;
use rand::RngExt;

use super::mixup::{beta, partners};
use super::{Draw, Kind, Mixing, Regularizer};

/// The rectangle's area is 1−λ of the picture with λ from Beta(α, α), its place uniform (Yun et al. 2019).
/// On activations of a frozen part it cuts these.
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "cutmix",
    summary: "replace a rectangle by that of another sample: cutmix(alpha=1)",
    paper: "Yun et al. 2019, arXiv:1905.04899",
    choices: &[Choice { name: "alpha", default: 1.0, range: [0.001, 100.0] }],
    make: |values| Kind::Mixing(Box::new(CutMix { alpha: values[0] })),
};

struct CutMix {
    alpha: f64,
}

impl Mixing for CutMix {
    fn mix(
        &self,
        input: &mut [f32],
        [height, width, channels]: [usize; 3],
        targets: &mut [f32],
        draw: Draw,
    ) {
        let (others, other_targets) = partners(input, targets, draw.n);
        let side = (1.0 - beta(self.alpha, draw, "cutmix")).sqrt();
        let mut draws = generator(draw.seed, "cutmix place", draw.step, draw.part);
        let mut span = |size: usize| {
            let cut = (side * size as f64) as usize;
            let middle = draws.random_range(0..size.max(1));
            let low = middle.saturating_sub(cut / 2);
            (low, (middle + cut.div_ceil(2)).min(size))
        };
        let (top, bottom) = span(height);
        let (left, right) = span(width);
        let each = height * width * channels;
        for (picture, other) in input.chunks_exact_mut(each).zip(others.chunks_exact(each)) {
            for y in top..bottom {
                let row = (y * width + left) * channels..(y * width + right) * channels;
                picture[row.clone()].copy_from_slice(&other[row]);
            }
        }
        // What was cut at the border counts as it is, not as it was drawn.
        let area = (bottom - top) * (right.saturating_sub(left));
        let kept = 1.0 - area as f32 / (height * width).max(1) as f32;
        for (target, other) in targets.iter_mut().zip(&other_targets) {
            *target = kept * *target + (1.0 - kept) * other;
        }
        // Partners were cut from each other: swapped, each has more of itself.
        if kept < 0.5 {
            swap_partners(input, each);
            swap_partners(targets, targets.len() / draw.n.max(1));
        }
    }
}

/// The batch in reverse, rows of `each` values.
fn swap_partners(rows: &mut [f32], each: usize) {
    let n = rows.len() / each.max(1);
    let (first, second) = rows.split_at_mut(n.div_ceil(2) * each);
    let partners = second.chunks_exact_mut(each.max(1)).rev();
    first.chunks_exact_mut(each.max(1)).zip(partners).for_each(|(a, b)| a.swap_with_slice(b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_shared_by_area() {
        // Sample 0 is all zeros, sample 1 all ones: the mean of a picture tells the area.
        for step in 0..50 {
            let (height, width) = (7, 5);
            let mut input = vec![0.0; height * width];
            input.extend(vec![1.0; height * width]);
            let mut targets = vec![1.0, 0.0, 0.0, 1.0];
            let draw = Draw { seed: 0, step, part: 0, n: 2 };
            CutMix { alpha: 1.0 }.mix(&mut input, [height, width, 1], &mut targets, draw);
            let mean = input[..35].iter().sum::<f32>() / 35.0;
            assert!((mean - targets[1]).abs() < 1e-6, "{mean} {targets:?}");
            assert!((targets[0] + targets[1] - 1.0).abs() < 1e-6);
            assert!(targets[0] >= 0.5, "{targets:?}");
        }
    }
}
