//! What can be wrong with data, and where.

use std::path::PathBuf;

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
    /// The data as a whole cannot be used.
    #[error("{0}")]
    Unusable(String),
}
