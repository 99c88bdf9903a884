//! Gaussian kernels of rows.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Arch;
use rayon::prelude::*;

use super::{Problem, Setting};
use crate::distances::kernels::{ROUNDING, exp_of_negative};
use crate::distances::median_distance;
use crate::{Rows, content, moments};

/// Of the methods that have a kernel.
pub(super) const BANDWIDTH: Setting = Setting {
    name: "bandwidth",
    summary: "width of the Gaussian kernel, in median distances of the pooled rows",
    default: Some(1.0),
    range: (1e-3, 1e3),
    choices: &[0.5, 1.0, 2.0],
};

/// Rows of each side whose distances give the median.
const FOR_MEDIAN: usize = 500;

/// Rows of a block.
const BLOCK: usize = 128;

/// Centred rows in `f64` and their squared lengths: distances then lose no digits to a large mean.
pub(super) struct Wide {
    pub n: usize,
    pub d: usize,
    pub data: Vec<f64>,
    squares: Vec<f64>,
}

impl Wide {
    pub fn of(rows: Rows<'_>, centre: &[f64]) -> Self {
        let (n, d) = (rows.n(), rows.d());
        let centred = |row: &[f32]| -> Vec<f64> {
            row.iter().zip(centre).map(|(&x, c)| f64::from(x) - c).collect()
        };
        let data: Vec<f64> = rows.data().chunks_exact(d).flat_map(centred).collect();
        let squares = data.chunks_exact(d).map(|row| row.iter().map(|x| x * x).sum()).collect();
        Self { n, d, data, squares }
    }

    /// Squared distances of rows `first..first + count` from all of `other`, `[count, m]`.
    pub fn distances(&self, first: usize, count: usize, other: &Self) -> Vec<f64> {
        let mut out = vec![0.0; count * other.n];
        matmul(
            // Column-major [m, count]: one of our rows a column.
            MatMut::from_column_major_slice_mut(&mut out, other.n, count),
            Accum::Replace,
            MatRef::from_column_major_slice(&other.data, other.d, other.n).transpose(),
            MatRef::from_column_major_slice(
                &self.data[first * self.d..][..count * self.d],
                self.d,
                count,
            ),
            1.0,
            Par::Seq,
        );
        for (out, square) in out.chunks_exact_mut(other.n).zip(&self.squares[first..]) {
            Arch::new().dispatch(Apart { out, own: *square, others: &other.squares });
        }
        out
    }

    /// `exp(−γ‖x − y‖²)` for all rows `x` of `self` and `y` of `other`; `use_rows` is given the number of a
    /// block's first row and its kernels `[rows, m]`, and may not rely on the order of blocks.
    pub fn kernels<T: Send>(
        &self,
        other: &Self,
        gamma: f64,
        use_rows: impl Fn(usize, Vec<f64>) -> T + Sync,
    ) -> Vec<T> {
        let starts: Vec<usize> = (0..self.n).step_by(BLOCK).collect();
        let one = |&first: &usize| {
            let mut out = self.distances(first, BLOCK.min(self.n - first), other);
            Arch::new().dispatch(Exponential { values: &mut out, scale: -gamma });
            use_rows(first, out)
        };
        starts.par_iter().map(one).collect()
    }

    /// All kernels, `[n, m]`.
    pub fn all_kernels(&self, other: &Self, gamma: f64) -> Vec<f64> {
        self.kernels(other, gamma, |_, rows| rows).concat()
    }

    /// All squared distances, `[n, m]`.
    pub fn all_distances(&self, other: &Self) -> Vec<f64> {
        let starts: Vec<usize> = (0..self.n).step_by(BLOCK).collect();
        let block = |&first: &usize| self.distances(first, BLOCK.min(self.n - first), other);
        let mut out = vec![0.0; self.n * other.n];
        out.par_chunks_mut(BLOCK * other.n).zip(&starts).for_each(|(out, first)| {
            out.copy_from_slice(&block(first));
        });
        out
    }

    /// The rows named by `indices`.
    pub fn gather(&self, indices: &[usize]) -> Self {
        let row = |&i: &usize| self.data[i * self.d..][..self.d].iter().copied();
        let data = indices.iter().flat_map(row).collect();
        let squares = indices.iter().map(|&i| self.squares[i]).collect();
        Self { n: indices.len(), d: self.d, data, squares }
    }
}

/// Both sides about the pooled mean, and `γ = 1/2σ²` for `σ` of the given number of median distances.
pub(super) fn sides(problem: &Problem<'_>, bandwidth: f64) -> ([Wide; 2], Vec<f64>, f64) {
    let sets = [problem.source(), problem.target()];
    let means = sets.map(moments::means);
    let [n, m] = sets.map(|rows| rows.n() as f64);
    let centre: Vec<f64> =
        means[0].iter().zip(&means[1]).map(|(a, b)| (n * a + m * b) / (n + m)).collect();
    let mut some = Vec::new();
    for rows in sets {
        for &i in content::order(rows).iter().take(FOR_MEDIAN) {
            let row = rows.row(i).iter().zip(&centre);
            some.push(row.map(|(&x, c)| f64::from(x) - c).collect());
        }
    }
    let sigma = bandwidth * median_distance(&some);
    (sets.map(|rows| Wide::of(rows, &centre)), centre, 0.5 / (sigma * sigma))
}

/// `‖x‖² + ‖y‖² − 2 x·y` in the place of the products.
struct Apart<'a> {
    out: &'a mut [f64],
    own: f64,
    others: &'a [f64],
}

impl pulp::WithSimd for Apart<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (out, other) in self.out.iter_mut().zip(self.others) {
            let lengths = self.own + other;
            let apart = lengths - 2.0 * *out;
            *out = if apart > ROUNDING * lengths { apart } else { 0.0 };
        }
    }
}

/// `exp(scale·x)` in place, for `scale·x ≤ 0`.
pub(super) struct Exponential<'a> {
    pub values: &'a mut [f64],
    pub scale: f64,
}

impl pulp::WithSimd for Exponential<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.values.iter_mut().for_each(|x| *x = exp_of_negative(self.scale * *x));
    }
}
