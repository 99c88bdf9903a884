//! Everything that the report shows, as plain data. Whoever finishes a run fills it in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::documents::{Baseline, DataProblem, Figures};
use crate::explain::shades::Shade;
use crate::guard::document::GuardReport;
use crate::run::record::PhaseSeconds;
use crate::train::sources::document::SourceReport;
use crate::trust::document::{AlarmFigures, SetFigures};

/// One report. Nothing in it needs to be escaped or shortened beforehand: the page does both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// The run's name.
    pub title: String,
    /// `train`, `demo` or `eval`.
    pub command: String,
    /// When, how and where the run was made.
    pub run: RunFacts,
    /// What it was trained on.
    pub data: DataSummary,
    /// What it was transferred from.
    pub model: ModelCard,
    /// Figures of the test split.
    pub figures: Figures,
    /// What the same head gets from other features on the same split: `majority`, `pixels`,
    /// `random`. May be empty.
    pub baselines: Vec<Baseline>,
    /// Difference of test accuracy to each baseline, by its name; paired over the test samples.
    pub gains: BTreeMap<String, Gain>,
    /// The same head on other data. May be empty.
    pub domains: Vec<Domain>,
    /// One entry a class, in label order.
    pub per_class: Vec<ClassFigures>,
    /// `[classes, classes]`, row-major: row = true class, column = predicted class.
    pub confusion: Vec<usize>,
    /// Reliability on the test split; `None` where nothing was measured.
    pub calibration: Option<Calibration>,
    /// What prediction sets and the alarm did on the test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustShown>,
    /// The most confident wrong answers, worst first. A dozen is enough.
    pub mistakes: Vec<Mistake>,
    /// Right answers of several classes, where the data holds texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// How long texts are, where the data holds texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
    /// Feature rows in the plane.
    pub map: Option<FeatureMap>,
    /// What the guard against negative transfer found, where it looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardReport>,
    /// What each of several sources is worth; empty for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceReport>,
    /// How the network was tuned, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingCurves>,
    /// Wall times in order.
    pub phases: Vec<PhaseSeconds>,
    /// Whatever else was worth telling during the run.
    pub warnings: Vec<String>,
}

/// Prediction sets and the alarm on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustShown {
    /// Absent where nothing was held out to calibrate them.
    pub sets: Option<SetFigures>,
    /// How many were unfamiliar.
    pub alarms: AlarmFigures,
    /// Test samples by how strange they are, from familiar to strange.
    pub strange: Vec<StrangeBin>,
}

/// Test samples of like strangeness.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StrangeBin {
    /// Of the bin, relative to the threshold.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Samples that were recognised.
    pub right: usize,
    /// Samples that were not.
    pub wrong: usize,
}

/// When, how and where.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunFacts {
    /// UTC, RFC 3339.
    pub created: String,
    /// Wall time.
    pub seconds: f64,
    /// Peak resident memory, bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Version of this program.
    pub version: String,
    /// Operating system and architecture.
    pub platform: String,
    /// The instruction set in use, where a network ran.
    pub isa: Option<String>,
    /// Threads used.
    pub threads: usize,
    /// Keys every random draw.
    pub seed: u64,
    /// How the model was transferred: `probe`.
    pub method: String,
    /// Entry of the registry of heads.
    pub head: String,
    /// Regularisation strength that cross-validation chose.
    pub lambda: Option<f64>,
    /// What the logits are divided by.
    pub temperature: Option<f64>,
    /// Which samples the head was fitted on, in words.
    pub fitted_on: String,
    /// Rows that the cache already held.
    pub cached: usize,
}

impl ReportData {
    /// The network in a few words: its recipe, and whether it was tuned.
    pub fn network(&self) -> String {
        if let Some(guard) = self.guard.as_ref().filter(|guard| guard.fell_back) {
            return guard.shipped_summary().into();
        }
        match self.training.as_ref().is_some_and(|training| !training.kept_probe) {
            true => format!("{}, tuned ({})", self.model.recipe, self.run.method),
            false => format!("{}, frozen features", self.model.recipe),
        }
    }
}

/// How training went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainingCurves {
    /// What learnt, for how long, why it ended: sentences.
    pub summary: String,
    /// Whether nothing beat the frozen network on validation, which was kept.
    pub kept_probe: bool,
    /// The metric that chose the weights.
    pub metric: String,
    /// One entry an epoch.
    pub epochs: Vec<EpochPoint>,
    /// Names of the phases and the epochs after which they began.
    pub phases: Vec<(String, f64)>,
    /// Learning rates and smoothed losses of the sweep; empty without one.
    pub finder: Vec<[f64; 2]>,
    /// Learning rates that the sweep suggests, by name.
    pub suggestions: Vec<(String, f64)>,
}

/// One epoch of training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochPoint {
    /// Epochs so far.
    pub epoch: f64,
    /// Mean loss of the batches as they learned.
    pub train_loss: f64,
    /// Metric of the batches as they learned, where it is known.
    #[serde(default)]
    pub train_metric: Option<f64>,
    /// Loss on validation.
    pub val_loss: Option<f64>,
    /// Metric on validation.
    pub val_metric: Option<f64>,
    /// Whether these were the best weights so far.
    pub best: bool,
}

/// What the data looks like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DataSummary {
    /// Its name.
    pub name: String,
    /// Whether the samples are pictures, or feature vectors.
    pub pictures: bool,
    /// One entry a class, in label order.
    pub classes: Vec<ClassCount>,
    /// Samples that could not be read and were left out.
    pub unreadable: usize,
    /// Every fault that the doctor found, in its order.
    pub problems: Vec<DataProblem>,
    /// sha256 of `data/manifest.csv`.
    pub manifest_sha256: String,
}

/// Samples of one class.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassCount {
    /// Its name.
    pub name: String,
    /// Samples it was trained on.
    pub train: usize,
    /// Samples that chose the temperature.
    pub val: usize,
    /// Samples that only judge.
    pub test: usize,
}

/// Where the features come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelCard {
    /// As the user named it.
    pub name: String,
    /// Architecture.
    pub recipe: String,
    /// Where the weights came from, where that is known: a package, a file, a repository.
    pub origin: Option<String>,
    /// What the source was trained on, where that is known: `ImageNet-1k, 1000 classes`.
    pub trained_on: Option<String>,
    /// How it was adapted to unlabelled texts before the run, and what that was worth, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapted: Option<String>,
    /// SPDX expression, where it is known.
    pub licence: Option<String>,
    /// sha256 of the weights.
    pub sha256: String,
    /// Length of a feature vector.
    pub dim: usize,
    /// Everything about preprocessing that decides the features.
    pub preprocessing: String,
    /// In which the network computed.
    pub precision: String,
}

/// A difference of accuracies with its 95 % bootstrap interval, paired over samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// This run's accuracy − the baseline's.
    pub accuracy: f64,
    /// 95 % interval.
    pub ci: [f64; 2],
}

/// The head on data from elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Figures there.
    pub figures: Figures,
}

/// How well one class is told from the others on the test split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Its name.
    pub name: String,
    /// Test samples of it.
    pub n: usize,
    /// Of the samples called so, the share that are; `None` where none was called so.
    pub precision: Option<f64>,
    /// Of the samples that are, the share called so; `None` where there are none.
    pub recall: Option<f64>,
    /// Harmonic mean of both; `None` where neither is defined.
    pub f1: Option<f64>,
}

/// Says the classifier 80 %, is it right in 80 % of the cases?
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Calibration {
    /// As the head gave them. Empty bins are left out.
    pub before: Vec<CalibrationBin>,
    /// After division by the temperature.
    pub after: Vec<CalibrationBin>,
    /// Expected calibration error before.
    pub ece_before: f64,
    /// Expected calibration error after.
    pub ece_after: f64,
}

/// Test samples with similar confidence.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// How many.
    pub n: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
}

/// A confident wrong answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mistake {
    /// The sample's name in the data.
    pub id: String,
    /// What it is.
    pub label: String,
    /// What it was called.
    pub predicted: String,
    /// Calibrated probability of the wrong answer.
    pub confidence: f64,
    /// A small PNG file (longer side about 96 pixels); empty where the data holds no pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "super::base64")]
    pub thumbnail: Vec<u8>,
    /// The part of a text that speaks loudest for or against the wrong answer; empty where the data
    /// holds no texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Shade>,
}

/// A right answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Example {
    /// The sample's name in the data.
    pub id: String,
    /// What it is, and was called.
    pub label: String,
    /// Calibrated probability of that.
    pub confidence: f64,
    /// The part of the text that speaks loudest for or against it.
    pub words: Vec<Shade>,
}

/// Tokens of texts, special ones included.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Lengths {
    /// Texts of all splits.
    pub texts: usize,
    /// Texts that were measured.
    pub measured: usize,
    /// The most tokens that the encoder reads.
    pub limit: usize,
    /// Measured texts that are longer.
    pub longer: usize,
    /// Share of all measured texts' tokens that is not read.
    pub unread: f64,
    /// Tokens of the text in the middle.
    pub median: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// Texts by their length.
    pub bins: Vec<LengthBin>,
}

/// Texts of similar length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LengthBin {
    /// The fewest tokens.
    pub from: usize,
    /// The most.
    pub to: usize,
    /// Texts to train and to choose.
    pub fitted: usize,
    /// Texts to judge.
    pub judged: usize,
}

/// Feature rows on their first two principal components.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeatureMap {
    /// Shares of the variance that the two components explain.
    pub explained: [f64; 2],
    /// The rows.
    pub points: Vec<MapPoint>,
}

/// One sample on the map.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MapPoint {
    /// First component.
    pub x: f32,
    /// Second component.
    pub y: f32,
    /// Index of the true class.
    pub label: u32,
    /// Whether the answer was right; `None` for samples that took part in training.
    pub correct: Option<bool>,
    /// `train`, `val` or `test`.
    pub split: String,
    /// Where the sample is from, where several domains are shown.
    pub domain: Option<String>,
}
