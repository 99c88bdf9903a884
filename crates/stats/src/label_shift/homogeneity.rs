//! Whether two samples have classes in the same shares.

use offshoot_random::generator;
use rand::RngExt;
use rayon::prelude::*;

use crate::{Result, StatsError};

/// Pearson's test of homogeneity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homogeneity {
    /// `Σ (count − expected)²/expected` over classes and sides.
    pub statistic: f64,
    /// Half of `Σ |p_s(y) − p_t(y)|`: the share of samples that would have to change their class.
    pub distance: f64,
    /// By permutation, so that rare classes do no harm.
    pub p_value: f64,
}

/// Compares classes of two samples (Pearson 1900), for true classes or a classifier's answers: the latter
/// is black-box shift detection (Lipton et al. 2018).
///
/// # Errors
/// No samples, or a class that is not below `n_classes`.
pub fn homogeneity(
    source: &[u32],
    target: &[u32],
    n_classes: usize,
    permutations: usize,
    seed: u64,
) -> Result<Homogeneity> {
    if source.is_empty() || target.is_empty() {
        return Err(StatsError::Unusable("no samples to compare classes of".into()));
    }
    let pooled: Vec<u32> = source.iter().chain(target).copied().collect();
    if let Some(row) = pooled.iter().position(|&y| y as usize >= n_classes) {
        return Err(StatsError::Shape {
            expected: format!("classes below {n_classes}"),
            actual: format!("{} (row {row})", pooled[row]),
        });
    }
    let mut totals = vec![0.0; n_classes];
    pooled.iter().for_each(|&y| totals[y as usize] += 1.0);
    let (n, m) = (source.len() as f64, target.len() as f64);
    let statistic = |counts: &[f64]| -> f64 {
        let one = |(&count, &total): (&f64, &f64)| {
            let expected = total * m / (n + m);
            // Both sides differ from what is expected by the same number.
            if total > 0.0 {
                (count - expected).powi(2) * (1.0 / expected + n.recip() * (n + m) / total)
            } else {
                0.0
            }
        };
        counts.iter().zip(&totals).map(one).sum()
    };
    let mut counts = vec![0.0; n_classes];
    target.iter().for_each(|&y| counts[y as usize] += 1.0);
    let observed = statistic(&counts);
    // The smaller side is drawn anew, from all.
    let drawn = source.len().min(target.len());
    let as_large = (1..=permutations as u64)
        .into_par_iter()
        .filter(|&permutation| {
            let mut draws = generator(seed, "homogeneity", 0, permutation);
            let mut order = pooled.clone();
            let mut counts = vec![0.0; n_classes];
            for place in 0..drawn {
                let other = draws.random_range(place..order.len());
                order.swap(place, other);
                counts[order[place] as usize] += 1.0;
            }
            if drawn < target.len() {
                counts.iter_mut().zip(&totals).for_each(|(count, total)| *count = total - *count);
            }
            statistic(&counts) >= observed * (1.0 - 1e-10)
        })
        .count();
    let apart = counts.iter().zip(&totals).map(|(t, all)| (t / m - (all - t) / n).abs());
    Ok(Homogeneity {
        statistic: observed,
        distance: 0.5 * apart.sum::<f64>(),
        p_value: (1 + as_large) as f64 / (permutations + 1) as f64,
    })
}
