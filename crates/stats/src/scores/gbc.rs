//! GBC: how little the classes overlap, each taken for a Gaussian.

use super::{Evidence, Score};
use crate::Result;

pub(super) const SCORE: Score = Score {
    name: "gbc",
    summary: "overlap of the classes as spherical Gaussians",
    paper: "Pándy et al. 2022, arXiv:2111.12780",
    needs_source: false,
    compute,
};

/// Least variance, as a share of the variance of all samples.
const FLOOR: f64 = 1e-6;

/// `−Σ_{i≠j} exp(−D_B(i, j))` over ordered pairs of classes, with the Bhattacharyya distance
/// `D_B = ‖μ_i − μ_j‖²/8σ² + d/2·ln(σ²/σ_iσ_j)`, `σ² = (σ_i² + σ_j²)/2`, spherical as in the authors' code. A class
/// of one sample has no variance of its own, with which it would look separate from anything: it takes the mean of
/// the others'.
fn compute(evidence: &Evidence<'_>) -> Result<f64> {
    let (rows, labels, counts) = (evidence.rows(), evidence.labels(), evidence.counts());
    let (n, d) = (rows.n() as f64, rows.d());
    let present = evidence.present();
    // About the mean of all, which keeps the digits of small differences.
    let mut means = vec![vec![0.0; d]; counts.len()];
    for (i, &label) in labels.iter().enumerate() {
        let mean = means[label as usize].iter_mut().zip(rows.row(i)).zip(evidence.mean());
        mean.for_each(|((m, &x), c)| *m += (f64::from(x) - c) / counts[label as usize] as f64);
    }
    let mut squares = vec![0.0; counts.len()];
    let mut total = 0.0;
    for (i, &label) in labels.iter().enumerate() {
        let mean = &means[label as usize];
        for ((&x, c), m) in rows.row(i).iter().zip(evidence.mean()).zip(mean) {
            let z = f64::from(x) - c;
            squares[label as usize] += (z - m) * (z - m);
            total += z * z;
        }
    }
    let total = total / (n * d as f64);
    if total == 0.0 {
        return Ok(-((present.len() * (present.len() - 1)) as f64));
    }
    let several = || present.iter().filter(|&&c| counts[c] > 1);
    let pooled = several().map(|&c| squares[c]).sum::<f64>()
        / (several().map(|&c| counts[c]).sum::<usize>() * d).max(1) as f64;
    let variance = |c: usize| {
        let own = if counts[c] > 1 { squares[c] / (counts[c] * d) as f64 } else { pooled };
        own.max(FLOOR * total)
    };
    let mut overlap = 0.0;
    for (at, &i) in present.iter().enumerate() {
        for &j in &present[..at] {
            let both = 0.5 * (variance(i) + variance(j));
            let apart: f64 = means[i].iter().zip(&means[j]).map(|(a, b)| (a - b) * (a - b)).sum();
            let spread = both.ln() - 0.5 * (variance(i).ln() + variance(j).ln());
            overlap += 2.0 * (-(apart / (8.0 * both) + 0.5 * d as f64 * spread)).exp();
        }
    }
    Ok(-overlap)
}
