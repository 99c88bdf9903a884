//! VGG-16 with batch norm.

use super::vgg::{self as family, Member};
use crate::recipe::Recipe;

/// The recipe. timm's `vgg16_bn` has the same keys.
pub(super) fn recipe() -> Recipe {
    family::recipe(Member {
        name: "vgg16_bn",
        summary: "VGG-16 features with batch norm, 15 M parameters, 15 GMAC at 224 px",
        last: 3,
        rename: |_| None,
    })
}
