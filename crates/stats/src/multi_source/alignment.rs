//! Each source counts as its kernel agrees with the labels'.

use super::{Kernels, Weighting};
use crate::{Result, check};

pub(super) const WEIGHTING: Weighting = Weighting {
    name: "alignment",
    summary: "by the centred alignment of each source's kernel with the labels'",
    paper: "Cortes, Mohri & Rostamizadeh 2012, JMLR 13:795, algorithm `align`",
    weigh,
};

/// `w² ∝ max(0, ⟨K_c, Y_c⟩ / ‖K_c‖‖Y_c‖)`, Y the kernel that is 1 where two samples have one label.
fn weigh(kernels: &Kernels) -> Result<Vec<f64>> {
    let (labels, n) = (&kernels.labels, kernels.labels.len() as f64);
    let counts = check::counts(labels, kernels.n_classes);
    let squares: f64 = counts.iter().map(|&c| (c as f64).powi(2)).sum();
    let alignment = |kernel: &faer::Mat<f64>| {
        let (mut product, mut norm, mut target) = (0.0, 0.0, 0.0);
        for (j, &b) in labels.iter().enumerate() {
            for (i, &a) in labels.iter().enumerate() {
                let share = |y: u32| counts[y as usize] as f64 / n;
                let y = f64::from(u8::from(a == b)) - share(a) - share(b) + squares / (n * n);
                let k = kernel[(i, j)];
                product += k * y;
                norm += k * k;
                target += y * y;
            }
        }
        let length = (norm * target).sqrt();
        if length > 0.0 { (product / length).max(0.0).sqrt() } else { 0.0 }
    };
    Ok(kernels.each.iter().map(alignment).collect())
}
