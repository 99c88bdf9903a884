//! Averages of weights.

/// The words that a user types.
pub const NAMES: [&str; 1] = ["none"];
