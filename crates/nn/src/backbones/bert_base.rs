//! BERT-base, lower case: mean of tokens.

use super::encoder::{About, Family, Sizes};
use crate::blocks::TokenPool;
use crate::recipe::{Recipe, TextSpec};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let about = About {
        name: "bert_base",
        summary: "BERT-base (uncased), 109 M parameters, 768 features",
        paper: "Devlin et al. 2018, arXiv:1810.04805",
        pool: TokenPool::Mean,
        unit_length: false,
    };
    let input = TextSpec { vocabulary: 30_522, longest: 512, types: 2 };
    let sizes = Sizes { input, layers: 12, features: 768, heads: 12, hidden: 3072 };
    Family::Bert.recipe(about, sizes)
}
