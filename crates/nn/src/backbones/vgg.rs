//! VGG-16 with batch norm: the convolutional features, averaged over all pixels.
//!
//! Keys are torchvision's. Its three fully connected layers (`classifier.*`, 124 M parameters) are
//! not part of the recipe, and a load report lists them as unused.

use super::assemble::{Window, biased_conv, halve, pool};
use super::{IMAGENET_MEAN, IMAGENET_STD};
use crate::recipe::{Channels, InputSpec, Interpolation, ModelInput, Recipe, Stage};

/// Stage, channels and repeats: configuration D of the paper.
const TABLE: [(&str, usize, usize); 5] =
    [("conv1", 64, 2), ("conv2", 128, 2), ("conv3", 256, 3), ("conv4", 512, 3), ("conv5", 512, 3)];

/// What differs between members of the family.
pub(super) struct Member {
    pub name: &'static str,
    pub summary: &'static str,
    /// Convolutions of the last stage, which ends with a 2×2 maximum only where all three are there.
    pub last: usize,
    pub rename: fn(&str) -> Option<String>,
}

/// Builds one member.
pub(super) fn recipe(member: Member) -> Recipe {
    let mut stages = Vec::new();
    let (mut inputs, mut index) = (3, 0);
    for (name, outputs, repeats) in TABLE {
        let kept = if name == "conv5" { member.last } else { repeats };
        let mut blocks = Vec::new();
        for _ in 0..kept {
            let (conv, norm) = (format!("features.{index}"), format!("features.{}", index + 1));
            blocks.push(biased_conv(conv, Some(norm), Window::dense(inputs, outputs, 3, 1)));
            // Convolution, norm and ReLU each take a number.
            (inputs, index) = (outputs, index + 3);
        }
        if kept == repeats {
            blocks.push(halve());
            index += 1;
        }
        stages.push(Stage { name, blocks });
    }
    stages.push(pool());
    Recipe {
        name: member.name,
        summary: member.summary,
        paper: "Simonyan & Zisserman 2014, arXiv:1409.1556",
        input: ModelInput::Picture(InputSpec {
            size: 224,
            crop_fraction: Some(0.875),
            interpolation: Interpolation::Bilinear,
            channels: Channels::Rgb,
            mean: IMAGENET_MEAN.to_vec(),
            std: IMAGENET_STD.to_vec(),
        }),
        stages,
        feature_dim: 512,
        head: None,
        rename: member.rename,
    }
}
