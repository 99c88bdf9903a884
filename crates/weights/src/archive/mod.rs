//! Zip and tar archives as tables of bytes. Member names are compared, never used as paths.

mod member;
mod source;
pub mod tar;
mod zip;

pub use member::member;
pub use source::Source;
pub(crate) use source::hexadecimal;
pub use zip::{Member, Zip};
