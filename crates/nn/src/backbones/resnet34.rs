//! ResNet-34.

use super::resnet::{self as family, Body};
use crate::recipe::Recipe;

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let body = Body { repeats: [3, 4, 6, 3], block: family::basic_block, rename: family::rename };
    family::recipe("resnet34", "ResNet-34, 21 M parameters, 3.7 GMAC at 224 px", body)
}
