//! A checkpoint in memory and how it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::archive::{Source, tar};
use crate::error::shown;
use crate::{Array, Dtype, Params, Result, WeightsError, safetensors, torch};

/// Buffers that count or number things; no network computes with their values.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "position_ids"];
/// Arrays may take this many times the file's bytes, for sharing and for widening to `f32`.
const EXPANSION: u64 = 16;
/// Small files may take this much in any case.
const FREE: u64 = 16 << 20;

/// Where a checkpoint came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// PyTorch's zip archive (1.6 and later).
    TorchZip,
    /// PyTorch's stream of pickles and raw storages (0.1.10 to 1.5).
    TorchLegacy,
    /// PyTorch's tar archive (before 0.1.10).
    TorchTar,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "PyTorch zip",
            Self::TorchLegacy => "PyTorch legacy",
            Self::TorchTar => "PyTorch tar",
        })
    }
}

/// How a tensor was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Number format in the file.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Whether values lay in row-major order.
    pub contiguous: bool,
}

/// Everything that a file holds.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Tensors as `f32`.
    pub params: Params,
    /// How each tensor was stored, those left out of `params` included.
    pub facts: BTreeMap<String, Fact>,
    /// What the file is.
    pub format: Format,
    /// SHA-256 of the file, lower-case hexadecimal. Of a sharded folder: of the lines
    /// `name sha256\n` in name order.
    pub sha256: String,
    /// Free text that the file carries; empty for PyTorch files.
    pub metadata: BTreeMap<String, String>,
    /// What a person should know: keys that were skipped, prefixes removed, nesting undone.
    pub notes: Vec<String>,
}

/// Reads a checkpoint; the format is told by content.
///
/// Integers become `f32` where that is exact; counters such as `num_batches_tracked` are left out
/// and noted. A `module.` prefix on every key is removed and noted.
///
/// # Errors
/// [`WeightsError::Refused`] names what is wrong with a damaged, hostile or unknown file.
///
/// ```
/// # fn main() -> offshoot_weights::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("model.safetensors");
/// use offshoot_weights::{Array, Params, Precision, read, write_safetensors};
/// let params = Params::from([("fc.bias".into(), Array { shape: vec![2], data: vec![0.5, 1.0].into() })]);
/// write_safetensors(&path, &params, &Default::default(), Precision::F32)?;
/// assert_eq!(read(&path)?.params, params);
/// # Ok(()) }
/// ```
pub fn read(path: &Path) -> Result<Checkpoint> {
    read_source(Source::open(path)?)
}

/// Reads a checkpoint that is already in memory; `name` stands for the path in errors.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(name: &str, bytes: &[u8]) -> Result<Checkpoint> {
    read_source(Source::from_bytes(name, bytes))
}

fn read_source(mut source: Source<'_>) -> Result<Checkpoint> {
    let start = source.bytes(0, source.len().min(512))?;
    let mut collected = Collected::new(&source);
    let (format, metadata);
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        source = torch::zip::read(source, &mut collected)?;
        (format, metadata) = (Format::TorchZip, BTreeMap::new());
    } else if tar::looks_like_tar(&start) {
        torch::tar::read(&mut source, &mut collected)?;
        (format, metadata) = (Format::TorchTar, BTreeMap::new());
    } else if is_safetensors(&start) {
        metadata = safetensors::read(&mut source, &mut collected)?;
        format = Format::Safetensors;
    } else if let Some(what) = foreign(&start) {
        return Err(source.refuse(format!("{what}, not a checkpoint")));
    } else {
        torch::legacy::read(&mut source, &mut collected)?;
        (format, metadata) = (Format::TorchLegacy, BTreeMap::new());
    }
    let sha256 = source.sha256()?;
    Ok(collected.finish(format, sha256, metadata))
}

/// Eight bytes of header length, usually with four zeros, then `{`. One of both is claim enough to be
/// judged as safetensors, unless the file starts like a pickle.
fn is_safetensors(start: &[u8]) -> bool {
    let pickle = matches!(start, [0x80, 2..=5, ..]);
    let short = start.get(4..8) == Some(&[0; 4]);
    let json = start.get(8) == Some(&b'{');
    if pickle { short && json } else { short || json }
}

/// What else people hand in by mistake.
fn foreign(start: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(start).trim_start().to_ascii_lowercase();
    Some(match start {
        [] => "an empty file",
        [0x1f, 0x8b, ..] => "gzip data",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "an npy file",
        _ if text.starts_with("version https://git-lfs") => {
            "a Git LFS pointer (run `git lfs pull`)"
        }
        _ if text.starts_with("<!doctype") || text.starts_with("<html") => "a web page",
        _ => return None,
    })
}

/// Tensors as they arrive, with the bound on their sum.
pub(crate) struct Collected {
    place: String,
    params: Params,
    facts: BTreeMap<String, Fact>,
    counters: BTreeSet<String>,
    pub(crate) notes: Vec<String>,
    allowance: u64,
}

impl Collected {
    pub(crate) fn new(source: &Source<'_>) -> Self {
        Self {
            place: source.place(),
            params: Params::new(),
            facts: BTreeMap::new(),
            counters: BTreeSet::new(),
            notes: Vec::new(),
            allowance: source.len().saturating_mul(EXPANSION).saturating_add(FREE),
        }
    }

    /// An error that names a tensor.
    pub(crate) fn refuse(&self, key: &str, detail: impl Into<String>) -> WeightsError {
        WeightsError::refused(format!("{}:{}", self.place, shown(key)), detail)
    }

    /// Claims `bytes` of memory for tensor `key` before they are allocated.
    pub(crate) fn claim(&mut self, key: &str, bytes: u64) -> Result<()> {
        match self.allowance.checked_sub(bytes) {
            Some(left) => {
                self.allowance = left;
                Ok(())
            }
            None => Err(self.refuse(key, "tensors would take far more memory than the file has")),
        }
    }

    /// Records a tensor; `read` appends its values and tells how many were not exact.
    pub(crate) fn add(
        &mut self,
        key: String,
        fact: Fact,
        read: impl FnOnce(&mut Self, &mut Vec<f32>) -> Result<usize>,
    ) -> Result<()> {
        let last = key.rsplit('.').next().unwrap_or(&key);
        if fact.dtype.is_integer() && COUNTERS.contains(&last) {
            self.counters.insert(key.clone());
            self.facts.insert(key, fact);
            return Ok(());
        }
        let numel = fact.shape.iter().product::<usize>();
        self.claim(&key, 4 * numel as u64)?;
        let mut data = Vec::with_capacity(numel);
        let inexact = read(self, &mut data)?;
        if inexact > 0 {
            let (key, dtype) = (shown(&key), fact.dtype.name());
            self.notes.push(format!("skipped `{key}`: {inexact} {dtype} values exceed f32"));
        } else {
            let bad = data.iter().filter(|v| !v.is_finite()).count();
            if bad > 0 {
                self.notes
                    .push(format!("`{}` holds {bad} values that are not finite", shown(&key)));
            }
            self.params.insert(key.clone(), Array { shape: fact.shape.clone(), data: data.into() });
        }
        self.facts.insert(key, fact);
        Ok(())
    }

    fn finish(
        mut self,
        format: Format,
        sha256: String,
        metadata: BTreeMap<String, String>,
    ) -> Checkpoint {
        if let Some(first) = self.counters.first() {
            let (n, first) = (self.counters.len(), shown(first));
            self.notes.push(match n {
                1 => format!("skipped integer buffer `{first}`"),
                _ => format!("skipped {n} integer buffers (`{first}`, …)"),
            });
        }
        if !self.facts.is_empty() && self.facts.keys().all(|key| key.starts_with("module.")) {
            let strip = |key: String| key["module.".len()..].to_owned();
            self.params = self.params.into_iter().map(|(k, v)| (strip(k), v)).collect();
            self.facts = self.facts.into_iter().map(|(k, v)| (strip(k), v)).collect();
            self.notes.push("removed the prefix `module.` from every key".into());
        }
        let Self { params, facts, notes, .. } = self;
        Checkpoint { params, facts, format, sha256, metadata, notes }
    }
}
