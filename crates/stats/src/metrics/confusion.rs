//! Who is taken for whom.

use super::Answers;
use crate::Probabilities;

/// Counts `[true class, predicted class]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    n_classes: usize,
    counts: Vec<usize>,
}

/// Figures of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassFigures {
    /// Samples of the class.
    pub support: usize,
    /// Samples taken for the class.
    pub predicted: usize,
    /// Share of `predicted` that is right; 0 where nothing was.
    pub precision: f64,
    /// Share of `support` that was found; 0 where there is none.
    pub recall: f64,
    /// Harmonic mean of both; 0 where both are.
    pub f1: f64,
}

impl Confusion {
    /// Counts of all samples. Labels that no column stands for are left out.
    pub fn of(probabilities: &Probabilities, labels: &[u32]) -> Self {
        let n_classes = probabilities.n_classes();
        let mut counts = vec![0; n_classes * n_classes];
        for (i, &label) in labels.iter().enumerate().take(probabilities.n()) {
            if (label as usize) < n_classes {
                counts[label as usize * n_classes + probabilities.predicted(i) as usize] += 1;
            }
        }
        Self { n_classes, counts }
    }

    /// Of samples whose labels all have a column.
    pub(super) fn of_samples(answers: &Answers<'_>, samples: &[usize]) -> Self {
        let n_classes = answers.n_classes;
        let mut counts = vec![0; n_classes * n_classes];
        for &i in samples {
            counts[answers.labels[i] as usize * n_classes + answers.predicted[i] as usize] += 1;
        }
        Self { n_classes, counts }
    }

    /// Predictions for samples of class `label`.
    pub fn row(&self, label: usize) -> &[usize] {
        &self.counts[label * self.n_classes..][..self.n_classes]
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Figures of every class.
    pub fn by_class(&self) -> Vec<ClassFigures> {
        let ratio = |a: usize, b: usize| if b == 0 { 0.0 } else { a as f64 / b as f64 };
        (0..self.n_classes)
            .map(|c| {
                let right = self.row(c)[c];
                let support = self.row(c).iter().sum();
                let predicted = (0..self.n_classes).map(|other| self.row(other)[c]).sum();
                ClassFigures {
                    support,
                    predicted,
                    precision: ratio(right, predicted),
                    recall: ratio(right, support),
                    f1: ratio(2 * right, support + predicted),
                }
            })
            .collect()
    }
}
