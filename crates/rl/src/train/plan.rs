//! What is to be trained.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that decides a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainPlan {
    /// Name of the world.
    pub world: String,
    /// Name of the learner.
    pub learner: String,
    /// Steps in the world; the published number where `None`.
    #[serde(default)]
    pub steps: Option<u64>,
    /// Repetitions.
    pub seeds: u64,
    /// The first one's seed; the others follow.
    pub seed: u64,
    /// Constants that are not as usual.
    #[serde(default)]
    pub set: BTreeMap<String, f64>,
    /// Name of the run's folder; the world's where `None`.
    #[serde(skip)]
    pub name: Option<String>,
    /// Folder of run folders.
    #[serde(skip)]
    pub runs_dir: PathBuf,
}

impl TrainPlan {
    /// The constants as the registry of worlds takes them.
    pub fn constants(&self) -> Vec<(String, f64)> {
        self.set.iter().map(|(name, value)| (name.clone(), *value)).collect()
    }
}
