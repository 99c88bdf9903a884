//! Signs that a model has collapsed.

use serde::{Deserialize, Serialize};

use crate::label_shift::{self, Problem};
use crate::probabilities::entropy;
use crate::validators::Evidence;
use crate::{Result, check};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VetoKind {
    /// A class that should be there is hardly ever answered.
    LostClass,
    /// Answers are spread over far fewer classes than there should be.
    Diversity,
    /// The model knows nothing of the source any more.
    SourceAccuracy,
    /// It loses where source domains take the target's part.
    Rehearsal,
}

/// Why a model is out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Veto {
    /// What is wrong.
    pub kind: VetoKind,
    /// In words, with the figures.
    pub detail: String,
}

/// Share of what is expected of a class below which it is lost.
const LOST: f64 = 0.1;

/// Rows that a class must be expected to have before it can be missed.
const FEWEST: f64 = 10.0;

/// Share of the expected effective number of classes below which diversity is lost.
const DIVERSITY: f64 = 0.5;

/// Condition of the confusion matrix up to which it is inverted as it is.
const MOST_CONDITION: f64 = 100.0;

/// What speaks against `candidate`, a model that answers the same rows as the source's own head does in `source_only`.
///
/// Of every class, as many target rows are expected as the smaller of two shares says: that among source labels, and
/// that which black-box shift estimation finds in the answers of the source's head. So neither a class that is rarer
/// in the target nor an estimate that is misled by a change of inputs can be held against a model alone.
///
/// To be worse on the source than its own head is no collapse: a head that is fitted to the target (`jdot`,
/// `ot-labels`) owes the source nothing, and is often the best.
///
/// # Errors
/// Answers for other rows or classes.
pub fn vetoes(candidate: &Evidence<'_>, source_only: &Evidence<'_>) -> Result<Vec<Veto>> {
    let (classes, m) = (source_only.target().n_classes(), candidate.target().n() as f64);
    let labels = source_only.labels();
    let prior: Vec<f64> =
        check::counts(labels, classes).iter().map(|&n| n as f64 / labels.len() as f64).collect();
    let asked = Problem::new(source_only.source(), labels, source_only.target())?;
    let by = |name: &str| label_shift::find(name).and_then(|estimator| estimator.of(&asked).ok());
    let estimate = by("bbse").filter(|found| found.condition <= MOST_CONDITION).or(by("rlls"));
    let estimate = estimate.map_or_else(|| prior.clone(), |found| found.shares);
    let shares = candidate.target().shares();
    let mut found = Vec::new();
    let lost: Vec<usize> = (0..classes)
        .filter(|&class| {
            let expected = prior[class].min(estimate[class]);
            expected * m >= FEWEST && shares[class] < LOST * expected
        })
        .collect();
    if let Some(&class) = lost.first() {
        found.push(Veto {
            kind: VetoKind::LostClass,
            detail: format!(
                "{} of {classes} classes are hardly ever answered: class {class} for {:.1} % of target rows, where at \
                 least {:.1} % are expected",
                lost.len(),
                100.0 * shares[class],
                100.0 * prior[class].min(estimate[class])
            ),
        });
    }
    let (has, expected) = (effective(&shares), effective(&prior).min(effective(&estimate)));
    if has < DIVERSITY * expected {
        found.push(Veto {
            kind: VetoKind::Diversity,
            detail: format!(
                "answers are spread over {has:.1} classes (effective number), where {expected:.1} are expected"
            ),
        });
    }
    let most = prior.iter().copied().fold(0.0, f64::max);
    let own = candidate.source_accuracy();
    if own <= most {
        found.push(Veto {
            kind: VetoKind::SourceAccuracy,
            detail: format!(
                "right on {:.1} % of held-out source rows, no more than one answer for all would be ({:.1} %)",
                100.0 * own,
                100.0 * most
            ),
        });
    }
    Ok(found)
}

/// `exp H`: the number of equally frequent classes with the same entropy.
fn effective(shares: &[f64]) -> f64 {
    entropy(shares).exp()
}
