//! Components of a kernel in which two sides are alike: what TCA and JDA share.
//!
//! Both look for `W` with much of `Wᵀ KHK W`, the variance of `z = WᵀK`, for little of `Wᵀ (KMK + μI) W`, the
//! distance of means and the size of `W`. `M` is a sum of few `e eᵀ`, so `KMK + μI` has a root in closed form and
//! what remains is an ordinary symmetric problem: two popular libraries hand the product `(KMK + μI)⁻¹ KHK`, which
//! is not symmetric, to a solver of symmetric ones.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use offshoot_random::generator;
use rand::RngExt;
use rayon::prelude::*;

use super::kernel::{BANDWIDTH, Wide, sides};
use super::view::Kernel;
use super::{Options, Problem, Setting, View};
use crate::product::product;
use crate::{Matrix, Result, StatsError, content, symmetric};

pub(super) const COMPONENTS: Setting = Setting {
    name: "components",
    summary: "components that are kept",
    default: Some(50.0),
    range: (1.0, 1000.0),
    choices: &[10.0, 50.0, 100.0],
};

pub(super) const MU: Setting = Setting {
    name: "mu",
    summary: "how much the size of the map counts against the distance of means",
    default: Some(1.0),
    range: (1e-6, 1e6),
    choices: &[0.1, 1.0, 10.0],
};

/// Rows of both sides up to which every row is a landmark.
const EXACT: usize = 2000;

/// Landmarks where there are more rows.
const LANDMARKS: usize = 600;

/// Components with less of the first one's variance are rounding.
const LEAST: f64 = 1e-10;

/// Columns of a panel.
const PANEL: usize = 64;

/// Kernels of all rows of both sides with the landmarks. With all rows as landmarks the methods are those of their
/// papers; else `W` is 0 for other rows, and `μ` is lessened by the share of rows that are landmarks, as the other
/// term is. Takes `2 (n_s + n_t) m` numbers for `m` landmarks: all rows up to 2,000, else 600.
pub(super) struct Components {
    /// `[n + m, landmarks]`, row-major, source rows first.
    kernels: Vec<f64>,
    /// `KHK`, `[landmarks, landmarks]`.
    scatter: Mat<f64>,
    landmarks: Matrix,
    gamma: f64,
    mu: f64,
    wanted: usize,
    seed: u64,
}

impl Components {
    pub fn of(problem: &Problem<'_>, options: &Options) -> Result<Self> {
        let (sides, centre, gamma) = sides(problem, options.of(&BANDWIDTH).unwrap_or(1.0));
        let (n, m) = (problem.source().n(), problem.target().n());
        let d = problem.source().d();
        let all = [problem.source(), problem.target()].map(|rows| rows.data()).concat();
        let all = Matrix::new(n + m, d, all)
            .ok_or_else(|| StatsError::Unusable("a copy of both sides".into()))?;
        let landmarks = if n + m <= EXACT {
            all
        } else {
            let order = content::order(all.rows());
            Matrix::gather(all.rows(), &order[..LANDMARKS])
        };
        let wide = Wide::of(landmarks.rows(), &centre);
        let kernels: Vec<f64> =
            sides.iter().flat_map(|side| side.all_kernels(&wide, gamma)).collect();
        let share = wide.n as f64 / (n + m) as f64;
        Ok(Self {
            scatter: scatter(&kernels, wide.n),
            kernels,
            landmarks,
            gamma,
            mu: options.of(&MU).unwrap_or(1.0) * share,
            wanted: options.of(&COMPONENTS).unwrap_or(50.0) as usize,
            seed: problem.seed(),
        })
    }

    fn m(&self) -> usize {
        self.landmarks.rows().n()
    }

    /// `Σ_i e_i k(x_i)` for a column of `M`'s, as sparse pairs of row and value.
    pub fn contrast(&self, e: &[(usize, f64)]) -> Vec<f64> {
        let m = self.m();
        let mut out = vec![0.0; m];
        for &(row, value) in e {
            let kernels = &self.kernels[row * m..][..m];
            out.iter_mut().zip(kernels).for_each(|(out, k)| *out += value * k);
        }
        out
    }

    /// The view for `M = Σ e eᵀ`, each contrast being `K e`, and how many components it has.
    pub fn view(&self, contrasts: &[Vec<f64>]) -> Result<(View, usize)> {
        let (m, c) = (self.m(), contrasts.len());
        let q = Mat::from_fn(m, c, |i, j| contrasts[j][i]);
        // (μI + QQᵀ)^{-1/2} = μ^{-1/2} (I − U T Uᵀ), T = 1 − √(μ/(μ + s²)) for Q = U s Vᵀ.
        let (squares, right) = symmetric::eigen(&product(q.transpose(), q.as_ref()))?;
        let floor = 1e-14 * squares.first().copied().unwrap_or(0.0);
        let kept = squares.iter().take_while(|s| **s > floor && **s > 0.0).count();
        let turn = Mat::from_fn(c, kept, |i, j| right[(i, j)] / squares[j].sqrt());
        let u = product(q.as_ref(), turn.as_ref());
        let shrunk = Mat::from_fn(m, kept, |i, j| {
            u[(i, j)] * (1.0 - (self.mu / (self.mu + squares[j])).sqrt())
        });
        // P S P for P = I − U T Uᵀ.
        let once = {
            let mut once = self.scatter.clone();
            let image = product(self.scatter.transpose(), u.as_ref());
            matmul(&mut once, Accum::Add, &shrunk, image.transpose(), -1.0, Par::Seq);
            once
        };
        let image = product(once.as_ref(), u.as_ref());
        let mut twice = once;
        matmul(&mut twice, Accum::Add, &image, shrunk.transpose(), -1.0, Par::Seq);
        let even = Mat::from_fn(m, m, |i, j| 0.5 * (twice[(i, j)] + twice[(j, i)]));
        let mut random = generator(self.seed, "components", 0, 0);
        let mut draws = || random.random::<f64>() - 0.5;
        let (values, vectors) = symmetric::leading(&even, self.wanted.min(m), &mut draws)?;
        let floor = LEAST * values.first().copied().unwrap_or(0.0);
        let k = values.iter().take_while(|v| **v > floor).count();
        if k == 0 {
            return Err(StatsError::Unusable(
                "all samples are alike: there are no components to align".into(),
            ));
        }
        let vectors = vectors.subcols(0, k);
        let mut w = vectors.to_owned();
        let shares = product(u.transpose(), vectors);
        matmul(&mut w, Accum::Add, &shrunk, &shares, -1.0, Par::Seq);
        let scale = self.mu.sqrt().recip();
        let weight = (0..k).flat_map(|j| {
            // The largest entry is positive.
            let largest =
                (0..m).fold(0.0f64, |a, i| if w[(i, j)].abs() > a.abs() { w[(i, j)] } else { a });
            let (w, scale) = (&w, scale * largest.signum());
            (0..m).map(move |i| scale * w[(i, j)])
        });
        let landmarks = self.landmarks.rows();
        let view = Kernel {
            d: landmarks.d(),
            landmarks: landmarks.data().to_vec(),
            gamma: self.gamma,
            weight: weight.collect(),
            offset: vec![0.0; k],
        };
        Ok((View::Kernel(view), k))
    }
}

/// `KᵀHK` of `[n, m]` rows.
fn scatter(kernels: &[f64], m: usize) -> Mat<f64> {
    let n = kernels.len() / m;
    let mut means = vec![0.0; m];
    for row in kernels.chunks_exact(m) {
        means.iter_mut().zip(row).for_each(|(mean, k)| *mean += k / n as f64);
    }
    let centred: Vec<f64> = kernels
        .chunks_exact(m)
        .flat_map(|row| row.iter().zip(&means).map(|(k, a)| k - a))
        .collect();
    let z = MatRef::from_column_major_slice(&centred, m, n);
    let mut out = vec![0.0; m * m];
    out.par_chunks_mut(PANEL * m).enumerate().for_each(|(panel, out)| {
        let count = out.len() / m;
        let to = MatMut::from_column_major_slice_mut(out, m, count);
        let right = z.subrows(panel * PANEL, count).transpose();
        matmul(to, Accum::Replace, z, right, 1.0, Par::Seq);
    });
    Mat::from_fn(m, m, |i, j| out[j * m + i])
}
