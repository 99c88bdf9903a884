//! What training tells while it runs.

mod curves;
mod history;
mod journal;
pub mod overfitting;
mod tensorboard;

pub use curves::curves;
pub use history::{History, Record};
pub use journal::{Journal, line};
