//! The drawings of the page, one file each.

mod candidates;
mod map;
mod shares;

pub use candidates::draw as candidates;
pub use map::{By, SOURCE, TARGET, draw as map};
pub use shares::draw as shares;
