//! What the store knows about a model.

use std::path::Path;

use offshoot_nn::Recipe;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Known;
use crate::encoder::EncoderFacts;
use crate::{Result, Sha, TransferError, durable};

pub(super) const SCHEMA: u32 = 1;
const MAX_ENTRY: u64 = 1 << 20;

/// The content of `entry.json`. The same source gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Version of this document.
    pub schema: u32,
    /// Name in the store.
    pub name: String,
    /// Name of the architecture.
    pub recipe: String,
    /// Licence of the weights, where it is known.
    pub licence: Option<String>,
    /// Where the weights came from, as the user named it.
    pub source: String,
    /// What kind of file that was.
    pub format: String,
    /// SHA-256 of that file.
    pub source_sha256: String,
    /// SHA-256 of the stored `model.safetensors`.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Arrays in it.
    pub tensors: usize,
    /// Numbers in it.
    pub values: usize,
    /// Arrays of the backbone that the source had: all of them, or it would have been refused.
    pub matched: usize,
    /// Classes of the source classifier, where it came along.
    pub classes: Option<SourceClasses>,
    /// What there is to know of a text encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderFacts>,
    /// What was left out or renamed.
    pub notes: Vec<String>,
    /// SHA-256 of this document with an empty seal.
    pub seal: String,
}

/// What the source classifier tells apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceClasses {
    /// How many classes.
    pub count: usize,
    /// Name of the set, such as `ImageNet-1k`, where it is known.
    pub set: Option<String>,
    /// Names in the classifier's order; empty where they are not known.
    pub names: Vec<String>,
}

impl Entry {
    pub(super) fn sealed(mut self) -> Self {
        self.seal.clear();
        self.seal = Sha::of(&[text(&self).as_bytes()]).to_string();
        self
    }
}

/// Classes of a loaded classifier: their number by the recipe, names by `id2label`.
pub(super) fn classes(
    recipe: &Recipe,
    config: Option<&Value>,
    known: Option<&Known>,
) -> Option<SourceClasses> {
    let count = recipe.head.as_ref()?.outputs;
    let labels = config.and_then(|config| config.get("id2label"));
    let names: Option<Vec<String>> =
        (0..count).map(|i| Some(labels?.get(i.to_string())?.as_str()?.to_owned())).collect();
    let set = known.and_then(|known| known.classes).map(str::to_owned);
    Some(SourceClasses { count, set, names: names.unwrap_or_default() })
}

/// Writes the canonical text, which [`read`] insists on.
pub(super) fn write(path: &Path, entry: &Entry) -> Result<()> {
    durable::write(path, text(entry).as_bytes())
}

/// Reads an entry; a single changed byte is an error.
pub(super) fn read(path: &Path) -> Result<Entry> {
    let io = |e| TransferError::io(path, e);
    let refused =
        |detail: String| TransferError::ModelRefused(format!("{}: {detail}", path.display()));
    let len = std::fs::metadata(path).map_err(io)?.len();
    if len > MAX_ENTRY {
        return Err(refused(format!("{len} bytes, at most {MAX_ENTRY}")));
    }
    parse(&std::fs::read(path).map_err(io)?).map_err(refused)
}

pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Entry, String> {
    let entry: Entry = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if entry.schema != SCHEMA {
        return Err(format!("version {}, this program reads {SCHEMA}", entry.schema));
    }
    let sealed = entry.clone().sealed();
    if sealed != entry || text(&sealed).as_bytes() != bytes {
        return Err("was changed since it was written".into());
    }
    Ok(entry)
}

fn text(entry: &Entry) -> String {
    // A struct of numbers and strings always has a JSON text.
    let mut text = serde_json::to_string_pretty(entry).unwrap_or_default();
    text.push('\n');
    text
}
