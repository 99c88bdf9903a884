//! What can be wrong with a checkpoint.

use std::path::{Path, PathBuf};

/// An error of this crate: what was expected, what came, where.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A checkpoint that is damaged, hostile or of an unknown kind.
    #[error("{place}: {detail}")]
    Refused {
        /// File, or file:tensor.
        place: String,
        /// What was expected and what came.
        detail: String,
    },
}

impl WeightsError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn refused(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Refused { place: place.into(), detail: detail.into() }
    }
}

/// A foreign name for a message: control characters escaped, at most 80 characters.
pub(crate) fn shown(name: &str) -> String {
    let escaped: String = name.escape_debug().take(81).collect();
    match escaped.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}
