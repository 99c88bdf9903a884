//! What a user can rely on: sets of classes that hold the right one as often as they promise, and a warning
//! where an input is unlike all that was trained on.
//!
//! Both rest on samples that the head was not fitted on ([`calibrate`]). They are fitted once, for what is
//! shipped, after transfer: tuning moves features, so nothing of the source's is kept.

pub mod calibrate;
pub mod document;
mod stored;

use std::collections::BTreeMap;

use offshoot_stats::Rows;
use offshoot_stats::conformal::Sets;
use offshoot_stats::heads::Head;
use offshoot_stats::ood::{Alarm, Detector, Seen};
use serde::{Deserialize, Serialize};

use crate::Result;
pub use stored::Stored;

/// Share of samples whose set holds the right class, where the user names no other.
pub const PROMISED: f64 = 0.9;
/// Share of familiar samples that may be called unfamiliar.
pub const FALSE_ALARMS: f64 = 0.01;
/// The score behind the sets.
pub const SCORE: &str = "lac";
/// Each class has its own threshold where it has so many calibration samples. A threshold that is one of
/// fifty scores is a few percent off; of ten, it is the highest but one.
pub const EACH_CLASS: usize = 50;

/// Which samples calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldOut {
    /// Validation samples, which the head was not fitted on.
    Validation,
    /// Validation samples, and a head that had not been fitted on them; the one that is shipped was then
    /// fitted on more.
    ValidationBefore,
    /// Training and validation samples, each with a head that was fitted on the folds that it is not in.
    Folds,
}

impl HeldOut {
    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Validation => "validation samples",
            Self::ValidationBefore => "validation samples, before the last fit took them in",
            Self::Folds => "training and validation samples, by cross-validation",
        }
    }
}

/// Prediction sets and the alarm of one classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Trust {
    /// Which samples calibrated.
    pub held_out: HeldOut,
    /// From probabilities before the temperature, which was fitted on some of these samples, too.
    pub sets: Option<Sets>,
    /// How far is far.
    pub familiarity: Familiarity,
}

impl Trust {
    /// The threshold of every class, so that a set holds the right one with the probability `promised`; `None`
    /// without sets.
    ///
    /// Heads of folds are not the head that is shipped, and both depend on the draw of the samples. On 100
    /// labelled digits that took coverage from the promised 90 % to 88.3 %, so that thresholds from folds are
    /// taken one standard error of a quantile higher.
    pub fn thresholds(&self, promised: f64) -> Option<Vec<f64>> {
        let sets = self.sets.as_ref()?;
        Some(sets.thresholds(self.held_out.alpha(promised, sets.n())))
    }
}

impl HeldOut {
    /// The share of calibration samples that may lie beyond a threshold.
    fn alpha(self, promised: f64, n: usize) -> f64 {
        let alpha = 1.0 - promised;
        match self {
            Self::Folds => (alpha - (alpha * promised / n.max(1) as f64).sqrt()).max(0.0),
            Self::Validation | Self::ValidationBefore => alpha,
        }
    }

    /// Fewest calibration samples that can promise so much.
    pub fn least(self, promised: f64) -> usize {
        let enough = |&n: &usize| n >= offshoot_stats::conformal::least(self.alpha(promised, n));
        (1..MOST_NEEDED).find(enough).unwrap_or(MOST_NEEDED)
    }
}

/// No promise that is asked for needs more samples than this.
const MOST_NEEDED: usize = 100_000;

/// How far an input is from what the classifier was trained on.
///
/// There are two kinds of strange: classes that were not known, of which the head finds little evidence, and
/// foreign inputs, of which it may find much. The detector that would best have known a class that was left
/// out watches for the former, the distance to the class means for the latter; each may raise half of the
/// false alarms.
#[derive(Debug, Clone, PartialEq)]
pub struct Familiarity {
    /// Fitted on the shipped features, each with its threshold.
    pub watchers: Vec<(Detector, Alarm)>,
    /// AUROC of each detector for classes that it did not know, by its name.
    pub leave_class_out: BTreeMap<String, f64>,
}

impl Familiarity {
    /// How strange each row is, over the threshold: above 1 is unfamiliar.
    pub fn distances(&self, rows: Rows<'_>, head: &Head) -> Result<Vec<f64>> {
        let logits = logits(head, rows);
        let classes = head.n_classes();
        let seen = Seen { rows, logits: logits.as_deref() };
        let mut distances = vec![0.0f64; rows.n()];
        for (detector, alarm) in &self.watchers {
            let towards = detector.towards(&seen, classes)?;
            for (distance, row) in distances.iter_mut().zip(towards.chunks_exact(classes.max(1))) {
                let strange = detector.strangeness(row, None);
                *distance = distance.max(relative(detector, strange, alarm.threshold));
            }
        }
        Ok(distances)
    }

    /// A sample like those of calibration is called unfamiliar with at most this probability.
    pub fn rate(&self) -> f64 {
        self.watchers.iter().map(|(_, alarm)| alarm.rate).sum()
    }

    /// Number of calibration samples.
    pub fn n(&self) -> usize {
        self.watchers.iter().map(|(_, alarm)| alarm.n).max().unwrap_or(0)
    }

    /// Names of the detectors.
    pub fn detectors(&self) -> Vec<String> {
        self.watchers.iter().map(|(detector, _)| detector.name().into()).collect()
    }
}

/// A score over its threshold. An energy is a logarithm, so its difference is exponentiated.
fn relative(detector: &Detector, strange: f64, threshold: f64) -> f64 {
    match detector {
        _ if threshold == f64::INFINITY => 0.0,
        Detector::Energy => (strange - threshold).clamp(-700.0, 700.0).exp(),
        _ => strange / threshold.max(f64::MIN_POSITIVE),
    }
}

/// Scores of a linear head, `[n, classes]`.
pub fn logits(head: &Head, rows: Rows<'_>) -> Option<Vec<f64>> {
    match head {
        Head::Linear(linear) => Some(linear.scores(rows)),
        Head::Viewed(viewed) => viewed.scores(rows).ok(),
        Head::Neighbours(_) | Head::Centroids(_) => None,
    }
}
