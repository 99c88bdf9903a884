//! Who competes: the models of the store, their layers or sizes, and what they are compared with.

use offshoot_data::{Input, Sample};
use offshoot_nn::Params;

use super::RankPlan;
use crate::encoder::EncoderFacts;
use crate::extract::vector_length;
use crate::source::{self, Source};
use crate::store::Store;
use crate::{Result, TransferError, layers};

/// One source that is to be ranked, not yet opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrant {
    /// As `--model` takes it.
    pub model: String,
    /// Of pictures, where it is not the usual one.
    pub size: Option<usize>,
    /// Only there to compare with.
    pub reference: bool,
    /// The untrained network of `model` is meant.
    pub untrained: bool,
}

impl Entrant {
    fn new(model: &str) -> Self {
        Self { model: model.into(), size: None, reference: false, untrained: false }
    }
}

/// Everyone who was asked for, or the whole store with the embedded source; references last.
pub fn entrants(plan: &RankPlan, samples: &[Sample]) -> Result<Vec<Entrant>> {
    if vector_length(samples)?.is_some() {
        return Err(TransferError::usage(
            "the data holds feature vectors already: there are no sources to choose from",
            "`offshoot rank` takes pictures or texts",
        ));
    }
    let texts =
        matches!(samples.first().map(|s| &s.input), Some(Input::Text(_) | Input::TextFile(_)));
    let named: Vec<String> = match plan.models.as_slice() {
        [] => {
            let listing = Store::of_user()?.list()?;
            let stored = listing.entries.into_iter().map(|entry| entry.name);
            let damaged = listing.damaged.into_iter().map(|(name, _)| name);
            let embedded = Some(source::DEFAULT.to_owned()).filter(|_| !texts);
            let mut names: Vec<String> =
                embedded.into_iter().chain(stored).chain(damaged).collect();
            names.sort();
            names.dedup();
            names
        }
        names => names.to_vec(),
    };
    if named.is_empty() {
        return Err(TransferError::usage(
            "there is no text encoder to rank",
            "`offshoot models pull all-minilm-l6-v2` brings one; --models takes folders, too",
        ));
    }
    let mut entrants: Vec<Entrant> = Vec::new();
    for model in &named {
        if !texts && !plan.sizes.is_empty() && model != source::PIXELS {
            let sized =
                plan.sizes.iter().map(|&size| Entrant { size: Some(size), ..Entrant::new(model) });
            entrants.extend(sized);
        } else {
            entrants.push(Entrant::new(model));
        }
    }
    if plan.references {
        if !texts && !named.iter().any(|name| name == source::PIXELS) {
            entrants.push(Entrant { reference: true, ..Entrant::new(source::PIXELS) });
        }
        if !named.iter().any(|name| name.starts_with("random:")) {
            // Of a network that is sure to read this data, where there is one.
            let embedded = (!texts).then(|| source::DEFAULT.to_owned());
            if let Some(model) = embedded.or_else(|| named.first().cloned()) {
                entrants.push(Entrant { reference: true, untrained: true, ..Entrant::new(&model) });
            }
        }
    }
    Ok(entrants)
}

/// Opens an entrant.
pub fn open(entrant: &Entrant, plan: &RankPlan) -> Result<Source> {
    let source = source::open_at(&entrant.model, entrant.size, plan.seed)?;
    if entrant.untrained { source::untrained(&source, plan.seed) } else { Ok(source) }
}

/// Layers and poolings of a text encoder that are ranked one by one; empty where its features are ranked as they
/// are.
pub fn shapes(entrant: &Entrant, source: &Source, plan: &RankPlan) -> Result<Vec<EncoderFacts>> {
    match &source.facts.encoder {
        Some(facts) if plan.layers && !entrant.reference && layers::has_layers(facts) => {
            layers::shapes(source)
        }
        _ => Ok(Vec::new()),
    }
}

/// Numbers in the weights of a source that was trained on something.
pub fn weights(source: &Source, reference: bool) -> usize {
    let count = |params: &Params| params.values().map(|array| array.data.len()).sum();
    if reference { 0 } else { source.network.as_ref().map_or(0, |(_, params)| count(params)) }
}
