//! Quadratic programs with a kernel, bounds and a bounded sum, by an interior-point method.
//!
//! Every step solves with `V Vᵀ + D` for a diagonal `D`, which the Woodbury identity makes a system as large as
//! `V` has columns (Fine & Scheinberg 2001, JMLR 2).

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::super::kernel::Wide;
use crate::distances::kernels::exp_of_negative;
use crate::{Result, StatsError, symmetric};

/// Trace that the factor may leave, of that of the kernel.
const LEFT: f64 = 1e-12;

/// Complementarity at which the program is solved, a variable, relative to the size of its gradients.
const TOLERANCE: f64 = 1e-9;

const MAX_ITERATIONS: usize = 200;

/// By how much each step wants to lessen the complementarity.
const CENTRING: f64 = 0.1;

/// Share of the way to the nearest bound that a step may go.
const STEP: f64 = 0.995;

/// Columns of a panel.
const PANEL: usize = 64;

/// `K ≈ V Vᵀ + diag(δ)`.
pub struct Factor {
    n: usize,
    /// `[n, r]`, column-major.
    columns: Vec<f64>,
    /// What the columns leave of the diagonal.
    rest: Vec<f64>,
}

impl Factor {
    /// Pivoted Cholesky (Harbrecht, Peters & Schneider 2012): each column takes the row of which most is left.
    pub fn of(rows: &Wide, gamma: f64, most: usize) -> Self {
        let (n, d) = (rows.n, rows.d);
        let mut columns: Vec<f64> = Vec::with_capacity(n * most);
        let mut rest = vec![1.0; n];
        for _ in 0..most {
            let pivot = (0..n).fold(0, |best, i| if rest[i] > rest[best] { i } else { best });
            if rest[pivot] <= LEFT || rest.iter().sum::<f64>() <= LEFT * n as f64 {
                break;
            }
            let root = rest[pivot].sqrt();
            let own: Vec<f64> = columns.chunks_exact(n).map(|column| column[pivot]).collect();
            let at = &rows.data[pivot * d..][..d];
            let mut column = vec![0.0; n];
            let previous = &columns;
            column.par_chunks_mut(512).enumerate().for_each(|(part, out)| {
                let first = part * 512;
                for (i, out) in out.iter_mut().enumerate() {
                    let row = &rows.data[(first + i) * d..][..d];
                    let apart: f64 = row.iter().zip(at).map(|(a, b)| (a - b) * (a - b)).sum();
                    *out = exp_of_negative(-gamma * apart);
                }
                for (column, own) in previous.chunks_exact(n).zip(&own) {
                    let column = &column[first..][..out.len()];
                    out.iter_mut().zip(column).for_each(|(out, v)| *out -= own * v);
                }
                out.iter_mut().for_each(|out| *out /= root);
            });
            for (rest, v) in rest.iter_mut().zip(&column) {
                *rest = (*rest - v * v).max(0.0);
            }
            rest[pivot] = 0.0;
            columns.extend_from_slice(&column);
        }
        Self { n, columns, rest }
    }

    fn r(&self) -> usize {
        self.columns.len() / self.n
    }

    /// `Vᵀ x`.
    fn project(&self, x: &[f64]) -> Vec<f64> {
        let one = |column: &[f64]| column.iter().zip(x).map(|(v, x)| v * x).sum::<f64>();
        self.columns.par_chunks(self.n).map(one).collect()
    }

    /// `V y`.
    fn expand(&self, y: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.n];
        out.par_chunks_mut(512).enumerate().for_each(|(part, out)| {
            for (column, y) in self.columns.chunks_exact(self.n).zip(y) {
                let column = &column[part * 512..][..out.len()];
                out.iter_mut().zip(column).for_each(|(out, v)| *out += v * y);
            }
        });
        out
    }

    /// `K x`.
    fn times(&self, x: &[f64]) -> Vec<f64> {
        let mut out = self.expand(&self.project(x));
        out.iter_mut().zip(x).zip(&self.rest).for_each(|((out, x), rest)| *out += rest * x);
        out
    }
}

/// Solves with `V Vᵀ + D`.
struct Solver<'a> {
    factor: &'a Factor,
    /// `1/D`.
    inverse: Vec<f64>,
    /// The Cholesky factor of `I + Vᵀ D⁻¹ V`.
    small: Mat<f64>,
}

impl<'a> Solver<'a> {
    fn new(factor: &'a Factor, diagonal: &[f64]) -> Result<Self> {
        let (n, r) = (factor.n, factor.r());
        let inverse: Vec<f64> = diagonal.iter().map(|d| 1.0 / d).collect();
        let v = MatRef::from_column_major_slice(&factor.columns, n, r);
        let mut small = vec![0.0; r * r];
        small.par_chunks_mut((PANEL * r).max(1)).enumerate().for_each(|(panel, out)| {
            let count = out.len() / r;
            let from = &factor.columns[panel * PANEL * n..][..count * n];
            let scaled: Vec<f64> = from
                .chunks_exact(n)
                .flat_map(|column| column.iter().zip(&inverse).map(|(v, i)| v * i))
                .collect();
            let to = MatMut::from_column_major_slice_mut(out, r, count);
            let right = MatRef::from_column_major_slice(&scaled, n, count);
            matmul(to, Accum::Replace, v.transpose(), right, 1.0, Par::Seq);
        });
        let mut small =
            Mat::from_fn(r, r, |i, j| small[j * r + i] + if i == j { 1.0 } else { 0.0 });
        symmetric::cholesky(&mut small, "the weights' program has no step left")?;
        Ok(Self { factor, inverse, small })
    }

    fn once(&self, b: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = b.iter().zip(&self.inverse).map(|(b, i)| b * i).collect();
        let mut y = self.factor.project(&scaled);
        let r = y.len();
        for i in 0..r {
            let sum: f64 = (0..i).map(|j| self.small[(i, j)] * y[j]).sum();
            y[i] = (y[i] - sum) / self.small[(i, i)];
        }
        for i in (0..r).rev() {
            let sum: f64 = (i + 1..r).map(|j| self.small[(j, i)] * y[j]).sum();
            y[i] = (y[i] - sum) / self.small[(i, i)];
        }
        let back = self.factor.expand(&y);
        scaled.iter().zip(back).zip(&self.inverse).map(|((s, b), i)| s - b * i).collect()
    }

    /// Once more for what rounding left: the identity loses digits where `D` is small.
    fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.once(b);
        let image = self.factor.expand(&self.factor.project(&x));
        let left: Vec<f64> = b
            .iter()
            .zip(image)
            .zip(x.iter().zip(&self.inverse))
            .map(|((b, image), (x, inverse))| b - image - x / inverse)
            .collect();
        x.iter_mut().zip(self.once(&left)).for_each(|(x, more)| *x += more);
        x
    }
}

/// Minimise `½ xᵀKx − linearᵀx` with `0 ≤ x ≤ largest` and `sum[0] ≤ Σx ≤ sum[1]`.
pub struct Program {
    pub kernel: Factor,
    pub linear: Vec<f64>,
    pub largest: f64,
    pub sum: [f64; 2],
}

pub struct Solution {
    pub weights: Vec<f64>,
    pub iterations: usize,
}

impl Program {
    pub fn value(&self, x: &[f64]) -> f64 {
        let image = self.kernel.times(x);
        x.iter().zip(image).zip(&self.linear).map(|((x, k), c)| x * (0.5 * k - c)).sum()
    }

    /// Primal-dual steps on variables `x` and `s = Σx` with multipliers of their bounds (Nocedal & Wright 2006,
    /// chapter 16).
    pub fn solve(&self) -> Result<Solution> {
        let n = self.linear.len();
        let [low, high] = self.sum;
        let (mut x, mut s) = (vec![(0.5 * self.largest).min(1.0); n], 0.5 * (low + high));
        // The gradients' size: in its units the multipliers are about 1.
        let unit = self.linear.iter().fold(1e-300, |most: f64, c| most.max(c.abs()));
        let (mut lower, mut upper) = (vec![unit; n], vec![unit; n]);
        let (mut s_lower, mut s_upper) = (unit, unit);
        let mut y = 0.0;
        for iterations in 0..MAX_ITERATIONS {
            let above: Vec<f64> = x.iter().map(|x| self.largest - x).collect();
            let products =
                |x: &[f64], z: &[f64]| -> f64 { x.iter().zip(z).map(|(x, z)| x * z).sum() };
            let gap = products(&x, &lower)
                + products(&above, &upper)
                + (s - low) * s_lower
                + (high - s) * s_upper;
            let mu = gap / (2 * n + 2) as f64;
            let off = x.iter().sum::<f64>() - s;
            if mu < TOLERANCE * unit && off.abs() < 1e-9 * n as f64 {
                return Ok(Solution { weights: x, iterations });
            }
            let aim = CENTRING * mu;
            let image = self.kernel.times(&x);
            let mut diagonal = vec![0.0; n];
            let mut right = vec![0.0; n];
            for i in 0..n {
                diagonal[i] = lower[i] / x[i] + upper[i] / above[i] + self.kernel.rest[i];
                right[i] = self.linear[i] - image[i] + y + aim / x[i] - aim / above[i];
            }
            let s_diagonal = s_lower / (s - low) + s_upper / (high - s);
            let s_right = -y + aim / (s - low) - aim / (high - s);
            let solver = Solver::new(&self.kernel, &diagonal)?;
            let (a, b) = (solver.solve(&right), solver.solve(&vec![1.0; n]));
            let (sum_a, sum_b): (f64, f64) = (a.iter().sum(), b.iter().sum());
            let dy = (-off + s_right / s_diagonal - sum_a) / (sum_b + 1.0 / s_diagonal);
            let dx: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b * dy).collect();
            let ds = (s_right - dy) / s_diagonal;
            let d_lower: Vec<f64> =
                (0..n).map(|i| (aim - lower[i] * dx[i]) / x[i] - lower[i]).collect();
            let d_upper: Vec<f64> =
                (0..n).map(|i| (aim + upper[i] * dx[i]) / above[i] - upper[i]).collect();
            let ds_lower = (aim - s_lower * ds) / (s - low) - s_lower;
            let ds_upper = (aim + s_upper * ds) / (high - s) - s_upper;
            let (mut primal, mut dual) = (1.0f64, 1.0f64);
            let limit = |step: &mut f64, value: f64, change: f64| {
                if change < 0.0 {
                    *step = step.min(-STEP * value / change);
                }
            };
            for i in 0..n {
                limit(&mut primal, x[i], dx[i]);
                limit(&mut primal, above[i], -dx[i]);
                limit(&mut dual, lower[i], d_lower[i]);
                limit(&mut dual, upper[i], d_upper[i]);
            }
            limit(&mut primal, s - low, ds);
            limit(&mut primal, high - s, -ds);
            limit(&mut dual, s_lower, ds_lower);
            limit(&mut dual, s_upper, ds_upper);
            // A quadratic objective ties both: one step for all keeps the gradients' equation.
            let step = primal.min(dual);
            if step < 1e-10 || !step.is_finite() {
                break;
            }
            for i in 0..n {
                x[i] += step * dx[i];
                lower[i] += step * d_lower[i];
                upper[i] += step * d_upper[i];
            }
            s += step * ds;
            s_lower += step * ds_lower;
            s_upper += step * ds_upper;
            y += step * dy;
        }
        Err(StatsError::Unusable("the weights' program did not converge".into()))
    }
}
