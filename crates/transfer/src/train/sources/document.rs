//! The `sources` of `train --json`, `run.json` and the report.

use serde::{Deserialize, Serialize};

/// What one of several sources is worth beside the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// As `--model` names it.
    pub model: String,
    /// By what its features, scaled to a common variance, are multiplied; 0 where it is left out. The squares of
    /// all weights sum to the number of sources that stay.
    pub weight: f64,
    /// Share of held-out training and validation samples that are right without it, minus the share that are
    /// right with it: above 0 it harms. Every source has the weight 1. Null where the time did not allow it.
    pub harm: Option<f64>,
    /// 95 % interval, from the paired differences.
    pub harm_ci: Option<[f64; 2]>,
    /// Mean log-loss of the same samples with it, minus that without: above 0 it harms. Null also where the head is
    /// no likelihood.
    #[serde(default)]
    pub harm_log_loss: Option<f64>,
    /// Twice the smaller of two p-values, that of the exact sign test on right answers and that of the mean difference
    /// of log-losses, held against as many sources as there are.
    pub harm_p: Option<f64>,
    /// Held-out samples behind it.
    pub harm_samples: usize,
    /// Why it is left out: `harm`, or `weight` where cross-validation gave it none. Null where it stays.
    pub left_out: Option<String>,
}

impl SourceReport {
    /// Of a source that stays, of which nothing is known.
    pub fn new(model: &str) -> Self {
        Self {
            model: model.into(),
            weight: 1.0,
            harm: None,
            harm_ci: None,
            harm_log_loss: None,
            harm_p: None,
            harm_samples: 0,
            left_out: None,
        }
    }
}
