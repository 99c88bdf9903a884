//! Heads, scores, metrics and calibration on plain matrices, in `f64`. No tensor engine.

pub mod adaptation;
pub mod adapters;
pub mod calibrate;
mod check;
pub mod concept;
pub mod conformal;
mod content;
mod correlation;
pub mod cv;
pub mod distances;
mod error;
pub mod heads;
pub mod label_shift;
mod matrix;
pub mod metrics;
pub mod moments;
pub mod multi_source;
pub mod ood;
mod pca;
mod probabilities;
mod product;
mod proportion;
pub mod scores;
pub mod shift;
mod shrinkage;
mod spectrum;
mod symmetric;
pub mod validators;

pub use correlation::{average_ranks, kendall_tau, spearman, weighted_tau};
pub use error::StatsError;
pub use matrix::{Matrix, Rows};
pub use pca::{Pca, pca};
pub use probabilities::Probabilities;
pub use proportion::Proportion;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, StatsError>;
