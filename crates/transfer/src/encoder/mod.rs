//! Text encoders from Hugging Face, sentence-transformers and model2vec folders.
//!
//! `config.json` says which family and sizes, `modules.json` what follows the last layer,
//! `sentence_bert_config.json` how much of a text is read. All of them are facts: no field names a
//! file outside of the folder, and none is code.

mod files;
mod folder;
mod masked;
mod modules;
mod table;

use std::path::PathBuf;

use offshoot_nn::backbones::encoder::{About, Family, Sizes, Top, table as table_recipe};
use offshoot_nn::blocks::{Act, TokenPool};
use offshoot_nn::{Params, Recipe, TextSpec, backbones};
use offshoot_tokens::{TokenError, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::texts::Texts;
use crate::{Result, TransferError};
pub use folder::{base, describe};
pub use masked::load_with_head;
pub use table::of_matrix;

/// Of [`EncoderFacts::family`]: a table of words without layers.
pub const TABLE: &str = "table";
const MAX_LAYERS: usize = 24;
const MAX_WIDTH: usize = 16_384;
const MAX_VOCABULARY: usize = 2_000_000;
const MAX_TOKENS: usize = 65_536;
const MAX_DENSE: usize = 4;

/// Activations of fully connected layers: our word and that of PyTorch's class.
const ACTS: [(&str, &str, Act); 5] = [
    ("none", "torch.nn.modules.linear.Identity", Act::None),
    ("tanh", "torch.nn.modules.activation.Tanh", Act::Tanh),
    ("relu", "torch.nn.modules.activation.ReLU", Act::Relu),
    ("gelu", "torch.nn.modules.activation.GELU", Act::Gelu),
    ("silu", "torch.nn.modules.activation.SiLU", Act::Silu),
];

/// A fully connected layer after the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseFacts {
    /// Features that it gives.
    pub outputs: usize,
    /// `none`, `tanh`, `relu`, `gelu` or `silu`.
    pub act: String,
}

impl DenseFacts {
    /// PyTorch's class of the activation.
    pub fn class(&self) -> &'static str {
        ACTS.iter().find(|(name, ..)| *name == self.act).map_or(ACTS[0].1, |(_, class, _)| class)
    }

    fn act(&self) -> Result<Act> {
        ACTS.iter().find(|(name, ..)| *name == self.act).map(|(.., act)| *act).ok_or_else(|| {
            let act = self.act.escape_debug();
            TransferError::ModelRefused(format!("a layer with activation `{act}`"))
        })
    }
}

/// Everything about an encoder that is not in its weights; enough to build it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderFacts {
    /// `bert`, `roberta`, `distilbert`, or [`TABLE`], which has no layers, heads and hidden features.
    pub family: String,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Tokens of the longest sequence that the position table knows.
    pub longest: usize,
    /// Token types.
    pub types: usize,
    /// Layers.
    pub layers: usize,
    /// Features of a token.
    pub features: usize,
    /// Attention heads.
    pub heads: usize,
    /// Features inside the feed-forward network.
    pub hidden: usize,
    /// How tokens become one vector, by the words of [`TokenPool::ALL`].
    pub pool: String,
    /// So many of the last layers' outputs are averaged before that.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub averaged: usize,
    /// Fully connected layers after the pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dense: Vec<DenseFacts>,
    /// Whether that vector is scaled to length 1.
    pub unit_length: bool,
    /// Tokens of a text that are read, special ones included.
    pub limit: usize,
    /// Whether texts are put in lower case before they are cut into tokens.
    pub lower_case: bool,
    /// The token of unknown words, where it has no say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u32>,
    /// SHA-256 of the tokenizer's checked document.
    pub tokenizer_sha256: String,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_one(n: &usize) -> bool {
    *n == 1
}

impl EncoderFacts {
    /// The network. It has the name of the registry's recipe where it is one of them.
    ///
    /// # Errors
    /// [`TransferError::ModelRefused`] for sizes that no encoder has.
    pub fn recipe(&self) -> Result<Recipe> {
        let family = self.check()?;
        let pool = TokenPool::find(&self.pool).unwrap_or(TokenPool::Mean);
        let dense = self.dense.iter().map(|d| Ok((d.outputs, d.act()?))).collect::<Result<_>>()?;
        let top = Top { layers: self.averaged, dense };
        let about = |name, summary, paper| About {
            name,
            summary,
            paper,
            pool,
            unit_length: self.unit_length,
        };
        let own = match family {
            None => about("table", "static embeddings", "Wieting et al. 2015, arXiv:1511.08198"),
            Some(Family::Bert) => {
                about("bert", "BERT encoder", "Devlin et al. 2018, arXiv:1810.04805")
            }
            Some(Family::Roberta) => {
                about("roberta", "RoBERTa encoder", "Liu et al. 2019, arXiv:1907.11692")
            }
            Some(Family::DistilBert) => {
                about("distilbert", "DistilBERT encoder", "Sanh et al. 2019, arXiv:1910.01108")
            }
        };
        let input =
            TextSpec { vocabulary: self.vocabulary, longest: self.longest, types: self.types };
        let Self { layers, features, heads, hidden, .. } = *self;
        let sizes = Sizes { input, layers, features, heads, hidden };
        let build = |about: About| match family {
            Some(family) => family.recipe_with(about, sizes, &top),
            None => table_recipe(about, input, features, &top),
        };
        let recipe = build(own);
        let until_pool = |recipe: &Recipe| {
            let stages = recipe.stages.iter().take_while(|s| s.name != "pool");
            stages.cloned().collect::<Vec<_>>()
        };
        let named = backbones::texts()
            .iter()
            .map(|entry| (entry.recipe)())
            .find(|known| known.input == recipe.input && until_pool(known) == until_pool(&recipe));
        Ok(match named {
            Some(known) => build(about(known.name, known.summary, known.paper)),
            None => recipe,
        })
    }

    /// What turns the last layer's tokens into a vector, as words that name features.
    pub fn top(&self) -> String {
        let mut words = self.pool.clone();
        if self.averaged > 1 {
            words.push_str(&format!(" of {} layers", self.averaged));
        }
        for dense in &self.dense {
            words.push_str(&format!(" dense {} {}", dense.outputs, dense.act));
        }
        words.push_str(if self.unit_length { " unit length" } else { "" });
        words
    }

    /// Refuses sizes that no encoder has; `None` for a table.
    fn check(&self) -> Result<Option<Family>> {
        let refused = |detail: String| Err(TransferError::ModelRefused(detail));
        let is_table = self.family == TABLE;
        let layers = [
            ("layers", self.layers, MAX_LAYERS),
            ("heads", self.heads, self.features),
            ("hidden", self.hidden, 4 * MAX_WIDTH),
            ("averaged layers", self.averaged, self.layers),
        ];
        let of_layers = layers.into_iter().filter(|_| !is_table);
        let sizes = of_layers.chain([
            ("features", self.features, MAX_WIDTH),
            ("vocabulary", self.vocabulary, MAX_VOCABULARY),
            ("longest", self.longest, MAX_TOKENS),
            ("types", self.types, 16),
            ("limit", self.limit, self.longest),
        ]);
        for (name, size, most) in sizes {
            if size == 0 || size > most {
                return refused(format!("an encoder with {name} {size}; expected 1 to {most}"));
            }
        }
        for dense in &self.dense {
            if dense.outputs == 0 || dense.outputs > MAX_WIDTH {
                return refused(format!("a layer of {} features after the pool", dense.outputs));
            }
        }
        if self.dense.len() > MAX_DENSE {
            return refused(format!("{} layers after the pool", self.dense.len()));
        }
        if TokenPool::find(&self.pool).is_none() {
            return refused(format!("pooling `{}`", self.pool.escape_debug()));
        }
        if is_table {
            if self.layers > 0 || self.averaged != 1 {
                return refused(format!("a table of words with {} layers", self.layers));
            }
            return Ok(None);
        }
        if !self.features.is_multiple_of(self.heads) {
            return refused(format!("{} heads share {} features", self.heads, self.features));
        }
        match self.family.as_str() {
            "bert" => Ok(Some(Family::Bert)),
            "roberta" => Ok(Some(Family::Roberta)),
            "distilbert" => Ok(Some(Family::DistilBert)),
            other => refused(format!("an encoder of family `{}`", other.escape_debug())),
        }
    }

    /// The texts' way into this encoder, by the tokenizer's document.
    ///
    /// # Errors
    /// [`TransferError::ModelRefused`] for a tokenizer that is damaged or another one.
    pub fn texts(&self, place: &str, json: &[u8]) -> Result<Texts> {
        let tokenizer = Tokenizer::from_json(place, json, self.limit).map_err(tokens)?;
        if tokenizer.sha256() != self.tokenizer_sha256 {
            return Err(TransferError::ModelRefused(format!(
                "{place}: sha256 {}, expected {}",
                tokenizer.sha256(),
                self.tokenizer_sha256
            )));
        }
        self.fits(place, &tokenizer)?;
        Ok(self.texts_of(tokenizer))
    }

    fn texts_of(&self, tokenizer: Tokenizer) -> Texts {
        Texts::new(tokenizer, self.lower_case, self.left_out)
    }

    fn fits(&self, place: &str, tokenizer: &Tokenizer) -> Result<()> {
        if tokenizer.ids() <= self.vocabulary {
            return Ok(());
        }
        Err(TransferError::ModelRefused(format!(
            "{place}: the tokenizer has ids up to {}, the encoder's table has {} rows",
            tokenizer.ids(),
            self.vocabulary
        )))
    }
}

/// An encoder as a folder describes it.
pub struct Described {
    /// Sizes and what follows the last layer.
    pub facts: EncoderFacts,
    /// From texts to tokens.
    pub texts: Texts,
    /// Where the weights are.
    pub weights: PathBuf,
    /// Weights of what follows the last layer, which are in files of their own.
    pub top: Params,
    /// What was assumed.
    pub notes: Vec<String>,
}

impl Described {
    /// All weights under the names that the recipe knows, from those of the weights' file.
    ///
    /// # Errors
    /// [`TransferError::ModelRefused`] for a table whose parts do not fit each other.
    pub fn whole(&self, params: Params) -> Result<Params> {
        let mut params = match self.facts.family.as_str() {
            TABLE => table::folded(params)?,
            _ => params,
        };
        params.extend(self.top.clone());
        Ok(params)
    }
}

fn tokens(error: TokenError) -> TransferError {
    match error {
        TokenError::Io { path, source } => TransferError::io(path, source),
        other => TransferError::ModelRefused(other.to_string()),
    }
}
