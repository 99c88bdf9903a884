//! Multinomial logistic regression.

mod objective;
mod rotate;
mod solve;

use faer::Mat;

use super::linear::{Scaling, UNSEEN};
use super::{CvPoint, Entry, FitOptions, Fitted, Head, Limit, class_weights, is_right};
use crate::{Matrix, Result, Rows, StatsError, check, cv, moments};
use objective::Objective;
pub use objective::Targets;
use rotate::Rotated;
use solve::{Bound, Solution, minimise};

pub(super) const ENTRY: Entry = Entry {
    name: "logistic",
    summary: "multinomial logistic regression, L2 chosen by cross-validation",
    paper: "Cox 1958; Böhning 1992 for the curvature bound",
    fit,
};

/// Standard errors by which the held-out loss must have risen for weaker strengths to be hopeless.
const RISEN: f64 = 1.0;

/// Looser while cross-validation compares strengths.
const CV_TOLERANCE: f64 = 4e-4;

const MAX_ITERATIONS: usize = 5000;

/// Share of a limited time that cross-validation may take.
const CHOOSING: f64 = 0.5;

/// Features beyond which the curvature bound keeps its diagonal only: a factor of more would cost
/// more memory and time than the fit.
const MAX_DENSE: usize = 3000;

/// Minimises `Σ ωᵢ·CE / Σ ωᵢ + λ/2‖W‖²`; the bias is not penalised.
///
/// Two classes have one weight vector, `w₁ − w₀`, and λ holds that one, as everywhere else. The
/// softmax form splits it in halves of opposite sign, whose squares sum to half of its square.
fn fit(rows: Rows<'_>, labels: &[u32], n_classes: usize, options: &FitOptions) -> Result<Fitted> {
    let (present, labels) = compact(labels, n_classes);
    let weights = of_classes(&labels, present.len(), options.balanced);
    let solve = |problem: &Problem<'_>| match options.lambda {
        Some(lambda) => Ok(Choice::given(lambda)),
        None => problem.choose(&labels, options),
    };
    fit_present(rows, Targets::Labels(&labels), &weights, &present, n_classes, options, solve)
}

/// [`fit`] with a weight a row (none: all alike) and shares of classes for labels; the strength is given.
pub(super) fn weighted(
    rows: Rows<'_>,
    targets: Targets<'_>,
    weights: &[f64],
    n_classes: usize,
    lambda: f64,
    options: &FitOptions,
) -> Result<Fitted> {
    let weights = checked_weights(weights, rows.n())?;
    let given = |_: &Problem<'_>| Ok(Choice::given(lambda));
    match targets {
        Targets::Labels(labels) => {
            check::labelled(rows, labels, n_classes)?;
            let (present, labels) = compact(labels, n_classes);
            let balance = of_classes(&labels, present.len(), options.balanced);
            let weights: Vec<f64> = weights.iter().zip(balance).map(|(w, b)| w * b).collect();
            let targets = Targets::Labels(&labels);
            fit_present(rows, targets, &weights, &present, n_classes, options, given)
        }
        Targets::Shares(shares) => {
            check_shares(rows, shares, n_classes)?;
            let mass = |class: usize| -> f64 {
                shares.chunks_exact(n_classes).zip(&weights).map(|(row, w)| w * row[class]).sum()
            };
            let present: Vec<usize> = (0..n_classes).filter(|&class| mass(class) > 0.0).collect();
            let rows_of = shares.chunks_exact(n_classes);
            let shares: Vec<f64> =
                rows_of.flat_map(|row| present.iter().map(|&class| row[class])).collect();
            let targets = Targets::Shares(&shares);
            fit_present(rows, targets, &weights, &present, n_classes, options, given)
        }
    }
}

/// Weights of mean 1.
fn checked_weights(weights: &[f64], n: usize) -> Result<Vec<f64>> {
    if weights.is_empty() {
        return Ok(vec![1.0; n]);
    }
    if weights.len() != n {
        return Err(StatsError::Shape {
            expected: format!("{n} weights"),
            actual: weights.len().to_string(),
        });
    }
    if let Some(row) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        return Err(StatsError::NotFinite { what: "weights", row });
    }
    let mean = weights.iter().sum::<f64>() / n as f64;
    if mean <= 0.0 {
        return Err(StatsError::Unusable("expected a weight above 0, all are 0".into()));
    }
    Ok(weights.iter().map(|w| w / mean).collect())
}

fn check_shares(rows: Rows<'_>, shares: &[f64], n_classes: usize) -> Result<()> {
    if rows.n() == 0 || rows.d() == 0 || n_classes == 0 || shares.len() != rows.n() * n_classes {
        return Err(StatsError::Shape {
            expected: format!("shares of {n_classes} classes for each of {} rows", rows.n()),
            actual: format!("{} values", shares.len()),
        });
    }
    check::finite(rows)?;
    let sums_to_one = |row: &[f64]| {
        row.iter().all(|share| *share >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() < 1e-6
    };
    match shares.chunks_exact(n_classes).position(|row| !sums_to_one(row)) {
        None => Ok(()),
        Some(row) => Err(StatsError::Unusable(format!(
            "expected shares of classes that sum to 1 (row {row}), got {:?}",
            &shares[row * n_classes..][..n_classes]
        ))),
    }
}

/// Fits classes that occur; `solve` gives the strength. Weights have mean 1.
fn fit_present(
    rows: Rows<'_>,
    targets: Targets<'_>,
    weights: &[f64],
    present: &[usize],
    n_classes: usize,
    options: &FitOptions,
    solve: impl FnOnce(&Problem<'_>) -> Result<Choice>,
) -> Result<Fitted> {
    let scaling = Scaling::of(rows, options.standardise, &options.blocks);
    let scaled;
    let rows = if options.standardise {
        scaled = scaling.apply(rows);
        Rows::new(rows.n(), rows.d(), &scaled).unwrap_or(rows)
    } else {
        rows
    };
    let rotated = if rows.n() < rows.d() { Rotated::new(rows)? } else { None };
    let problem =
        Problem::in_few_dimensions(rows, rotated.as_ref(), targets, weights, present.len());
    let Choice { lambda, path, held_out, held_out_losses, start } = solve(&problem)?;
    if !(lambda.is_finite() && lambda >= 0.0) {
        return Err(StatsError::Unusable(format!("expected λ ≥ 0, got {lambda}")));
    }
    let (mut theta, mut solution) =
        problem.fit(lambda, options.tolerance, &options.limit, start)?;
    if let Some(rotated) = rotated {
        theta = rotated.undo(rows, &theta);
        // The rotated features are rounded; what that left of the gradient goes here.
        let own = Problem::diagonal(rows, targets, weights, present.len());
        let bound = own.bound(lambda)?;
        let polished = own.solve(lambda, &bound, options.tolerance, &options.limit, &mut theta);
        solution.iterations += polished.iterations;
        solution.converged = polished.converged;
    }
    let d = rows.d();
    let mut weight = vec![0.0; n_classes * d];
    let mut bias = vec![UNSEEN; n_classes];
    for (theta, &class) in theta.chunks_exact(d + 1).zip(present) {
        weight[class * d..][..d].copy_from_slice(&theta[..d]);
        bias[class] = theta[d];
    }
    Ok(Fitted {
        head: Head::Linear(scaling.fold(d, weight, bias)),
        lambda: Some(lambda),
        path,
        held_out,
        held_out_losses,
        iterations: solution.iterations,
        converged: solution.converged,
    })
}

/// What cross-validation chose, and what it saw.
struct Choice {
    lambda: f64,
    path: Vec<CvPoint>,
    /// See [`Fitted::held_out`].
    held_out: Vec<Option<bool>>,
    /// See [`Fitted::held_out_losses`].
    held_out_losses: Vec<Option<f64>>,
    /// Weights from which the fit at `lambda` is near; none for 0.
    start: Vec<f64>,
}

impl Choice {
    /// A strength that nobody compared with others.
    fn given(lambda: f64) -> Self {
        let (path, held_out, held_out_losses, start) = Default::default();
        Self { lambda, path, held_out, held_out_losses, start }
    }
}

/// What each strength came to on samples that were held out; the weakest may be missing.
struct Held {
    /// Mean log-loss.
    losses: Vec<f64>,
    /// As [`Fitted::held_out`].
    right: Vec<Vec<Option<bool>>>,
    /// As [`Fitted::held_out_losses`].
    each: Vec<Vec<Option<f64>>>,
    /// The folds' mean weights at the best of them.
    start: Vec<f64>,
}

/// Of a fold that is not held out.
const NEVER: usize = usize::MAX;

/// Classes that have samples, and labels that count only them: the optimum of the others lies at −∞.
fn compact(labels: &[u32], n_classes: usize) -> (Vec<usize>, Vec<u32>) {
    let counts = check::counts(labels, n_classes);
    let present: Vec<usize> = (0..n_classes).filter(|&c| counts[c] > 0).collect();
    let mut compact = vec![0; n_classes];
    present.iter().enumerate().for_each(|(i, &c)| compact[c] = i as u32);
    (present, labels.iter().map(|&y| compact[y as usize]).collect())
}

/// The log-loss a held-out sample for each strength of `grid` (strongest first), on scaled features as in [`fit`].
/// Sample `i` is held out in fold `fold_of[i]`; fits end at gradients of `tolerance`.
pub(crate) fn cross_validated(
    rows: Rows<'_>,
    labels: &[u32],
    n_classes: usize,
    fold_of: &[usize],
    grid: &[f64],
    tolerance: f64,
) -> Result<Vec<f64>> {
    let scaled = Scaling::of(rows, true, &[]).apply(rows);
    let rows = Rows::new(labels.len(), rows.d(), &scaled).unwrap_or(rows);
    let (present, labels) = compact(labels, n_classes);
    let rotated = if rows.n() < rows.d() { Rotated::new(rows)? } else { None };
    let (targets, weights) = (Targets::Labels(&labels), vec![1.0; labels.len()]);
    let mut problem =
        Problem::in_few_dimensions(rows, rotated.as_ref(), targets, &weights, present.len());
    // Where fits end far closer to the optimum than rounded rows are to the samples, what was rounded counts.
    problem.rounded = rotated.as_ref().map(|rotated| rotated.rounded.rows());
    let held = problem.held_out(&labels, false, grid, fold_of, tolerance, &Limit::default())?;
    Ok(held.map_or_else(|| vec![(present.len() as f64).ln(); grid.len()], |held| held.losses))
}

/// Second moments of `[X 1]`, from which the curvature bound for any λ follows.
enum Moments {
    Dense(Mat<f64>),
    Diagonal(Vec<f64>),
}

/// The weight of each row where those of its class are weighed.
fn of_classes(labels: &[u32], n_classes: usize, balanced: bool) -> Vec<f64> {
    let weights = class_weights(labels, n_classes, balanced);
    labels.iter().map(|&y| weights[y as usize]).collect()
}

struct Problem<'a> {
    rows: Rows<'a>,
    /// See [`Objective::rounded`].
    rounded: Option<Rows<'a>>,
    targets: Targets<'a>,
    /// Of each row, of mean 1.
    weights: &'a [f64],
    n_classes: usize,
    moments: Moments,
}

impl<'a> Problem<'a> {
    /// In the rotated coordinates where there are any.
    fn in_few_dimensions(
        rows: Rows<'a>,
        rotated: Option<&'a Rotated>,
        targets: Targets<'a>,
        weights: &'a [f64],
        n_classes: usize,
    ) -> Self {
        match rotated {
            Some(rotated) => Self {
                rows: rotated.rows.rows(),
                rounded: None,
                targets,
                weights,
                n_classes,
                moments: Moments::Diagonal(rotated.squares.clone()),
            },
            None => Self::new(rows, targets, weights, n_classes),
        }
    }

    fn new(rows: Rows<'a>, targets: Targets<'a>, weights: &'a [f64], n_classes: usize) -> Self {
        let (n, d) = (rows.n() as f64, rows.d());
        if d > MAX_DENSE {
            return Self::diagonal(rows, targets, weights, n_classes);
        }
        let zero = vec![0.0; d];
        let scatter = moments::weighted_scatter(rows, |_| &zero, |i| weights[i]);
        let mut sums = vec![0.0; d];
        for (i, w) in weights.iter().enumerate() {
            sums.iter_mut().zip(rows.row(i)).for_each(|(s, &x)| *s += w * f64::from(x));
        }
        let moments = Moments::Dense(Mat::from_fn(d + 1, d + 1, |i, j| match (i == d, j == d) {
            (false, false) => scatter[(i, j)] / n,
            (true, true) => 1.0,
            (true, false) => sums[j] / n,
            (false, true) => sums[i] / n,
        }));
        Self { rows, rounded: None, targets, weights, n_classes, moments }
    }

    fn diagonal(
        rows: Rows<'a>,
        targets: Targets<'a>,
        weights: &'a [f64],
        n_classes: usize,
    ) -> Self {
        let mut squares = moments::mean_squares(rows, &vec![0.0; rows.d()]);
        squares.push(1.0);
        let moments = Moments::Diagonal(squares);
        Self { rows, rounded: None, targets, weights, n_classes, moments }
    }

    /// Parameters `[classes, d + 1]` for `lambda`, from `theta` or, where that is empty, from zero.
    fn fit(
        &self,
        lambda: f64,
        tolerance: f64,
        limit: &Limit,
        mut theta: Vec<f64>,
    ) -> Result<(Vec<f64>, Solution)> {
        theta.resize(self.n_classes * (self.rows.d() + 1), 0.0);
        let bound = self.bound(lambda)?;
        let solution = self.solve(lambda, &bound, tolerance, limit, &mut theta);
        Ok((theta, solution))
    }

    fn bound(&self, lambda: f64) -> Result<Bound> {
        let lambda = if self.n_classes == 2 { 2.0 * lambda } else { lambda };
        match &self.moments {
            Moments::Dense(moments) => Bound::dense(moments, lambda),
            Moments::Diagonal(squares) => Ok(Bound::diagonal(squares, lambda)),
        }
    }

    fn solve(
        &self,
        lambda: f64,
        bound: &Bound,
        tolerance: f64,
        limit: &Limit,
        theta: &mut [f64],
    ) -> Solution {
        let objective = Objective {
            rows: self.rows,
            rounded: self.rounded,
            targets: self.targets,
            weights: self.weights,
            n_classes: self.n_classes,
            lambda: if self.n_classes == 2 { 2.0 * lambda } else { lambda },
        };
        minimise(&objective, bound, tolerance, MAX_ITERATIONS, limit, theta)
    }

    /// The strength with the least held-out log-loss.
    fn choose(&self, labels: &[u32], options: &FitOptions) -> Result<Choice> {
        let mut grid = options.grid.clone();
        grid.sort_by(|a, b| b.total_cmp(a));
        if grid.is_empty() {
            return Err(StatsError::Unusable("an empty grid of strengths".into()));
        }
        let folds = options.folds.min(self.rows.n());
        if folds < 2 {
            return Ok(Choice::given(grid[0]));
        }
        let mut fold_of = cv::stratified_folds(labels, folds, options.seed);
        fold_of.iter_mut().filter(|fold| **fold >= options.held.max(1)).for_each(|f| *f = NEVER);
        let limit = options.limit.first(CHOOSING);
        let balanced = options.balanced;
        let held = self.held_out(labels, balanced, &grid, &fold_of, CV_TOLERANCE, &limit)?;
        let Some(held) = held else {
            let lambda = grid[grid.len() / 2];
            return Ok(Choice::given(lambda));
        };
        let path: Vec<CvPoint> = grid
            .iter()
            .zip(&held.losses)
            .map(|(&lambda, &log_loss)| CvPoint { lambda, log_loss })
            .collect();
        // The strongest of equals.
        let best =
            path.iter().fold(
                path[0],
                |best, &point| {
                    if point.log_loss < best.log_loss { point } else { best }
                },
            );
        let (mut right, mut each) = (held.right, held.each);
        let at = path.iter().position(|point| point.lambda == best.lambda).unwrap_or(0);
        let (held_out, held_out_losses) = (right.swap_remove(at), each.swap_remove(at));
        Ok(Choice { lambda: best.lambda, path, held_out, held_out_losses, start: held.start })
    }

    /// What held-out samples say of the strengths of `grid`, from strong to weak, each fit starting where the one
    /// before ended. Where the loss has risen beyond its least by [`RISEN`] standard errors, weaker strengths, which
    /// cost the most, are left out. `None` where the limit left no time for any.
    fn held_out(
        &self,
        labels: &[u32],
        balanced: bool,
        grid: &[f64],
        fold_of: &[usize],
        tolerance: f64,
        limit: &Limit,
    ) -> Result<Option<Held>> {
        let folds = fold_of.iter().filter(|fold| **fold != NEVER).max().map_or(0, |last| last + 1);
        let of_fold = |fold: usize| -> (Vec<usize>, Vec<usize>) {
            (0..self.rows.n()).partition(|&i| fold_of[i] == fold)
        };
        let folds: Vec<(Vec<usize>, Vec<usize>)> = (0..folds).map(of_fold).collect();
        let folds: Vec<_> = folds.iter().filter(|(h, k)| !h.is_empty() && !k.is_empty()).collect();
        let mut thetas = vec![vec![0.0; self.n_classes * (self.rows.d() + 1)]; folds.len()];
        let (losses, right, each, start) = Default::default();
        let mut held = Held { losses, right, each, start };
        let mut least: Option<Vec<f64>> = None;
        for &lambda in grid {
            let bound = self.bound(lambda)?;
            let mut right = vec![None; self.rows.n()];
            let mut each = vec![None; self.rows.n()];
            let mut losses = Vec::new();
            for ((held, kept), theta) in folds.iter().zip(&mut thetas) {
                let x = Matrix::gather(self.rows, kept);
                let rounded = self.rounded.map(|rows| Matrix::gather(rows, kept));
                let y: Vec<u32> = kept.iter().map(|&i| labels[i]).collect();
                let weights = of_classes(&y, self.n_classes, balanced);
                let part = Problem {
                    rows: x.rows(),
                    rounded: rounded.as_ref().map(Matrix::rows),
                    targets: Targets::Labels(&y),
                    weights: &weights,
                    n_classes: self.n_classes,
                    // The bounds of all samples serve the folds: they only steer the solver.
                    moments: Moments::Diagonal(Vec::new()),
                };
                part.solve(lambda, &bound, tolerance, limit, theta);
                if limit.is_reached() {
                    break;
                }
                let x = Matrix::gather(self.rows, held);
                let rounded = self.rounded.map(|rows| Matrix::gather(rows, held));
                let y: Vec<u32> = held.iter().map(|&i| labels[i]).collect();
                let rounded = rounded.as_ref().map(Matrix::rows);
                let (own, recognised) = judge(x.rows(), rounded, &y, self.n_classes, theta);
                held.iter().zip(&own).for_each(|(&i, &own)| each[i] = Some(own));
                losses.extend(own);
                held.iter().zip(recognised).for_each(|(&i, own)| right[i] = Some(own));
            }
            // A strength that the time cut short says something only where there is no whole one.
            let whole = !limit.is_reached();
            if losses.is_empty() || !(whole || held.losses.is_empty()) {
                break;
            }
            held.losses.push(mean(&losses));
            held.right.push(right);
            held.each.push(each);
            if !whole {
                break;
            }
            match &least {
                Some(least) if mean(least) <= mean(&losses) => {
                    if is_risen(least, &losses) {
                        break;
                    }
                }
                _ => {
                    held.start = mean_of(&thetas);
                    least = Some(losses);
                }
            }
        }
        Ok((!held.losses.is_empty()).then_some(held))
    }
}

/// Whether losses of the same samples are larger than others by more than chance.
fn is_risen(least: &[f64], now: &[f64]) -> bool {
    let n = now.len() as f64;
    let risen: Vec<f64> = now.iter().zip(least).map(|(now, least)| now - least).collect();
    let mean = mean(&risen);
    let variance = risen.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    mean > RISEN * (variance / n).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn mean_of(all: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; all.first().map_or(0, Vec::len)];
    for one in all {
        mean.iter_mut().zip(one).for_each(|(mean, x)| *mean += x / all.len() as f64);
    }
    mean
}

/// −ln p of each sample's class, and whether its most probable class is that one.
fn judge(
    rows: Rows<'_>,
    rounded: Option<Rows<'_>>,
    labels: &[u32],
    n_classes: usize,
    theta: &[f64],
) -> (Vec<f64>, Vec<bool>) {
    let d = rows.d();
    let (mut weight, mut bias) = (Vec::with_capacity(n_classes * d), Vec::new());
    for theta in theta.chunks_exact(d + 1) {
        weight.extend_from_slice(&theta[..d]);
        bias.push(theta[d]);
    }
    let mut linear = super::Linear { d, weight, bias };
    let mut scores = linear.scores(rows);
    if let Some(rounded) = rounded {
        linear.bias.fill(0.0);
        scores.iter_mut().zip(linear.scores(rounded)).for_each(|(score, more)| *score += more);
    }
    let rows = || scores.chunks_exact(n_classes).zip(labels.iter().map(|&y| y as usize));
    let loss = |(scores, label): (&[f64], usize)| {
        let largest = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        sum.ln() + largest - scores[label]
    };
    (rows().map(loss).collect(), rows().map(|(scores, label)| is_right(scores, label)).collect())
}
