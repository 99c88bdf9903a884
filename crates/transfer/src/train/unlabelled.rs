//! Samples without labels that training may use: whatever else they are, what judges is not among them.

use std::collections::BTreeSet;
use std::path::Path;

use offshoot_data::{Input, Sample, Split};

use crate::Result;
use crate::digest::Sha;
use crate::plan::TrainPlan;
use crate::prepare::{self, Prepared};
use crate::report::words;
use crate::source::Source;
use crate::watch::Watch;

/// Reads a data set, or a `.txt` file with one text a line. Labels are forgotten, and what is also in one of the
/// splits `apart` is left out: even without its label, what judges takes no part.
pub fn read(
    path: &Path,
    apart: &[Split],
    plan: &TrainPlan,
    prepared: &Prepared,
    source: &Source,
    watch: &mut Watch<'_>,
) -> Result<Vec<Sample>> {
    let mut samples = prepare::open_unlabelled(path, &plan.columns, watch)?.samples;
    source.inputs.refuse_others(&source.name, &samples)?;
    let content = |input: &Input| source.inputs.read(input).ok().map(|content| content.sha());
    let judges: BTreeSet<Sha> = apart
        .iter()
        .flat_map(|&split| prepared.of(split))
        .filter_map(|i| content(&prepared.dataset.samples[i].input))
        .collect();
    let all = samples.len();
    samples.retain(|sample| content(&sample.input).is_none_or(|sha| !judges.contains(&sha)));
    if samples.len() < all {
        let splits: Vec<&str> = apart.iter().map(|&split| prepare::split_name(split)).collect();
        watch.note(&format!(
            "{} of {} are left out: they are in the {} split, which judges",
            words::count(all - samples.len()),
            path.display(),
            splits.join(" or ")
        ))?;
    }
    for sample in &mut samples {
        (sample.label, sample.split) = (None, None);
    }
    Ok(samples)
}

/// Of what is to be learnt from.
pub fn sha(samples: &[Sample], source: &Source) -> Sha {
    let content = |sample: &Sample| source.inputs.read(&sample.input).ok().map(|read| read.sha().0);
    let parts: Vec<[u8; 32]> = samples.iter().filter_map(content).collect();
    Sha::of(&[parts.as_flattened()])
}
