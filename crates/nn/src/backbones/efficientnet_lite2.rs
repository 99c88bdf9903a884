//! EfficientNet-Lite2.

use super::efficientnet_lite::{self as family, Member};
use crate::recipe::Recipe;

const REPEATS: [usize; 7] = [1, 3, 3, 4, 4, 5, 1];

/// The recipe.
pub(super) fn recipe() -> Recipe {
    family::recipe(Member {
        name: "efficientnet_lite2",
        summary: "EfficientNet-Lite2, 4.8 M parameters, 0.86 GMAC at 260 px",
        size: 260,
        channels: [16, 24, 48, 88, 120, 208, 352],
        repeats: REPEATS,
        rename: |key| family::rename(key, &REPEATS),
    })
}
