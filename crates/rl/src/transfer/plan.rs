//! What is to be transferred, and where to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::remap::Remapping;

/// Everything that decides a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferPlan {
    /// Folders of runs whose policies are reused.
    pub sources: Vec<PathBuf>,
    /// Name of the world to transfer to.
    pub world: String,
    /// `auto` alone, or the names of one or several methods.
    pub methods: Vec<String>,
    /// The learner; that of the first source where `None`.
    #[serde(default)]
    pub learner: Option<String>,
    /// Steps in the world; the published number where `None`.
    #[serde(default)]
    pub steps: Option<u64>,
    /// Repetitions, with the source and from scratch.
    pub seeds: u64,
    /// The first one's seed; the others follow.
    pub seed: u64,
    /// Constants of the world that are not as usual.
    #[serde(default)]
    pub set: BTreeMap<String, f64>,
    /// Names that are called otherwise in the sources.
    #[serde(default)]
    pub remapping: Remapping,
    /// Name of the run's folder; the world's where `None`.
    #[serde(skip)]
    pub name: Option<String>,
    /// Folder of run folders.
    #[serde(skip)]
    pub runs_dir: PathBuf,
}
