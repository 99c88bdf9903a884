//! Target samples of no class of the source.

use serde::{Deserialize, Serialize};

use crate::probabilities::entropy;
use crate::{Probabilities, Result, StatsError, ood};

/// Where an answer is too unsure to be of a class that the source has.
///
/// Unsureness is the entropy of the answer over that of no idea, `H(p) / ln K`, from 0 to 1. Where the threshold lies no
/// score without labels can tell; the mean over the target's samples is the rule of Bucci et al. 2020 (On the
/// effectiveness of image rotation for open set domain adaptation, arXiv:2007.12360, section 3.3, there of a normality
/// score), and whoever knows roughly how many are unknown names their share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Unknown {
    /// Unsureness above it is unknown.
    pub above: f64,
}

impl Unknown {
    /// From a model's answers to the target: above their mean unsureness, or so that `share` of them are above.
    ///
    /// # Errors
    /// No answers, a share that is not between 0 and 1.
    pub fn of(target: &Probabilities, share: Option<f64>) -> Result<Self> {
        let mut all: Vec<f64> = target.rows().map(unsureness).collect();
        if all.is_empty() || share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(StatsError::Shape {
                expected: "answers, and a share from 0 to 1".into(),
                actual: format!("{} answers, share {share:?}", all.len()),
            });
        }
        let n = all.len();
        let above = match share {
            None => all.iter().sum::<f64>() / n as f64,
            Some(share) => {
                all.sort_by(f64::total_cmp);
                let known = n - (share * n as f64).round() as usize;
                // Below the least there is nothing to be above of.
                known.checked_sub(1).map_or(-1.0, |last| all[last])
            }
        };
        Ok(Self { above })
    }

    /// Whether an answer is of no known class.
    pub fn says(&self, answer: &[f64]) -> bool {
        unsureness(answer) > self.above
    }

    /// Share of answers that are of no known class.
    pub fn share(&self, answers: &Probabilities) -> f64 {
        let unknown = answers.rows().filter(|row| self.says(row)).count();
        unknown as f64 / answers.n().max(1) as f64
    }

    /// What the rule is worth, on answers for samples whose class is known to whoever judges; `None` in `labels` is a
    /// class that the source does not have. `None` where no sample is of a known class.
    pub fn judged(&self, answers: &Probabilities, labels: &[Option<u32>]) -> Option<OpenSet> {
        let classes = answers.n_classes();
        let (mut of, mut right, mut closed) =
            (vec![0; classes], vec![0; classes], vec![0; classes]);
        let (mut unknown, mut rejected, mut rejected_known) = (0, 0, 0);
        let mut scores = [Vec::new(), Vec::new()];
        for (i, label) in labels.iter().enumerate().take(answers.n()) {
            let says = self.says(answers.row(i));
            scores[usize::from(label.is_none())].push(unsureness(answers.row(i)));
            match label {
                None => {
                    unknown += 1;
                    rejected += usize::from(says);
                }
                Some(y) => {
                    let hit = answers.predicted(i) == *y;
                    let y = *y as usize;
                    rejected_known += usize::from(says);
                    of[y] += 1;
                    closed[y] += usize::from(hit);
                    right[y] += usize::from(hit && !says);
                }
            }
        }
        let mean = |hits: &[usize]| {
            let recalls = of.iter().zip(hits).filter(|(n, _)| **n > 0);
            let (sum, classes) = recalls.fold((0.0, 0), |(sum, classes), (n, hits)| {
                (sum + *hits as f64 / *n as f64, classes + 1)
            });
            (classes > 0).then(|| sum / f64::from(classes))
        };
        let known_recall = mean(&right)?;
        let known: usize = of.iter().sum();
        let recall = (unknown > 0).then(|| rejected as f64 / unknown as f64);
        let harmonic = |recall: f64| match known_recall + recall {
            0.0 => 0.0,
            sum => 2.0 * known_recall * recall / sum,
        };
        Some(OpenSet {
            known,
            unknown,
            known_recall,
            known_recall_closed: mean(&closed)?,
            known_called_unknown: rejected_known as f64 / known as f64,
            unknown_recall: recall,
            harmonic: recall.map(harmonic),
            auroc: (unknown > 0).then(|| ood::auroc(&scores[0], &scores[1])),
        })
    }
}

/// `H(p) / ln K` of an answer in `K` classes, from 0 to 1; 0 for a single class.
pub fn unsureness(answer: &[f64]) -> f64 {
    if answer.len() < 2 { 0.0 } else { entropy(answer) / (answer.len() as f64).ln() }
}

/// Figures of an open set (Bucci et al. 2020, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OpenSet {
    /// Samples of classes that the source has.
    pub known: usize,
    /// Samples of others.
    pub unknown: usize,
    /// Mean recall over known classes, where what is called unknown is wrong (OS*).
    pub known_recall: f64,
    /// The same if nothing were called unknown.
    pub known_recall_closed: f64,
    /// Share of samples of known classes that are called unknown.
    pub known_called_unknown: f64,
    /// Share of unknown samples that are called so (UNK); this and what follows is `None` where there are none.
    pub unknown_recall: Option<f64>,
    /// Harmonic mean of [`Self::known_recall`] and [`Self::unknown_recall`] (HOS).
    pub harmonic: Option<f64>,
    /// Probability that an unknown sample's answer is less sure than a known one's.
    pub auroc: Option<f64>,
}
