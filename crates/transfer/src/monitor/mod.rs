//! What training tells while it runs.

mod history;

pub use history::{History, Record};
