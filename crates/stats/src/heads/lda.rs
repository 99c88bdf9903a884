//! Linear discriminant analysis with a shrunken covariance.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::linear::{Scaling, UNSEEN};
use super::{Entry, FitOptions, Fitted, Head, class_weights};
use crate::{Result, Rows, StatsError, check, moments, shrinkage};

pub(super) const ENTRY: Entry = Entry {
    name: "lda",
    summary: "Gaussian classes with one shrunken covariance, closed form",
    paper: "Fisher 1936; Ledoit & Wolf 2004 for the shrinkage",
    fit,
};

/// Scores `xᵀΣ⁻¹μ_c − ½μ_cᵀΣ⁻¹μ_c + ln π_c`, Σ the Ledoit–Wolf covariance of `x − μ_y`.
fn fit(rows: Rows<'_>, labels: &[u32], n_classes: usize, options: &FitOptions) -> Result<Fitted> {
    let scaling = Scaling::of(rows, options.standardise, &options.blocks);
    let scaled = scaling.apply(rows);
    let (n, d) = (rows.n(), rows.d());
    let rows = Rows::new(n, d, &scaled).unwrap_or(rows);
    let counts = check::counts(labels, n_classes);
    let means = class_means(rows, labels, &counts);
    let mut covariance =
        moments::weighted_scatter(rows, |i| &means[labels[i] as usize], |_| 1.0 / n as f64);
    let shrinkage = ledoit_wolf(rows, |i| &means[labels[i] as usize], &covariance);
    let target = (0..d).map(|i| covariance[(i, i)]).sum::<f64>() / d as f64;
    for i in 0..d {
        for j in 0..d {
            covariance[(i, j)] *= 1.0 - shrinkage;
        }
        // The last term only matters where all samples of every class are alike.
        covariance[(i, i)] += shrinkage * target + 1e-9 * target + 1e-12;
    }
    let factor = covariance
        .llt(Side::Lower)
        .map_err(|_| StatsError::Unusable("the shrunken covariance is singular".into()))?;
    let solved = factor.solve(Mat::from_fn(d, n_classes, |k, c| means[c][k]));
    let weights = class_weights(labels, n_classes, options.balanced);
    let mut weight = vec![0.0; n_classes * d];
    let mut bias = vec![UNSEEN; n_classes];
    for c in (0..n_classes).filter(|&c| counts[c] > 0) {
        let mut half = 0.0;
        for k in 0..d {
            weight[c * d + k] = solved[(k, c)];
            half += 0.5 * solved[(k, c)] * means[c][k];
        }
        bias[c] = (weights[c] * counts[c] as f64 / n as f64).ln() - half;
    }
    Ok(Fitted::closed_form(Head::Linear(scaling.fold(d, weight, bias))))
}

/// Mean of every class; zeros for a class without samples.
pub(crate) fn class_means(rows: Rows<'_>, labels: &[u32], counts: &[usize]) -> Vec<Vec<f64>> {
    let mut means = vec![vec![0.0; rows.d()]; counts.len()];
    for (i, &label) in labels.iter().enumerate() {
        let mean = &mut means[label as usize];
        mean.iter_mut().zip(rows.row(i)).for_each(|(m, &x)| *m += f64::from(x));
    }
    for (mean, &count) in means.iter_mut().zip(counts) {
        mean.iter_mut().for_each(|m| *m /= count.max(1) as f64);
    }
    means
}

/// [`shrinkage::share`] for the covariance `S = Σ zᵢzᵢᵀ/n` of centred rows.
pub(crate) fn ledoit_wolf<'c>(
    rows: Rows<'_>,
    centre: impl Fn(usize) -> &'c [f64] + Sync,
    covariance: &Mat<f64>,
) -> f64 {
    let (n, d) = (rows.n() as f64, rows.d());
    let mean = (0..d).map(|i| covariance[(i, i)]).sum::<f64>() / d as f64;
    let mut square = 0.0;
    for j in 0..d {
        for i in 0..d {
            let off = covariance[(i, j)] - if i == j { mean } else { 0.0 };
            square += off * off;
        }
    }
    let norm: f64 = (0..d)
        .flat_map(|j| (0..d).map(move |i| (i, j)))
        .map(|at| covariance[at] * covariance[at])
        .sum();
    let length = |i: usize| shrinkage::squared_length(rows.row(i), centre(i));
    let fourth: f64 = (0..rows.n()).map(|i| length(i) * length(i)).sum();
    shrinkage::share(n, square, norm, fourth / n)
}
