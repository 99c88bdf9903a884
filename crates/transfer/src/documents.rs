//! The JSON documents that commands print with `--json`. Keys are stable and documented.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_stats::adaptation::OpenSet;
use serde::{Deserialize, Serialize};

use crate::guard::document::GuardReport;
use crate::train::sources::document::SourceReport;
use crate::trust::document::{AlarmFigures, SetFigures};

/// Version of all documents; a changed or removed key raises it.
pub const SCHEMA: u32 = 1;

/// Figures on one set of labelled samples, each with its 95 % bootstrap interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of samples.
    pub n: usize,
    /// Draws of all samples behind each interval: 1000, down to 200 beyond 5,000 samples. Zero in
    /// documents that do not tell.
    #[serde(default)]
    pub resamples: usize,
    /// Share of samples whose most probable class is right.
    pub accuracy: f64,
    /// 95 % interval.
    pub accuracy_ci: [f64; 2],
    /// Mean F1 over classes.
    pub macro_f1: f64,
    /// 95 % interval.
    pub macro_f1_ci: [f64; 2],
    /// Mean −ln p of the right class.
    pub log_loss: f64,
    /// 95 % interval.
    pub log_loss_ci: [f64; 2],
    /// Expected calibration error, 15 equal-mass bins.
    pub ece: f64,
    /// 95 % interval.
    pub ece_ci: [f64; 2],
}

impl Figures {
    /// A figure by its key.
    pub fn get(&self, metric: &str) -> Option<f64> {
        match metric {
            "accuracy" => Some(self.accuracy),
            "macro_f1" => Some(self.macro_f1),
            "log_loss" => Some(self.log_loss),
            "ece" => Some(self.ece),
            _ => None,
        }
    }
}

/// What the same head gets from other features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// `majority`, `pixels`, `words`, `random`, `scratch`, `probe`, `tuned`.
    pub name: String,
    /// One line.
    pub summary: String,
    /// On the same test split.
    #[serde(flatten)]
    pub figures: Figures,
    /// Wall time of extraction and fitting.
    pub seconds: f64,
}

/// The document of `train`, `eval` and `demo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which command.
    pub command: String,
    /// The run folder.
    pub run: PathBuf,
    /// Wall time.
    pub seconds: f64,
    /// How the model was transferred.
    pub method: String,
    /// Which source.
    pub model: String,
    /// Name of the data.
    pub data: String,
    /// Figures of the test split (of all labelled samples in `eval` where no split is named).
    #[serde(flatten)]
    pub figures: Figures,
    /// Other features on the same split; empty in `eval`.
    pub baselines: Vec<Baseline>,
    /// The same head on other data, by name.
    pub domains: BTreeMap<String, Figures>,
    /// Samples a split: `train`, `val`, `test`.
    pub splits: BTreeMap<String, usize>,
    /// Samples that were skipped because they could not be read.
    pub unreadable: usize,
    /// How a text encoder was adapted to unlabelled texts; absent without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapted: Option<Adapted>,
    /// How the network was tuned; absent where it stayed as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
    /// What prediction sets did on these samples; absent where nothing was held out to calibrate them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets: Option<SetFigures>,
    /// How many of these samples were called unfamiliar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarms: Option<AlarmFigures>,
    /// What calling samples unknown is worth, in `eval` of a run that does so; `figures` are those of known classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenSet>,
    /// Whether the source was worth it, and what is shipped; absent where the guard is off or has nothing
    /// to guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardReport>,
    /// What each of several sources is worth; absent for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceReport>,
    /// Everything else worth telling.
    pub warnings: Vec<String>,
}

/// How a text encoder went on guessing hidden words of unlabelled texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adapted {
    /// Texts, those held out included.
    pub texts: usize,
    /// Hidden tokens of the texts that were held out.
    pub guesses: usize,
    /// Updates done.
    pub updates: u64,
    /// Epochs done.
    pub epochs: u64,
    /// Mean −ln p of the held-out tokens before.
    pub loss_before: f64,
    /// The same with the weights that were kept.
    pub loss_after: f64,
    /// Why it ended, in words.
    pub ended: String,
    /// What it was worth to a head; absent where the guard is off, or too few labelled samples could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worth: Option<AdaptedWorth>,
}

/// What a head on frozen features makes of an encoder before and after it was adapted: of labelled samples of
/// training and validation, while cross-validation held them out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptedWorth {
    /// Labelled samples that were held out in turn.
    pub samples: usize,
    /// Mean −ln p of their classes with the source as it was.
    pub log_loss_before: f64,
    /// The same with the adapted encoder.
    pub log_loss_after: f64,
    /// By how much it is lower.
    pub gain: f64,
    /// Standard error of that, from the samples' pairs.
    pub gain_error: f64,
    /// Share of right answers with the source as it was.
    pub accuracy_before: f64,
    /// The same with the adapted encoder.
    pub accuracy_after: f64,
    /// Whether the run went on with the adapted encoder.
    pub kept: bool,
}

/// How a network was tuned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Values that learnt in the last phase, the head's included.
    pub learning: usize,
    /// Values of the network.
    pub values: usize,
    /// Epochs done.
    pub epochs: u64,
    /// Updates done.
    pub updates: u64,
    /// Updates before the weights that were kept.
    pub best_update: u64,
    /// Wall time of training and validation.
    pub seconds: f64,
    /// Whether nothing beat the probe on validation, so that the probe was kept.
    pub kept_probe: bool,
    /// Why it ended and which weights were kept, in words.
    pub ended: String,
}

/// One fault in the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataProblem {
    /// File, or file:row, or class.
    pub path: String,
    /// Machine-readable kind.
    pub kind: String,
    /// `error` (the sample or the data cannot be used), `warning` or `note`.
    pub severity: String,
    /// What was expected and what came.
    pub detail: String,
}

/// The document of `check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `check`.
    pub command: String,
    /// Always `null`: a check leaves no run.
    pub run: Option<PathBuf>,
    /// Wall time.
    pub seconds: f64,
    /// Name of the data.
    pub data: String,
    /// Number of samples found.
    pub samples: usize,
    /// Class → number of samples.
    pub classes: BTreeMap<String, usize>,
    /// Split → number of samples, where the data names splits.
    pub splits: BTreeMap<String, usize>,
    /// Every fault.
    pub problems: Vec<DataProblem>,
    /// Whether `train` would refuse the data (exit code 3).
    pub refused: bool,
    /// Why, in the words of `train`.
    pub reason: Option<String>,
}

/// The document of `extract`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `extract`.
    pub command: String,
    /// Always `null`.
    pub run: Option<PathBuf>,
    /// Wall time.
    pub seconds: f64,
    /// Which source.
    pub model: String,
    /// In which the network computed: `f32`, `bf16x3` or `bf16`.
    pub precision: String,
    /// Rows written.
    pub rows: usize,
    /// Values a row.
    pub dim: usize,
    /// Rows that the cache already held.
    pub cached: usize,
    /// Rows that the network computed.
    pub computed: usize,
    /// Samples that could not be read.
    pub unreadable: Vec<DataProblem>,
    /// The file written.
    pub out: Option<PathBuf>,
}

/// One labelled input. One JSON line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Path, or `-` for bytes on standard input.
    pub input: String,
    /// The most probable class; `None` when the input could not be read.
    pub label: Option<String>,
    /// Its calibrated probability.
    pub probability: Option<f64>,
    /// The most probable classes and their probabilities, best first.
    pub top: Vec<(String, f64)>,
    /// Classes among which the right one is as often as was promised, the most probable first; `None` where
    /// nothing was held out to calibrate that, or the input could not be read.
    #[serde(default)]
    pub set: Option<Vec<String>>,
    /// Stranger than all held-out samples but the share of false alarms that is allowed.
    pub unfamiliar: bool,
    /// Too unsure to be of a known class; only in runs that were adapted to a target with others.
    #[serde(default)]
    pub unknown: bool,
    /// How strange the input is, over the threshold for `unfamiliar`; above 1 is far.
    pub distance: Option<f64>,
    /// Why the input could not be read.
    pub error: Option<String>,
}

/// The document of `predict`, after its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `predict`.
    pub command: String,
    /// The run folder.
    pub run: PathBuf,
    /// Wall time.
    pub seconds: f64,
    /// Inputs labelled.
    pub rows: usize,
    /// Inputs that could not be read.
    pub unreadable: usize,
    /// Inputs flagged as unfamiliar.
    pub unfamiliar: usize,
    /// Inputs flagged as of no known class.
    #[serde(default)]
    pub unknown: usize,
    /// Whether the run has calibrated prediction sets.
    pub sets: bool,
    /// Share of them that should hold the right class.
    pub promised: f64,
}

/// What one answer rests on. One JSON line each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// Path, `-:LINE`, or `text N` for one that was typed.
    pub input: String,
    /// The most probable class; `None` when the input could not be read.
    pub label: Option<String>,
    /// Its calibrated probability.
    pub probability: Option<f64>,
    /// The class that the parts speak for or against.
    pub class: Option<String>,
    /// Its calibrated probability.
    pub class_probability: Option<f64>,
    /// As [`Prediction::unknown`].
    #[serde(default)]
    pub unknown: bool,
    /// The text.
    pub text: Option<String>,
    /// The second text of a pair.
    pub pair: Option<String>,
    /// The words that were read, in order, or windows of several where there are many.
    pub words: Vec<Part>,
    /// Whether the end of a text was not read.
    pub cut: bool,
    /// Of a picture.
    pub patches: Option<Patches>,
    /// What the network sees, as a PNG file.
    #[serde(skip)]
    pub picture: Vec<u8>,
    /// Why the input could not be read.
    pub error: Option<String>,
}

impl Explanation {
    /// Of an input of which nothing is known yet.
    pub fn of(input: &str) -> Self {
        Self { input: input.into(), ..Self::default() }
    }
}

/// A part of a text and what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// As it is written.
    pub word: String,
    /// `text` or `pair`.
    pub of: String,
    /// First byte in that text.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
    /// By how much the log-odds of the class fall without it: above 0 it speaks for the class.
    pub contribution: f64,
    /// Probability of the class without it.
    pub probability: f64,
}

/// Squares of a picture, row by row, and what each does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patches {
    /// Patches a side.
    pub side: usize,
    /// As [`Part::contribution`], where the patch has the mean colour.
    pub contributions: Vec<f64>,
    /// As [`Part::probability`].
    pub probabilities: Vec<f64>,
}

/// The document of `explain`, after its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `explain`.
    pub command: String,
    /// The run folder.
    pub run: PathBuf,
    /// Wall time.
    pub seconds: f64,
    /// Inputs explained.
    pub rows: usize,
    /// Inputs that could not be read.
    pub unreadable: usize,
    /// How often the classifier was asked.
    pub answers: usize,
}

/// The document of `--dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Samples that need the network.
    pub samples: usize,
    /// Rows that the cache already holds.
    pub cached: usize,
    /// Peak resident memory, bytes.
    pub memory_bytes: u64,
    /// Bytes written to the cache and the run folder.
    pub disk_bytes: u64,
    /// Wall time, seconds; from one measured batch.
    pub seconds: f64,
    /// Seconds a batch of decoding and of the network, as measured.
    pub seconds_per_batch: f64,
    /// What tuning adds, in a dry run of a method that tunes; the figures above include it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<TuningEstimate>,
}

/// What tuning will take, from a rehearsal on a few samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningEstimate {
    /// In order.
    pub phases: Vec<PhaseEstimate>,
    /// Whether the network is trained once more on train and validation, as long again.
    pub refit: bool,
    /// Wall time of tuning and what follows it, seconds; no more than a time budget allows.
    pub seconds: f64,
    /// Peak resident memory, bytes.
    pub memory_bytes: u64,
    /// Bytes that the tuned weights take.
    pub disk_bytes: u64,
}

/// A phase of tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseEstimate {
    /// Its name.
    pub name: String,
    /// Passes over the training samples.
    pub epochs: usize,
    /// Wall time of one, seconds, its validation included.
    pub seconds_per_epoch: f64,
}

/// The document of `train --dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which command would run.
    pub command: String,
    /// The run folder that would be made.
    pub run: PathBuf,
    /// Wall time of the estimation.
    pub seconds: f64,
    /// Phases in order.
    pub phases: Vec<crate::Phase>,
    /// Split → number of samples.
    pub splits: BTreeMap<String, usize>,
    /// What it would take.
    pub estimate: Estimate,
}

/// The document of `doctor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `doctor`.
    pub command: String,
    /// Always `null`.
    pub run: Option<PathBuf>,
    /// Wall time.
    pub seconds: f64,
    /// Of this program.
    pub version: String,
    /// Operating system and architecture.
    pub platform: String,
    /// The instruction set in use and those that the processor has.
    pub cpu: Vec<String>,
    /// Threads that will be used.
    pub threads: usize,
    /// Physical memory, bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Memory that can still be had, bytes.
    pub memory_available_bytes: Option<u64>,
    /// The cache's folder.
    pub cache: PathBuf,
    /// Its size in bytes.
    pub cache_bytes: u64,
    /// Its cap in bytes.
    pub cache_max_bytes: u64,
    /// Whether the cache's folder can be written.
    pub cache_writable: bool,
    /// The model store's folder.
    pub store: PathBuf,
    /// Number of models in it.
    pub store_models: usize,
    /// Seconds the embedded model needs a picture, measured on one batch.
    pub seconds_per_image: f64,
}
