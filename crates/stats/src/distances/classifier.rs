//! The classifier that tells two sets apart: shrunken linear discriminant analysis, cross-validated, for
//! the pair as it is and for every permutation of it.
//!
//! The pooled covariance does not know who is who, so it is factored once a fold, and a permutation
//! costs one more right-hand side. Thus every permutation is judged by classifiers of its own.

use faer::linalg::matmul::matmul;
use faer::prelude::Solve;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use super::Pair;
use crate::shrinkage;

/// Features beyond which, or rows below which, the matrix of all rows takes the covariance's place.
const MOST_FEATURES: usize = 2048;

/// Rows that take part then.
const MOST_ROWS: usize = 4096;

/// Features converted at a time.
const FEATURES: usize = 1024;

/// Rows scored at a time.
const BLOCK: usize = 128;

/// Share of the identity in the shrunken covariance, at least.
const LEAST: f64 = 1e-3;

/// What classifiers said of rows that they had not seen.
#[derive(Debug)]
pub struct Judged {
    /// Balanced accuracy of the pair and of every permutation.
    pub accuracies: Vec<f64>,
    /// Score of every place: above 0 looks like target. NaN for rows that took no part.
    pub scores: Vec<f64>,
}

/// 1 where a score is right, a half where it is undecided.
pub fn hit(score: f64, is_source: bool) -> f64 {
    match score.partial_cmp(&0.0) {
        Some(std::cmp::Ordering::Equal) | None => 0.5,
        Some(order) => f64::from(u8::from(order.is_lt() == is_source)),
    }
}

/// Rows that take part, with mean 0 and variance 1 in every feature.
struct Standard<'p, 'a> {
    pair: &'p Pair<'a>,
    /// Place of each, in order.
    places: Vec<usize>,
    /// Cell of each.
    cells: Vec<usize>,
    mean: Vec<f64>,
    /// 0 for a constant feature.
    inverse: Vec<f64>,
}

impl<'p, 'a> Standard<'p, 'a> {
    fn new(pair: &'p Pair<'a>, most_rows: usize) -> Self {
        let cells = &pair.cells.cells;
        // The same number of every full cell, so that they can still be exchanged.
        let most = (most_rows / cells.len()).max(1);
        let (mut places, mut cell_of) = (Vec::new(), Vec::new());
        for (index, cell) in cells.iter().enumerate() {
            let len = cell.len.min(most);
            places.extend(cell.start..cell.start + len);
            cell_of.extend(std::iter::repeat_n(index, len));
        }
        let n = places.len() as f64;
        let mut mean = vec![0.0; pair.d()];
        for &place in &places {
            mean.iter_mut().zip(pair.row(place)).for_each(|(m, &x)| *m += f64::from(x));
        }
        mean.iter_mut().for_each(|m| *m /= n);
        let mut squares = vec![0.0; pair.d()];
        for &place in &places {
            for ((s, &x), m) in squares.iter_mut().zip(pair.row(place)).zip(&mean) {
                *s += (f64::from(x) - m).powi(2);
            }
        }
        let inverse = squares
            .iter()
            .zip(&mean)
            .map(|(s, m)| {
                let variance = s / n;
                if variance > 1e-14 * m * m { variance.sqrt().recip() } else { 0.0 }
            })
            .collect();
        Self { pair, places, cells: cell_of, mean, inverse }
    }

    /// Some features of some rows, `[rows, features]`, row-major.
    fn values(&self, rows: std::ops::Range<usize>, features: std::ops::Range<usize>) -> Vec<f64> {
        let mut out = Vec::with_capacity(rows.len() * features.len());
        for &place in &self.places[rows] {
            let row = self.pair.row(place)[features.clone()].iter();
            let scales = self.mean[features.clone()].iter().zip(&self.inverse[features.clone()]);
            out.extend(row.zip(scales).map(|(&x, (m, inverse))| (f64::from(x) - m) * inverse));
        }
        out
    }

    fn fold(&self, row: usize) -> usize {
        self.pair.cells.cells[self.cells[row]].fold
    }
}

/// `None` where a shrunken covariance could not be factored.
pub fn judge(pair: &Pair<'_>) -> Option<Judged> {
    let d = pair.d();
    let dual = d > MOST_FEATURES || pair.cells.rows.len() < d;
    let standard = Standard::new(pair, if dual { MOST_ROWS } else { usize::MAX });
    let mut tally = Tally::new(&standard);
    if standard.inverse.iter().any(|&inverse| inverse > 0.0) {
        if dual {
            in_samples(&standard, &mut tally)?
        } else {
            in_features(&standard, &mut tally)?
        };
    } else {
        // All rows are alike: nothing can be told.
        let everyone: Vec<usize> = (0..standard.places.len()).collect();
        let columns = pair.cells.columns;
        tally.add(&standard, &everyone, &vec![0.0; everyone.len() * columns]);
    }
    Some(tally.judged())
}

/// [`shrinkage::share`] from `‖C‖²`, `tr C` and the mean of `‖z‖⁴`; never so little that `C` cannot be factored.
fn shrinkage(n: f64, d: f64, square: f64, trace: f64, fourth: f64) -> f64 {
    shrinkage::share(n, square - trace * trace / d, square, fourth).max(LEAST)
}

/// Hits of the pair and of every permutation.
struct Tally {
    columns: usize,
    /// `[columns][source, target]`.
    hits: Vec<[f64; 2]>,
    n: [f64; 2],
    scores: Vec<f64>,
}

impl Tally {
    fn new(standard: &Standard<'_, '_>) -> Self {
        let cells = &standard.pair.cells;
        let of = |set| standard.cells.iter().filter(|&&c| cells.cells[c].set == set).count() as f64;
        Self {
            columns: cells.columns,
            hits: vec![[0.0; 2]; cells.columns],
            n: [of(0), of(1)],
            scores: vec![f64::NAN; cells.rows.len()],
        }
    }

    /// `scores` `[rows, columns]`, row-major. Hits are halves of whole numbers: no order can change them.
    fn add(&mut self, standard: &Standard<'_, '_>, rows: &[usize], scores: &[f64]) {
        let is_source = &standard.pair.cells.is_source;
        for (&row, scores) in rows.iter().zip(scores.chunks_exact(self.columns)) {
            self.scores[standard.places[row]] = scores[0];
            let is_source = &is_source[standard.cells[row] * self.columns..][..self.columns];
            for ((hits, &score), &source) in self.hits.iter_mut().zip(scores).zip(is_source) {
                hits[usize::from(source == 0)] += hit(score, source != 0);
            }
        }
    }

    fn judged(self) -> Judged {
        let [n, m] = self.n;
        let accuracies = self.hits.iter().map(|[s, t]| 0.5 * (s / n + t / m)).collect();
        Judged { accuracies, scores: self.scores }
    }
}

/// Weights of training rows, `[rows or cells, columns]`: `1/m` for target and `−1/n` for source in the
/// first, halves of both in the second, so that sums are the difference and the middle of the means.
fn contrasts(standard: &Standard<'_, '_>, fold: usize, members: &[usize]) -> [Vec<f64>; 2] {
    let cells = &standard.pair.cells;
    let mut sizes = [0.0; 2];
    for &cell in standard.cells.iter().filter(|&&c| cells.cells[c].fold != fold) {
        sizes[cells.cells[cell].set] += 1.0;
    }
    let weight = |source: u8, signed: bool| match (source != 0, signed) {
        (true, true) => -1.0 / sizes[0],
        (false, true) => 1.0 / sizes[1],
        (true, false) => 0.5 / sizes[0],
        (false, false) => 0.5 / sizes[1],
    };
    [true, false].map(|signed| {
        let rows = members.iter().map(|&cell| &cells.is_source[cell * cells.columns..]);
        rows.flat_map(|row| row[..cells.columns].iter().map(|&s| weight(s, signed))).collect()
    })
}

/// `left · right` for column-major `left` `[n, k]` and row-major `right` `[k, m]`; row-major `[n, m]`.
fn product(left: MatRef<'_, f64>, right: &[f64], m: usize) -> Vec<f64> {
    let (n, k) = (left.nrows(), left.ncols());
    let right = MatRef::from_column_major_slice(right, m, k);
    let mut out = vec![0.0; n * m];
    out.par_chunks_mut((64 * m).max(1)).enumerate().for_each(|(panel, out)| {
        let rows = out.len() / m;
        let to = MatMut::from_column_major_slice_mut(out, m, rows);
        let left = left.subrows(panel * 64, rows).transpose();
        matmul(to, Accum::Replace, right, left, 1.0, Par::Seq);
    });
    out
}

/// Thresholds `w·(middle of the means)` of every column, from row-major `[k, columns]`.
fn thresholds(weights: &[f64], middles: &[f64], columns: usize) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for (w, m) in weights.chunks_exact(columns).zip(middles.chunks_exact(columns)) {
        sums.iter_mut().zip(w).zip(m).for_each(|((sum, w), m)| *sum += w * m);
    }
    sums
}

/// Solves `a x = b` for symmetric `a` and row-major `b` `[n, columns]`, a panel of columns at a time.
fn solve(a: &Mat<f64>, b: &[f64], columns: usize) -> Option<Vec<f64>> {
    let factor = a.llt(Side::Lower).ok()?;
    let n = a.nrows();
    let starts: Vec<usize> = (0..columns).step_by(64).collect();
    let panels: Vec<Mat<f64>> = starts
        .par_iter()
        .map(|&start| {
            let width = 64.min(columns - start);
            factor.solve(Mat::from_fn(n, width, |i, j| b[i * columns + start + j]))
        })
        .collect();
    let mut out = vec![0.0; n * columns];
    for (panel, start) in panels.iter().zip(starts) {
        for i in 0..n {
            for j in 0..panel.ncols() {
                out[i * columns + start + j] = panel[(i, j)];
            }
        }
    }
    Some(out)
}

/// With the covariance of features.
fn in_features(standard: &Standard<'_, '_>, tally: &mut Tally) -> Option<()> {
    let cells = &standard.pair.cells;
    let (d, n, columns) = (standard.mean.len(), standard.places.len(), cells.columns);
    let folds: Vec<Vec<usize>> =
        (0..cells.folds).map(|f| (0..n).filter(|&r| standard.fold(r) == f).collect()).collect();
    let scatters: Vec<Vec<f64>> = folds.iter().map(|rows| scatter(standard, rows)).collect();
    let mut total = vec![0.0; d * d];
    for scatter in &scatters {
        total.iter_mut().zip(scatter).for_each(|(sum, s)| *sum += s);
    }
    let mut sums = vec![0.0; cells.cells.len() * d];
    let mut fourth = 0.0;
    for row in 0..n {
        let values = standard.values(row..row + 1, 0..d);
        fourth += values.iter().map(|z| z * z).sum::<f64>().powi(2) / n as f64;
        let sums = &mut sums[standard.cells[row] * d..][..d];
        sums.iter_mut().zip(&values).for_each(|(sum, z)| *sum += z);
    }
    let count = n as f64;
    let square: f64 = total.iter().map(|c| (c / count).powi(2)).sum();
    let trace: f64 = (0..d).map(|i| total[i * d + i] / count).sum();
    let share = shrinkage(count, d as f64, square, trace, fourth);
    for (fold, rows) in folds.iter().enumerate() {
        let kept = (n - rows.len()) as f64;
        let covariance = Mat::from_fn(d, d, |i, j| {
            let own = (total[i * d + j] - scatters[fold][i * d + j]) / kept;
            (1.0 - share) * own + if i == j { share * trace / d as f64 } else { 0.0 }
        });
        let members: Vec<usize> =
            (0..cells.cells.len()).filter(|&c| cells.cells[c].fold != fold).collect();
        let kept: Vec<f64> =
            members.iter().flat_map(|&c| sums[c * d..][..d].iter().copied()).collect();
        let kept = MatRef::from_column_major_slice(&kept, d, members.len());
        let [signed, halves] = contrasts(standard, fold, &members);
        let weights = solve(&covariance, &product(kept, &signed, columns), columns)?;
        let limits = thresholds(&weights, &product(kept, &halves, columns), columns);
        let weights = MatRef::from_column_major_slice(&weights, columns, d);
        let scored: Vec<Vec<f64>> = rows
            .par_chunks(BLOCK)
            .map(|rows| {
                let values: Vec<f64> =
                    rows.iter().flat_map(|&r| standard.values(r..r + 1, 0..d)).collect();
                let mut scores = vec![0.0; rows.len() * columns];
                let values = MatRef::from_column_major_slice(&values, d, rows.len());
                let to = MatMut::from_column_major_slice_mut(&mut scores, columns, rows.len());
                matmul(to, Accum::Replace, weights, values, 1.0, Par::Seq);
                subtract(&mut scores, &limits);
                scores
            })
            .collect();
        for (rows, scores) in rows.chunks(BLOCK).zip(&scored) {
            tally.add(standard, rows, scores);
        }
    }
    Some(())
}

fn subtract(scores: &mut [f64], limits: &[f64]) {
    for row in scores.chunks_exact_mut(limits.len().max(1)) {
        row.iter_mut().zip(limits).for_each(|(score, limit)| *score -= limit);
    }
}

/// `Σ z zᵀ` of some rows, `[d, d]`.
fn scatter(standard: &Standard<'_, '_>, rows: &[usize]) -> Vec<f64> {
    let d = standard.mean.len();
    let mut sums = vec![0.0; d * d];
    for rows in rows.chunks(256) {
        let values: Vec<f64> = rows.iter().flat_map(|&r| standard.values(r..r + 1, 0..d)).collect();
        let z = MatRef::from_column_major_slice(&values, d, rows.len());
        sums.par_chunks_mut((64 * d).max(1)).enumerate().for_each(|(panel, sums)| {
            let columns = sums.len() / d;
            let right = z.subrows(panel * 64, columns).transpose();
            let to = MatMut::from_column_major_slice_mut(sums, d, columns);
            matmul(to, Accum::Add, z, right, 1.0, Par::Seq);
        });
    }
    sums
}

/// With the products of rows, where these are fewer than features: `w = Zᵀ(ZZᵀ·ρ/n + λI)⁻¹u`.
fn in_samples(standard: &Standard<'_, '_>, tally: &mut Tally) -> Option<()> {
    let cells = &standard.pair.cells;
    let (d, n, columns) = (standard.mean.len(), standard.places.len(), cells.columns);
    let mut gram = vec![0.0; n * n];
    for first in (0..d).step_by(FEATURES) {
        let width = FEATURES.min(d - first);
        let values = standard.values(0..n, first..first + width);
        let z = MatRef::from_column_major_slice(&values, width, n);
        gram.par_chunks_mut((64 * n).max(1)).enumerate().for_each(|(panel, gram)| {
            let own = gram.len() / n;
            let to = MatMut::from_column_major_slice_mut(gram, n, own);
            matmul(to, Accum::Add, z.transpose(), z.subcols(panel * 64, own), 1.0, Par::Seq);
        });
    }
    let count = n as f64;
    let square: f64 = gram.iter().map(|g| (g / count).powi(2)).sum();
    let trace: f64 = (0..n).map(|i| gram[i * n + i] / count).sum();
    let fourth: f64 = (0..n).map(|i| gram[i * n + i].powi(2) / count).sum();
    let share = shrinkage(count, d as f64, square, trace, fourth);
    for fold in 0..cells.folds {
        let (held, kept): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|&r| standard.fold(r) == fold);
        let scale = (1.0 - share) / kept.len() as f64;
        let shrunken = Mat::from_fn(kept.len(), kept.len(), |i, j| {
            let own = scale * gram[kept[i] * n + kept[j]];
            own + if i == j { share * trace / d as f64 } else { 0.0 }
        });
        let members: Vec<usize> = kept.iter().map(|&r| standard.cells[r]).collect();
        let [signed, halves] = contrasts(standard, fold, &members);
        let weights = solve(&shrunken, &signed, columns)?;
        let among = |rows: &[usize]| {
            Mat::from_fn(rows.len(), kept.len(), |i, j| gram[rows[i] * n + kept[j]])
        };
        let limits =
            thresholds(&product(among(&kept).as_ref(), &weights, columns), &halves, columns);
        let mut scores = product(among(&held).as_ref(), &weights, columns);
        subtract(&mut scores, &limits);
        tally.add(standard, &held, &scores);
    }
    Some(())
}
