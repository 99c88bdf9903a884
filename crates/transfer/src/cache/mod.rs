//! Feature rows of earlier runs, by content: (weights, preprocessing, stage, augmentation) name a
//! folder, the sample's sha256 names a row in one of its chunks.
//!
//! Chunks are immutable and appear by renaming, so any number of processes can share the folder
//! and a killed process loses at most the rows of the last few seconds. Chunks that were not used
//! for longest go when the cap is exceeded.

mod chunk;
mod rows;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::digest::Sha;
use crate::plan::CachePlan;
use crate::{Result, TransferError, durable};
pub use rows::{CHUNK_ROWS as PENDING_ROWS, CHUNK_VALUES as PENDING_VALUES, RowStore};

/// Everything but the sample that decides a row's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// sha256 of the checkpoint.
    pub weights_sha256: String,
    /// Size, crop, filter, channels, mean and deviation.
    pub preprocessing: String,
    /// Name of the recipe and its stage.
    pub stage: String,
    /// Which augmentation; `eval` is none.
    pub augmentation: String,
}

impl Scope {
    /// The scope's name.
    pub fn sha(&self) -> Sha {
        let Self { weights_sha256, preprocessing, stage, augmentation } = self;
        Sha::of_texts(&[weights_sha256, preprocessing, stage, augmentation])
    }
}

/// A folder of chunks with a cap.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    max_bytes: u64,
    // Removes the folder at the end of a run without a cache.
    _temporary: Option<tempfile::TempDir>,
}

/// The folder that `plan` names: the plan's own, `$OFFSHOOT_CACHE`, `$XDG_CACHE_HOME/offshoot`,
/// `~/.cache/offshoot`.
pub fn folder(plan: &CachePlan) -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    plan.dir.clone().or_else(|| from("OFFSHOOT_CACHE")).unwrap_or_else(|| {
        from("XDG_CACHE_HOME")
            .or_else(|| from("HOME").map(|h| h.join(".cache")))
            .or_else(|| from("LOCALAPPDATA"))
            .unwrap_or_else(std::env::temp_dir)
            .join("offshoot")
    })
}

impl Cache {
    /// Opens the planned folder. Where it cannot be written (or the plan wants no cache), rows are
    /// kept in a temporary folder for this run; the second value is a warning that says so.
    pub fn open(plan: &CachePlan) -> Result<(Self, Option<String>)> {
        if !plan.enabled {
            return Ok((Self::temporary()?, None));
        }
        let root = folder(plan).join("features");
        let probe = fs::create_dir_all(&root).and_then(|()| {
            tempfile::Builder::new().prefix(durable::TEMPORARY_PREFIX).tempfile_in(&root)
        });
        match probe {
            Ok(_) => Ok((Self { root, max_bytes: plan.max_bytes, _temporary: None }, None)),
            Err(e) => {
                let warning = format!(
                    "cache {} cannot be written ({e}); features are kept for this run only",
                    root.display()
                );
                Ok((Self::temporary()?, Some(warning)))
            }
        }
    }

    /// A cache that ends with this value.
    pub fn temporary() -> Result<Self> {
        let dir = tempfile::tempdir().map_err(|e| TransferError::io(std::env::temp_dir(), e))?;
        Ok(Self { root: dir.path().into(), max_bytes: u64::MAX, _temporary: Some(dir) })
    }

    /// The rows of one scope, `dim` values each.
    pub fn rows(&self, scope: &Scope, dim: usize) -> Result<RowStore> {
        let sha = scope.sha();
        let dir = self.root.join(&sha.to_string()[..32]);
        durable::create_dir(&dir)?;
        let facts = dir.join("scope.json");
        if !facts.exists() {
            durable::write_json(&facts, scope)?;
        }
        RowStore::open(dir, sha, dim)
    }

    /// Size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        files(&self.root).iter().map(|f| f.bytes).sum()
    }

    /// Removes chunks, least recently used first, until the cap holds. Returns how many, and their
    /// bytes.
    pub fn evict(&self) -> (usize, u64) {
        let mut found = files(&self.root);
        let mut total: u64 = found.iter().map(|f| f.bytes).sum();
        found.retain(|f| f.path.extension().is_some_and(|e| e == chunk::EXTENSION));
        found.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        let (mut removed, mut freed) = (0, 0);
        for file in found {
            if total <= self.max_bytes {
                break;
            }
            // Another process may have removed it first; then it is gone all the same.
            let _ = fs::remove_file(&file.path);
            total -= file.bytes;
            freed += file.bytes;
            removed += 1;
        }
        (removed, freed)
    }

    /// Removes damaged chunks. Reads every byte of the cache. Returns how many, and their bytes.
    pub fn remove_damaged(&self) -> (usize, u64) {
        let (mut removed, mut freed) = (0, 0);
        let mut scopes: BTreeMap<PathBuf, Option<Scope>> = BTreeMap::new();
        for file in files(&self.root) {
            let Some(dir) = file.path.parent().map(Path::to_path_buf) else { continue };
            if file.path.extension().is_none_or(|e| e != chunk::EXTENSION) {
                continue;
            }
            let scope = scopes.entry(dir).or_insert_with_key(|dir| {
                serde_json::from_slice(&fs::read(dir.join("scope.json")).ok()?).ok()
            });
            let intact =
                scope.as_ref().is_some_and(|s| chunk::Chunk::is_intact(&file.path, s.sha()));
            if !intact && fs::remove_file(&file.path).is_ok() {
                removed += 1;
                freed += file.bytes;
            }
        }
        (removed, freed)
    }

    /// Where the scopes' folders are.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

struct CacheFile {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// All files two levels deep. What cannot be listed counts as absent.
fn files(root: &Path) -> Vec<CacheFile> {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    entries(root)
        .flat_map(|scope| entries(&scope.path()))
        .filter_map(|entry| {
            let facts = entry.metadata().ok()?;
            let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some(CacheFile { path: entry.path(), bytes: facts.len(), used })
        })
        .collect()
}

#[cfg(test)]
mod tests;
