//! ResNet-18.

use super::resnet::{self as family, Body};
use crate::recipe::Recipe;

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let body = Body { repeats: [2, 2, 2, 2], block: family::basic_block, rename: family::rename };
    family::recipe("resnet18", "ResNet-18, 11 M parameters, 1.8 GMAC at 224 px", body)
}
