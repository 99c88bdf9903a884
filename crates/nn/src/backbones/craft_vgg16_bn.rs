//! The VGG-16 inside CRAFT, a scene-text detector: a far source for object pictures.
//!
//! Baek et al. 2019, arXiv:1904.01941. CRAFT keeps the first twelve convolutions under VGG's own
//! numbers (`basenet.slice2.14` is `features.14`) and replaces the thirteenth by its own layers, so
//! the feature vector is the mean of the twelfth convolution's output after ReLU.

use super::vgg::{self as family, Member};
use crate::recipe::Recipe;

/// The recipe.
pub(super) fn recipe() -> Recipe {
    family::recipe(Member {
        name: "craft_vgg16_bn",
        summary: "VGG-16 features of the text detector CRAFT, 12 M parameters, 15 GMAC at 224 px",
        last: 2,
        rename,
    })
}

fn rename(key: &str) -> Option<String> {
    let (slice, rest) = key.strip_prefix("basenet.slice")?.split_once('.')?;
    // The fifth slice starts numbering anew, with layers that VGG does not have.
    matches!(slice, "1" | "2" | "3" | "4").then(|| format!("features.{rest}"))
}
