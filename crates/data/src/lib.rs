//! Readers, splits, decoding of pictures and texts, and the data doctor.
//!
//! Everything that a user calls "my data" becomes a [`Dataset`]; this crate knows no tensors.

pub mod augment;
mod check;
mod dataset;
mod decode;
mod error;
mod readers;
mod resize;
mod split;
mod text;
mod transform;
pub mod wording;

pub use check::{CHECKS, Check, CheckOptions, CheckReport, Problem, Severity, Summary, check};
pub use dataset::{Dataset, Input, PixelStore, Sample, Split, Text};
pub use decode::{Format, Limits, Picture, decode};
pub use error::{DataError, Fault};
pub use readers::{ColumnNames, READERS, ReadOptions, Reader, TextStream, images, open};
pub use resize::{Filter, Window, resize, resize_window};
pub use split::{SplitSpec, split};
pub use text::read_text;
pub use transform::{Channels, Transform, to_grey};

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, DataError>;
