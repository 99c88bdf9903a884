//! Prediction sets that hold the right class as often as they promise.
//!
//! [`all`] is the registry of scores: how strange would it be if this class were right? [`Sets`] keeps the
//! scores of right classes on calibration samples; a new sample's set holds every class that is no stranger
//! than `1 − α` of them (split conformal prediction, Vovk et al. 2005).

mod aps;
mod coverage;
mod lac;
mod raps;

pub use coverage::Coverage;

use crate::{Probabilities, Result, StatsError};

/// A nonconformity score of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// The score of every class, from a row of probabilities; higher is stranger.
    of_row: fn(&[f64], &mut [f64]),
}

impl Score {
    /// The score of every class, `[classes]`, from its probabilities; higher is stranger. The most probable
    /// class has the lowest.
    pub fn of_row(&self, row: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; row.len()];
        (self.of_row)(row, &mut out);
        out
    }

    /// The scores of these labels, one a sample.
    ///
    /// # Errors
    /// Another number of labels than of rows, or a label that no column stands for.
    pub fn of_labels(&self, probabilities: &Probabilities, labels: &[u32]) -> Result<Vec<f64>> {
        if labels.len() != probabilities.n() {
            return Err(StatsError::Shape {
                expected: format!("{} labels", probabilities.n()),
                actual: labels.len().to_string(),
            });
        }
        let one = |(row, (i, &label)): (&[f64], (usize, &u32))| {
            self.of_row(row).get(label as usize).copied().ok_or_else(|| StatsError::Shape {
                expected: format!("labels below {}", row.len()),
                actual: format!("{label} (row {i})"),
            })
        };
        probabilities.rows().zip(labels.iter().enumerate()).map(one).collect()
    }
}

/// All scores in alphabetical order.
pub fn all() -> &'static [Score] {
    &[aps::SCORE, lac::SCORE, raps::SCORE]
}

/// The score called `name`.
pub fn find(name: &str) -> Option<&'static Score> {
    all().iter().find(|score| score.name == name)
}

/// The score that `⌈(n+1)(1−α)⌉` of the `n` calibration samples, sorted from low to high, do not exceed:
/// a new sample, exchangeable with them, exceeds it with a probability of at most `alpha`. Infinite where
/// so few samples can promise nothing, `n + 1 < 1/α`.
pub fn quantile(sorted: &[f64], alpha: f64) -> f64 {
    let n = sorted.len();
    // (n+1)(1−α) rounds to just above a whole number for some n; counting from the other end does not.
    let above = ((n + 1) as f64 * alpha * (1.0 + 1e-12)).floor() as usize;
    match (n + 1).checked_sub(above.min(n + 1)) {
        Some(rank) if above > 0 && rank > 0 => sorted[rank - 1],
        // α = 1 promises nothing, so nothing is needed.
        Some(0) => f64::NEG_INFINITY,
        _ => f64::INFINITY,
    }
}

/// Fewest calibration samples that can promise `1 − alpha`; `usize::MAX` where none can.
pub fn least(alpha: f64) -> usize {
    match alpha > 0.0 {
        // Counted as `quantile` counts, where α is rounded down.
        true => ((1.0 - 1e-12) / alpha).ceil().max(1.0) as usize - 1,
        false => usize::MAX,
    }
}

/// Calibrated prediction sets.
#[derive(Debug, Clone)]
pub struct Sets {
    score: &'static Score,
    classes: usize,
    /// Scores of right classes from low to high: of all samples, or of each class's.
    calibration: Vec<Vec<f64>>,
}

impl PartialEq for Sets {
    fn eq(&self, other: &Self) -> bool {
        self.score.name == other.score.name
            && self.classes == other.classes
            && self.calibration == other.calibration
    }
}

impl Sets {
    /// From calibration samples that nothing else was fitted on: their probabilities and right classes.
    ///
    /// With `by_class` each class has its own threshold, from its own samples, and the promise holds for
    /// each class (Mondrian prediction sets, Vovk 2012, arXiv:1209.2673); a class with too few belongs to
    /// every set.
    ///
    /// # Errors
    /// Labels that do not fit the rows.
    pub fn calibrate(
        score: &'static Score,
        probabilities: &Probabilities,
        labels: &[u32],
        by_class: bool,
    ) -> Result<Self> {
        let scores = score.of_labels(probabilities, labels)?;
        Ok(Self::from_scores(score, &scores, labels, probabilities.n_classes(), by_class))
    }

    /// The same from scores that were computed before, in any order. Labels are below `classes`.
    pub fn from_scores(
        score: &'static Score,
        scores: &[f64],
        labels: &[u32],
        classes: usize,
        by_class: bool,
    ) -> Self {
        let mut calibration = vec![Vec::new(); if by_class { classes } else { 1 }];
        for (&score, &label) in scores.iter().zip(labels) {
            let group = if by_class { label as usize } else { 0 };
            if let Some(group) = calibration.get_mut(group) {
                group.push(score);
            }
        }
        calibration.iter_mut().for_each(|scores| scores.sort_by(f64::total_cmp));
        Self { score, classes, calibration }
    }

    /// The score's name.
    pub fn score(&self) -> &'static str {
        self.score.name
    }

    /// Whether each class has its own threshold.
    pub fn by_class(&self) -> bool {
        self.calibration.len() > 1
    }

    /// Number of calibration samples.
    pub fn n(&self) -> usize {
        self.calibration.iter().map(Vec::len).sum()
    }

    /// Scores of right classes, from low to high, class by class where each has its own.
    pub fn calibration(&self) -> &[Vec<f64>] {
        &self.calibration
    }

    /// The threshold of every class for a promise of `1 − alpha`.
    pub fn thresholds(&self, alpha: f64) -> Vec<f64> {
        match self.calibration.as_slice() {
            [scores] => vec![quantile(scores, alpha); self.classes],
            groups => groups.iter().map(|scores| quantile(scores, alpha)).collect(),
        }
    }

    /// The classes of a row of probabilities that are not too strange, the most probable first. It is never
    /// empty: the most probable class is always among them, which can only raise coverage.
    pub fn set(&self, row: &[f64], thresholds: &[f64]) -> Vec<u32> {
        let scores = self.score.of_row(row);
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b)));
        let top = order.first().copied();
        order.retain(|&c| Some(c) == top || scores[c as usize] <= thresholds[c as usize]);
        order
    }

    /// What these sets do on labelled samples.
    pub fn measure(
        &self,
        probabilities: &Probabilities,
        labels: &[u32],
        alpha: f64,
    ) -> Result<Coverage> {
        let thresholds = self.thresholds(alpha);
        let sets: Vec<Vec<u32>> =
            probabilities.rows().map(|row| self.set(row, &thresholds)).collect();
        Coverage::of(&sets, labels, self.classes)
    }
}
