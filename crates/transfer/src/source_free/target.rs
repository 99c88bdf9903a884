//! Target samples, as a network reads them.

use std::sync::OnceLock;

use offshoot_data::Sample;
use offshoot_data::augment::{Look, Pipeline};
use offshoot_nn::TextBatch;
use rayon::prelude::*;

use crate::fit::net::Brought;
use crate::source::Source;
use crate::{Ready, Result, TransferError};

/// Samples stay in memory when they are ready, while all of them take no more than this.
const HELD_BYTES: usize = 1 << 30;

/// Samples that can be read.
pub struct Target<'a> {
    samples: Vec<&'a Sample>,
    source: &'a Source,
    held: Vec<OnceLock<Ready>>,
}

impl<'a> Target<'a> {
    /// `readable` of `samples`; others have no place here.
    pub fn new(source: &'a Source, samples: &'a [Sample], readable: &[usize]) -> Self {
        let samples: Vec<&Sample> = readable.iter().map(|&i| &samples[i]).collect();
        let held = samples.len() * source.engine.input_bytes() <= HELD_BYTES;
        let held =
            if held { samples.iter().map(|_| OnceLock::new()).collect() } else { Vec::new() };
        Self { samples, source, held }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// A batch of the samples at `places`.
    pub(super) fn batch(&self, places: &[usize]) -> Result<Brought> {
        let ready = |&place: &usize| {
            let Sample { id, input, .. } = self.samples[place];
            self.source.inputs.prepare(input).map_err(|e| {
                TransferError::BadData(format!("{id}: {} (it changed during the run)", e.detail))
            })
        };
        if self.held.is_empty() {
            let all: Vec<Ready> = places.par_iter().map(ready).collect::<Result<_>>()?;
            return joined(all.iter());
        }
        let missing: Vec<usize> =
            places.iter().copied().filter(|&place| self.held[place].get().is_none()).collect();
        let made: Vec<Ready> = missing.par_iter().map(ready).collect::<Result<_>>()?;
        for (&place, ready) in missing.iter().zip(made) {
            let _ = self.held[place].set(ready);
        }
        joined(places.iter().filter_map(|&place| self.held[place].get()))
    }

    /// A batch of the pictures at `places` as `pipeline` changes them. Draws are keyed by seed, sample and view.
    pub(super) fn viewed(
        &self,
        places: &[usize],
        pipeline: &Pipeline,
        seed: u64,
        view: u64,
    ) -> Result<Brought> {
        let pictures = self.source.pictures()?;
        let one = |&place: &usize| {
            let Sample { id, input, .. } = self.samples[place];
            let look = Look { seed, sample: place as u64, view };
            pictures.augmented(input, pipeline, look).map_err(|e| {
                TransferError::BadData(format!("{id}: {} (it changed during the run)", e.detail))
            })
        };
        let all: Vec<Vec<f32>> = places.par_iter().map(one).collect::<Result<_>>()?;
        Ok(Brought::Values(all.concat()))
    }
}

fn joined<'r>(ready: impl Iterator<Item = &'r Ready>) -> Result<Brought> {
    let (mut values, mut texts) = (Vec::new(), TextBatch::new());
    for one in ready {
        match one {
            Ready::Values(one) => values.extend_from_slice(one),
            Ready::Tokens(text) => {
                texts.push_masked(&text.ids, &text.types, &vec![true; text.ids.len()])?;
            }
            Ready::Several(_) => {
                return Err(TransferError::usage(
                    "several sources side by side are no network that could adapt",
                    "methods on features adapt them: `--method coral`",
                ));
            }
        }
    }
    Ok(if texts.is_empty() { Brought::Values(values) } else { Brought::Tokens(texts) })
}
