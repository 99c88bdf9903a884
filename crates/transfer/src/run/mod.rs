//! The run folder.

pub mod record;
