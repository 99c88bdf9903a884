//! What a folder says about its encoder.

use std::path::{Path, PathBuf};

use offshoot_tokens::Tokenizer;
use serde_json::Value;

use super::files::json;
use super::modules::Modules;
use super::{Described, EncoderFacts, tokens};
use crate::{Result, TransferError};

/// Where the last layer's norm must be as the family has it.
const EPS: f64 = 1e-13;

/// Where the weights of a folder's encoder are: in the folder, or in one inside that `modules.json` names.
///
/// # Errors
/// As [`describe`].
pub fn base(folder: &Path) -> Result<PathBuf> {
    Ok(Modules::read(folder)?.base.unwrap_or_else(|| folder.to_path_buf()))
}

/// Reads what a folder says about a text encoder with layers; `None` where it holds none. A table of words
/// is told by its weights ([`super::of_matrix`]).
///
/// # Errors
/// [`TransferError::ModelRefused`] for an encoder or module that is not computed here, or files
/// that are damaged or hostile.
pub fn describe(folder: &Path) -> Result<Option<Described>> {
    let modules = Modules::read(folder)?;
    let base = modules.base.clone().unwrap_or_else(|| folder.to_path_buf());
    let config = json(&base, "config.json")?;
    let Some(config) = config.filter(|_| !modules.is_table) else { return Ok(None) };
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
    // Null stands for what is not said; another type is a damaged file, of which nothing is guessed.
    let said = |name: &str| config.get(name).filter(|value| !value.is_null());
    let wrong = |name: &str, value: &Value, expected: &str| {
        let value: String = value.to_string().escape_debug().take(40).collect();
        refused(format!("`{name}` is {value}, expected {expected}"))
    };
    let size = |name: &str, usual: Option<usize>| match said(name) {
        None => usual.ok_or_else(|| refused(format!("no number `{name}`"))),
        Some(value) => value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| wrong(name, value, "a whole number")),
    };
    let word = |name: &str, usual: &str| match said(name) {
        None => Ok(usual.to_owned()),
        Some(value) => {
            value.as_str().map(str::to_owned).ok_or_else(|| wrong(name, value, "a word"))
        }
    };
    let act = word(if distil { "activation" } else { "hidden_act" }, "gelu")?;
    if act != "gelu" {
        let detail = format!("activation `{}`, expected `gelu`", act.escape_debug());
        return Err(refused(detail));
    }
    if word("position_embedding_type", "absolute")? != "absolute" {
        return Err(refused("positions are not absolute".into()));
    }
    let eps = said("layer_norm_eps")
        .map(|value| value.as_f64().ok_or_else(|| wrong("layer_norm_eps", value, "a number")))
        .transpose()?;
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
        pool: modules.pool.name().into(),
        averaged: modules.averaged,
        dense: modules.dense.clone(),
        unit_length: modules.unit_length,
        limit,
        lower_case: sentence.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false),
        left_out: None,
        tokenizer_sha256: String::new(),
    };
    modules.check(facts.features)?;
    facts.check()?;
    let tokenizer = Tokenizer::read_folder(&base, limit).map_err(tokens)?;
    facts.fits(&base.display().to_string(), &tokenizer)?;
    facts.tokenizer_sha256 = tokenizer.sha256().to_owned();
    let texts = facts.texts_of(tokenizer);
    let Modules { top, notes, .. } = modules;
    Ok(Some(Described { facts, texts, weights: base, top, notes }))
}
