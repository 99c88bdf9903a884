//! What can be wrong with a checkpoint.

use std::path::PathBuf;

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
