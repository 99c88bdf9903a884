//! RoBERTa-base: mean of tokens.

use super::encoder::{About, Family, Sizes};
use crate::blocks::TokenPool;
use crate::recipe::{Recipe, TextSpec};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let about = About {
        name: "roberta_base",
        summary: "RoBERTa-base, 124 M parameters, 768 features",
        paper: "Liu et al. 2019, arXiv:1907.11692",
        pool: TokenPool::Mean,
        unit_length: false,
    };
    let input = TextSpec { vocabulary: 50_265, longest: 512, types: 1 };
    let sizes = Sizes { input, layers: 12, features: 768, heads: 12, hidden: 3072 };
    Family::Roberta.recipe(about, sizes)
}
