//! Two sets of features and what several distances need of them, computed once.

use std::sync::OnceLock;

use super::cells::Cells;
use super::classifier::{Judged, judge};
use super::pairwise::{Pairwise, pairwise};
use super::{Measure, Options, interval, mean, p_value};
use crate::{Result, Rows, StatsError, check};

/// Two sets of features to be compared.
#[derive(Debug)]
pub struct Pair<'a> {
    pub(super) sets: [Rows<'a>; 2],
    pub(super) cells: Cells,
    /// Mean of all rows that take part, `[d]`.
    pub(super) centre: Vec<f64>,
    pub(super) options: Options,
    pairwise: OnceLock<Pairwise>,
    judged: OnceLock<Option<Judged>>,
}

impl<'a> Pair<'a> {
    /// `source` `[n, d]` and `target` `[m, d]`.
    ///
    /// Tests use all rows, unless one set is so much larger than the other that more of it would add
    /// nothing; see [`Self::used`].
    ///
    /// # Errors
    /// Sets of different width, fewer than two rows, no features, or a value that is not finite (the
    /// set and the row are named).
    pub fn new(source: Rows<'a>, target: Rows<'a>, options: Options) -> Result<Self> {
        check::sides(source, target)?;
        let sets = [source, target];
        let cells = Cells::new([source.n(), target.n()], &options);
        let mut centre = vec![0.0; source.d()];
        for &(set, row) in &cells.rows {
            centre.iter_mut().zip(sets[set].row(row)).for_each(|(c, &x)| *c += f64::from(x));
        }
        centre.iter_mut().for_each(|c| *c /= cells.rows.len() as f64);
        let (pairwise, judged) = (OnceLock::new(), OnceLock::new());
        Ok(Self { sets, cells, centre, options, pairwise, judged })
    }

    /// Rows of source and target that tests use.
    pub fn used(&self) -> [usize; 2] {
        self.cells.n
    }

    /// Number of features.
    pub fn d(&self) -> usize {
        self.centre.len()
    }

    /// How much more a held-out row looks like the target than like the source, by the classifier
    /// behind `c2st`: above 0 it would be called target. `None` for rows that took no part.
    ///
    /// # Errors
    /// As [`super::Distance::of`].
    pub fn scores(&self) -> Result<[Vec<Option<f64>>; 2]> {
        let judged = self.judged()?;
        let mut out = self.sets.map(|rows| vec![None; rows.n()]);
        for (&(set, row), &score) in self.cells.rows.iter().zip(&judged.scores) {
            out[set][row] = Some(score).filter(|score| score.is_finite());
        }
        Ok(out)
    }

    /// The row at a place of the cells' order.
    pub(super) fn row(&self, place: usize) -> &'a [f32] {
        let (set, row) = self.cells.rows[place];
        self.sets[set].row(row)
    }

    /// Sums of kernels, cell by cell.
    pub(super) fn pairwise(&self) -> &Pairwise {
        self.pairwise.get_or_init(|| pairwise(self))
    }

    /// What the classifier said of rows that it had not seen.
    pub(super) fn judged(&self) -> Result<&Judged> {
        let judged = self.judged.get_or_init(|| judge(self)).as_ref();
        judged.ok_or_else(|| StatsError::Unusable("the features' covariance is singular".into()))
    }

    /// A measure that is a permutation test; `resampled` are its values on resamples.
    pub(super) fn test(
        &self,
        name: &'static str,
        value: f64,
        statistics: Vec<f64>,
        resampled: Vec<f64>,
    ) -> Measure {
        Measure {
            name,
            value,
            interval: interval(resampled),
            chance: statistics.get(1..).and_then(mean),
            p_value: p_value(&statistics),
            statistics,
        }
    }
}
