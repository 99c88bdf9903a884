//! From texts to token ids.
//!
//! A tokenizer is a document in the form of Hugging Face's `tokenizer.json`; older folders with
//! `vocab.txt` (BERT) or `vocab.json` and `merges.txt` (RoBERTa) are turned into one. Files are
//! hostile until shown otherwise: `document` checks sizes, kinds and ids, and refuses regular
//! expressions of the file's own, before the `tokenizers` crate sees them.

mod document;
mod folder;
mod pieces;
mod tokenizer;

use std::path::PathBuf;

pub use pieces::{Pieces, Span, Word};
pub use tokenizer::{Encoded, Tokenizer};

/// What can be wrong with a tokenizer, and where.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A tokenizer that is damaged, hostile, or of a kind that is not computed here.
    #[error("{place}: {detail}")]
    Refused {
        /// The file.
        place: String,
        /// What was expected and what came.
        detail: String,
    },
    /// A text that the tokenizer cannot encode.
    #[error("{0}")]
    Text(String),
}

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, TokenError>;

fn refused(place: &str, detail: impl Into<String>) -> TokenError {
    TokenError::Refused { place: place.into(), detail: detail.into() }
}

/// Words of a file as they may be shown: short and without control characters.
fn shown(text: &str) -> String {
    text.escape_debug().take(80).collect()
}
