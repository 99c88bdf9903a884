//! ResNet-50.

use super::resnet::{self as family, Body};
use crate::recipe::Recipe;

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let body = Body { repeats: [3, 4, 6, 3], block: family::bottleneck, rename: family::rename };
    family::recipe("resnet50", "ResNet-50, 24 M parameters, 4.1 GMAC at 224 px", body)
}
