//! What a training run tells, in order; one line each in `metrics.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One thing that was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A phase begins.
    Phase {
        /// Its name.
        name: String,
        /// What learns, in words.
        summary: String,
        /// Values that learn.
        trainable: usize,
        /// Values that do not.
        frozen: usize,
        /// Updates before it.
        first_step: u64,
    },
    /// An update.
    Step {
        /// Phase.
        phase: String,
        /// Updates so far.
        step: u64,
        /// Epochs so far, parts included.
        epoch: f64,
        /// Mean loss of the batch.
        loss: f64,
        /// Value of each loss term.
        terms: BTreeMap<String, f64>,
        /// Learning rate.
        lr: f64,
    },
    /// An epoch ended.
    Epoch {
        /// Phase.
        phase: String,
        /// Epochs so far.
        epoch: u32,
        /// Updates so far.
        step: u64,
        /// Wall time.
        seconds: f64,
        /// Mean loss over the epoch's batches, as they learned.
        train_loss: f64,
        /// The metric over the epoch's batches, where it is the accuracy.
        train_metric: Option<f64>,
        /// Loss on validation.
        val_loss: Option<f64>,
        /// Metric on validation.
        val_metric: Option<f64>,
        /// Which metric.
        metric: String,
        /// Whether these are the best weights so far.
        best: bool,
    },
    /// The sweep over learning rates.
    LrFinder {
        /// Learning rate and smoothed loss.
        points: Vec<[f64; 2]>,
        /// Where the loss falls fastest.
        steepest: Option<f64>,
        /// Within the longest fall.
        valley: Option<f64>,
    },
    /// From here on the network is trained once more, on train and validation; steps count on.
    Refit {
        /// Samples that it learns from now.
        samples: usize,
        /// Epochs that it takes.
        epochs: u64,
        /// Updates before it.
        first_step: u64,
    },
    /// The end.
    Stopped {
        /// Why.
        reason: String,
        /// Updates so far.
        step: u64,
        /// Updates before the best weights.
        best_step: u64,
        /// Their metric.
        best_metric: Option<f64>,
    },
}

impl Record {
    /// Updates before this was told.
    pub fn step(&self) -> Option<u64> {
        match self {
            Self::Phase { first_step, .. } | Self::Refit { first_step, .. } => Some(*first_step),
            Self::Step { step, .. } | Self::Epoch { step, .. } | Self::Stopped { step, .. } => {
                Some(*step)
            }
            Self::LrFinder { .. } => None,
        }
    }
}

/// Everything that was told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// In order.
    pub records: Vec<Record>,
}
