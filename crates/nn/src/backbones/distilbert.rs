//! DistilBERT-base, lower case: mean of tokens.

use super::encoder::{About, Family, Sizes};
use crate::blocks::TokenPool;
use crate::recipe::{Recipe, TextSpec};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let about = About {
        name: "distilbert",
        summary: "DistilBERT-base (uncased), 66 M parameters, 768 features",
        paper: "Sanh et al. 2019, arXiv:1910.01108",
        pool: TokenPool::Mean,
        unit_length: false,
    };
    let input = TextSpec { vocabulary: 30_522, longest: 512, types: 1 };
    let sizes = Sizes { input, layers: 6, features: 768, heads: 12, hidden: 3072 };
    Family::DistilBert.recipe(about, sizes)
}
