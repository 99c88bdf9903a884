//! Samples in cells that are permuted together.
//!
//! A permutation test may exchange whole cells of samples instead of single ones: under the hypothesis
//! that both sets come from one distribution, cells of equal size are as exchangeable as samples, so
//! its level stays exact. Sums over all pairs of samples then are needed only cell by cell, and a
//! thousand permutations cost no more than one pass ("cheap permutation testing", Domingo-Enrich,
//! Dwivedi & Mackey 2025, arXiv:2502.07672). Below a thousand samples a cell is a sample.

use offshoot_random::{generator, permutation};
use rand::RngExt;

use super::Options;

/// Cells that all samples are put in.
const CELLS: usize = 1024;

/// Cells at most, where one set is too small for large cells.
const MOST_CELLS: usize = 2048;

/// Cells that the smaller set should at least be put in.
const FEWEST: usize = 64;

/// Parts of cross-validation.
const FOLDS: usize = 5;

/// Neighbouring places in [`Cells::rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// First place.
    pub start: usize,
    /// Number of samples.
    pub len: usize,
    /// 0 source, 1 target.
    pub set: usize,
    /// Which part of cross-validation holds it out.
    pub fold: usize,
}

/// Which samples take part, in which order, and who is who in every permutation.
#[derive(Debug)]
pub struct Cells {
    /// `(set, row)`; those of a cell follow one another.
    pub rows: Vec<(usize, usize)>,
    pub cells: Vec<Cell>,
    pub folds: usize,
    /// Samples of each set that take part.
    pub n: [usize; 2],
    /// Whether a cell counts as source, `[cells, 1 + permutations]`; the first column is how it is.
    pub is_source: Vec<u8>,
    /// How often each cell is drawn, `[cells, resamples]`.
    pub drawn: Vec<f64>,
    /// Columns of `is_source`.
    pub columns: usize,
    /// Columns of `drawn`.
    pub resamples: usize,
}

impl Cells {
    pub fn new(sizes: [usize; 2], options: &Options) -> Self {
        let small = sizes[0].min(sizes[1]);
        let size = (sizes[0] + sizes[1]).div_ceil(CELLS).min(small / FEWEST).max(1);
        // A set far larger than the other adds cells but next to no knowledge.
        let most = (MOST_CELLS - small.div_ceil(size).min(MOST_CELLS / 2)) * size;
        let n = sizes.map(|n| n.min(most));
        let folds = (n[0].min(n[1]) / size).clamp(2, FOLDS);
        let mut rows = Vec::new();
        let mut cells = Vec::new();
        for (set, n) in n.into_iter().enumerate() {
            let order = permutation(sizes[set], options.seed, ["source", "target"][set], 0);
            for (i, members) in order[..n].chunks(size).enumerate() {
                let cell = Cell { start: rows.len(), len: members.len(), set, fold: i % folds };
                cells.push(cell);
                rows.extend(members.iter().map(|&row| (set, row)));
            }
        }
        let mut out = Self {
            rows,
            cells,
            folds,
            n,
            is_source: Vec::new(),
            drawn: Vec::new(),
            columns: options.permutations + 1,
            resamples: options.resamples,
        };
        out.permute(size, options);
        out.resample(options);
        out
    }

    /// Exchanges cells of full size inside each fold: parts of cross-validation keep their shares of
    /// both sets, in permutations as in the pair itself.
    fn permute(&mut self, size: usize, options: &Options) {
        let columns = self.columns;
        self.is_source = self
            .cells
            .iter()
            .flat_map(|cell| std::iter::repeat_n(u8::from(cell.set == 0), columns))
            .collect();
        let full = |fold: usize| {
            let members = self.cells.iter().enumerate();
            let full = members.filter(move |(_, cell)| cell.fold == fold && cell.len == size);
            full.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let folds: Vec<Vec<usize>> = (0..self.folds).map(full).collect();
        for column in 1..columns {
            let mut draws = generator(options.seed, "permutations", 0, column as u64);
            for places in &folds {
                for last in (1..places.len()).rev() {
                    let other = draws.random_range(0..=last);
                    let at = |place: usize| places[place] * columns + column;
                    self.is_source.swap(at(last), at(other));
                }
            }
        }
    }

    /// Draws as many cells of each set as it has, with replacement.
    fn resample(&mut self, options: &Options) {
        let resamples = self.resamples;
        self.drawn = vec![0.0; self.cells.len() * resamples];
        let of_source = self.cells.iter().filter(|cell| cell.set == 0).count();
        let sets = [0..of_source, of_source..self.cells.len()];
        for column in 0..resamples {
            let mut draws = generator(options.seed, "resamples", 0, column as u64);
            for set in &sets {
                for _ in set.clone() {
                    let cell = draws.random_range(set.clone());
                    self.drawn[cell * resamples + column] += 1.0;
                }
            }
        }
    }

    /// Samples of a set in a resample.
    pub fn drawn_from(&self, set: usize, resample: usize) -> f64 {
        let of_set = self.cells.iter().enumerate().filter(|(_, cell)| cell.set == set);
        of_set.map(|(i, c)| self.drawn[i * self.resamples + resample] * c.len as f64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_keep_sizes_in_every_fold() {
        for sizes in [[2, 2], [7, 3], [60, 300], [3000, 4100], [40, 9000], [9000, 70]] {
            let options = Options { permutations: 20, resamples: 3, seed: 1 };
            let cells = Cells::new(sizes, &options);
            assert!(cells.cells.len() <= MOST_CELLS, "{sizes:?}");
            assert_eq!(cells.rows.len(), cells.n[0] + cells.n[1]);
            let count = |column: usize, fold: usize| -> usize {
                let members = cells.cells.iter().enumerate().filter(|(_, c)| c.fold == fold);
                members.map(|(i, c)| c.len * usize::from(cells.is_source[i * 21 + column])).sum()
            };
            for fold in 0..cells.folds {
                assert!((1..21).all(|column| count(column, fold) == count(0, fold)));
            }
            assert!((0..3).all(|r| cells.drawn_from(0, r) > 0.0));
        }
    }

    #[test]
    fn every_sample_takes_part_once() {
        let mut rows = Cells::new([3000, 4100], &Options::default()).rows;
        rows.sort_unstable();
        let all = (0..3000).map(|i| (0, i)).chain((0..4100).map(|i| (1, i)));
        assert!(rows.into_iter().eq(all));
    }
}
