//! The document of `shift`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_stats::shift::{Action, Size};
use serde::{Deserialize, Serialize};

/// What kind of mismatch lies between source and target, how large, how sure, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftReport {
    /// [`crate::documents::SCHEMA`].
    pub schema: u32,
    /// `shift`.
    pub command: String,
    /// The run whose model and data are the source; `null` where the source is data.
    pub run: Option<PathBuf>,
    /// Wall time.
    pub seconds: f64,
    /// Which network's features are compared.
    pub model: String,
    /// Values a feature row.
    pub dim: usize,
    /// The source.
    pub source: Side,
    /// The target.
    pub target: Side,
    /// Chance of as much evidence for any mismatch where there is none; corrected for the number of tests.
    pub p_value: f64,
    /// `none`, or some of `covariate`, `label`, `concept`.
    pub verdict: Vec<String>,
    /// The verdict as a sentence.
    pub sentence: String,
    /// That the kinds could not be told apart with what there is.
    pub undecided: bool,
    /// Each question's p-value, corrected: `inputs`, and where labels are known `labels` and `concept`;
    /// `residual`, of what a change of classes does not explain, uncorrected.
    pub p_values: BTreeMap<String, f64>,
    /// How large the mismatch of inputs is.
    pub size: Size,
    /// What to do.
    pub prescription: ShiftPrescription,
    /// Every distance.
    pub measures: Vec<Measured>,
    /// Accuracies of classifiers of these features, where the source has labels.
    pub accuracy: Option<Accuracies>,
    /// Every class of the source, the one that moved most first.
    pub classes: Vec<ClassMoved>,
    /// How the target's shares were estimated; absent without source labels.
    pub label_shift: Option<LabelShift>,
    /// How many features moved, and those that moved most.
    pub features: FeaturesMoved,
    /// Where labels are known on both sides.
    pub concept: Option<ConceptFound>,
    /// Properties that a person can see or count, the one that moved most first.
    pub properties: Vec<Property>,
    /// Everything else worth telling.
    pub warnings: Vec<String>,
}

/// One side of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Name of the data.
    pub name: String,
    /// Samples that were read.
    pub samples: usize,
    /// Rows behind the tests.
    pub used: usize,
    /// Samples whose class is known.
    pub labelled: usize,
    /// Samples that could not be read.
    pub unreadable: usize,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftPrescription {
    /// First of all.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// After that, in order.
    pub then: Vec<Action>,
    /// By how much samples of each class are to be weighed; empty where they are not.
    pub weights: BTreeMap<String, f64>,
}

/// A distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Of the registry.
    pub name: String,
    /// One line.
    pub summary: String,
    /// The distance.
    pub value: f64,
    /// 95 % interval, where there is one.
    pub ci: Option<[f64; 2]>,
    /// The same between two random parts of both sides together.
    pub chance: Option<f64>,
    /// By permutation, where the distance is a test.
    pub p_value: Option<f64>,
}

/// How often classifiers are right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracies {
    /// Of source labels, on source samples that it has not seen.
    pub source: f64,
    /// Of source labels, on the target; where labels are known.
    pub target: Option<f64>,
    /// What its certainty leads to expect there.
    pub expected: f64,
    /// Of target labels, on target samples that it has not seen.
    pub own: Option<f64>,
}

/// A class on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMoved {
    /// Its name.
    pub class: String,
    /// Share in the source.
    pub source_share: f64,
    /// Share in the target, known or estimated.
    pub target_share: f64,
    /// Energy distance of its samples on both sides, from 0 to 1.
    pub distance: Option<f64>,
    /// Corrected for the number of classes.
    pub p_value: Option<f64>,
    /// How often the source's classifier is right on the target's samples of it.
    pub accuracy: Option<f64>,
    /// The same on the source.
    pub source_accuracy: f64,
}

/// The target's classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelShift {
    /// `bbse` or `rlls`.
    pub estimator: String,
    /// Of the confusion matrix; `null` where it cannot be inverted.
    pub condition: Option<f64>,
    /// Share of samples that would have to be of another class, by estimate or by known labels.
    pub distance: f64,
    /// That the classifier's answers are differently frequent.
    pub answers_p_value: f64,
}

/// Features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeaturesMoved {
    /// Whose mean moved, by a test corrected for all features.
    pub moved: usize,
    /// All.
    pub of: usize,
    /// The five that moved most: column and difference in standard deviations.
    pub most: Vec<(usize, f64)>,
}

/// What labels on both sides say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConceptFound {
    /// Share of target samples that have source samples alike; only these can tell.
    pub overlap: f64,
    /// Error of a source classifier on source samples alike.
    pub source_error: Option<f64>,
    /// On the target's.
    pub target_error: Option<f64>,
    /// Error there of a classifier of target labels.
    pub own_error: Option<f64>,
}

/// A property of pictures or texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Which.
    pub name: String,
    /// Mean in the source.
    pub source: f64,
    /// Mean in the target.
    pub target: f64,
    /// In standard deviations.
    pub difference: f64,
}
