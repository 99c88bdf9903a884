//! Text encoders from Hugging Face and sentence-transformers folders.
//!
//! `config.json` says which family and sizes, `modules.json` what follows the last layer,
//! `sentence_bert_config.json` how much of a text is read. All of them are facts: no field names a
//! file outside of the folder, and none is code.

use std::path::{Path, PathBuf};

use offshoot_nn::backbones::encoder::{About, Family, Sizes};
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::{Recipe, TextSpec, backbones};
use offshoot_tokens::{TokenError, Tokenizer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::texts::Texts;
use crate::{Result, TransferError};

/// No such file is larger.
const MAX_JSON: u64 = 4 << 20;
const MAX_LAYERS: usize = 24;
const MAX_WIDTH: usize = 16_384;
const MAX_VOCABULARY: usize = 2_000_000;
const MAX_TOKENS: usize = 65_536;
/// Where the last layer's norm must be as the family has it.
const EPS: f64 = 1e-13;

/// Everything about an encoder that is not in its weights; enough to build it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderFacts {
    /// `bert`, `roberta` or `distilbert`.
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
    /// How tokens become one vector: `mean` or `first`.
    pub pool: String,
    /// Whether that vector is scaled to length 1.
    pub unit_length: bool,
    /// Tokens of a text that are read, special ones included.
    pub limit: usize,
    /// Whether texts are put in lower case before they are cut into tokens.
    pub lower_case: bool,
    /// SHA-256 of the tokenizer's checked document.
    pub tokenizer_sha256: String,
}

impl EncoderFacts {
    /// The network. It has the name of the registry's recipe where it is one of them.
    ///
    /// # Errors
    /// [`TransferError::ModelRefused`] for sizes that no encoder has.
    pub fn recipe(&self) -> Result<Recipe> {
        let family = self.check()?;
        let pool = if self.pool == "first" { TokenPool::First } else { TokenPool::Mean };
        let about = |name, summary, paper| About {
            name,
            summary,
            paper,
            pool,
            unit_length: self.unit_length,
        };
        let own = match family {
            Family::Bert => about("bert", "BERT encoder", "Devlin et al. 2018, arXiv:1810.04805"),
            Family::Roberta => {
                about("roberta", "RoBERTa encoder", "Liu et al. 2019, arXiv:1907.11692")
            }
            Family::DistilBert => {
                about("distilbert", "DistilBERT encoder", "Sanh et al. 2019, arXiv:1910.01108")
            }
        };
        let input =
            TextSpec { vocabulary: self.vocabulary, longest: self.longest, types: self.types };
        let Self { layers, features, heads, hidden, .. } = *self;
        let sizes = Sizes { input, layers, features, heads, hidden };
        let recipe = family.recipe(own, sizes);
        let until_pool = |recipe: &Recipe| {
            let stages = recipe.stages.iter().take_while(|s| s.name != "pool");
            stages.cloned().collect::<Vec<_>>()
        };
        let named = backbones::texts()
            .iter()
            .map(|entry| (entry.recipe)())
            .find(|known| known.input == recipe.input && until_pool(known) == until_pool(&recipe));
        Ok(match named {
            Some(known) => family.recipe(about(known.name, known.summary, known.paper), sizes),
            None => recipe,
        })
    }

    fn check(&self) -> Result<Family> {
        let refused = |detail: String| Err(TransferError::ModelRefused(detail));
        for (name, size, most) in [
            ("layers", self.layers, MAX_LAYERS),
            ("features", self.features, MAX_WIDTH),
            ("heads", self.heads, self.features),
            ("hidden", self.hidden, 4 * MAX_WIDTH),
            ("vocabulary", self.vocabulary, MAX_VOCABULARY),
            ("longest", self.longest, MAX_TOKENS),
            ("types", self.types, 16),
            ("limit", self.limit, self.longest),
        ] {
            if size == 0 || size > most {
                return refused(format!("an encoder with {name} {size}; expected 1 to {most}"));
            }
        }
        if !self.features.is_multiple_of(self.heads) {
            return refused(format!("{} heads share {} features", self.heads, self.features));
        }
        match self.family.as_str() {
            "bert" => Ok(Family::Bert),
            "roberta" => Ok(Family::Roberta),
            "distilbert" => Ok(Family::DistilBert),
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
        Ok(Texts::new(tokenizer, self.lower_case))
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
    /// What was assumed.
    pub notes: Vec<String>,
}

/// Reads what a folder says about a text encoder; `None` where it holds none.
///
/// # Errors
/// [`TransferError::ModelRefused`] for an encoder or module that is not computed here, or files
/// that are damaged or hostile.
pub fn describe(folder: &Path) -> Result<Option<Described>> {
    let modules = Modules::read(folder)?;
    let base = modules.base.clone().unwrap_or_else(|| folder.to_path_buf());
    let Some(config) = json(&base, "config.json")? else { return Ok(None) };
    let place = base.join("config.json").display().to_string();
    let refused = |detail: String| TransferError::ModelRefused(format!("{place}: {detail}"));
    let kind = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let family = match kind {
        "bert" | "roberta" | "distilbert" => kind,
        // Cameras and others: not ours to judge.
        _ if modules.is_text => {
            return Err(refused(format!(
                "an encoder of type `{}`; computed are bert, roberta and distilbert",
                kind.escape_debug().take(40).collect::<String>()
            )));
        }
        _ => return Ok(None),
    };
    let distil = family == "distilbert";
    let size = |name: &str, usual: Option<usize>| {
        let value = config.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        value.or(usual).ok_or_else(|| refused(format!("no number `{name}`")))
    };
    let word = |name: &str, usual: &str| {
        config.get(name).and_then(Value::as_str).unwrap_or(usual).to_owned()
    };
    let act = word(if distil { "activation" } else { "hidden_act" }, "gelu");
    if act != "gelu" {
        let detail = format!("activation `{}`, expected `gelu`", act.escape_debug());
        return Err(refused(detail));
    }
    if word("position_embedding_type", "absolute") != "absolute" {
        return Err(refused("positions are not absolute".into()));
    }
    let eps = config.get("layer_norm_eps").and_then(Value::as_f64);
    let usual = if family == "roberta" { 1e-5 } else { 1e-12 };
    if eps.is_some_and(|eps| (eps - usual).abs() > EPS) {
        return Err(refused(format!("`layer_norm_eps` is {eps:?}, expected {usual:e}")));
    }
    let positions = size("max_position_embeddings", Some(512))?;
    // RoBERTa's first rows are for padding.
    let longest = if family == "roberta" { positions.saturating_sub(2) } else { positions };
    let names = match distil {
        true => ["dim", "n_layers", "n_heads", "hidden_dim"],
        false => ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"],
    };
    let asked =
        [json(&base, "sentence_bert_config.json")?, json(folder, "sentence_bert_config.json")?];
    let sentence = asked.into_iter().flatten().next().unwrap_or(Value::Null);
    let tokenizer_config = json(&base, "tokenizer_config.json")?.unwrap_or(Value::Null);
    let most = |value: Option<&Value>| {
        // Some say 10^30 where nothing limits.
        value.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)
    };
    let limit = most(sentence.get("max_seq_length"))
        .or(most(tokenizer_config.get("model_max_length")))
        .unwrap_or(longest)
        .min(longest);
    let mut facts = EncoderFacts {
        family: family.into(),
        vocabulary: size("vocab_size", None)?,
        longest,
        types: if distil { 1 } else { size("type_vocab_size", Some(2))? },
        features: size(names[0], None)?,
        layers: size(names[1], None)?,
        heads: size(names[2], None)?,
        hidden: size(names[3], None)?,
        pool: modules.pool.clone(),
        unit_length: modules.unit_length,
        limit,
        lower_case: sentence.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false),
        tokenizer_sha256: String::new(),
    };
    facts.check()?;
    let tokenizer = Tokenizer::read_folder(&base, limit).map_err(tokens)?;
    facts.fits(&base.display().to_string(), &tokenizer)?;
    facts.tokenizer_sha256 = tokenizer.sha256().to_owned();
    let texts = Texts::new(tokenizer, facts.lower_case);
    Ok(Some(Described { facts, texts, weights: base, notes: modules.notes }))
}

fn tokens(error: TokenError) -> TransferError {
    match error {
        TokenError::Io { path, source } => TransferError::io(path, source),
        other => TransferError::ModelRefused(other.to_string()),
    }
}

/// What `modules.json` of sentence-transformers (Reimers & Gurevych 2019) says.
struct Modules {
    /// The encoder's folder, where it has one of its own.
    base: Option<PathBuf>,
    /// There is a `modules.json`.
    is_text: bool,
    pool: String,
    unit_length: bool,
    notes: Vec<String>,
}

impl Modules {
    fn read(folder: &Path) -> Result<Self> {
        let mut read = Self {
            base: None,
            is_text: false,
            pool: "mean".into(),
            unit_length: false,
            notes: Vec::new(),
        };
        let Some(list) = json(folder, "modules.json")? else {
            read.notes.push("no `modules.json`: the mean of a text's tokens is its vector".into());
            return Ok(read);
        };
        read.is_text = true;
        let place = folder.join("modules.json").display().to_string();
        let refused = |detail: String| TransferError::ModelRefused(format!("{place}: {detail}"));
        let list = list.as_array().filter(|list| list.len() <= 16);
        let list = list.ok_or_else(|| refused("expected a list of modules".into()))?;
        for module in list {
            let kind = module.get("type").and_then(Value::as_str).unwrap_or_default();
            let path = module.get("path").and_then(Value::as_str).unwrap_or_default();
            match kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" if path.is_empty() => {}
                "Transformer" => read.base = Some(inside(folder, path)?),
                "Pooling" => {
                    let at = inside(folder, path)?;
                    let config = json(&at, "config.json")?
                        .ok_or_else(|| refused(format!("no {path}/config.json")))?;
                    read.pool = pooling(&config).map_err(refused)?;
                }
                "Normalize" => read.unit_length = true,
                other => {
                    let other: String = other.escape_debug().take(40).collect();
                    return Err(refused(format!(
                        "module `{other}`; computed are Transformer, Pooling and Normalize"
                    )));
                }
            }
        }
        Ok(read)
    }
}

/// How a pooling module makes one vector of many.
fn pooling(config: &Value) -> std::result::Result<String, String> {
    const MODES: [(&str, &str); 2] =
        [("pooling_mode_mean_tokens", "mean"), ("pooling_mode_cls_token", "first")];
    let Value::Object(fields) = config else { return Err("pooling: expected an object".into()) };
    let on: Vec<&str> = fields
        .iter()
        .filter(|(name, on)| name.starts_with("pooling_mode_") && on.as_bool() == Some(true))
        .map(|(name, _)| name.as_str())
        .collect();
    match on.as_slice() {
        [one] => MODES
            .iter()
            .find(|(name, _)| name == one)
            .map(|(_, pool)| (*pool).to_owned())
            .ok_or_else(|| format!("pooling `{}`; computed are mean and cls", one.escape_debug())),
        _ => Err("pooling: expected one mode".into()),
    }
}

/// A folder of one plain name inside `folder`.
fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !plain {
        let name: String = name.escape_debug().take(80).collect();
        return Err(TransferError::ModelRefused(format!(
            "{}: `{name}` is no folder inside",
            folder.display()
        )));
    }
    Ok(folder.join(name))
}

/// A JSON file of a folder; `None` where it is absent.
fn json(folder: &Path, name: &str) -> Result<Option<Value>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::metadata(&path).map_err(|e| TransferError::io(&path, e))?.len();
    let refused =
        |detail: String| TransferError::ModelRefused(format!("{}: {detail}", path.display()));
    if bytes > MAX_JSON {
        return Err(refused(format!("{bytes} bytes; at most {MAX_JSON} are expected")));
    }
    let text = std::fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
    serde_json::from_slice(&text).map(Some).map_err(|e| refused(e.to_string()))
}
