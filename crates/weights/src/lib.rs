//! Reads and writes checkpoints. A file is data: nothing in it is ever executed.

mod array;
mod error;

pub use array::{Array, Params};
pub use error::WeightsError;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, WeightsError>;
