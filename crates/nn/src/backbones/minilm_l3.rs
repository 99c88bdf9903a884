//! MiniLM with 3 layers, as sentence-transformers' `paraphrase-MiniLM-L3-v2`: mean of tokens.

use super::encoder::{About, Family, Sizes};
use crate::blocks::TokenPool;
use crate::recipe::{Recipe, TextSpec};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let about = About {
        name: "minilm_l3",
        summary: "MiniLM-L3 sentence encoder, 17.4 M parameters, 384 features",
        paper: "Wang et al. 2020, arXiv:2002.10957; Reimers and Gurevych 2019, arXiv:1908.10084",
        pool: TokenPool::Mean,
        unit_length: false,
    };
    let input = TextSpec { vocabulary: 30_522, longest: 512, types: 2 };
    let sizes = Sizes { input, layers: 3, features: 384, heads: 12, hidden: 1536 };
    Family::Bert.recipe(about, sizes)
}
