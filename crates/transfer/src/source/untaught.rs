//! Sources that nobody taught: pixels, vectors as they are, words apart, and networks of random weights.

use std::sync::Arc;

use offshoot_nn::{Channels, InputSpec, Interpolation};

use super::weights::Weights;
use super::{PIXELS, PIXELS_SIZE, Source, WORDS, network, open_at};
use crate::cache::Scope;
use crate::digest::Sha;
use crate::encoder::{self, EncoderFacts};
use crate::engine::Identity;
use crate::inputs::Inputs;
use crate::pictures::Pictures;
use crate::precision::F32;
use crate::run::record::ModelFacts;
use crate::texts::Texts;
use crate::{Result, TransferError};

/// Length of the vectors of [`WORDS`].
const WORD_FEATURES: usize = 256;

/// The same network with weights drawn at random, to measure what the source's own are worth.
///
/// # Errors
/// Where `source` is no network.
pub fn untrained(source: &Source, seed: u64) -> Result<Source> {
    let (Some((recipe, _)), Inputs::Texts(texts), Some(facts)) =
        (&source.network, &source.inputs, &source.facts.encoder)
    else {
        return open_at(&format!("random:{}", source.facts.recipe), source.facts.size, seed);
    };
    let drawn = [recipe.name, &facts.layers.to_string(), &facts.features.to_string()];
    let sha256 = Sha::of_texts(&[&["random weights 1", &seed.to_string()], &drawn[..]].concat());
    let weights = Weights {
        recipe: recipe.clone(),
        texts: Some((facts.clone(), Arc::clone(texts))),
        params: offshoot_nn::init::random_weights(recipe, seed),
        sha256: sha256.to_string(),
        licence: None,
        origin: Some(format!("drawn at random, seed {seed}")),
        trained_on: Some("nothing".into()),
        notes: Vec::new(),
        size: None,
    };
    network(&format!("random:{}", recipe.name), weights)
}

/// What tells texts apart without a source: the mean of random vectors of the tokens, a random projection
/// of the bag of words (Johnson & Lindenstrauss 1984). The texts are cut into tokens as `source` does.
///
/// # Errors
/// Where `source` reads no texts.
pub fn words(source: &Source, seed: u64) -> Result<Source> {
    let Some((facts, texts)) = source.texts() else {
        return Err(TransferError::Internal("the words of a source that reads none".into()));
    };
    let facts = EncoderFacts {
        family: encoder::TABLE.into(),
        layers: 0,
        features: WORD_FEATURES,
        heads: 0,
        hidden: 0,
        pool: "mean".into(),
        averaged: 1,
        dense: Vec::new(),
        unit_length: true,
        ..facts
    };
    words_of(facts, texts, seed)
}

pub fn words_of(facts: EncoderFacts, texts: Arc<Texts>, seed: u64) -> Result<Source> {
    let recipe = facts.recipe()?;
    let params = offshoot_nn::init::random_weights(&recipe, seed);
    let weights = Weights {
        recipe,
        texts: Some((facts, texts)),
        sha256: Sha::of_params(&params).to_string(),
        params,
        licence: None,
        origin: Some(format!("drawn at random, seed {seed}")),
        trained_on: Some("nothing".into()),
        notes: Vec::new(),
        size: None,
    };
    network(WORDS, weights)
}

pub fn pixels(side: usize) -> Source {
    let spec = InputSpec {
        size: side,
        crop_fraction: None,
        interpolation: Interpolation::Bilinear,
        channels: Channels::Rgb,
        mean: vec![0.5; 3],
        std: vec![0.5; 3],
    };
    let pictures = Pictures::new(spec);
    let preprocessing = pictures.description();
    let mut source = identity(PIXELS, pictures.len(), pictures, preprocessing);
    source.facts.size = (side != PIXELS_SIZE).then_some(side);
    source
}

/// The source for data that already holds feature vectors of length `dim`.
pub fn vectors(dim: usize) -> Source {
    let spec = InputSpec {
        size: 0,
        crop_fraction: None,
        interpolation: Interpolation::Bilinear,
        channels: Channels::Grey,
        mean: vec![0.0],
        std: vec![1.0],
    };
    identity("vectors", dim, Pictures::new(spec), format!("vectors of {dim}"))
}

fn identity(name: &str, dim: usize, pictures: Pictures, preprocessing: String) -> Source {
    let scope = Scope {
        weights_sha256: "none".into(),
        preprocessing: preprocessing.clone(),
        stage: name.into(),
        augmentation: "eval".into(),
    };
    let facts = ModelFacts {
        name: name.into(),
        recipe: name.into(),
        weights_sha256: "none".into(),
        licence: None,
        dim,
        preprocessing,
        precision: F32.into(),
        size: None,
        tuned_from_sha256: None,
        encoder: None,
        parts: Vec::new(),
    };
    let engine = Box::new(Identity(dim));
    Source {
        name: name.into(),
        scope,
        facts,
        notes: Vec::new(),
        origin: None,
        trained_on: None,
        inputs: Inputs::Pictures(pictures),
        engine,
        network: None,
        parts: Arc::from([]),
    }
}
