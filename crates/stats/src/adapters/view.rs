//! How raw rows are shown to a head.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::kernel::Wide;
use crate::heads::Linear;
use crate::{Matrix, Result, Rows, StatsError, check, moments};

/// Rows that are mapped at a time.
const BLOCK: usize = 256;

/// What one side's raw rows become. Also rows that were not there when it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// As they are.
    Raw,
    /// `A x + b`.
    Affine(Affine),
    /// `A k(x) + b` of kernels with landmarks.
    Kernel(Kernel),
    /// Moved as the nearest of known rows is.
    Nearest(Nearest),
}

/// `A x + b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Number of features.
    pub d: usize,
    /// `[k, d]`, row-major.
    pub weight: Vec<f64>,
    /// `[k]`.
    pub offset: Vec<f64>,
}

/// `A k(x) + b` for `k(x)_l = exp(−γ‖x − landmark_l‖²)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// Number of features.
    pub d: usize,
    /// `[m, d]`.
    pub landmarks: Vec<f32>,
    /// Of the kernel, `1/2σ²`.
    pub gamma: f64,
    /// `[k, m]`, row-major.
    pub weight: Vec<f64>,
    /// `[k]`.
    pub offset: Vec<f64>,
}

/// `x + (moved_i − row_i)` for the row `i` nearest to `x` (Ferradans et al. 2014, arXiv:1307.5551): what a map that
/// is known at some rows makes of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// Number of features.
    pub d: usize,
    /// `[n, d]`.
    pub rows: Vec<f32>,
    /// What they became, `[n, d]`.
    pub moved: Vec<f32>,
}

impl View {
    /// What `rows` `[n, d]` become, `[n, k]`, in their order.
    ///
    /// # Errors
    /// Rows of another width, and results that are not finite.
    pub fn apply(&self, rows: Rows<'_>) -> Result<Matrix> {
        let (k, data) = match self {
            Self::Raw => (rows.d(), rows.data().to_vec()),
            Self::Affine(map) => {
                check::width(rows, map.d)?;
                (map.offset.len(), map.apply(rows))
            }
            Self::Kernel(map) => {
                check::width(rows, map.d)?;
                (map.offset.len(), map.apply(rows)?)
            }
            Self::Nearest(map) => {
                check::width(rows, map.d)?;
                (map.d, map.apply(rows)?)
            }
        };
        let n = rows.n();
        if let Some(at) = data.iter().position(|x| !x.is_finite()) {
            return Err(StatsError::NotFinite { what: "the view of features", row: at / k.max(1) });
        }
        Matrix::new(n, k, data)
            .ok_or_else(|| StatsError::Unusable(format!("a view of {n} rows to {k} features")))
    }

    /// Number of features that it takes; `None`: any.
    pub fn d(&self) -> Option<usize> {
        match self {
            Self::Raw => None,
            Self::Affine(map) => Some(map.d),
            Self::Kernel(map) => Some(map.d),
            Self::Nearest(map) => Some(map.d),
        }
    }
}

impl Affine {
    /// `A (x − from) + to` for `map` `[k, d]`.
    pub(super) fn between(map: &Mat<f64>, from: &[f64], to: &[f64]) -> Self {
        let (k, d) = (map.nrows(), map.ncols());
        let weight: Vec<f64> = (0..k).flat_map(|i| (0..d).map(move |j| map[(i, j)])).collect();
        let moved = |row: &[f64]| row.iter().zip(from).map(|(a, m)| a * m).sum::<f64>();
        let offset = weight.chunks_exact(d).zip(to).map(|(row, to)| to - moved(row)).collect();
        Self { d, weight, offset }
    }

    fn apply(&self, rows: Rows<'_>) -> Vec<f32> {
        let k = self.offset.len();
        // Column-major [d, k]: one output a column.
        let weight = MatRef::from_column_major_slice(&self.weight, self.d, k);
        mapped(rows.n(), k, |first, out| {
            let count = out.len() / k;
            let block: Vec<f64> =
                rows.data()[first * self.d..][..count * self.d].iter().map(|&x| x.into()).collect();
            for out in out.chunks_exact_mut(k) {
                out.copy_from_slice(&self.offset);
            }
            let x = MatRef::from_column_major_slice(&block, self.d, count);
            let to = MatMut::from_column_major_slice_mut(out, k, count);
            matmul(to, Accum::Add, weight.transpose(), x, 1.0, Par::Seq);
        })
    }

    /// A head on the view as one on raw features.
    pub(super) fn fold(&self, head: &Linear) -> Linear {
        let (k, classes) = (self.offset.len(), head.bias.len());
        let mut weight = vec![0.0; classes * self.d];
        // Row-major matrices are the transposed of column-major ones: Wᵀ = Aᵀ Hᵀ.
        let a = MatRef::from_column_major_slice(&self.weight, self.d, k);
        let h = MatRef::from_column_major_slice(&head.weight, k, classes);
        let to = MatMut::from_column_major_slice_mut(&mut weight, self.d, classes);
        matmul(to, Accum::Replace, a, h, 1.0, Par::Seq);
        let shift = |row: &[f64]| row.iter().zip(&self.offset).map(|(w, b)| w * b).sum::<f64>();
        let bias = head.bias.iter().zip(head.weight.chunks_exact(k)).map(|(b, row)| b + shift(row));
        Linear { d: self.d, weight, bias: bias.collect() }
    }
}

impl Kernel {
    fn apply(&self, rows: Rows<'_>) -> Result<Vec<f32>> {
        let (m, k) = (self.landmarks.len() / self.d, self.offset.len());
        let landmarks = known(self.d, &self.landmarks)?;
        let centre = moments::means(landmarks);
        let landmarks = Wide::of(landmarks, &centre);
        let weight = MatRef::from_column_major_slice(&self.weight, m, k);
        let blocks = Wide::of(rows, &centre).kernels(&landmarks, self.gamma, |_, kernels| {
            let count = kernels.len() / m;
            let mut out = self.offset.repeat(count);
            let kernels = MatRef::from_column_major_slice(&kernels, m, count);
            let to = MatMut::from_column_major_slice_mut(&mut out, k, count);
            matmul(to, Accum::Add, weight.transpose(), kernels, 1.0, Par::Seq);
            out.into_iter().map(|x| x as f32).collect::<Vec<f32>>()
        });
        Ok(blocks.concat())
    }
}

impl Nearest {
    fn apply(&self, rows: Rows<'_>) -> Result<Vec<f32>> {
        let own = known(self.d, &self.rows)?;
        let centre = moments::means(own);
        let own_wide = Wide::of(own, &centre);
        let wide = Wide::of(rows, &centre);
        Ok(mapped(rows.n(), self.d, |first, out| {
            let distances = wide.distances(first, out.len() / self.d, &own_wide);
            for (i, (out, apart)) in
                out.chunks_exact_mut(self.d).zip(distances.chunks_exact(own.n())).enumerate()
            {
                let nearest = (1..apart.len())
                    .fold(0, |best, j| if apart[j] < apart[best] { j } else { best });
                let moves = self.moved[nearest * self.d..][..self.d].iter().zip(own.row(nearest));
                for ((out, &x), (&to, &from)) in out.iter_mut().zip(rows.row(first + i)).zip(moves)
                {
                    *out = f64::from(x) + (f64::from(to) - f64::from(from));
                }
            }
        }))
    }
}

/// Stored rows, which a file may have cut short.
fn known(d: usize, data: &[f32]) -> Result<Rows<'_>> {
    Rows::new(data.len() / d.max(1), d, data).filter(|rows| rows.n() > 0).ok_or_else(|| {
        StatsError::Shape {
            expected: format!("rows of {d} features"),
            actual: format!("{} values", data.len()),
        }
    })
}

/// `[n, k]` in blocks of rows: `fill` gets the first row's number and the place of the block's results.
fn mapped(n: usize, k: usize, fill: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0f32; n * k];
    out.par_chunks_mut((BLOCK * k).max(1)).enumerate().for_each(|(block, out)| {
        let mut wide = vec![0.0; out.len()];
        fill(block * BLOCK, &mut wide);
        out.iter_mut().zip(&wide).for_each(|(out, &wide)| *out = wide as f32);
    });
    out
}
