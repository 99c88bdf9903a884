//! MiniLM with 6 layers, as sentence-transformers' `all-MiniLM-L6-v2`: mean of tokens, unit length.

use super::encoder::{About, Family, Sizes};
use crate::blocks::TokenPool;
use crate::recipe::{Recipe, TextSpec};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let about = About {
        name: "minilm_l6",
        summary: "MiniLM-L6 sentence encoder, 22.7 M parameters, 384 features",
        paper: "Wang et al. 2020, arXiv:2002.10957; Reimers and Gurevych 2019, arXiv:1908.10084",
        pool: TokenPool::Mean,
        unit_length: true,
    };
    let input = TextSpec { vocabulary: 30_522, longest: 512, types: 2 };
    let sizes = Sizes { input, layers: 6, features: 384, heads: 12, hidden: 1536 };
    Family::Bert.recipe(about, sizes)
}
