//! Ridge regression on one-hot targets, calibrated to probabilities.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::linear::{Scaling, UNSEEN};
use super::{CvPoint, Entry, FitOptions, Fitted, Head, class_weights, is_right};
use crate::calibrate::{Temperature, scale};
use crate::{Matrix, Result, Rows, StatsError, check, cv, moments};

pub(super) const ENTRY: Entry = Entry {
    name: "ridge",
    summary: "least squares on one-hot targets, closed form",
    paper: "Hoerl & Kennard 1970",
    fit,
};

/// Minimises `Σ ωᵢ‖W xᵢ + b − onehot(yᵢ)‖²/Σω + λ‖W‖²` in closed form. Probabilities are the softmax of
/// the scores over a temperature that is fitted on held-out folds, since scores of least squares
/// are not logits.
fn fit(rows: Rows<'_>, labels: &[u32], n_classes: usize, options: &FitOptions) -> Result<Fitted> {
    let folds = options.folds.min(rows.n());
    let grid = options.lambda.map_or_else(|| options.grid.clone(), |lambda| vec![lambda]);
    let fold_of = cv::stratified_folds(labels, folds.max(1), options.seed);
    let mut best: Option<(f64, f64, f64)> = None;
    let mut path = Vec::new();
    let mut held_scores = vec![vec![0.0; rows.n() * n_classes]; grid.len()];
    for fold in 0..folds {
        let (held, kept): (Vec<usize>, Vec<usize>) =
            (0..rows.n()).partition(|&i| fold_of[i] == fold);
        if kept.is_empty() {
            continue;
        }
        let x = Matrix::gather(rows, &kept);
        let y: Vec<u32> = kept.iter().map(|&i| labels[i]).collect();
        let solver = Solver::new(x.rows(), &y, n_classes, options);
        let held_x = Matrix::gather(rows, &held);
        for (&lambda, all) in grid.iter().zip(&mut held_scores) {
            let scores = solver.solve(lambda)?.scores(held_x.rows());
            for (&i, scores) in held.iter().zip(scores.chunks_exact(n_classes)) {
                all[i * n_classes..][..n_classes].copy_from_slice(scores);
            }
        }
    }
    for (&lambda, scores) in grid.iter().zip(&held_scores) {
        let Temperature { temperature, log_loss, .. } = scale(scores, labels, n_classes)?;
        path.push(CvPoint { lambda, log_loss });
        if best.is_none_or(|(_, _, least)| log_loss < least) {
            best = Some((lambda, temperature, log_loss));
        }
    }
    let Some((lambda, temperature, _)) = best else {
        return Err(StatsError::Unusable("an empty grid of strengths".into()));
    };
    let mut head = Solver::new(rows, labels, n_classes, options).solve(lambda)?;
    let counts = check::counts(labels, n_classes);
    head.weight.iter_mut().for_each(|w| *w /= temperature);
    for (bias, count) in head.bias.iter_mut().zip(counts) {
        *bias = if count == 0 { UNSEEN } else { *bias / temperature };
    }
    let chosen = grid.iter().zip(&held_scores).find(|(own, _)| **own == lambda);
    let held_out = chosen.filter(|_| folds > 1).map_or_else(Vec::new, |(_, scores)| {
        let each = scores.chunks_exact(n_classes).zip(labels);
        each.map(|(scores, &y)| Some(is_right(scores, y as usize))).collect()
    });
    let path = if options.lambda.is_some() { Vec::new() } else { path };
    Ok(Fitted {
        head: Head::Linear(head),
        lambda: Some(lambda),
        path,
        held_out,
        held_out_losses: Vec::new(),
        iterations: 0,
        converged: true,
    })
}

/// The normal equations of one set of rows.
struct Solver {
    scaling: Scaling,
    /// Weighted means of scaled features and of targets.
    x_mean: Vec<f64>,
    y_mean: Vec<f64>,
    /// `[d, d]` and `[d, classes]`, over the sum of weights.
    covariance: Mat<f64>,
    cross: Mat<f64>,
}

impl Solver {
    fn new(rows: Rows<'_>, labels: &[u32], n_classes: usize, options: &FitOptions) -> Self {
        let scaling = Scaling::of(rows, options.standardise, &options.blocks);
        let scaled = scaling.apply(rows);
        let (n, d) = (rows.n(), rows.d());
        let rows = Rows::new(n, d, &scaled).unwrap_or(rows);
        let weights = class_weights(labels, n_classes, options.balanced);
        let weight = |i: usize| weights[labels[i] as usize];
        let total: f64 = (0..n).map(weight).sum();
        let mut x_mean = vec![0.0; d];
        let mut y_mean = vec![0.0; n_classes];
        for i in 0..n {
            let w = weight(i) / total;
            x_mean.iter_mut().zip(rows.row(i)).for_each(|(m, &x)| *m += w * f64::from(x));
            y_mean[labels[i] as usize] += w;
        }
        let covariance = moments::weighted_scatter(rows, |_| &x_mean, |i| weight(i) / total);
        let mut cross = Mat::zeros(d, n_classes);
        for i in 0..n {
            let w = weight(i) / total;
            for (k, &x) in rows.row(i).iter().enumerate() {
                cross[(k, labels[i] as usize)] += w * (f64::from(x) - x_mean[k]);
            }
        }
        Self { scaling, x_mean, y_mean, covariance, cross }
    }

    fn solve(&self, lambda: f64) -> Result<super::Linear> {
        let d = self.x_mean.len();
        let largest = (0..d).map(|i| self.covariance[(i, i)]).fold(0.0, f64::max);
        let ridge = lambda.max(1e-12 * largest).max(1e-300);
        let matrix =
            Mat::from_fn(d, d, |i, j| self.covariance[(i, j)] + if i == j { ridge } else { 0.0 });
        let factor = matrix
            .llt(Side::Lower)
            .map_err(|_| StatsError::Unusable(format!("ridge with λ = {lambda} is singular")))?;
        let solution = factor.solve(&self.cross);
        let classes = self.y_mean.len();
        let mut weight = vec![0.0; classes * d];
        let mut bias = self.y_mean.clone();
        for c in 0..classes {
            for k in 0..d {
                weight[c * d + k] = solution[(k, c)];
                bias[c] -= solution[(k, c)] * self.x_mean[k];
            }
        }
        Ok(self.scaling.fold(d, weight, bias))
    }
}
