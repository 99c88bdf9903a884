//! EfficientNet-Lite0.

use super::efficientnet_lite::{self as family, Member};
use crate::recipe::Recipe;

const REPEATS: [usize; 7] = [1, 2, 2, 3, 3, 4, 1];

/// The recipe.
pub(super) fn recipe() -> Recipe {
    family::recipe(Member {
        name: "efficientnet_lite0",
        summary: "EfficientNet-Lite0, 3.4 M parameters, 0.38 GMAC at 224 px",
        size: 224,
        channels: [16, 24, 40, 80, 112, 192, 320],
        repeats: REPEATS,
        rename: |key| family::rename(key, &REPEATS),
    })
}
