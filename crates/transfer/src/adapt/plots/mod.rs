//! The drawings of the page, one file each.

mod candidates;
mod map;
mod shares;
mod training;

pub use candidates::draw as candidates;
pub use map::{By, SOURCE, TARGET, draw as map};
pub use shares::draw as shares;
pub use training::draw as training;
