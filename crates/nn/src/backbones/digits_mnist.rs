//! The `ccexam` network for MNIST.

use super::digits::{self as family, Member, stage};
use crate::recipe::{Channels, Recipe};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    family::recipe(Member {
        name: "digits_mnist",
        summary: "two convolutions for 28 px grey digits (MNIST), 0.4 M parameters",
        size: 28,
        channels: Channels::Grey,
        mean: vec![0.1307],
        std: vec![0.3081],
        convs: vec![
            stage("conv1", &[("features.0", None)], 1, 32),
            stage("conv2", &[("features.3", None)], 32, 64),
        ],
        linears: ["classifier.0", "classifier.2"],
        hidden: 128,
    })
}
