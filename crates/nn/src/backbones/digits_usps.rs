//! The `ccexam` network for USPS.

use super::digits::{self as family, Member, stage};
use crate::recipe::{Channels, Recipe};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    family::recipe(Member {
        name: "digits_usps",
        summary: "two convolutions for 16 px grey digits (USPS), 0.15 M parameters",
        size: 16,
        channels: Channels::Grey,
        mean: vec![0.2471],
        std: vec![0.2994],
        convs: vec![
            stage("conv1", &[("features.0", Some("features.1"))], 1, 32),
            stage("conv2", &[("features.4", Some("features.5"))], 32, 64),
        ],
        linears: ["classifier.1", "classifier.4"],
        hidden: 128,
    })
}
