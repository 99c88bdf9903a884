//! Small files of a folder. No name leads out of it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, TransferError};

/// No such file is larger.
const MAX_JSON: u64 = 4 << 20;

/// A folder of one plain name inside `folder`.
pub(super) fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !plain {
        let name: String = name.escape_debug().take(80).collect();
        return Err(TransferError::ModelRefused(format!(
            "{}: `{name}` is no folder inside",
            folder.display()
        )));
    }
    Ok(folder.join(name))
}

/// A JSON file of a folder; `None` where it is absent.
pub(super) fn json(folder: &Path, name: &str) -> Result<Option<Value>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::metadata(&path).map_err(|e| TransferError::io(&path, e))?.len();
    let refused =
        |detail: String| TransferError::ModelRefused(format!("{}: {detail}", path.display()));
    if bytes > MAX_JSON {
        return Err(refused(format!("{bytes} bytes; at most {MAX_JSON} are expected")));
    }
    let text = std::fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
    serde_json::from_slice(&text).map(Some).map_err(|e| refused(e.to_string()))
}
