//! EfficientNet-Lite1.

use super::efficientnet_lite::{self as family, Member};
use crate::recipe::Recipe;

const REPEATS: [usize; 7] = [1, 3, 3, 4, 4, 5, 1];

/// The recipe.
pub(super) fn recipe() -> Recipe {
    family::recipe(Member {
        name: "efficientnet_lite1",
        summary: "EfficientNet-Lite1, 4.1 M parameters, 0.60 GMAC at 240 px",
        size: 240,
        channels: [16, 24, 40, 80, 112, 192, 320],
        repeats: REPEATS,
        rename: |key| family::rename(key, &REPEATS),
    })
}
