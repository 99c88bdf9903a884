//! The folder of runs: list, compare, remove, clean up, resume.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use offshoot_data::Split;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::documents::TrainReport;
use crate::durable::TEMPORARY_PREFIX;
use crate::plan::CachePlan;
use crate::prepare::split_name;
use crate::run::RunFolder;
use crate::run::record::{RunRecord, RunState};
use crate::{Observer, Result, Sha, TransferError};

/// A temporary file younger than this may belong to a process at work.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

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
    /// Test accuracy; of an adaptation, on the target's labels where it has any.
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
    /// Of runs that are compared, sha256 of its test samples: equal where runs were judged on the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_sha256: Option<String>,
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

fn summary(folder: &RunFolder, record: RunRecord) -> RunSummary {
    let (method, figures) = record.outcome();
    RunSummary {
        name: folder.name(),
        run: folder.path().into(),
        state: record.state,
        seconds: record.usage.seconds,
        bytes: folder.bytes(),
        method: method.map(String::from),
        accuracy: figures.map(|f| f.accuracy),
        accuracy_ci: figures.map(|f| f.accuracy_ci),
        macro_f1: figures.map(|f| f.macro_f1),
        log_loss: figures.map(|f| f.log_loss),
        ece: figures.map(|f| f.ece),
        created: record.created,
        data: record.data.name,
        model: record.model.name,
        manifest_sha256: record.data.manifest_sha256,
        test_sha256: None,
    }
}

/// What the rows of the manifest say that are of the test split.
fn judged_on(folder: &RunFolder) -> Option<String> {
    let mut rows = csv::Reader::from_path(folder.file(crate::train::folder::MANIFEST)).ok()?;
    let split = rows.headers().ok()?.iter().position(|name| name == "split")?;
    let test = split_name(Split::Test);
    let mut parts: Vec<String> = Vec::new();
    for row in rows.records() {
        let row = row.ok()?;
        if row.get(split) == Some(test) {
            parts.extend(row.iter().map(str::to_string));
        }
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    (!parts.is_empty()).then(|| Sha::of_texts(&parts).to_string())
}

/// All runs in `runs_dir`, by name; none where the folder does not exist. Folders without a
/// readable `run.json` are left out.
pub fn list(runs_dir: &Path) -> Result<Vec<RunSummary>> {
    let entries = match fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(TransferError::io(runs_dir, e)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let open = |path: &PathBuf| RunFolder::open(path).ok();
    Ok(paths.iter().filter_map(open).map(|(folder, record)| summary(&folder, record)).collect())
}

/// The folder of run `name`: a name in `runs_dir`, or a path to a run folder.
pub fn find(runs_dir: &Path, name: &str) -> Result<PathBuf> {
    let candidates = [runs_dir.join(name), PathBuf::from(name)];
    if let Some(path) = candidates.into_iter().find(|p| p.join("run.json").is_file()) {
        return Ok(path);
    }
    let known: Vec<String> = list(runs_dir)?.into_iter().map(|r| r.name).collect();
    let hint = match known.as_slice() {
        [] => format!("{} holds no runs; `offshoot demo` makes one", runs_dir.display()),
        known => format!("{} holds: {}", runs_dir.display(), known.join(", ")),
    };
    Err(TransferError::usage(format!("no run `{name}`"), hint))
}

/// The runs in these folders side by side, in the order given.
pub fn compare(runs: &[PathBuf]) -> Result<Vec<RunSummary>> {
    let one = |path: &PathBuf| {
        let (folder, record) = RunFolder::open(path)?;
        Ok(RunSummary { test_sha256: judged_on(&folder), ..summary(&folder, record) })
    };
    runs.iter().map(one).collect()
}

/// Removes a run folder. Refuses a folder that is not a run, and one that another process works on.
pub fn remove(run: &Path) -> Result<()> {
    let (folder, _) = RunFolder::open(run)?;
    let _claim = folder.claim()?;
    fs::remove_dir_all(run).map_err(|e| TransferError::io(run, e))
}

/// Removes what killed processes left behind, damaged cache chunks, and what exceeds the cap.
pub fn gc(runs_dir: &Path, cache: &CachePlan) -> Result<Collected> {
    let mut collected = Collected::default();
    if cache.enabled {
        let (cache, _) = Cache::open(cache)?;
        for (chunks, bytes) in [cache.remove_damaged(), cache.evict()] {
            collected.cache_chunks += chunks;
            collected.bytes += bytes;
        }
        remove_temporary(cache.root(), 1, &mut collected);
    }
    remove_temporary(runs_dir, 3, &mut collected);
    Ok(collected)
}

/// Removes old temporary files up to `depth` folders below `dir`.
fn remove_temporary(dir: &Path, depth: usize, collected: &mut Collected) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(facts) = entry.metadata() else { continue };
        if facts.is_dir() && depth > 0 {
            remove_temporary(&entry.path(), depth - 1, collected);
        }
        let age = facts.modified().ok().and_then(|m| SystemTime::now().duration_since(m).ok());
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX);
        let old = age.is_some_and(|age| age > LEFT_BEHIND);
        if facts.is_file() && ours && old && fs::remove_file(entry.path()).is_ok() {
            collected.temporary_files += 1;
            collected.bytes += facts.len();
        }
    }
}

/// Goes on with a run that was stopped or killed, by its `plan.toml`. What is finished is not
/// done again. A complete run is left as it is and its report is returned.
pub fn resume(run: &Path, observer: &mut dyn Observer) -> Result<TrainReport> {
    let (folder, record) = RunFolder::open(run)?;
    match (record.state, &record.report) {
        (RunState::Complete, Some(report)) => Ok(report.clone()),
        _ => crate::train::resume(folder, &record, observer),
    }
}
