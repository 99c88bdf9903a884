//! What `adapt` prints as JSON. Keys are stable; a test guards them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_stats::shift::Size;
use serde::{Deserialize, Serialize};

use crate::documents::Figures;
use crate::guard::document::{ClassGap, Gap};
use crate::shift::document::{ShiftPrescription, Side};

/// The document of `adapt`; also in `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptReport {
    /// [`crate::documents::SCHEMA`].
    pub schema: u32,
    /// `adapt`.
    pub command: String,
    /// The run folder.
    pub run: PathBuf,
    /// Wall time.
    pub seconds: f64,
    /// What is shipped: the name of a candidate.
    pub method: String,
    /// What was asked for: `auto`, or the name of a method.
    pub asked: String,
    /// Whether `source-only` is shipped, though adapting was tried.
    pub fell_back: bool,
    /// Why it was chosen, in words.
    pub reason: String,
    /// The answer in plain language, the most important first.
    pub sentences: Vec<String>,
    /// Share of the target's labelled samples that is recognised; `null` where no label is known.
    pub accuracy: Option<f64>,
    /// The same of the source's classifier as it is.
    pub source_only_accuracy: Option<f64>,
    /// Error of what is shipped minus that of `source-only`, paired over samples: below 0 adapting helped.
    pub gap: Option<Gap>,
    /// The same within each class.
    pub by_class: Vec<ClassGap>,
    /// `helps`, `hurts` or `unclear` by the gap; `unmeasured` without labels of the target.
    pub verdict: String,
    /// Which part the target's labels had, in words: they judge, and never choose.
    pub labels: String,
    /// All figures of what is shipped on the target's labelled samples.
    pub target_figures: Option<Figures>,
    /// The same of the source's classifier as it is.
    pub source_only_figures: Option<Figures>,
    /// Figures of what is shipped on source samples that nothing was fitted or chosen on.
    pub home_figures: Option<Figures>,
    /// Accuracy on the target of the run's own classifier, where the source is a run and labels are known.
    pub run_accuracy: Option<f64>,
    /// Which network.
    pub model: String,
    /// The source.
    pub source: Side,
    /// The target.
    pub target: Side,
    /// What kind of mismatch there is, found without the target's labels.
    pub mismatch: Mismatch,
    /// What to do about it.
    pub prescription: ShiftPrescription,
    /// Everything that might have been shipped, `source-only` first.
    pub candidates: Vec<CandidateReport>,
    /// What was not tried, and why.
    pub left_out: Vec<LeftOut>,
    /// Every class.
    pub classes: Vec<ClassChange>,
    /// Share of the target's samples that get another answer than from `source-only`.
    pub changed: f64,
    /// What to do next, the most useful first.
    pub next: Vec<String>,
    /// Everything else worth telling.
    pub warnings: Vec<String>,
}

/// The mismatch in short; `offshoot shift` tells more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// As in the document of `shift`.
    pub p_value: f64,
    /// `none`, or some of `covariate`, `label`.
    pub verdict: Vec<String>,
    /// As a sentence.
    pub sentence: String,
    /// How large it is.
    pub size: Size,
    /// How often a linear classifier tells source from target.
    pub told_apart: Option<f64>,
}

/// Something that might have been shipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateReport {
    /// Name of the method.
    pub name: String,
    /// One line.
    pub summary: String,
    /// `nothing`, `align`, `reweight`, `labels`, `transport` or `network`.
    pub family: String,
    /// Every validator's score, by its name; higher is better.
    pub scores: BTreeMap<String, f64>,
    /// Why it must not be shipped; empty where nothing speaks against it.
    pub vetoes: Vec<String>,
    /// Share of held-out source samples that it recognises.
    pub source_accuracy: f64,
    /// Share of the target's samples that get another answer than from `source-only`.
    pub changed: f64,
    /// What the method tells of itself.
    pub facts: BTreeMap<String, f64>,
    /// On the target's labelled samples, looked at after the choice; `null` where no label is known.
    pub accuracy: Option<f64>,
    /// Whether it is what is shipped.
    pub shipped: bool,
    /// Wall time of fitting it and asking it.
    pub seconds: f64,
}

/// A method that was not tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A class on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassChange {
    /// Its name.
    pub class: String,
    /// Share of the source's samples.
    pub source_share: f64,
    /// Its share in the target as estimated from the source's classifier.
    pub estimated_share: Option<f64>,
    /// Share of the target's samples that `source-only` takes for it.
    pub source_only_share: f64,
    /// Share of the target's samples that what is shipped takes for it.
    pub share: f64,
    /// Labelled target samples of it.
    pub n: usize,
    /// Share of these that `source-only` recognises.
    pub source_only_recall: Option<f64>,
    /// Share of these that what is shipped recognises.
    pub recall: Option<f64>,
}

/// The document of `adapt --dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptDryRun {
    /// [`crate::documents::SCHEMA`].
    pub schema: u32,
    /// `adapt`.
    pub command: String,
    /// The run folder that would be made.
    pub run: PathBuf,
    /// Wall time of the estimation.
    pub seconds: f64,
    /// The source; `used` counts what heads are fitted on.
    pub source: Side,
    /// The target; `used` counts what is adapted to.
    pub target: Side,
    /// Methods that may be tried.
    pub methods: Vec<String>,
    /// What the features would take.
    pub estimate: crate::documents::Estimate,
}
