//! The source of a run: opened again by name or from what the run carries, and with the weights that it tuned.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use offshoot_nn::{Params, backbones};

use super::untaught::{vectors, words_of};
use super::weights::{Weights, loaded, read};
use super::{Source, TOKENIZER, WORDS, network, open_at, resized, several};
use crate::digest::Sha;
use crate::encoder::EncoderFacts;
use crate::precision::{self, F32};
use crate::run::record::ModelFacts;
use crate::texts::Texts;
use crate::{Result, TransferError, durable};

/// Opens the source that a run was trained on: by its name, else from the weights that the run
/// carries. Weights other than the run's are refused.
pub fn reopen(facts: &ModelFacts, seed: u64, carried: &Path) -> Result<Source> {
    if !facts.parts.is_empty() {
        return several::reopen(facts, seed, carried);
    }
    if facts.name == "vectors" {
        return Ok(vectors(facts.dim));
    }
    if let (WORDS, Some(encoder)) = (facts.name.as_str(), &facts.encoder) {
        // What is drawn from a seed need not be carried.
        let source = words_of(encoder.clone(), Arc::new(carried_texts(encoder, carried)?), seed)?;
        if source.facts.weights_sha256 != facts.weights_sha256 {
            return Err(TransferError::ModelRefused(format!(
                "this program draws other vectors for `{WORDS}` than the run had (sha256 {})",
                facts.weights_sha256
            )));
        }
        return same_preprocessing(source, facts);
    }
    if facts.tuned_from_sha256.is_none()
        && let Ok(source) = open_at(&facts.name, facts.size, seed)
        && source.facts.weights_sha256 == facts.weights_sha256
    {
        let source = match &facts.encoder {
            // The run took other layers, or pooled them otherwise.
            Some(encoder) if source.facts.encoder.as_ref() != Some(encoder) => {
                reshaped(&source, encoder.clone())?
            }
            _ => source,
        };
        return same_preprocessing(source, facts);
    }
    if !carried.exists() {
        return Err(TransferError::ModelRefused(format!(
            "`{}` is not there, or its weights are not those that the run was trained on (sha256 {})",
            facts.name, facts.weights_sha256
        )));
    }
    let recipe = match &facts.encoder {
        Some(encoder) => encoder.recipe()?,
        None => backbones::find(&facts.recipe)?,
    };
    let recipe = match facts.size {
        Some(size) => resized(&facts.name, recipe, size)?,
        None => recipe,
    };
    let mut weights = loaded(recipe, read(carried)?, facts.licence.clone())?;
    weights.size = facts.size;
    if let Some(encoder) = &facts.encoder {
        let texts = carried_texts(encoder, carried)?;
        weights.texts = Some((encoder.clone(), Arc::new(texts)));
    }
    // The carried file holds the same values in another container; rows are named by the original.
    weights.sha256.clone_from(&facts.weights_sha256);
    let mut source = network(&facts.name, weights)?;
    source.facts.tuned_from_sha256.clone_from(&facts.tuned_from_sha256);
    same_preprocessing(source, facts)
}

/// The tokenizer beside the weights that a run carries.
fn carried_texts(encoder: &EncoderFacts, carried: &Path) -> Result<Texts> {
    let path = carried.with_file_name(TOKENIZER);
    let json = std::fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
    encoder.texts(&path.display().to_string(), &json)
}

/// The encoder of `source` with another top, or with fewer layers.
///
/// # Errors
/// Where `source` is no text encoder, or `facts` are of another one.
pub fn reshaped(source: &Source, facts: EncoderFacts) -> Result<Source> {
    let (Some((_, params)), Some((_, texts))) = (&source.network, source.texts()) else {
        return Err(TransferError::Internal("the shape of a source that is no encoder".into()));
    };
    let recipe = facts.recipe()?;
    let own = recipe.parameters().into_iter();
    let params: Params =
        own.filter_map(|p| Some((p.key.clone(), params.get(&p.key)?.clone()))).collect();
    let weights = Weights {
        recipe,
        texts: Some((facts, texts)),
        params,
        sha256: source.facts.weights_sha256.clone(),
        licence: source.facts.licence.clone(),
        origin: source.origin.clone(),
        trained_on: source.trained_on.clone(),
        notes: Vec::new(),
        size: None,
    };
    let mut reshaped = network(&source.name, weights)?;
    reshaped.facts.tuned_from_sha256.clone_from(&source.facts.tuned_from_sha256);
    Ok(reshaped)
}

fn same_preprocessing(mut source: Source, facts: &ModelFacts) -> Result<Source> {
    if source.facts.preprocessing == facts.preprocessing {
        if !precision::as_recorded(&mut source, &facts.precision)? {
            source.notes.push(format!(
                "the run computed in {}; this processor computes in {F32}, which is at least as exact",
                facts.precision
            ));
        }
        return Ok(source);
    }
    Err(TransferError::ModelRefused(format!(
        "the run was trained with preprocessing `{}`, this program's is `{}`",
        facts.preprocessing, source.facts.preprocessing
    )))
}

/// The network of `source` with other weights: those that a run has tuned.
pub fn tuned(source: &Source, params: Params) -> Result<Source> {
    let Some((recipe, _)) = &source.network else {
        return Err(TransferError::Internal("tuned weights of a source without network".into()));
    };
    let weights = Weights {
        recipe: recipe.clone(),
        texts: source.texts(),
        sha256: Sha::of_params(&params).to_string(),
        params,
        licence: source.facts.licence.clone(),
        origin: source.origin.clone(),
        trained_on: source.trained_on.clone(),
        notes: Vec::new(),
        size: source.facts.size,
    };
    let mut tuned = network(&source.name, weights)?;
    tuned.facts.tuned_from_sha256 = Some(source.facts.weights_sha256.clone());
    Ok(tuned)
}

/// Writes a network's weights so that a run is complete in itself. Returns false, and writes
/// nothing, for sources without weights or above `max_bytes`.
pub fn carry(source: &Source, path: &Path, max_bytes: u64) -> Result<bool> {
    use offshoot_weights::Precision;
    let Some((_, params)) = &source.network else { return Ok(false) };
    let values: usize = params.values().map(|a| a.data.len()).sum();
    if 4 * values as u64 > max_bytes {
        return Ok(false);
    }
    durable::write_params(path, params, &BTreeMap::new(), Precision::F32)?;
    Ok(true)
}
