//! WordLlama: a table of 32,000 words with 256 features, distilled from the input embeddings of language
//! models; a text's vector is the mean of its tokens' rows.

use super::encoder::{About, Top, table};
use crate::blocks::TokenPool;
use crate::recipe::{Recipe, TextSpec};

/// The recipe.
pub(super) fn recipe() -> Recipe {
    let about = About {
        name: "wordllama",
        summary: "WordLlama static embeddings, 8.2 M parameters, 256 features",
        paper: "package wordllama; averaged word vectors: Wieting et al. 2015, arXiv:1511.08198",
        pool: TokenPool::Mean,
        unit_length: false,
    };
    let input = TextSpec { vocabulary: 32_000, longest: 65_536, types: 2 };
    table(about, input, 256, &Top::NONE)
}
