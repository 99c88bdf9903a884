//! One pass over all pairs of samples: three kernels, summed cell by cell.
//!
//! Memory is a block of rows for each thread and the sums, `[cells, cells]`; no matrix of all pairs. Of many rows
//! products are in single precision, which takes half of the time: what it rounds is no larger than a hundred-thousandth
//! of a distance, and far below what another draw of the rows would change.

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use offshoot_random::permutation;
use pulp::Arch;
use rayon::prelude::*;

use super::Pair;
use super::cells::{Cell, Cells};
use super::kernels::{Kernels, ROUNDING};

/// Rows of a block, at least, unless there are no more.
const BLOCK: usize = 512;

/// Rows whose distances give the bandwidth; all where there are no more.
const FOR_MEDIAN: usize = 1000;

/// Rows of both sets together from which products are in single precision.
const SINGLE_FROM: usize = 8192;

/// Kernels of a tile.
const KERNELS: usize = 3;

/// Sums of kernels over pairs of samples.
#[derive(Debug)]
pub struct Pairwise {
    /// `exp(−‖x − y‖²/2σ²)`.
    pub rbf: Sums,
    /// `‖x − y‖`.
    pub distance: Sums,
    /// `(x·y)²` of rows about the pooled mean.
    pub square: Sums,
}

/// A kernel summed over the samples of every two cells.
#[derive(Debug)]
pub struct Sums {
    /// `[cells, cells]`, symmetric.
    pub sums: Vec<f64>,
    /// Of every cell's samples with themselves, `[cells]`.
    pub own: Vec<f64>,
}

/// A kernel summed over pairs of samples of source and source, target and target, source and target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    pub source: f64,
    pub target: f64,
    pub between: f64,
}

impl Sums {
    /// [`Totals`] of the pair and of every permutation, a sample with itself included where `own`.
    pub fn permuted(&self, cells: &Cells, own: bool) -> Vec<Totals> {
        let (n, columns) = (cells.cells.len(), cells.columns);
        let weight: Vec<f64> = cells.is_source.iter().map(|&s| f64::from(s)).collect();
        let products = self.times(&weight, columns);
        let rows: Vec<f64> = self.sums.chunks_exact(n).map(|row| row.iter().sum()).collect();
        let all: f64 = rows.iter().sum();
        let all_own: f64 = self.own.iter().sum();
        let one = |column: usize| {
            let (mut source, mut from_source, mut own_source) = (0.0, 0.0, 0.0);
            for cell in 0..n {
                let is_source = weight[cell * columns + column];
                source += is_source * products[cell * columns + column];
                from_source += is_source * rows[cell];
                own_source += is_source * self.own[cell];
            }
            let between = from_source - source;
            let target = all - 2.0 * between - source;
            let kept = if own { 0.0 } else { 1.0 };
            Totals {
                source: source - kept * own_source,
                target: target - kept * (all_own - own_source),
                between,
            }
        };
        (0..columns).into_par_iter().map(one).collect()
    }

    /// Mean kernels of every resample. A cell that was drawn twice is two cells whose mutual pairs are
    /// not told apart from its own, so pairs inside of a cell count once a draw: means then gather
    /// about those of the pair, while plain resampling would add pairs of a sample with itself.
    pub fn resampled(&self, cells: &Cells, own: bool) -> Vec<Totals> {
        let (n, columns) = (cells.cells.len(), cells.resamples);
        let of = |set: usize| -> Vec<f64> {
            let mut drawn = cells.drawn.clone();
            for (cell, drawn) in cells.cells.iter().zip(drawn.chunks_exact_mut(columns.max(1))) {
                if cell.set != set {
                    drawn.fill(0.0);
                }
            }
            drawn
        };
        let sets = [of(0), of(1)];
        let products = [self.times(&sets[0], columns), self.times(&sets[1], columns)];
        let one = |column: usize| {
            let mut sums = [0.0; 2];
            let mut pairs = [0.0; 2];
            let (mut between, mut sizes) = (0.0, [0.0; 2]);
            for (cell, at) in cells.cells.iter().zip((column..).step_by(columns)) {
                let len = cell.len as f64;
                let set = cell.set;
                let drawn = sets[set][at];
                let place = (at - column) / columns;
                let inside = self.sums[place * n + place];
                let kept = if own { 0.0 } else { 1.0 };
                sums[set] += drawn * (products[set][at] - drawn * inside + inside);
                sums[set] -= kept * drawn * self.own[place];
                sizes[set] += drawn * len;
                pairs[set] += drawn * len * len - drawn * drawn * len * len - kept * drawn * len;
                if set == 0 {
                    between += drawn * products[1][at];
                }
            }
            let count = |set: usize| (sizes[set] * sizes[set] + pairs[set]).max(1.0);
            Totals {
                source: sums[0] / count(0),
                target: sums[1] / count(1),
                between: between / (sizes[0] * sizes[1]),
            }
        };
        (0..columns).into_par_iter().map(one).collect()
    }

    /// `sums · weight` for `weight` `[cells, columns]`, row-major like the result.
    fn times(&self, weight: &[f64], columns: usize) -> Vec<f64> {
        let n = self.own.len();
        let mut out = vec![0.0; n * columns];
        if columns == 0 {
            return out;
        }
        // Row-major matrices are the transposed of column-major ones, and the sums are symmetric.
        let weight = MatRef::from_column_major_slice(weight, columns, n);
        let sums = MatRef::from_column_major_slice(&self.sums, n, n);
        out.par_chunks_mut(64 * columns).enumerate().for_each(|(panel, out)| {
            let rows = out.len() / columns;
            let to = MatMut::from_column_major_slice_mut(out, columns, rows);
            let right = sums.subcols(panel * 64, rows);
            matmul(to, Accum::Replace, weight, right, 1.0, Par::Seq);
        });
        out
    }
}

/// What rows and their products are held in.
trait Value: ComplexField + Copy + Into<f64> + Sync {
    /// Share of the squared lengths below which a squared distance is rounding.
    const ROUNDING: f64;
    const ONE: Self;
    fn of(x: f64) -> Self;
}

impl Value for f64 {
    const ROUNDING: f64 = ROUNDING;
    const ONE: Self = 1.0;
    fn of(x: f64) -> Self {
        x
    }
}

impl Value for f32 {
    const ROUNDING: f64 = 2e-6;
    const ONE: Self = 1.0;
    fn of(x: f64) -> Self {
        x as Self
    }
}

/// Neighbouring cells and their centred rows.
struct Block<T> {
    cells: std::ops::Range<usize>,
    /// `[rows, d]`.
    rows: Vec<T>,
    /// Squared lengths of the rows as they are held.
    squares: Vec<f64>,
}

impl<T: Value> Block<T> {
    fn new(pair: &Pair<'_>, cells: std::ops::Range<usize>) -> Self {
        let members = &pair.cells.cells[cells.clone()];
        let places = members.iter().flat_map(|cell| cell.start..cell.start + cell.len);
        let mut rows: Vec<T> = Vec::new();
        for place in places {
            let row = pair.row(place).iter().zip(&pair.centre);
            rows.extend(row.map(|(&x, c)| T::of(f64::from(x) - c)));
        }
        let square = |row: &[T]| row.iter().map(|&x| x.into() * x.into()).sum();
        let squares = rows.chunks_exact(pair.d()).map(square).collect();
        Self { cells, rows, squares }
    }
}

pub fn pairwise(pair: &Pair<'_>) -> Pairwise {
    let cells = &pair.cells.cells;
    let gamma = 0.5 / bandwidth(pair).powi(2);
    let blocks = blocks(cells);
    let strips = match pair.cells.rows.len() < SINGLE_FROM {
        true => strips::<f64>(pair, &blocks, gamma),
        false => strips::<f32>(pair, &blocks, gamma),
    };
    let n = cells.len();
    let mut sums: [Vec<f64>; KERNELS] = std::array::from_fn(|_| vec![0.0; n * n]);
    for tile in strips.into_iter().flatten() {
        let [rows, columns] = &tile.cells;
        let places = rows.clone().flat_map(|i| columns.clone().map(move |j| (i, j)));
        for ((i, j), values) in places.zip(&tile.sums) {
            for (sums, value) in sums.iter_mut().zip(values) {
                sums[i * n + j] = *value;
                sums[j * n + i] = *value;
            }
        }
    }
    let fourth = |cell: &Cell| -> f64 {
        let block = (cell.start..cell.start + cell.len).map(|place| {
            let row = pair.row(place).iter().zip(&pair.centre);
            row.map(|(&x, c)| (f64::from(x) - c).powi(2)).sum::<f64>().powi(2)
        });
        block.sum()
    };
    let [rbf, distance, square] = sums;
    Pairwise {
        rbf: Sums { sums: rbf, own: cells.iter().map(|cell| cell.len as f64).collect() },
        distance: Sums { sums: distance, own: vec![0.0; n] },
        square: Sums { sums: square, own: cells.par_iter().map(fourth).collect() },
    }
}

/// The tiles of every block with itself and those after it.
fn strips<T: Value>(
    pair: &Pair<'_>,
    blocks: &[std::ops::Range<usize>],
    gamma: f64,
) -> Vec<Vec<Tile>> {
    let strip = |i: usize| {
        let left = Block::<T>::new(pair, blocks[i].clone());
        let rights = blocks[i..].iter();
        rights.map(|right| tile(pair, &left, &Block::new(pair, right.clone()), gamma)).collect()
    };
    (0..blocks.len()).into_par_iter().map(strip).collect()
}

fn blocks(cells: &[Cell]) -> Vec<std::ops::Range<usize>> {
    let mut blocks = Vec::new();
    let mut first = 0;
    let mut rows = 0;
    for (place, cell) in cells.iter().enumerate() {
        rows += cell.len;
        if rows >= BLOCK || place + 1 == cells.len() {
            blocks.push(first..place + 1);
            (first, rows) = (place + 1, 0);
        }
    }
    blocks
}

struct Tile {
    cells: [std::ops::Range<usize>; 2],
    /// Each kernel, `[left cells, right cells]`.
    sums: Vec<[f64; KERNELS]>,
}

fn tile<T: Value>(pair: &Pair<'_>, left: &Block<T>, right: &Block<T>, gamma: f64) -> Tile {
    let (d, n, m) = (pair.d(), left.squares.len(), right.squares.len());
    // Column-major [m, n]: a row of `left` is a column.
    let mut products = vec![T::of(0.0); n * m];
    matmul(
        MatMut::from_column_major_slice_mut(&mut products, m, n),
        Accum::Replace,
        MatRef::from_column_major_slice(&right.rows, d, m).transpose(),
        MatRef::from_column_major_slice(&left.rows, d, n),
        T::ONE,
        Par::Seq,
    );
    let products: Vec<f64> = products.into_iter().map(Into::into).collect();
    let cells = &pair.cells.cells;
    let width = right.cells.len();
    let mut sums = vec![[0.0; KERNELS]; left.cells.len() * width];
    let (left_start, right_start) = (cells[left.cells.start].start, cells[right.cells.start].start);
    let mut values: [Vec<f64>; KERNELS] = std::array::from_fn(|_| vec![0.0; m]);
    let arch = Arch::new();
    for (row, own) in left.cells.clone().zip(sums.chunks_exact_mut(width)) {
        for i in cells[row].start - left_start..cells[row].start - left_start + cells[row].len {
            let [rbf, distance, square] = &mut values;
            arch.dispatch(Kernels {
                products: &products[i * m..][..m],
                squares: &right.squares,
                square_of_left: left.squares[i],
                gamma,
                rounding: T::ROUNDING,
                out: [rbf, distance, square],
            });
            for (column, sums) in right.cells.clone().zip(own.iter_mut()) {
                let first = cells[column].start - right_start;
                let range = first..first + cells[column].len;
                for (sum, values) in sums.iter_mut().zip(&values) {
                    *sum += values[range.clone()].iter().sum::<f64>();
                }
            }
        }
    }
    Tile { cells: [left.cells.clone(), right.cells.clone()], sums }
}

/// The median distance of pooled rows (Gretton et al. 2012, section 8), of all or of a thousand drawn
/// without regard to the sets; the mean where more than half of the pairs are equal.
fn bandwidth(pair: &Pair<'_>) -> f64 {
    let n = pair.cells.rows.len();
    let order = permutation(n, pair.options.seed, "bandwidth", 0);
    let places = &order[..n.min(FOR_MEDIAN)];
    let rows: Vec<Vec<f64>> = places
        .iter()
        .map(|&place| {
            let row = pair.row(place).iter().zip(&pair.centre);
            row.map(|(&x, c)| f64::from(x) - c).collect()
        })
        .collect();
    median_distance(&rows)
}

/// The median distance of centred rows; the mean where more than half of the pairs are equal, 1 where all are.
pub(crate) fn median_distance(rows: &[Vec<f64>]) -> f64 {
    let of = |i: usize| -> Vec<f64> {
        let apart = |other: &Vec<f64>| -> f64 {
            rows[i].iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
        };
        rows[..i].iter().map(apart).collect()
    };
    let mut distances: Vec<f64> = (0..rows.len()).into_par_iter().flat_map_iter(of).collect();
    distances.sort_by(f64::total_cmp);
    let half = distances.len() / 2;
    let median = match distances.len() % 2 {
        0 => 0.5 * (distances[half - 1] + distances[half]),
        _ => distances[half],
    };
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let found = if median > 0.0 { median } else { mean };
    if found > 0.0 { found } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;
    use crate::distances::Options;

    #[test]
    fn single_precision_sums_as_double_does() {
        // Rows far from the origin, a third of them doubles of others.
        let (n, d) = (240, 96);
        let value = |i: usize, j: usize| {
            let i = i % 160;
            40.0 + ((i * 31 + j * 17 + i * j) % 101) as f32 / 25.0
        };
        let rows: Vec<f32> = (0..2 * n * d).map(|at| value(at / d, at % d)).collect();
        let [source, target] =
            [&rows[..n * d], &rows[n * d..]].map(|r| Rows::new(n, d, r).unwrap());
        let options = Options { permutations: 99, ..Options::default() };
        let pair = Pair::new(source, target, options).unwrap();
        let blocks = blocks(&pair.cells.cells);
        let gamma = 0.5 / bandwidth(&pair).powi(2);
        let total = |strips: Vec<Vec<Tile>>| {
            let mut sums = [0.0; KERNELS];
            for tile in strips.iter().flatten() {
                for values in &tile.sums {
                    sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
                }
            }
            sums
        };
        let double = total(strips::<f64>(&pair, &blocks, gamma));
        let single = total(strips::<f32>(&pair, &blocks, gamma));
        for (double, single) in double.into_iter().zip(single) {
            assert!((double / single - 1.0).abs() < 1e-6, "{double} and {single}");
        }
    }
}
