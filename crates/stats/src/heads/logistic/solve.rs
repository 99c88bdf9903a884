//! L-BFGS with a curvature bound as its first guess of the Hessian.
//!
//! The Hessian of the mean cross-entropy never exceeds `½ (X̃ᵀX̃/n) ⊗ I` (Böhning 1992, "Multinomial
//! logistic regression algorithm"), with `X̃ = [X 1]`. Its inverse, one Cholesky factor for each λ,
//! replaces the usual multiple of the identity: features of any scale converge in tens of steps.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::solve::solve_in_place;
use faer::{Mat, Par};

use super::objective::{Objective, Precision};
use crate::StatsError;
use crate::heads::Limit;
use crate::symmetric;

/// Pairs of steps and gradient changes that are remembered.
const MEMORY: usize = 12;

/// The factor of `½ X̃ᵀX̃/n + λI`, or of its diagonal where the features are too many.
pub(super) enum Bound {
    Dense(Mat<f64>),
    Diagonal(Vec<f64>),
}

impl Bound {
    /// From the second moments `X̃ᵀX̃/n`, `[d + 1, d + 1]`.
    pub fn dense(moments: &Mat<f64>, lambda: f64) -> Result<Self, StatsError> {
        let size = moments.nrows();
        let largest = (0..size).map(|i| moments[(i, i)]).fold(1e-300, f64::max);
        let mut matrix = Mat::from_fn(size, size, |i, j| {
            // The last is the bias, which λ does not hold; a little of the rest does.
            let ridge = if i != j {
                0.0
            } else if i + 1 < size {
                lambda
            } else {
                0.0
            };
            0.5 * moments[(i, j)] + ridge + if i == j { 1e-12 * largest } else { 0.0 }
        });
        symmetric::cholesky(&mut matrix, "the features' second moments are not finite")?;
        Ok(Self::Dense(matrix))
    }

    /// From the diagonal of the second moments.
    pub fn diagonal(moments: &[f64], lambda: f64) -> Self {
        let (bias, weights) = moments.split_last().map_or((1.0, &[][..]), |(b, w)| (*b, w));
        let largest = weights.iter().copied().fold(1e-300, f64::max);
        let mut out: Vec<f64> =
            weights.iter().map(|m| 1.0 / (0.5 * m + lambda + 1e-12 * largest)).collect();
        out.push(1.0 / (0.5 * bias).max(1e-300));
        Self::Diagonal(out)
    }

    /// `direction ← bound⁻¹ direction`, for `[classes, d + 1]`.
    fn solve(&self, direction: &mut [f64]) {
        match self {
            Self::Dense(factor) => {
                let size = factor.nrows();
                let columns = direction.len() / size;
                let rhs = faer::MatMut::from_column_major_slice_mut(direction, size, columns);
                let mut memory = MemBuffer::new(faer::dyn_stack::StackReq::EMPTY);
                solve_in_place(factor.as_ref(), rhs, Par::Seq, MemStack::new(&mut memory));
            }
            Self::Diagonal(inverse) => {
                for row in direction.chunks_exact_mut(inverse.len()) {
                    row.iter_mut().zip(inverse).for_each(|(x, inverse)| *x *= inverse);
                }
            }
        }
    }
}

/// Where the solver ended.
pub(super) struct Solution {
    pub iterations: usize,
    pub converged: bool,
}

/// Largest gradient to which single precision leads.
pub(super) const SINGLE_TOLERANCE: f64 = 1e-5;

/// A minimisation that goes on.
struct Descent<'a> {
    objective: &'a Objective<'a>,
    bound: &'a Bound,
    limit: &'a Limit,
    history: Vec<Pair>,
    iterations: usize,
}

/// Minimises `objective` from `theta` until the largest gradient is at most `tolerance`, or until `limit`. As far as
/// [`SINGLE_TOLERANCE`], products are formed in single precision; from there on in double.
pub(super) fn minimise(
    objective: &Objective<'_>,
    bound: &Bound,
    tolerance: f64,
    max_iterations: usize,
    limit: &Limit,
    theta: &mut [f64],
) -> Solution {
    let mut descent = Descent { objective, bound, limit, history: Vec::new(), iterations: 0 };
    let near = tolerance.max(SINGLE_TOLERANCE);
    let mut converged = descent.descend(theta, near, max_iterations, Precision::Single);
    // Where single precision gets no further, double precision goes on.
    if !converged || tolerance < SINGLE_TOLERANCE {
        converged = descent.descend(theta, tolerance, max_iterations, Precision::Double);
    }
    Solution { iterations: descent.iterations, converged }
}

impl Descent<'_> {
    /// Goes on to a gradient of `tolerance`; whether it came there.
    fn descend(
        &mut self,
        theta: &mut [f64],
        tolerance: f64,
        max_iterations: usize,
        precision: Precision,
    ) -> bool {
        let Self { objective, bound, limit, history, iterations } = self;
        let mut gradient = vec![0.0; objective.len()];
        let mut value = objective.value_and_gradient(theta, &mut gradient, precision);
        let (mut next, mut next_gradient) = (theta.to_vec(), gradient.clone());
        while *iterations < max_iterations {
            if largest(&gradient) <= tolerance {
                return true;
            }
            if limit.is_reached() {
                return false;
            }
            let mut direction = two_loop(history, bound, &gradient);
            let mut slope = dot(&direction, &gradient);
            if slope >= 0.0 || !slope.is_finite() {
                history.clear();
                direction = two_loop(history, bound, &gradient);
                slope = dot(&direction, &gradient);
            }
            let Some((step, reached)) = search(
                |at: &[f64], gradient: &mut [f64]| {
                    objective.value_and_gradient(at, gradient, precision)
                },
                (value, slope, rounding(precision, value)),
                theta,
                &direction,
                &mut next,
                &mut next_gradient,
            ) else {
                // No descent left in this precision.
                return false;
            };
            let change: Vec<f64> =
                next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
            let moved: Vec<f64> = direction.iter().map(|d| d * step).collect();
            let curvature = dot(&moved, &change);
            if curvature > 1e-300 {
                if history.len() == MEMORY {
                    history.remove(0);
                }
                history.push(Pair { moved, change, curvature });
            }
            theta.copy_from_slice(&next);
            gradient.copy_from_slice(&next_gradient);
            value = reached;
            *iterations += 1;
        }
        largest(&gradient) <= tolerance
    }
}

/// Slope beyond the minimum, as a share of that at the start, up to which a step is taken.
const PAST: f64 = 0.9;

/// How exactly `value` is known. However small a loss, it is the difference of scores that are not.
fn rounding(precision: Precision, value: f64) -> f64 {
    match precision {
        Precision::Single => 4.0 * f64::from(f32::EPSILON) * value.abs(),
        Precision::Double => 4.0 * f64::EPSILON * value.abs().max(1.0),
    }
}

/// A remembered step.
struct Pair {
    moved: Vec<f64>,
    change: Vec<f64>,
    curvature: f64,
}

/// The direction of L-BFGS (Nocedal & Wright 2006, algorithm 7.4).
fn two_loop(history: &[Pair], bound: &Bound, gradient: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(history.len());
    for pair in history.iter().rev() {
        let alpha = dot(&pair.moved, &direction) / pair.curvature;
        add(&mut direction, -alpha, &pair.change);
        alphas.push(alpha);
    }
    // The newest pair says how much the bound overstates the curvature.
    let scale = history.last().map_or(1.0, |pair| {
        let mut solved = pair.change.clone();
        bound.solve(&mut solved);
        (pair.curvature / dot(&pair.change, &solved)).clamp(1e-6, 1e6)
    });
    bound.solve(&mut direction);
    direction.iter_mut().for_each(|d| *d *= scale);
    for (pair, alpha) in history.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(&pair.change, &direction) / pair.curvature;
        add(&mut direction, alpha - beta, &pair.moved);
    }
    direction
}

/// Backtracks from a full step until the value falls enough; on a convex objective the curvature
/// condition then holds by itself. Returns the step and the value there.
///
/// The triple holds the value and the slope at `theta`, and how exactly values are known: close to the minimum the
/// fall is smaller than that.
fn search(
    value_and_gradient: impl Fn(&[f64], &mut [f64]) -> f64,
    (value, slope, rounding): (f64, f64, f64),
    theta: &[f64],
    direction: &[f64],
    next: &mut [f64],
    next_gradient: &mut [f64],
) -> Option<(f64, f64)> {
    let mut step = 1.0;
    for _ in 0..40 {
        for ((next, theta), direction) in next.iter_mut().zip(theta).zip(direction) {
            *next = theta + step * direction;
        }
        let reached = value_and_gradient(next, next_gradient);
        if reached <= value + 1e-4 * step * slope + rounding {
            // Where a whole step falls by less than values are known, slopes say whether it went past the
            // minimum, and as far beyond.
            let beyond = match -slope > rounding {
                true => 0.0,
                false => dot(next_gradient, direction),
            };
            if beyond <= -PAST * slope {
                return Some((step, reached));
            }
            step *= slope / (slope - beyond);
            continue;
        }
        // Minimum of the parabola through what is known, kept away from both ends.
        let curvature = reached - value - step * slope;
        let parabola = -0.5 * slope * step * step / curvature;
        step =
            if parabola.is_finite() { parabola.clamp(0.1 * step, 0.5 * step) } else { 0.1 * step };
    }
    None
}

/// In eight sums, lest each addition wait for the one before.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

fn add(to: &mut [f64], scale: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += scale * from);
}

fn largest(x: &[f64]) -> f64 {
    // A NaN must not pass for a small gradient.
    x.iter().fold(0.0, |m, v| if v.abs() <= m { m } else { v.abs() })
}
