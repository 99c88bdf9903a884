//! Static embeddings: a table of words, and a text's vector is the mean of its tokens' rows.
//!
//! WordLlama keeps a matrix; model2vec (Tulkens & van Dongen 2024) also keeps a weight for each word and
//! which row a word takes, which are multiplied into the table here; sentence-transformers calls the
//! module `StaticEmbedding`.

use std::path::Path;

use offshoot_nn::{Array, Params};
use offshoot_tokens::Tokenizer;
use serde_json::Value;

use super::files::json;
use super::modules::Modules;
use super::{Described, EncoderFacts, TABLE, tokens};
use crate::{Result, TransferError};

/// Tokens of a text that are read at most: no order and no position limits them.
const LONGEST: usize = 65_536;
/// Names of the table: as a recipe has it, and as model2vec does.
const NAMES: [&str; 2] = ["embedding.weight", "embeddings"];

/// What a folder or package says about the table of words `params`; `None` where they are something else.
/// The tokenizer lies in `folder`, and with it what says more: `config.json` of model2vec, `modules.json`.
///
/// # Errors
/// [`TransferError::ModelRefused`] for parts that do not fit each other, or damaged or hostile files.
pub fn of_matrix(folder: &Path, params: &Params) -> Result<Option<Described>> {
    let known = |name: &str| NAMES.contains(&name) || ["mapping", "weights"].contains(&name);
    let has_table = NAMES.iter().any(|name| params.contains_key(*name));
    if !has_table || !params.keys().all(|name| known(name)) {
        return Ok(None);
    }
    let modules = Modules::read(folder)?;
    let base = modules.base.clone().unwrap_or_else(|| folder.to_path_buf());
    let config = json(&base, "config.json")?;
    let [vocabulary, features] = shape(folder, params)?;
    let tokenizer = Tokenizer::read_folder(&base, LONGEST)
        .and_then(|tokenizer| tokenizer.without_special_tokens(&base.display().to_string()))
        .map_err(tokens)?;
    let of_model2vec = params.contains_key(NAMES[1]);
    let asked = config.as_ref().and_then(|c| c.get("normalize")).and_then(Value::as_bool);
    let facts = EncoderFacts {
        family: TABLE.into(),
        vocabulary,
        longest: LONGEST,
        types: 2,
        layers: 0,
        features,
        heads: 0,
        hidden: 0,
        pool: "mean".into(),
        averaged: 1,
        dense: modules.dense.clone(),
        unit_length: asked.filter(|_| of_model2vec).unwrap_or(modules.unit_length),
        limit: LONGEST,
        lower_case: false,
        // model2vec leaves unknown words out, the others do not.
        left_out: if of_model2vec { tokenizer.unknown() } else { None },
        tokenizer_sha256: tokenizer.sha256().to_owned(),
    };
    modules.check(features)?;
    facts.check()?;
    facts.fits(&base.display().to_string(), &tokenizer)?;
    let texts = facts.texts_of(tokenizer);
    let Modules { top, notes, .. } = modules;
    Ok(Some(Described { facts, texts, weights: base, top, notes }))
}

/// Words and features of the folded table.
fn shape(folder: &Path, params: &Params) -> Result<[usize; 2]> {
    let refused =
        |detail: &str| TransferError::ModelRefused(format!("{}: {detail}", folder.display()));
    let table = NAMES.iter().find_map(|name| params.get(*name));
    let table = table.ok_or_else(|| refused("no table `embedding.weight` or `embeddings`"))?;
    let &[rows, features] = table.shape.as_slice() else {
        return Err(refused("the table of words is no matrix"));
    };
    Ok([params.get("mapping").map_or(rows, |mapping| mapping.data.len()), features])
}

/// One table: row `mapping[w]` of the matrix for word `w`, times `weights[w]`.
pub(super) fn folded(mut params: Params) -> Result<Params> {
    let refused = |detail: String| TransferError::ModelRefused(detail);
    let (mapping, weights) = (params.remove("mapping"), params.remove("weights"));
    if mapping.is_none() && weights.is_none() {
        return Ok(params);
    }
    let table = NAMES.iter().find_map(|name| params.remove(*name));
    let table = table.ok_or_else(|| refused("weights of words without their table".into()))?;
    let &[rows, features] = table.shape.as_slice() else {
        return Err(refused("the table of words is no matrix".into()));
    };
    let words = mapping.as_ref().map_or(rows, |mapping| mapping.data.len());
    if weights.as_ref().is_some_and(|weights| weights.data.len() != words) {
        return Err(refused(format!("weights of other words than the {words} of the table")));
    }
    let mut data = Vec::with_capacity(words * features);
    for word in 0..words {
        let place = mapping.as_ref().map_or(word as f32, |mapping| mapping.data[word]);
        // Whole numbers below 2²⁴ are exact in f32; so are all rows of any such table.
        let row = (place >= 0.0 && place < rows as f32).then_some(place as usize);
        let row = row.ok_or_else(|| refused(format!("word {word} takes row {place} of {rows}")))?;
        let weight = weights.as_ref().map_or(1.0, |weights| weights.data[word]);
        data.extend(table.data[row * features..][..features].iter().map(|x| weight * x));
    }
    params.insert(NAMES[0].into(), Array { shape: vec![words, features], data: data.into() });
    Ok(params)
}
