//! What `transfer-report` prints as JSON. Keys are stable; a snapshot test guards them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cell::CoursePoint;

/// The document of `transfer-report`; also `report.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferReport {
    /// [`crate::documents::SCHEMA`].
    pub schema: u32,
    /// `transfer-report`.
    pub command: String,
    /// The report's folder.
    pub run: PathBuf,
    /// Wall time of all cells, in whichever process they were done.
    pub seconds: f64,
    /// The answer as a figure.
    pub figure: String,
    /// The answer in a sentence.
    pub headline: String,
    /// What else there is to say, the most important first.
    pub sentences: Vec<String>,
    /// One for each data set.
    pub targets: Vec<TargetReport>,
    /// Every source on every target, with the method that validation preferred.
    pub matrix: Vec<MatrixCell>,
    /// Cells that the time did not suffice for.
    pub left_out: Vec<LeftOut>,
    /// Resamples that intervals rest on.
    pub resamples: usize,
    /// Repetitions.
    pub seeds: usize,
    /// When the report was begun: UTC, RFC 3339.
    pub created: String,
    /// Version of this program.
    pub version: String,
}

/// One data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Its name.
    pub data: String,
    /// Number of classes.
    pub classes: usize,
    /// Labels outside the test split.
    pub labels: usize,
    /// Test samples, the same for all cells.
    pub test: usize,
    /// Levels of labels that were merged, in words.
    pub notes: Vec<String>,
    /// Accuracy by labels, for each source and method.
    pub curves: Vec<Curve>,
    /// How many labels each is worth without a source.
    pub equivalents: Vec<LabelEquivalent>,
    /// How many labels each needs to be as good as what needs no source with all of them.
    pub savings: Vec<LabelSaving>,
    /// How soon each is as good as scratch at its best.
    pub times: Vec<TimeToScratch>,
    /// The answer for this data alone, in sentences.
    pub answer: Vec<String>,
}

/// Accuracy on the test split by the number of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The source; for `scratch`, whose architecture; absent for `pixels`.
    pub model: Option<String>,
    /// How it was transferred.
    pub method: String,
    /// In ascending order of labels.
    pub points: Vec<CurvePoint>,
}

/// One number of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Labels: those that choose on the way are among them.
    pub labels: usize,
    /// The same as a share of all labels outside the test split.
    pub share: f64,
    /// Mean over seeds.
    pub accuracy: f64,
    /// 95 %: paired bootstrap over test samples and seeds.
    pub accuracy_ci: [f64; 2],
    /// Each seed's.
    pub accuracies: Vec<f64>,
    /// Mean on validation, where there is any.
    pub val_accuracy: Option<f64>,
    /// Mean wall time of a cell.
    pub seconds: f64,
    /// Repetitions in which validation preferred the probe to the tuned network.
    pub kept_probe: usize,
}

/// What relates a number of labels to the curve that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// The curve is as good already with so many.
    AtMost,
    /// It is as good with about so many.
    About,
    /// It is never as good; so many were tried.
    MoreThan,
}

/// A number of labels, or a bound of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelCount {
    /// How it is meant.
    pub relation: Relation,
    /// How many.
    pub labels: f64,
}

/// How many labels would be needed without a source to be as good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelEquivalent {
    /// The source.
    pub model: String,
    /// How it was transferred.
    pub method: String,
    /// What needs no source: `scratch` or `pixels`.
    pub versus: String,
    /// With so many labels.
    pub labels: usize,
    /// The source has this accuracy.
    pub accuracy: f64,
    /// Without a source, so many labels would be needed: read off the curve in log labels.
    pub equivalent: LabelCount,
    /// Ends of the 95 % interval: paired bootstrap over test samples and seeds.
    pub equivalent_ci: [LabelCount; 2],
    /// Share of labels saved, 1 − labels / equivalent; a bound where the equivalent is one, negative where
    /// transfer costs labels.
    pub saved: f64,
    /// Accuracy minus that without a source with all labels.
    pub over_full: f64,
    /// 95 %, paired.
    pub over_full_ci: [f64; 2],
}

/// How many labels a method needs to be as good as what needs no source with all labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelSaving {
    /// The source.
    pub model: String,
    /// How it was transferred.
    pub method: String,
    /// What needs no source: `scratch` or `pixels`.
    pub versus: String,
    /// Labels that it learnt from.
    pub versus_labels: usize,
    /// Its accuracy.
    pub versus_accuracy: f64,
    /// Labels that the method needs, read off its curve in log labels.
    pub needed: LabelCount,
    /// Ends of the 95 % interval: paired bootstrap over test samples and seeds.
    pub needed_ci: [LabelCount; 2],
    /// Share of the labels saved, 1 − needed / all: at least so much where the need is at most so many,
    /// nothing where it is never as good.
    pub saved: f64,
    /// Ends of the 95 % interval.
    pub saved_ci: [f64; 2],
}

/// How soon a method is as good on validation as scratch at its best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeToScratch {
    /// The source.
    pub model: String,
    /// How it was transferred.
    pub method: String,
    /// Labels that both learnt from.
    pub labels: usize,
    /// Scratch's best accuracy on validation, mean over seeds.
    pub scratch_best: f64,
    /// Seconds and epochs that scratch took to it, mean over seeds.
    pub scratch_seconds: f64,
    /// As above.
    pub scratch_epochs: f64,
    /// Seeds in which the method was as good at some time.
    pub reached: usize,
    /// Seeds.
    pub seeds: usize,
    /// Seconds that it took (features and head included), mean over the seeds that reached it.
    pub seconds: Option<f64>,
    /// Least and most of these.
    pub seconds_range: Option<[f64; 2]>,
    /// Epochs: 0 where the frozen features were enough.
    pub epochs: Option<f64>,
    /// Least and most of these.
    pub epochs_range: Option<[f64; 2]>,
    /// How validation went, for each seed.
    pub courses: Vec<Vec<CoursePoint>>,
    /// The same from scratch.
    pub scratch_courses: Vec<Vec<CoursePoint>>,
}

/// Whether a source helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The whole interval of the gap lies below 0.
    Helps,
    /// The interval holds 0.
    Unclear,
    /// The whole interval lies above 0: negative transfer.
    Hurts,
}

/// A source on a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixCell {
    /// The target.
    pub data: String,
    /// The source.
    pub model: String,
    /// Of the methods that transfer, the one that validation preferred with the most labels.
    pub method: String,
    /// Of what needs no source, the one that validation preferred.
    pub versus: String,
    /// At the most labels that both were trained on.
    pub labels: usize,
    /// Negative-transfer gap: error with the source minus error without; positive is harm.
    pub gap: f64,
    /// 95 %: paired bootstrap over test samples and seeds.
    pub gap_ci: [f64; 2],
    /// What that means.
    pub verdict: Verdict,
    /// The same methods at every number of labels.
    pub by_labels: Vec<Gap>,
}

/// A gap at one number of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Labels.
    pub labels: usize,
    /// Error with the source minus error without.
    pub gap: f64,
    /// 95 %, paired.
    pub gap_ci: [f64; 2],
}

/// What the time did not suffice for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Target.
    pub data: String,
    /// Source.
    pub model: String,
    /// Method.
    pub method: String,
    /// Labels.
    pub labels: usize,
    /// Seeds.
    pub cells: usize,
    /// About so long they would take.
    pub seconds: f64,
}

/// The document of `transfer-report --dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferReportDryRun {
    /// [`crate::documents::SCHEMA`].
    pub schema: u32,
    /// `transfer-report`.
    pub command: String,
    /// The folder that would be made, or gone on with.
    pub run: PathBuf,
    /// What the rehearsal took.
    pub seconds: f64,
    /// What all cells would take.
    pub estimate: f64,
    /// The cells, cheapest first.
    pub cells: Vec<PlannedCells>,
    /// Levels of labels that would be merged, in words.
    pub notes: Vec<String>,
}

/// Cells that differ by their seed alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCells {
    /// Target.
    pub data: String,
    /// Source; absent for `pixels`.
    pub model: Option<String>,
    /// Method.
    pub method: String,
    /// Labels.
    pub labels: usize,
    /// Share of all labels outside the test split.
    pub share: f64,
    /// Seeds.
    pub cells: usize,
    /// About so long they take.
    pub seconds: f64,
    /// Whether `--time` suffices.
    pub affordable: bool,
}
