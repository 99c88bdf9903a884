//! ResNeXt-50 (32×4d): ResNet-50 with wider 3×3 convolutions in 32 groups.

use super::resnet::{self as family, Body};
use crate::recipe::Recipe;

/// The recipe. Keys are torchvision's, which timm shares.
pub(super) fn recipe() -> Recipe {
    let body = Body { repeats: [3, 4, 6, 3], block: family::grouped_bottleneck, rename: |_| None };
    let summary = "ResNeXt-50 32×4d, 23 M parameters, 4.2 GMAC at 224 px";
    Recipe {
        paper: "Xie et al. 2017, arXiv:1611.05431",
        ..family::recipe("resnext50_32x4d", summary, body)
    }
}
