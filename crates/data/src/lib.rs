//! Readers, splits, image decoding and the data doctor.
//!
//! Everything that a user calls "my data" becomes a [`Dataset`]; this crate knows no tensors.

mod dataset;
mod error;

pub use dataset::{Dataset, Input, PixelStore, Sample, Split};
pub use error::DataError;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, DataError>;
