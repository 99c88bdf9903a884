//! What `rl transfer` prints as JSON. Keys are stable; a snapshot test guards them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The document of `rl transfer`; also `report.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferReport {
    /// Version of this form.
    pub schema: u32,
    /// `rl transfer`.
    pub command: String,
    /// The run's folder.
    pub run: PathBuf,
    /// Wall time of all that was learnt, in whichever process.
    pub seconds: f64,
    /// The answer as a figure.
    pub figure: String,
    /// The answer in a sentence.
    pub headline: String,
    /// What else there is to say, the most important first.
    pub sentences: Vec<String>,
    /// Of the best method: `helps`, `hurts` or `unclear`, by the total reward.
    pub verdict: Verdict,
    /// What is shipped: a method, or `scratch`.
    pub shipped: String,
    /// Whether that is scratch, although a source was there.
    pub fell_back: bool,
    /// The best method, by its mean total reward.
    pub best: String,
    /// The best method against scratch.
    #[serde(flatten)]
    pub figures: MethodFigures,
    /// Where the source was learnt.
    pub source: WorldFacts,
    /// Where it is used.
    pub target: WorldFacts,
    /// What learnt.
    pub learner: String,
    /// Mean return at which the target counts as solved.
    pub threshold: Option<f64>,
    /// Steps that learning the source took.
    pub source_steps: u64,
    /// Repetitions.
    pub seeds: usize,
    /// Episodes that each point of a curve is the mean of.
    pub episodes: usize,
    /// Scratch first, then the methods in the order in which they were asked for.
    pub methods: Vec<MethodReport>,
    /// Resamples that intervals rest on.
    pub resamples: usize,
    /// When it was made: UTC, RFC 3339.
    pub created: String,
    /// Version of this program.
    pub version: String,
}

/// A world and all its constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorldFacts {
    /// Its name.
    pub world: String,
    /// By name.
    pub constants: BTreeMap<String, f64>,
}

/// One way of learning the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodReport {
    /// The word that a user types; `scratch` without a source.
    pub method: String,
    /// One line.
    pub summary: String,
    /// What it returned on the way.
    pub curve: Vec<ReturnPoint>,
    /// Against scratch; absent for scratch itself.
    #[serde(flatten)]
    pub figures: Option<MethodFigures>,
    /// Wall time of learning, all seeds together.
    pub seconds: f64,
}

/// Mean returns after so many steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReturnPoint {
    /// In the target.
    pub steps: f64,
    /// Of the seeds.
    pub median: f64,
    /// First and third quartile of the seeds.
    pub quartiles: [f64; 2],
    /// Each seed's.
    pub returns: Vec<f64>,
}

/// Transfer against scratch (Taylor & Stone 2009); every `_ci` is a 95 % interval over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodFigures {
    /// By the total reward.
    pub worth: Verdict,
    /// Difference of returns before anything was learnt in the target.
    pub jumpstart: f64,
    /// Its interval.
    pub jumpstart_ci: [f64; 2],
    /// Difference of returns over the last tenth of the points.
    pub asymptotic: f64,
    /// Its interval.
    pub asymptotic_ci: [f64; 2],
    /// Area between the curves, as a mean return a step.
    pub total_reward: f64,
    /// Its interval.
    pub total_reward_ci: [f64; 2],
    /// That area in parts of scratch's own, above the least return if that is negative.
    pub transfer_ratio: Option<f64>,
    /// Its interval.
    pub transfer_ratio_ci: Option<[f64; 2]>,
    /// Steps to the threshold in parts of scratch's, medians over seeds; absent where half of the seeds do
    /// not get there.
    pub time_to_threshold: Option<f64>,
    /// Its interval; an end is absent where it is beyond all measure.
    pub time_to_threshold_ci: Option<[Option<f64>; 2]>,
    /// Whether scratch does not get there, so that the ratio is an upper bound.
    pub time_is_upper_bound: bool,
    /// Median steps to the threshold.
    pub steps_to_threshold: Option<f64>,
    /// Those of scratch.
    pub scratch_steps_to_threshold: Option<f64>,
    /// Seeds that get there.
    pub reached: Option<usize>,
    /// Seeds that get there from scratch.
    pub scratch_reached: Option<usize>,
    /// `total_reward` where the source's steps count.
    pub total_reward_with_source: f64,
    /// Its interval.
    pub total_reward_with_source_ci: [f64; 2],
    /// `time_to_threshold` where the source's steps count.
    pub time_to_threshold_with_source: Option<f64>,
    /// Its interval.
    pub time_to_threshold_with_source_ci: Option<[Option<f64>; 2]>,
}

/// Whether a source helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// More total reward, beyond chance.
    Helps,
    /// Less, beyond chance: negative transfer.
    Hurts,
    /// These seeds cannot tell.
    Unclear,
}

impl Verdict {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Helps => "helps",
            Self::Hurts => "hurts",
            Self::Unclear => "unclear",
        }
    }
}
