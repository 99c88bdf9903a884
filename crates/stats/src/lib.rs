//! Heads, metrics and calibration on plain matrices, in `f64`. No tensor engine.

mod error;
mod matrix;

pub use error::StatsError;
pub use matrix::{Matrix, Rows};

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, StatsError>;
