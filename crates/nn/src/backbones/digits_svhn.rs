//! The `ccexam` network for SVHN.

use super::digits::{self as family, Member, stage};
use crate::recipe::{Channels, Recipe};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let conv = |name, keys: [&str; 4], inputs, outputs| {
        stage(name, &[(keys[0], Some(keys[1])), (keys[2], Some(keys[3]))], inputs, outputs)
    };
    family::recipe(Member {
        name: "digits_svhn",
        summary: "six convolutions for 32 px house numbers (SVHN), 0.8 M parameters",
        size: 32,
        channels: Channels::Rgb,
        mean: vec![0.4377, 0.4438, 0.4728],
        std: vec![0.1980, 0.2010, 0.1970],
        convs: vec![
            conv("conv1", ["features.0.0", "features.0.1", "features.0.3", "features.0.4"], 3, 32),
            conv("conv2", ["features.1.0", "features.1.1", "features.1.3", "features.1.4"], 32, 64),
            conv(
                "conv3",
                ["features.2.0", "features.2.1", "features.2.3", "features.2.4"],
                64,
                128,
            ),
        ],
        linears: ["classifier.1", "classifier.4"],
        hidden: 256,
    })
}
