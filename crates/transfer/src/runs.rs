//! The folder of runs: list, compare, remove, clean up, resume.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::documents::TrainReport;
use crate::plan::CachePlan;
use crate::run::record::RunState;
use crate::{Observer, Result};

/// One run in a list. The document of `runs list` and `runs compare` is a list of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Folder name.
    pub name: String,
    /// Folder.
    pub run: PathBuf,
    /// How far it is.
    pub state: RunState,
    /// UTC, RFC 3339.
    pub created: String,
    /// Wall time.
    pub seconds: f64,
    /// Size of the folder.
    pub bytes: u64,
    /// Which data.
    pub data: String,
    /// Which source.
    pub model: String,
    /// How it was transferred.
    pub method: Option<String>,
    /// Test accuracy.
    pub accuracy: Option<f64>,
    /// 95 % interval.
    pub accuracy_ci: Option<[f64; 2]>,
    /// Test macro-F1.
    pub macro_f1: Option<f64>,
    /// Test log-loss.
    pub log_loss: Option<f64>,
    /// Test ECE.
    pub ece: Option<f64>,
    /// sha256 of `data/manifest.csv`: runs with equal values saw the same samples and splits.
    pub manifest_sha256: String,
}

/// What [`gc`] removed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Collected {
    /// Temporary files of killed processes.
    pub temporary_files: usize,
    /// Cache chunks evicted or found damaged.
    pub cache_chunks: usize,
    /// Bytes freed.
    pub bytes: u64,
}

/// All runs in `runs_dir`, by name. Folders without a readable `run.json` are left out.
pub fn list(runs_dir: &Path) -> Result<Vec<RunSummary>> {
    let _ = runs_dir;
    Err(crate::TransferError::Internal("not there yet".into()))
}

/// The folder of run `name`: a path to a run folder, or a name in `runs_dir`.
pub fn find(runs_dir: &Path, name: &str) -> Result<PathBuf> {
    let _ = (runs_dir, name);
    Err(crate::TransferError::Internal("not there yet".into()))
}

/// The named runs side by side, in the order given.
pub fn compare(runs: &[PathBuf]) -> Result<Vec<RunSummary>> {
    let _ = runs;
    Err(crate::TransferError::Internal("not there yet".into()))
}

/// Removes a run folder. Refuses a folder that is not a run.
pub fn remove(run: &Path) -> Result<()> {
    let _ = run;
    Err(crate::TransferError::Internal("not there yet".into()))
}

/// Removes what killed processes left behind and brings the cache below its cap.
pub fn gc(runs_dir: &Path, cache: &CachePlan) -> Result<Collected> {
    let _ = (runs_dir, cache);
    Err(crate::TransferError::Internal("not there yet".into()))
}

/// Goes on with a run that was stopped or killed, by its `plan.toml`. What is finished is not
/// done again. A complete run is left as it is and its report is returned.
pub fn resume(run: &Path, observer: &mut dyn Observer) -> Result<TrainReport> {
    let _ = (run, observer);
    Err(crate::TransferError::Internal("not there yet".into()))
}
