//! What training tells while it runs.

mod curves;
mod history;
pub mod overfitting;
pub mod tensorboard;

pub use curves::curves;
pub use history::{History, Record};
