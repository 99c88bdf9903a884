//! What `adapt` prints as JSON. Keys are stable; a test guards them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_stats::adaptation::OpenSet;
use offshoot_stats::shift::Size;
use serde::{Deserialize, Serialize};

use super::plan::Classes;
use crate::align::Moment;
use crate::documents::Figures;
use crate::guard::document::{ClassGap, Gap};
use crate::report::words;
use crate::shift::document::{ShiftPrescription, Side};
use crate::trust::document::SetFigures;

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
    /// Domains of the source, the nearest to the target first; empty where there is one only.
    #[serde(default)]
    pub domains: Vec<DomainReport>,
    /// Everything that might have been shipped, `source-only` first.
    pub candidates: Vec<CandidateReport>,
    /// What was not tried, and why.
    pub left_out: Vec<LeftOut>,
    /// Every class.
    pub classes: Vec<ClassChange>,
    /// What prediction sets and the alarm rest on, in words; `null` where what is shipped has none.
    #[serde(default)]
    pub trust: Option<String>,
    /// What prediction sets did on the target's labelled samples, looked at after the choice.
    #[serde(default)]
    pub sets: Option<SetFigures>,
    /// What is called unknown; `null` where every target sample is of a class of the source.
    #[serde(default)]
    pub unknown: Option<Box<UnknownReport>>,
    /// Share of the target's samples that get another answer than from `source-only`.
    pub changed: f64,
    /// What to do next, the most useful first.
    pub next: Vec<String>,
    /// Everything else worth telling.
    pub warnings: Vec<String>,
}

/// Target samples of no class of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnknownReport {
    /// An answer whose entropy is above this share of that of no idea is of no known class.
    pub above: f64,
    /// Share of the target's samples of which that is so.
    pub share: f64,
    /// The share that the user expects; `null` where the mean unsureness is the threshold.
    pub expected: Option<f64>,
    /// On labelled target samples of known and of other classes, looked at after the choice; `null` where none has a label
    /// of a known class.
    pub figures: Option<OpenSet>,
    /// The same of the source's classifier as it is, by the same rule.
    pub source_only_figures: Option<OpenSet>,
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
    /// Name of the method; of several states of a network, followed by `@` and the updates before it.
    pub name: String,
    /// One line.
    pub summary: String,
    /// `nothing`, `align`, `reweight`, `labels`, `transport`, `domains` or `network`.
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
    /// Of a network that was aligned: loss, each term and held-out accuracy on the source, epoch by epoch.
    #[serde(default)]
    pub course: Vec<Moment>,
    /// On the target's labelled samples, looked at after the choice; `null` where no label is known.
    pub accuracy: Option<f64>,
    /// Whether it is what is shipped.
    pub shipped: bool,
    /// Wall time of fitting it and asking it.
    pub seconds: f64,
}

/// A domain of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainReport {
    /// Its name; `others` are those with too few samples to be told of alone.
    pub domain: String,
    /// Samples that were fitted or chosen on.
    pub samples: usize,
    /// Energy distance of its features from the target's, as a share of the mean distance: from 0, alike, to 1.
    pub distance: f64,
    /// Its share in the mixture of domains that is nearest to the target.
    pub share: f64,
    /// Share of its held-out samples that `source-only`, fitted to all domains, recognises.
    pub source_accuracy: Option<f64>,
    /// The same of what is shipped.
    pub shipped_accuracy: Option<f64>,
    /// The same of a head that was fitted to the other domains only.
    pub unseen_accuracy: Option<f64>,
    /// Error on held-out samples of the other domains with it minus error without it: above 0 it harms them.
    pub elsewhere: Option<Gap>,
    /// By how much answers for the target are better without it, as the choice among adaptations scores answers,
    /// without labels: above 0 it seems to harm.
    pub lead_without: Option<f64>,
    /// Error on the target's labelled samples with it minus error without it, looked at after the choice: above 0 it
    /// harms. `null` where no label is known.
    pub on_target: Option<Gap>,
}

impl DomainReport {
    /// Points of accuracy that it gives the other domains, or costs them, with a mark where that is beyond chance.
    pub fn brings_elsewhere(&self) -> String {
        self.elsewhere.map_or_else(|| "–".into(), brings)
    }

    /// The same of the target.
    pub fn brings_target(&self) -> String {
        self.on_target.map_or_else(|| "–".into(), brings)
    }

    /// By how much answers for the target seem better without it.
    pub fn better_without(&self) -> String {
        self.lead_without.map_or_else(|| "–".into(), |lead| format!("{lead:+.2}"))
    }
}

fn brings(gap: Gap) -> String {
    let beyond = if gap.helps() || gap.hurts() { " *" } else { "" };
    format!("{}{beyond}", words::points(-gap.value))
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
    /// Share of its source samples that were adapted with: less than 1 where the target seems to lack it.
    #[serde(default = "whole")]
    pub weight: f64,
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

fn whole() -> f64 {
    1.0
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
    /// Which classes the target has.
    pub classes: Classes,
    /// The share of the target's samples that is said to be of other classes.
    pub unknown_share: Option<f64>,
    /// What the features would take.
    pub estimate: crate::documents::Estimate,
}
