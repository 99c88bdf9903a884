//! From a path to samples with labels and splits, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::Path;

use offshoot_data::{Dataset, Split};

use crate::documents::DataProblem;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, check, demo};

/// Reads the data that a user named: a path, or embedded data.
pub fn open(path: &Path) -> Result<Dataset> {
    match path.to_str().and_then(|p| p.strip_prefix(demo::PREFIX)) {
        Some(vendor) => demo::emoji(vendor),
        None => Ok(offshoot_data::open(path, &Default::default())?),
    }
}

/// The data of a run: labelled samples, each in one split.
pub struct Prepared {
    /// Every sample has a label and a split.
    pub dataset: Dataset,
    /// What the doctor found.
    pub problems: Vec<DataProblem>,
}

impl Prepared {
    /// Indices of the samples of one split.
    pub fn of(&self, split: Split) -> Vec<usize> {
        let samples = self.dataset.samples.iter().enumerate();
        samples.filter(|(_, s)| s.split == Some(split)).map(|(i, _)| i).collect()
    }
}

/// `train`, `val`, `test`.
pub fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Val => "val",
        Split::Test => "test",
    }
}

/// Number of samples a split.
pub fn split_counts(dataset: &Dataset) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for split in dataset.samples.iter().filter_map(|s| s.split) {
        *counts.entry(split_name(split).to_string()).or_insert(0) += 1;
    }
    counts
}

/// Refuses data that no classifier can be trained on.
pub fn refuse_unusable(dataset: &Dataset) -> Result<()> {
    let in_train = |s: &&offshoot_data::Sample| s.split == Some(Split::Train);
    let mut seen: Vec<u32> =
        dataset.samples.iter().filter(in_train).filter_map(|s| s.label).collect();
    seen.sort_unstable();
    seen.dedup();
    match seen.as_slice() {
        [] => {
            Err(TransferError::BadData(format!("{}: no labelled training samples", dataset.name)))
        }
        [one] => Err(TransferError::BadData(format!(
            "{}: only one class (`{}`) has training samples; a classifier needs two",
            dataset.name,
            dataset.classes.get(*one as usize).map_or("?", String::as_str)
        ))),
        _ => Ok(()),
    }
}

/// Reads, checks and splits the data of a run.
pub fn prepare(
    path: &Path,
    seed: u64,
    val: f64,
    test: f64,
    watch: &mut Watch<'_>,
) -> Result<Prepared> {
    let mut dataset = watch.phase(Phase::Read, None, |_| open(path))?;
    let total = dataset.samples.len();
    let findings = watch.phase(Phase::Check, Some(total), |watch| {
        let findings = check::examine(&dataset, true, watch)?;
        for problem in &findings.problems {
            watch.log_line(&format!("{}: {}: {}", problem.kind, problem.path, problem.detail));
        }
        Ok(findings)
    })?;
    findings.refuse_if_too_many_unreadable(total)?;
    let check::Findings { problems, duplicates, .. } = findings;
    check::assign_splits(&mut dataset, duplicates, seed, val, test, watch)?;
    dataset.samples.retain(|s| s.label.is_some());
    let unlabelled = total - dataset.samples.len();
    if unlabelled > 0 {
        watch.warn(format!("{unlabelled} samples without a label are left out"))?;
    }
    refuse_unusable(&dataset)?;
    Ok(Prepared { dataset, problems })
}
