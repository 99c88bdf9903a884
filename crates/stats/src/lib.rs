//! Heads, metrics and calibration on plain matrices, in `f64`. No tensor engine.

pub mod calibrate;
mod check;
pub mod cv;
mod error;
pub mod heads;
mod matrix;
pub mod metrics;
pub mod moments;
mod pca;
mod probabilities;

pub use error::StatsError;
pub use matrix::{Matrix, Rows};
pub use pca::{Pca, pca};
pub use probabilities::Probabilities;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, StatsError>;
