//! From a path to samples with labels and splits, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use offshoot_data::{ColumnNames, Dataset, Input, ReadOptions, Sample, Split, Text};

use crate::documents::DataProblem;
use crate::plan::{Method, TrainPlan};
use crate::report::words::counted;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, check, demo};

/// Reads the data that a user named: a path, or embedded data. What the reader chose is told.
pub fn open(path: &Path, columns: &ColumnNames, watch: &mut Watch<'_>) -> Result<Dataset> {
    let dataset = match path.to_str().and_then(|p| p.strip_prefix(demo::PREFIX)) {
        Some(vendor) => demo::emoji(vendor)?,
        None => {
            let columns = columns.clone();
            offshoot_data::open(path, &ReadOptions { columns, ..ReadOptions::default() })?
        }
    };
    for note in &dataset.notes {
        watch.chose(note)?;
    }
    Ok(dataset)
}

/// The same where no labels are needed: also a `.txt` file with one text a line.
pub fn open_unlabelled(
    path: &Path,
    columns: &ColumnNames,
    watch: &mut Watch<'_>,
) -> Result<Dataset> {
    let Some(lines) = lines(path)? else { return open(path, columns, watch) };
    let sample = |(i, line): (usize, String)| Sample {
        id: format!("{}:{}", path.display(), i + 1),
        input: Input::Text(Text::from(line.as_str())),
        label: None,
        split: None,
        domain: None,
        group: None,
    };
    Ok(Dataset {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        classes: Vec::new(),
        samples: lines.into_iter().enumerate().map(sample).collect(),
        notes: Vec::new(),
    })
}

/// The texts of a file with one a line, where `path` is such a file.
///
/// # Errors
/// Where it cannot be read or is not UTF-8.
fn lines(path: &Path) -> Result<Option<Vec<String>>> {
    if path.extension().is_none_or(|extension| extension != "txt") || !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| TransferError::io(path, e))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        TransferError::BadData(format!("{}: not UTF-8, one text a line", path.display()))
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Some(lines.map(str::to_owned).collect()))
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
    let in_train = |s: &&Sample| s.split == Some(Split::Train);
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
        _ if !dataset.samples.iter().any(|s| s.split == Some(Split::Test)) => {
            Err(TransferError::BadData(format!(
                "{}: no sample is left for the test split; add samples that differ, or raise `--test`",
                dataset.name
            )))
        }
        _ => Ok(()),
    }
}

/// A warning names no more classes than these.
const NAMED: usize = 10;

/// Classes that no test sample is of.
fn unjudged(dataset: &Dataset) -> Vec<&str> {
    let test = dataset.samples.iter().filter(|s| s.split == Some(Split::Test));
    let tested: BTreeSet<usize> = test.filter_map(|s| Some(s.label? as usize)).collect();
    let classes = dataset.classes.iter().enumerate();
    classes.filter(|(i, _)| !tested.contains(i)).map(|(_, name)| name.as_str()).collect()
}

/// Share of the training part that goes to validation where nobody says otherwise.
pub const USUAL_VAL: f64 = 0.1;
/// Validation samples a class that tuning should have: what is chosen on fewer is chosen by chance.
const VAL_EACH: usize = 10;
/// They may take no more than this share of what is left to train on. What they take is given back: with few
/// samples, the network is trained once more on both.
const VAL_MOST: f64 = 0.5;

/// The share of the training part that goes to validation where a network is tuned: more of few samples.
pub fn tuning_val(dataset: &Dataset, test: f64) -> f64 {
    let labelled = || dataset.samples.iter().filter(|s| s.label.is_some());
    let named = labelled().any(|s| s.split == Some(Split::Test));
    let train = labelled().filter(|s| s.split.is_none_or(|split| split == Split::Train)).count();
    let left = if named { train as f64 } else { (1.0 - test) * train as f64 };
    let wanted = (VAL_EACH * dataset.classes.len()) as f64 / left.max(1.0);
    wanted.clamp(USUAL_VAL, VAL_MOST)
}

/// Reads, checks and splits the data of a run.
pub fn prepare(plan: &TrainPlan, watch: &mut Watch<'_>) -> Result<Prepared> {
    let TrainPlan { data, columns, .. } = plan;
    let dataset = watch.phase(Phase::Read, None, |watch| open(data, columns, watch))?;
    prepare_read(plan, dataset, watch)
}

/// Lets the doctor look at every sample; refuses data of which too much cannot be read.
pub fn doctor(dataset: &Dataset, watch: &mut Watch<'_>) -> Result<check::Findings> {
    let total = dataset.samples.len();
    let findings = watch.phase(Phase::Check, Some(total), |watch| {
        let findings = check::examine(dataset, true, watch)?;
        for problem in &findings.problems {
            watch.log_line(&format!("{}: {}: {}", problem.kind, problem.path, problem.detail));
        }
        Ok(findings)
    })?;
    findings.refuse_if_too_many_unreadable(total)?;
    Ok(findings)
}

/// Checks and splits data that was read already.
pub fn prepare_read(
    plan: &TrainPlan,
    mut dataset: Dataset,
    watch: &mut Watch<'_>,
) -> Result<Prepared> {
    let TrainPlan { seed, val, test, .. } = plan;
    let total = dataset.samples.len();
    let check::Findings { problems, duplicates, .. } = doctor(&dataset, watch)?;
    let val = match (val, plan.method == Method::PROBE) {
        (Some(val), _) => *val,
        (None, true) => USUAL_VAL,
        (None, false) => tuning_val(&dataset, *test),
    };
    check::assign_splits(&mut dataset, duplicates, *seed, val, *test, watch)?;
    dataset.samples.retain(|s| s.label.is_some());
    let unlabelled = total - dataset.samples.len();
    if unlabelled > 0 {
        watch.warn(format!("{unlabelled} samples without a label are left out"))?;
    }
    refuse_unusable(&dataset)?;
    let leaks = problems.iter().filter(|p| p.kind == "leak").count();
    if leaks > 0 {
        let samples = counted(leaks, "sample is", "samples are");
        watch.warn(format!("{samples} in two splits, so that the figures flatter"))?;
    }
    let conflicting = problems.iter().filter(|p| p.kind == "conflicting-labels").count();
    if conflicting > 0 {
        let samples = counted(conflicting, "sample equals", "samples equal");
        watch.warn(format!(
            "{samples} another one with a different label; `offshoot check` names them"
        ))?;
    }
    let unjudged = unjudged(&dataset);
    if !unjudged.is_empty() {
        let named = unjudged[..unjudged.len().min(NAMED)].join("`, `");
        let names = match unjudged.len().saturating_sub(NAMED) {
            0 => format!("`{named}`"),
            more => format!("`{named}` and {more} other classes"),
        };
        watch.warn(format!("no test sample is of {names}: the figures say nothing about that"))?;
    }
    Ok(Prepared { dataset, problems })
}
