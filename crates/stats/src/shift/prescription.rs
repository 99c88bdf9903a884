//! What to do about a mismatch, as data that a method can follow.

use serde::{Deserialize, Serialize};

use super::{Kind, Labels, Verdict};
use crate::concept::Concept;

/// Loss of accuracy below which a mismatch does no harm worth acting on.
const HARMLESS: f64 = 0.02;

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Use the source's model as it is.
    Nothing,
    /// Weigh source samples by how much more frequent their class is in the target.
    ReweightLabels,
    /// Bring features together without labels: CORAL, or another method of alignment.
    AlignFeatures,
    /// Fit on the target's labels.
    FineTune,
    /// Label a few target samples: what there is cannot tell, or cannot help.
    CollectLabels,
}

impl Action {
    /// As it stands in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::ReweightLabels => "reweight_labels",
            Self::AlignFeatures => "align_features",
            Self::FineTune => "fine_tune",
            Self::CollectLabels => "collect_labels",
        }
    }
}

/// What to do, why, and what next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prescription {
    /// First of all.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// After that, in order.
    pub then: Vec<Action>,
    /// `p_t(y)/p_s(y)` of every class, where classes are to be weighed; empty otherwise.
    pub weights: Vec<f64>,
}

impl Prescription {
    /// What the findings call for. `accuracy` is that of `c2st`.
    pub fn of(
        verdict: &Verdict,
        labels: Option<&Labels>,
        concept: Option<&Concept>,
        accuracy: f64,
    ) -> Self {
        let plain = |action, reason: String, then: &[Action]| Self {
            action,
            reason,
            then: then.to_vec(),
            weights: Vec::new(),
        };
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        if verdict.kinds.is_empty() {
            return plain(
                Action::Nothing,
                format!("nothing speaks for a mismatch (p = {:.3})", verdict.p_value),
                &[],
            );
        }
        if let (true, Some(concept)) = (verdict.has(Kind::Concept), concept) {
            return plain(
                Action::FineTune,
                format!(
                    "the same inputs have other labels: where both sides have samples alike, the source's \
                     classifier errs on {} of target samples and on {} of source samples; a classifier of \
                     target labels errs on {}. Source labels would teach what is wrong here",
                    percent(concept.target_error),
                    percent(concept.source_error),
                    percent(concept.own_error)
                ),
                &[],
            );
        }
        // With labels on both sides it is known whether the mismatch does harm.
        if let Some((labels, on_target)) = labels.and_then(|l| Some((l, l.target_accuracy?))) {
            let own = labels.own_accuracy.unwrap_or(0.0);
            if on_target >= labels.source_accuracy - HARMLESS && on_target >= own - HARMLESS {
                return plain(
                    Action::Nothing,
                    format!(
                        "there is a mismatch, but it does no harm: the source's classifier is right on {} of \
                         target samples and on {} of its own",
                        percent(on_target),
                        percent(labels.source_accuracy)
                    ),
                    &[],
                );
            }
            if own > on_target {
                return plain(
                    Action::FineTune,
                    format!(
                        "a classifier of the target's labels is right on {} of target samples, the source's \
                         on {}",
                        percent(own),
                        percent(on_target)
                    ),
                    if verdict.has(Kind::Covariate) { &[Action::AlignFeatures] } else { &[] },
                );
            }
        }
        let weights = labels.map(|l| match &l.known {
            Some(known) => super::ratio(known, &l.source),
            None => l.estimate.weights.clone(),
        });
        match (verdict.has(Kind::Label), verdict.has(Kind::Covariate), weights) {
            (true, false, Some(weights)) => {
                let known = labels.is_some_and(|l| l.known.is_some());
                let sure = labels.is_some_and(|l| l.estimate.condition.is_finite());
                if !known && !sure {
                    return plain(
                        Action::CollectLabels,
                        "classes seem to be more or less frequent, but the classifier never predicts one of \
                         them, so that shares cannot be estimated"
                            .into(),
                        &[Action::ReweightLabels],
                    );
                }
                Self {
                    action: Action::ReweightLabels,
                    reason: "classes are more or less frequent than in the source, and look as they did \
                             there"
                        .into(),
                    then: Vec::new(),
                    weights,
                }
            }
            (true, true, Some(weights)) => Self {
                action: Action::ReweightLabels,
                reason: "classes are more or less frequent than in the source, and look different: aligning \
                         features alone would pull classes into each other"
                    .into(),
                then: vec![Action::AlignFeatures, Action::CollectLabels],
                weights,
            },
            _ => {
                let expected = labels.map_or(String::new(), |l| {
                    format!(
                        "; by its certainty, the source's classifier should be right on about {} of them ({} \
                         of its own)",
                        percent(l.expected_accuracy),
                        percent(l.source_accuracy)
                    )
                });
                plain(
                    Action::AlignFeatures,
                    format!(
                        "inputs look different: a linear classifier tells the sets apart in {} of cases{expected}",
                        percent(accuracy)
                    ),
                    &[Action::CollectLabels],
                )
            }
        }
    }
}
