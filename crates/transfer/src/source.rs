//! Where features come from.
//!
//! A user names a source by `efficientnet_lite0` (embedded), by a name in the model store, by
//! `PATH` of a checkpoint with `recipe@PATH` where the file does not say its recipe, by
//! `random:RECIPE` (the same network with random weights) or by `pixels` (no network at all).

/// The embedded source.
pub const DEFAULT: &str = "efficientnet_lite0";
