//! Figures of a classifier on labelled samples.
//!
//! [`all`] is the registry. Every metric knows its direction and gets a bootstrap interval
//! from [`bootstrap`].

mod accuracy;
mod answers;
mod balanced_accuracy;
mod bootstrap;
mod brier;
mod confusion;
mod ece;
mod learning_curve;
mod log_loss;
mod macro_f1;
mod paired;
mod reinforcement;
mod return_curves;
mod top5_accuracy;

pub(crate) use answers::Answers;
pub use bootstrap::{Interval, bootstrap, bootstrap_all};
pub use confusion::{ClassFigures, Confusion};
pub use learning_curve::{
    Equivalent, LabelledAnswers, Reach, accuracy_over_seeds, label_equivalent, labels_to_reach,
    monotone,
};
pub use paired::{
    ClassDifference, Difference, PairedOptions, holm, normal_test, paired, paired_by_class,
    paired_over_seeds, sign_test,
};
pub use reinforcement::{
    TimeRatio, TimeToThreshold, TransferFigures, TransferOptions, Worth, compare_transfer,
};
pub use return_curves::ReturnCurves;

use std::cell::OnceCell;
use std::sync::Arc;

use crate::{Probabilities, Result, StatsError};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Accuracy and its kin.
    Higher,
    /// Losses and errors.
    Lower,
}

/// A metric of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The word that a user types and the key in JSON.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Which way is better.
    pub direction: Direction,
    compute: Compute,
}

/// How a metric is computed.
#[derive(Debug, Clone, Copy)]
enum Compute {
    /// The mean of what each sample gives, so that resamples need not look at probabilities again.
    Mean(fn(&Probabilities, &[u32], usize) -> f64),
    /// On the samples named by the indices, repetitions allowed.
    Set(fn(&Answers<'_>, &[usize]) -> f64),
}

impl Metric {
    /// The metric on all samples.
    ///
    /// # Errors
    /// No samples, another number of labels than of rows, or a label that no column stands for.
    pub fn of(&self, probabilities: &Probabilities, labels: &[u32]) -> Result<f64> {
        check(probabilities, labels)?;
        let all: Vec<usize> = (0..labels.len()).collect();
        Ok(self.prepare(probabilities, labels, &OnceCell::new()).on(&all))
    }

    /// What each sample adds to the mean; `None` for a metric that is no mean over samples.
    ///
    /// # Errors
    /// As [`Metric::of`].
    pub fn each(&self, probabilities: &Probabilities, labels: &[u32]) -> Result<Option<Vec<f64>>> {
        check(probabilities, labels)?;
        Ok(match self.compute {
            Compute::Mean(one) => {
                Some((0..labels.len()).map(|i| one(probabilities, labels, i)).collect())
            }
            Compute::Set(_) => None,
        })
    }

    /// Makes ready to compute the metric on many sets of the same samples; metrics of one classifier share
    /// its `answers`.
    fn prepare<'a>(
        &self,
        probabilities: &Probabilities,
        labels: &'a [u32],
        answers: &OnceCell<Arc<Answers<'a>>>,
    ) -> Prepared<'a> {
        match self.compute {
            Compute::Mean(one) => {
                Prepared::Each((0..labels.len()).map(|i| one(probabilities, labels, i)).collect())
            }
            Compute::Set(compute) => {
                let answers = answers.get_or_init(|| Arc::new(Answers::new(probabilities, labels)));
                Prepared::Set { compute, answers: Arc::clone(answers) }
            }
        }
    }

    /// Whether `a` is better than `b`.
    pub fn is_better(&self, a: f64, b: f64) -> bool {
        match self.direction {
            Direction::Higher => a > b,
            Direction::Lower => a < b,
        }
    }
}

/// A metric of one classifier on samples that were checked.
enum Prepared<'a> {
    /// What each sample adds.
    Each(Vec<f64>),
    Set {
        compute: fn(&Answers<'_>, &[usize]) -> f64,
        answers: Arc<Answers<'a>>,
    },
}

impl Prepared<'_> {
    /// On the samples named by the indices, at least one.
    fn on(&self, samples: &[usize]) -> f64 {
        match self {
            Self::Each(each) => {
                samples.iter().map(|&i| each[i]).sum::<f64>() / samples.len() as f64
            }
            Self::Set { compute, answers } => compute(answers, samples),
        }
    }
}

/// All metrics in alphabetical order.
pub fn all() -> &'static [Metric] {
    &[
        accuracy::METRIC,
        balanced_accuracy::METRIC,
        brier::METRIC,
        ece::METRIC,
        log_loss::METRIC,
        macro_f1::METRIC,
        top5_accuracy::METRIC,
    ]
}

/// The metric called `name`.
pub fn find(name: &str) -> Option<&'static Metric> {
    all().iter().find(|metric| metric.name == name)
}

fn check(probabilities: &Probabilities, labels: &[u32]) -> Result<()> {
    if labels.is_empty() {
        return Err(StatsError::Unusable("no samples to measure on".into()));
    }
    if labels.len() != probabilities.n() {
        return Err(StatsError::Shape {
            expected: format!("{} labels", probabilities.n()),
            actual: labels.len().to_string(),
        });
    }
    match labels.iter().position(|&y| y as usize >= probabilities.n_classes()) {
        Some(row) => Err(StatsError::Shape {
            expected: format!("labels below {}", probabilities.n_classes()),
            actual: format!("{} (row {row})", labels[row]),
        }),
        None => Ok(()),
    }
}
