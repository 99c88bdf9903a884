//! Reads and writes checkpoints. A file is data: nothing in it is ever executed.
//!
//! [`read`] tells the format by content, not by name: safetensors, PyTorch's zip archive, its
//! legacy stream and its oldest tar archive. [`read_folder`] opens a Hugging Face folder.
//! [`write_safetensors`], or [`Safetensors`] where the caller has files of its own, is the only way out.
//!
//! What a hostile file can cost is bounded before it is spent: header and pickle sizes, the memory
//! of interpreted values, and the sum of all arrays relative to the file's length.

pub mod archive;
mod array;
mod checkpoint;
mod dtype;
mod error;
mod folder;
mod pickle;
mod safetensors;
mod torch;

pub use array::{Array, Params, Values};
pub use checkpoint::{Checkpoint, Fact, Format, read, read_bytes};
pub use dtype::Dtype;
pub use error::WeightsError;
pub use folder::{Folder, read_folder};
pub use safetensors::write::{Precision, Safetensors, write_safetensors};

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, WeightsError>;
