//! What can be wrong with data, and where.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An error of this crate: what was expected, what came, where.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what its name or place promises.
    #[error("{place}: {detail}")]
    Malformed {
        /// File, or file:row.
        place: String,
        /// What was expected and what came.
        detail: String,
    },
    /// One picture or text cannot be read; the others may.
    #[error("{place}: {detail}")]
    Picture {
        /// The sample's file, or its number in a store.
        place: String,
        /// The kind of fault, for the data doctor.
        fault: Fault,
        /// What was expected and what came.
        detail: String,
    },
    /// The data as a whole cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// Why one picture or text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// There is no such file.
    Missing,
    /// The operating system refused to read it.
    Refused,
    /// Zero bytes.
    Empty,
    /// It stops before its end.
    Truncated,
    /// Its content breaks its format's rules.
    Corrupt,
    /// Its content is of no picture format (a web page saved as `.jpg`).
    NotAPicture,
    /// Its content is no text in any known encoding.
    NotText,
    /// A picture format, or a variant of one, that this crate does not decode.
    Unsupported,
    /// Larger than [`crate::Limits`] allow.
    TooLarge,
}

impl Fault {
    /// The fault's word in documents and tables, the same as in its serialised form.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Missing => "missing",
            Fault::Refused => "refused",
            Fault::Empty => "empty",
            Fault::Truncated => "truncated",
            Fault::Corrupt => "corrupt",
            Fault::NotAPicture => "not-a-picture",
            Fault::NotText => "not-text",
            Fault::Unsupported => "unsupported",
            Fault::TooLarge => "too-large",
        }
    }
}

impl DataError {
    /// Wraps an operating-system error with the file that it is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> DataError + '_ {
        move |source| DataError::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn malformed(place: impl Into<String>, detail: impl Into<String>) -> DataError {
        DataError::Malformed { place: place.into(), detail: detail.into() }
    }

    /// The kind of fault if this is about one picture.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            DataError::Picture { fault, .. } => Some(*fault),
            _ => None,
        }
    }
}
