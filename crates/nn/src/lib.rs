//! Recipes, checkpoints and interpreters.
//!
//! A network is data: a [`Recipe`] is an ordered list of named stages of [`Block`]s, whose keys are
//! the keys of the checkpoint. Two interpreters run it: `cpu` (ours, the default) and `portable`
//! (plain Burn operations, the reference in tests).

pub mod backbones;
pub mod blocks;
pub mod cpu;
mod error;
mod facts;
pub mod init;
pub mod load;
#[cfg(feature = "portable")]
pub mod portable;
mod recipe;
mod text;

pub use blocks::Block;
pub use error::NnError;
pub use facts::{Parameter, Role, Shape};
pub use offshoot_kernels::{Isa, Precision, mapped};
pub use offshoot_weights::{Array, Params};
pub use recipe::{Channels, InputSpec, Interpolation, ModelInput, Recipe, Stage, TextSpec};
pub use text::TextBatch;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, NnError>;
