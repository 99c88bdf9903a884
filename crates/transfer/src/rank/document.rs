//! The document of `rank`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What `rank --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankReport {
    /// [`crate::documents::SCHEMA`].
    pub schema: u32,
    /// `rank`.
    pub command: String,
    /// Always null: a ranking leaves no folder.
    pub run: Option<PathBuf>,
    /// Wall time.
    pub seconds: f64,
    /// Name of the data.
    pub data: String,
    /// Training samples that the first of the ranking was scored on.
    pub samples: usize,
    /// Number of classes.
    pub classes: usize,
    /// The scores that order the ranking; several by the mean of their places.
    pub ordered_by: Vec<String>,
    /// Best first.
    pub ranking: Vec<Ranked>,
    /// Models that could not be ranked.
    pub left_out: Vec<LeftOut>,
    /// How far two orders of the ranking's models agree.
    pub agreement: Vec<Agreement>,
    /// What probes of the first models say, where that was asked for.
    pub verified: Option<Verified>,
    /// Sentences about what was left out or cut short.
    pub notes: Vec<String>,
}

/// One source of features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// As `--model` takes it.
    pub model: String,
    /// Layer and pooling, or the size of pictures, where more than the usual one was ranked.
    pub variant: Option<String>,
    /// Flags with which `train` and `extract` take this variant.
    pub flags: Vec<String>,
    /// From 1; equals share the mean.
    pub rank: f64,
    /// 95 % interval of the rank over halves of the samples, among the models that were scored on all of them.
    pub ci: Option<[f64; 2]>,
    /// Of the first score that orders; more is better.
    pub score: Option<f64>,
    /// Every score that was asked for; null where it needs what the source lacks.
    pub scores: BTreeMap<String, Option<f64>>,
    /// Whether it is only there to compare with: raw pixels, random weights.
    pub reference: bool,
    /// Training samples it was scored on; fewer than the first's where it was eliminated early.
    pub samples: usize,
    /// Length of a feature vector.
    pub dim: usize,
    /// Weights of the network; the static baseline ranks by them.
    pub weights: usize,
    /// Of the weights, where it is known.
    pub licence: Option<String>,
    /// What it was trained on, where that is known.
    pub trained_on: Option<String>,
    /// Wall time in all.
    pub seconds: f64,
    /// Of that, computing features.
    pub seconds_features: f64,
    /// Of that, scoring.
    pub seconds_scores: f64,
}

/// A model that is not in the ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub model: String,
    /// Why.
    pub reason: String,
}

/// Kendall's τ of two orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// A score.
    pub a: String,
    /// Another one, or `weights`, the order by size.
    pub b: String,
    /// From −1 to 1; null where one order has nothing but ties.
    pub tau: Option<f64>,
    /// Models that both order.
    pub models: usize,
}

/// Probes of the first models, judged on validation samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// How the truth was found.
    pub method: String,
    /// Validation samples.
    pub samples: usize,
    /// In the order of the ranking.
    pub models: Vec<VerifiedModel>,
    /// Weighted Kendall τ between the ranking and the accuracies; null below two models or where all are equal.
    pub weighted_tau: Option<f64>,
}

/// What one probe reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifiedModel {
    /// As in the ranking.
    pub model: String,
    /// As in the ranking.
    pub variant: Option<String>,
    /// On validation samples.
    pub accuracy: f64,
    /// On validation samples.
    pub log_loss: f64,
    /// Wall time.
    pub seconds: f64,
}
