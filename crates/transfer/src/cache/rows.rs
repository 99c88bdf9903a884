//! The rows of one scope: looked up by sample, appended in chunks.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use offshoot_stats::Matrix;

use super::chunk::{Chunk, EXTENSION, Refusal};
use crate::digest::Sha;
use crate::{Result, TransferError};

/// A chunk is written when it has this many rows, or after five seconds: few files on one hand,
/// little lost by a killed process on the other.
pub const CHUNK_ROWS: usize = 1024;
/// Or when it holds so many values: rows of activations are long.
pub const CHUNK_VALUES: usize = 8 << 20;
const CHUNK_TIME: Duration = Duration::from_secs(5);

/// Rows of `dim` values by the sha256 of their sample.
#[derive(Debug)]
pub struct RowStore {
    dir: PathBuf,
    scope: Sha,
    dim: usize,
    chunks: Vec<Entry>,
    index: HashMap<Sha, (usize, usize)>,
    pending_keys: Vec<Sha>,
    pending: Vec<f32>,
    pending_since: Option<Instant>,
    damaged: Vec<PathBuf>,
}

#[derive(Debug)]
struct Entry {
    chunk: Chunk,
    // Values are checked when a row of the chunk is first asked for.
    intact: OnceLock<bool>,
}

impl RowStore {
    pub(super) fn open(dir: PathBuf, scope: Sha, dim: usize) -> Result<Self> {
        let listing = fs::read_dir(&dir).map_err(|e| TransferError::io(&dir, e))?;
        let mut paths: Vec<PathBuf> = listing
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == EXTENSION))
            .collect();
        paths.sort();
        let mut store = Self {
            dir,
            scope,
            dim,
            chunks: Vec::new(),
            index: HashMap::new(),
            pending_keys: Vec::new(),
            pending: Vec::new(),
            pending_since: None,
            damaged: Vec::new(),
        };
        for path in paths {
            match Chunk::open(&path, scope, dim) {
                Ok(chunk) => store.add(chunk, OnceLock::new()),
                Err(Refusal::Damaged) => {
                    // Whatever it holds is computed again; a damaged file helps nobody.
                    let _ = fs::remove_file(&path);
                    store.damaged.push(path);
                }
                Err(Refusal::Unreadable) => {}
            }
        }
        Ok(store)
    }

    fn add(&mut self, chunk: Chunk, intact: OnceLock<bool>) {
        let number = self.chunks.len();
        for (row, key) in chunk.keys.iter().enumerate() {
            self.index.insert(*key, (number, row));
        }
        self.chunks.push(Entry { chunk, intact });
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Whether the row of this sample is there and intact.
    pub fn contains(&self, key: &Sha) -> bool {
        self.index.get(key).is_some_and(|(chunk, _)| {
            let entry = &self.chunks[*chunk];
            *entry.intact.get_or_init(|| {
                let intact = entry.chunk.verify();
                if !intact {
                    let _ = fs::remove_file(&entry.chunk.path);
                }
                intact
            })
        })
    }

    /// Chunks found damaged so far. Their rows count as absent.
    pub fn damaged(&self) -> Vec<PathBuf> {
        let bad = self.chunks.iter().filter(|e| e.intact.get() == Some(&false));
        self.damaged.iter().cloned().chain(bad.map(|e| e.chunk.path.clone())).collect()
    }

    /// Appends rows; they are on disk after the next chunk is full, or after [`Self::flush`].
    /// Returns whether a chunk was written.
    pub fn push(&mut self, keys: &[Sha], values: &[f32]) -> Result<bool> {
        self.pending_keys.extend_from_slice(keys);
        self.pending.extend_from_slice(values);
        let since = *self.pending_since.get_or_insert_with(Instant::now);
        let full = self.pending_keys.len() >= CHUNK_ROWS || self.pending.len() >= CHUNK_VALUES;
        if full || since.elapsed() >= CHUNK_TIME {
            self.flush()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes what is pending.
    pub fn flush(&mut self) -> Result<()> {
        self.pending_since = None;
        if self.pending_keys.is_empty() {
            return Ok(());
        }
        let chunk =
            Chunk::write(&self.dir, self.scope, self.dim, &self.pending_keys, &self.pending)?;
        self.add(chunk, OnceLock::from(true));
        self.pending_keys.clear();
        self.pending.clear();
        Ok(())
    }

    /// Copies the rows of `keys`, in that order, into `out` (`[keys, dim]`). All of them must have
    /// been found or pushed, and flushed.
    pub fn read(&self, keys: &[Sha], out: &mut [f32]) -> Result<()> {
        if out.len() != keys.len() * self.dim {
            return Err(TransferError::Internal("feature rows and buffer differ in size".into()));
        }
        let mut by_chunk: Vec<Vec<(usize, &mut [f32])>> = Vec::new();
        by_chunk.resize_with(self.chunks.len(), Vec::new);
        for (key, row) in keys.iter().zip(out.chunks_exact_mut(self.dim.max(1))) {
            let Some((chunk, at)) = self.index.get(key) else {
                return Err(TransferError::Internal(format!("no feature row for sample {key}")));
            };
            by_chunk[*chunk].push((*at, row));
        }
        for (entry, wanted) in self.chunks.iter().zip(by_chunk) {
            if !wanted.is_empty() {
                entry.chunk.copy(wanted);
                entry.chunk.touch();
            }
        }
        Ok(())
    }

    /// The rows of `keys` as a matrix.
    pub fn gather(&self, keys: &[Sha]) -> Result<Matrix> {
        let mut data = vec![0.0; keys.len() * self.dim];
        self.read(keys, &mut data)?;
        Matrix::new(keys.len(), self.dim, data)
            .ok_or_else(|| TransferError::Internal("feature rows do not form a matrix".into()))
    }
}
