//! Opens a Hugging Face folder: `config.json` and weights in one file or in shards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::archive::{Source, hexadecimal};
use crate::error::shown;
use crate::{Checkpoint, Result, WeightsError, read};

const MAX_JSON: u64 = 4 << 20;
const MAX_SHARDS: usize = 1024;
/// In order of preference.
const WHOLE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const INDEX: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// A folder's weights and configuration.
#[derive(Debug, Clone)]
pub struct Folder {
    /// All shards together.
    pub checkpoint: Checkpoint,
    /// `config.json`, where there is one. Its fields are facts: none is followed as path or address.
    pub config: Option<Value>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads `config.json` and `model.safetensors`, its shards, or `pytorch_model.bin`.
///
/// # Errors
/// As [`read`]; also when there are no weights, a JSON file is malformed or over 4 MiB, the index
/// names a file outside the folder, or shards and index disagree.
pub fn read_folder(folder: &Path) -> Result<Folder> {
    let mut notes = Vec::new();
    let config = match folder.join("config.json") {
        path if path.exists() => Some(json::<Value>(&path)?),
        _ => None,
    };
    if let Some(config) = &config {
        let Value::Object(fields) = config else {
            let place = folder.join("config.json").display().to_string();
            return Err(WeightsError::refused(place, "expected an object"));
        };
        if fields.contains_key("auto_map") {
            notes.push("`config.json` asks for code of its own, which is never run".into());
        }
    }
    let mut checkpoint = if let Some(name) = WHOLE.iter().find(|n| folder.join(n).exists()) {
        read(&inside(folder, name)?)?
    } else if let Some(name) = INDEX.iter().find(|n| folder.join(n).exists()) {
        sharded(folder, &inside(folder, name)?)?
    } else {
        let detail = format!("no weights: expected one of {}", [WHOLE, INDEX].concat().join(", "));
        return Err(WeightsError::refused(folder.display().to_string(), detail));
    };
    notes.append(&mut checkpoint.notes);
    checkpoint.notes = notes;
    Ok(Folder { checkpoint, config })
}

fn sharded(folder: &Path, index: &Path) -> Result<Checkpoint> {
    let refuse = |detail: String| WeightsError::refused(index.display().to_string(), detail);
    let Index { weight_map } = json(index)?;
    let names: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
    if names.len() > MAX_SHARDS {
        return Err(refuse(format!("{} shards, at most {MAX_SHARDS}", names.len())));
    }
    let mut all: Option<Checkpoint> = None;
    let mut hash = Sha256::new();
    // Every name is judged before the first file is opened.
    let paths: Vec<_> =
        names.iter().map(|name| Ok((*name, inside(folder, name)?))).collect::<Result<_>>()?;
    for (name, path) in paths {
        let shard = read(&path)?;
        hash.update(format!("{name} {}\n", shard.sha256));
        let misplaced = |key: &&String| weight_map.get(*key).is_none_or(|file| file != name);
        if let Some(key) = shard.facts.keys().find(misplaced) {
            return Err(refuse(format!("`{}` is not expected in `{name}`", shown(key))));
        }
        match &mut all {
            None => all = Some(shard),
            Some(all) => {
                all.params.extend(shard.params);
                all.facts.extend(shard.facts);
                all.metadata.extend(shard.metadata);
                all.notes.extend(shard.notes);
            }
        }
    }
    let mut all = all.ok_or_else(|| refuse("names no shards".into()))?;
    if let Some(key) = weight_map.keys().find(|key| !all.facts.contains_key(*key)) {
        return Err(refuse(format!("`{}` is in no shard", shown(key))));
    }
    all.sha256 = hexadecimal(&hash.finalize());
    Ok(all)
}

/// The path of a plain file name, once links are followed, if it stays in the folder.
///
/// A Hugging Face cache keeps `snapshots/REVISION/name` as links to `blobs/HASH` two levels up;
/// that folder is allowed too.
fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let refuse = |detail: &str| {
        WeightsError::refused(format!("{}:{}", folder.display(), shown(name)), detail)
    };
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && name.len() <= 128;
    if !plain {
        return Err(refuse("not a plain file name"));
    }
    let path = folder.join(name);
    let real = path.canonicalize().map_err(|e| WeightsError::io(&path, e))?;
    let home = folder.canonicalize().map_err(|e| WeightsError::io(folder, e))?;
    let snapshots = home.parent().filter(|p| p.ends_with("snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|repository| repository.join("blobs"));
    if real.starts_with(&home) || blobs.is_some_and(|blobs| real.starts_with(blobs)) {
        Ok(real)
    } else {
        Err(refuse("links to a file outside the folder"))
    }
}

fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let mut source = Source::open(path)?;
    if source.len() > MAX_JSON {
        let detail = format!("{} bytes of JSON, at most {MAX_JSON}", source.len());
        return Err(source.refuse(detail));
    }
    let bytes = source.bytes(0, source.len())?;
    serde_json::from_slice(&bytes).map_err(|e| source.refuse(shown(&e.to_string())))
}
