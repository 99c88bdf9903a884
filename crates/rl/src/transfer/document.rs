//! The document of `offshoot rl transfer --json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::report::document::TransferReport;

/// What a source was worth ([`TransferReport`]), how that was found, and what is shipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferDocument {
    /// Figures of every method, the best method and what is shipped.
    #[serde(flatten)]
    pub report: TransferReport,
    /// Whether the best method loses total reward beyond chance.
    pub negative_transfer: bool,
    /// The target and what is unusual of it, in words.
    pub told: String,
    /// Steps of each training.
    pub steps: u64,
    /// What `auto` tried, the best first; empty where methods were named.
    pub tried: Vec<Trial>,
    /// The sources, in the order in which they were given.
    pub sources: Vec<SourceReport>,
    /// Which of them was reused.
    pub chosen: PathBuf,
    /// Mean over seeds of the mean return of fresh episodes, of the policies that the best method ended with.
    pub mean_return: f64,
    /// 95 % interval over seeds.
    pub mean_return_ci: [f64; 2],
    /// The same from scratch.
    pub scratch_mean_return: f64,
    /// 95 % interval over seeds.
    pub scratch_mean_return_ci: [f64; 2],
    /// Of the one policy that is shipped, over the same episodes.
    pub shipped_mean_return: f64,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its run.
    pub run: PathBuf,
    /// Its world, in words.
    pub told: String,
    /// Its learner.
    pub learner: String,
    /// Steps that learning it took, for each policy.
    pub steps: u64,
    /// Policies that it holds; each seed begins with one of them.
    pub policies: usize,
    /// Mean return of its policies in the target, before anything is learnt there.
    pub zero_shot: f64,
}

/// A method that `auto` tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub method: String,
    /// Mean return over the curve of the trial.
    pub total_reward: f64,
}
