//! Which recipe a checkpoint's arrays are of.

use std::fs;
use std::path::Path;

use offshoot_nn::load::LoadReport;
use offshoot_nn::{Params, Recipe, backbones, load};
use offshoot_weights::Checkpoint;

use crate::encoder::{self, Described};
use crate::source::TOKENIZER;
use crate::{Result, TransferError};

/// The arrays of a text encoder that its folder describes.
pub fn fit_encoder(
    params: Params,
    described: &Described,
    asked: Option<&str>,
) -> Result<(Recipe, Params, LoadReport)> {
    let recipe = described.facts.recipe()?;
    let params = described.whole(params)?;
    if let Some(asked) = asked.filter(|asked| *asked != recipe.name) {
        return Err(TransferError::usage(
            format!("the folder describes `{}`, not `{asked}`", recipe.name),
            "leave --recipe out",
        ));
    }
    let (params, report) = encoder::load_with_head(&recipe, params)?;
    Ok((recipe, params, report))
}

/// A table of words whose tokenizer is in a file elsewhere.
pub fn table_beside(checkpoint: &Checkpoint, tokenizer: &Path) -> Result<Option<Described>> {
    let beside = tempfile::tempdir().map_err(|e| TransferError::io(std::env::temp_dir(), e))?;
    let copy = beside.path().join(TOKENIZER);
    fs::copy(tokenizer, &copy).map_err(|e| TransferError::io(tokenizer, e))?;
    let described = encoder::of_matrix(beside.path(), &checkpoint.params)?;
    if described.is_none() {
        return Err(TransferError::usage(
            "a tokenizer for weights that are not a single table of words",
            "leave --tokenizer out; a text encoder's folder holds its own",
        ));
    }
    Ok(described)
}

/// Weights alone do not say how texts become tokens.
fn no_folder(recipe: &str) -> TransferError {
    TransferError::ModelRefused(format!(
        "the checkpoint is a text encoder (`{recipe}`): its folder is needed, which also holds \
         config.json and the tokenizer"
    ))
}

/// The checkpoint's arrays under the keys of the recipe asked for, or of the one that it fits.
pub fn fit(params: Params, recipe: Option<&str>) -> Result<(Recipe, Params, LoadReport)> {
    if let Some(name) = recipe {
        let recipe = backbones::find(name)?;
        recipe.picture().map_err(|_| no_folder(recipe.name))?;
        let (params, report) = load::load(&recipe, params)?;
        return Ok((recipe, params, report));
    }
    let values: usize = params.values().map(|array| array.data.len()).sum();
    let mut fitting = Vec::new();
    for entry in backbones::pictures() {
        let recipe = (entry.recipe)();
        let wanted: usize = recipe.parameters().iter().map(|p| p.len()).sum();
        if wanted > values || recipe.parameters().len() > params.len() {
            continue;
        }
        if let Ok((fitted, report)) = load::load(&recipe, params.clone()) {
            fitting.push((wanted, recipe, fitted, report));
        }
    }
    // A checkpoint that fits a network may also fit a smaller one inside it.
    let largest = fitting.iter().map(|(wanted, ..)| *wanted).max();
    let mut largest = fitting.into_iter().filter(|(wanted, ..)| Some(*wanted) == largest);
    match (largest.next(), largest.next()) {
        (Some((_, recipe, params, report)), None) => Ok((recipe, params, report)),
        (Some((_, a, ..)), Some((_, b, ..))) => Err(TransferError::usage(
            format!("the checkpoint fits `{}` and `{}`", a.name, b.name),
            "name one with --recipe",
        )),
        (None, _) => {
            let texts = backbones::texts().iter().map(|entry| (entry.recipe)());
            let mut texts = texts.filter(|recipe| load::load(recipe, params.clone()).is_ok());
            if let Some(text) = texts.next() {
                return Err(no_folder(text.name));
            }
            let names: Vec<_> = backbones::pictures().iter().map(|entry| entry.name).collect();
            Err(TransferError::usage(
                format!("the checkpoint fits no recipe; there are {}", names.join(", ")),
                "--recipe NAME says what is missing",
            ))
        }
    }
}
