//! Where features come from.
//!
//! A user names a source by `efficientnet_lite0` (embedded), by a name in the model store, by the
//! `PATH` of a checkpoint (`RECIPE@PATH` where its keys do not tell the recipe), by any of these with
//! `+ADAPTER` behind it (low-rank products of an earlier run), by `random:RECIPE` (the same network with
//! random weights), by a folder of a text encoder (Hugging Face, sentence-transformers, model2vec, or a
//! table of words beside its tokenizer), or by `pixels` (no network at all). Data that holds feature
//! vectors needs no source: its rows are taken as they are.

mod of_run;
mod several;
mod untaught;
mod weights;

use std::sync::Arc;

use offshoot_nn::cpu::{Plan, PlanOptions, TextPlan};
use offshoot_nn::{Params, Recipe};

use crate::cache::Scope;
use crate::encoder::EncoderFacts;
use crate::engine::Engine;
use crate::inputs::Inputs;
use crate::pictures::Pictures;
use crate::precision::F32;
use crate::run::record::ModelFacts;
use crate::texts::Texts;
use crate::{Result, TransferError};
use untaught::pixels;
use weights::{Weights, weights};

pub use of_run::{carry, reopen, reshaped, tuned};
pub use several::{Part, found_from, join, names, open_each, part_folder};
pub use untaught::{untrained, vectors, words};
pub use weights::embedded;

/// The embedded source.
pub const DEFAULT: &str = "efficientnet_lite0";
/// The source that is no network.
pub const PIXELS: &str = "pixels";
/// Side of the pictures that [`PIXELS`] compares.
pub const PIXELS_SIZE: usize = 24;
/// Side of the largest pictures whose pixels are compared.
const LARGEST_PIXELS: usize = 64;
/// The source that knows words apart, and nothing about them: a random vector for each token.
pub const WORDS: &str = "words";
/// Side of the largest pictures that a network is given.
const LARGEST: usize = 2048;
/// The tokenizer beside weights that are carried or stored.
pub const TOKENIZER: &str = "tokenizer.json";

/// A source, ready to run.
pub struct Source {
    /// As the user named it.
    pub name: String,
    /// What decides a row besides the sample.
    pub scope: Scope,
    /// For `run.json` and the report.
    pub facts: ModelFacts,
    /// What a person should know about how the weights were loaded.
    pub notes: Vec<String>,
    /// Where the weights came from, where that is known.
    pub origin: Option<String>,
    /// What the source was trained on, where that is known.
    pub trained_on: Option<String>,
    /// From samples to the engine's input.
    pub inputs: Inputs,
    /// From input to features.
    pub engine: Box<dyn Engine>,
    /// The network and its weights, where there is one.
    pub network: Option<(Recipe, Params)>,
    /// What stands side by side in this source; empty where it is one.
    pub parts: Arc<[Part]>,
}

impl Source {
    /// How pictures become its input.
    ///
    /// # Errors
    /// Wrong usage for a text encoder.
    pub fn pictures(&self) -> Result<&Pictures> {
        match self.inputs.first() {
            Inputs::Pictures(pictures) => Ok(pictures),
            _ => Err(TransferError::usage(
                format!("`{}` is a text encoder, which does not read pictures", self.name),
                "`offshoot models list` shows sources for pictures",
            )),
        }
    }
}

impl Source {
    /// What makes a text encoder of a network's weights; `None` for other sources.
    pub fn texts(&self) -> Option<(EncoderFacts, Arc<Texts>)> {
        if let Some(first) = self.parts.first() {
            return first.source.texts();
        }
        let Inputs::Texts(texts) = &self.inputs else { return None };
        Some((self.facts.encoder.clone()?, Arc::clone(texts)))
    }

    /// The sources that stand side by side in this one, or itself.
    pub fn each(&self) -> Vec<&Self> {
        match self.parts.is_empty() {
            true => vec![self],
            false => self.parts.iter().map(|part| part.source.as_ref()).collect(),
        }
    }
}

/// Opens the source called `name`. `seed` draws the weights of `random:` sources.
pub fn open(name: &str, seed: u64) -> Result<Source> {
    open_at(name, None, seed)
}

/// Opens the source called `name` for pictures of `size` × `size` pixels; `None` takes the size that its
/// weights were trained with.
///
/// # Errors
/// As [`open`], and wrong usage where the source cannot read pictures of that size.
pub fn open_at(name: &str, size: Option<usize>, seed: u64) -> Result<Source> {
    if name == PIXELS {
        return match size.unwrap_or(PIXELS_SIZE) {
            side if side <= LARGEST_PIXELS => Ok(pixels(side)),
            side => Err(TransferError::usage(
                format!(
                    "`{PIXELS}` of pictures with {side} pixels a side: at most {LARGEST_PIXELS}"
                ),
                format!("without `--size`, pictures of {PIXELS_SIZE} pixels are compared"),
            )),
        };
    }
    let mut weights = weights(name, seed)?;
    if let Some(size) = size {
        weights.recipe = resized(name, weights.recipe, size)?;
        weights.size = Some(size);
    }
    network(name, weights)
}

/// `recipe` for pictures of another size.
fn resized(name: &str, recipe: Recipe, size: usize) -> Result<Recipe> {
    let usual = recipe.picture().map_or(0, |spec| spec.size);
    if size > LARGEST {
        return Err(TransferError::usage(
            format!("pictures of {size} pixels for `{name}`: at most {LARGEST} are read"),
            "its own size is used without `--size`",
        ));
    }
    recipe.at_size(size).map_err(|e| {
        let hint = match usual {
            0 => "`--size` is for pictures".into(),
            usual => format!("without `--size`, `{name}` reads pictures of {usual} pixels"),
        };
        TransferError::usage(e.to_string(), hint)
    })
}

fn network(name: &str, weights: Weights) -> Result<Source> {
    let Weights { recipe, texts, params, sha256, licence, origin, trained_on, notes, size } =
        weights;
    let options = PlanOptions::default();
    let (inputs, engine, isa, encoder): (Inputs, Box<dyn Engine>, _, _) = match texts {
        Some((facts, texts)) => {
            let plan = TextPlan::new(&recipe, &params, &options)?;
            let isa = plan.isa();
            (Inputs::Texts(texts), Box::new(plan), isa, Some(facts))
        }
        None => {
            let spec = recipe.picture().map_err(|_| needs_tokenizer(name))?.clone();
            let plan = Plan::new(&recipe, &params, &options)?;
            let isa = plan.isa();
            (Inputs::Pictures(Pictures::new(spec)), Box::new(plan), isa, None)
        }
    };
    // What follows the last layer is not in the weights.
    let after = encoder
        .as_ref()
        .map_or(String::new(), |e: &EncoderFacts| format!(" of {} layers, {}", e.layers, e.top()));
    let scope = Scope {
        weights_sha256: sha256.clone(),
        preprocessing: inputs.description(),
        // Instruction sets round differently, so their rows must not mix.
        stage: format!("{} features{after} {}", recipe.name, isa.name()),
        augmentation: "eval".into(),
    };
    let facts = ModelFacts {
        name: name.into(),
        recipe: recipe.name.into(),
        weights_sha256: sha256,
        licence,
        dim: engine.dim(),
        preprocessing: inputs.description(),
        precision: F32.into(),
        size,
        tuned_from_sha256: None,
        encoder,
        parts: Vec::new(),
    };
    let network = Some((recipe, params));
    let name = name.into();
    let parts = Arc::from([]);
    Ok(Source { name, scope, facts, notes, origin, trained_on, inputs, engine, network, parts })
}

fn needs_tokenizer(name: &str) -> TransferError {
    TransferError::usage(
        format!("`{name}` is a text encoder without a tokenizer"),
        "name a Hugging Face folder, which holds both, or a model of `offshoot models list`",
    )
}
