//! Heads, metrics and calibration on plain matrices, in `f64`. No tensor engine.

pub mod calibrate;
mod check;
pub mod conformal;
pub mod cv;
pub mod distances;
mod error;
pub mod heads;
mod matrix;
pub mod metrics;
pub mod moments;
pub mod ood;
mod pca;
mod probabilities;
mod proportion;
mod spectrum;

pub use error::StatsError;
pub use matrix::{Matrix, Rows};
pub use pca::{Pca, pca};
pub use probabilities::Probabilities;
pub use proportion::Proportion;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, StatsError>;
