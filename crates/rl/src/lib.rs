//! Reinforcement learning: a policy learnt in one world, reused in another.
//!
//! A [`world::World`] says what there is to see and to do, and every physical constant of it can be set by
//! name, so that a source and a target differ by a stated amount. [`world::Worlds`] steps many of them
//! together.

mod draw;
mod error;
pub mod film;
pub mod learn;
pub mod network;
pub mod policy;
pub mod report;
pub mod train;
pub mod transfer;
pub mod world;

pub use error::RlError;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, RlError>;
