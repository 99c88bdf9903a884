//! How often each class occurs in unlabelled data, where classes look as they did in the source.
//!
//! [`all`] is the registry. Every estimator takes what one classifier says of labelled source samples
//! that it was not fitted on, and of target samples. All of them rest on p(x|y) being the same on both
//! sides: whether that holds must be tested on what remains after reweighting.

mod bbse;
mod confusion;
mod homogeneity;
mod mlls;
mod recalibrate;
mod rlls;

pub use homogeneity::{Homogeneity, homogeneity};

use crate::{Probabilities, Result, StatsError, check};

/// Answers of one classifier.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    source: &'a Probabilities,
    labels: &'a [u32],
    target: &'a Probabilities,
}

impl<'a> Problem<'a> {
    /// `source` `[n, classes]` with its `labels`, held out from the classifier's training, and `target`
    /// `[m, classes]`.
    ///
    /// # Errors
    /// Lengths or classes that do not fit, no samples, a probability that is not finite.
    pub fn new(
        source: &'a Probabilities,
        labels: &'a [u32],
        target: &'a Probabilities,
    ) -> Result<Self> {
        let classes = source.n_classes();
        if labels.len() != source.n() || target.n_classes() != classes {
            return Err(StatsError::Shape {
                expected: format!("{} labels and {classes} classes", source.n()),
                actual: format!("{} labels and {} classes", labels.len(), target.n_classes()),
            });
        }
        if labels.is_empty() || target.n() == 0 {
            return Err(StatsError::Unusable(format!(
                "expected samples on both sides, got {} of the source and {} of the target",
                labels.len(),
                target.n()
            )));
        }
        if let Some(row) = labels.iter().position(|&y| y as usize >= classes) {
            return Err(StatsError::Shape {
                expected: format!("labels below {classes}"),
                actual: format!("{} (row {row})", labels[row]),
            });
        }
        for (what, rows) in [("source", source), ("target", target)] {
            let broken = |row: &[f64]| row.iter().any(|p| !p.is_finite() || *p < 0.0);
            if let Some(row) = rows.rows().position(broken) {
                return Err(StatsError::NotFinite { what, row });
            }
        }
        Ok(Self { source, labels, target })
    }

    fn classes(&self) -> usize {
        self.source.n_classes()
    }

    /// Share of each class among the source's labels.
    fn shares(&self) -> Vec<f64> {
        let n = self.labels.len() as f64;
        check::counts(self.labels, self.classes()).iter().map(|&count| count as f64 / n).collect()
    }

    /// Classes that the source has samples of; nothing can be said of others.
    fn present(&self) -> Vec<usize> {
        let counts = check::counts(self.labels, self.classes());
        (0..self.classes()).filter(|&class| counts[class] > 0).collect()
    }

    /// An estimate from weights of the present classes: negative ones become 0, and then
    /// `Σ w_y p_s(y) = 1`.
    fn estimate(&self, name: &'static str, weights: &[f64], condition: f64) -> Estimate {
        let source = self.shares();
        let mut all = vec![0.0; self.classes()];
        let mut clipped = 0;
        for (&class, &weight) in self.present().iter().zip(weights) {
            clipped += usize::from(weight < 0.0);
            all[class] = weight.max(0.0);
        }
        let total: f64 = all.iter().zip(&source).map(|(w, p)| w * p).sum();
        if total > 0.0 {
            all.iter_mut().for_each(|w| *w /= total);
        } else {
            all = source.iter().map(|&p| f64::from(u8::from(p > 0.0))).collect();
        }
        let shares = all.iter().zip(&source).map(|(w, p)| w * p).collect();
        Estimate { name, weights: all, shares, condition, clipped }
    }
}

/// Classes of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Of the registry's entry.
    pub name: &'static str,
    /// `p_t(y)/p_s(y)`, `[classes]`; 0 for classes without source samples.
    pub weights: Vec<f64>,
    /// `p_t(y)`, `[classes]`.
    pub shares: Vec<f64>,
    /// Condition of P(ŷ|y): by how much errors of the predicted shares may grow. Classes that are mixed up
    /// make it large; infinite where one is never predicted.
    pub condition: f64,
    /// Weights that came out negative and were cut off.
    pub clipped: usize,
}

/// An estimator of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Estimator {
    /// The word that a user reads and the key in JSON.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    estimate: fn(&Problem<'_>) -> Result<Estimate>,
}

impl Estimator {
    /// Estimates the target's classes.
    ///
    /// # Errors
    /// A confusion matrix that cannot be inverted (`bbse`), singular values that do not converge.
    pub fn of(&self, problem: &Problem<'_>) -> Result<Estimate> {
        (self.estimate)(problem)
    }
}

/// All estimators in alphabetical order.
pub fn all() -> &'static [Estimator] {
    &[bbse::ESTIMATOR, mlls::ESTIMATOR, rlls::ESTIMATOR]
}

/// The estimator called `name`.
pub fn find(name: &str) -> Option<&'static Estimator> {
    all().iter().find(|estimator| estimator.name == name)
}
