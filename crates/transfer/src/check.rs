//! `check`: the data doctor, and what a run asks of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use offshoot_data::{CheckOptions, Dataset, Sample, Severity, SplitSpec};
use rayon::prelude::*;

use crate::documents::{CheckReport, DataProblem, SCHEMA};
use crate::extract::ALLOWED_PERCENT;
use crate::inputs::{Inputs, Ready};
use crate::plan::{CheckPlan, TrainPlan};
use crate::prepare::{USUAL_VAL, refuse_unusable, split_counts};
use crate::source::Source;
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError};

/// How often progress is reported while pictures are looked at.
const TICK: Duration = Duration::from_millis(100);

/// What the doctor found, in the words of documents.
pub struct Findings {
    /// Worst first.
    pub problems: Vec<DataProblem>,
    /// Sets of samples that show the same picture; they must not straddle two splits.
    pub duplicates: Vec<Vec<usize>>,
    unreadable: usize,
}

/// Looks at every sample.
pub fn examine(
    dataset: &Dataset,
    near_duplicates: bool,
    watch: &mut Watch<'_>,
) -> Result<Findings> {
    let options = CheckOptions { near_duplicates, ..CheckOptions::default() };
    let done = AtomicUsize::new(0);
    let total = dataset.samples.len();
    let report = std::thread::scope(|threads| {
        let work = threads.spawn(|| {
            let progress = |_: usize, _: usize| {
                done.fetch_add(1, Ordering::Relaxed);
            };
            offshoot_data::check(dataset, &options, &progress)
        });
        // The doctor works on the pool's threads; the observer belongs to this one.
        while !work.is_finished() {
            watch.progress(Phase::Check, done.load(Ordering::Relaxed).min(total), total, 0)?;
            std::thread::park_timeout(TICK);
        }
        work.join().map_err(|_| TransferError::Internal("the data doctor panicked".into()))
    })?;
    // A vector with NaN takes no part in a run, as a picture that cannot be decoded.
    let not_finite = report.problems.iter().filter(|p| p.kind == "not-finite").count();
    let problems = report.problems.into_iter().map(|p| DataProblem {
        path: p.path,
        kind: p.kind,
        severity: match p.severity {
            Severity::Error => "error".into(),
            Severity::Warning => "warning".into(),
            Severity::Note => "note".into(),
        },
        detail: p.detail,
    });
    Ok(Findings {
        problems: problems.collect(),
        duplicates: report.duplicates,
        unreadable: report.unreadable.len() + not_finite,
    })
}

impl Findings {
    /// Refuses data of which too much cannot be read.
    pub fn refuse_if_too_many_unreadable(&self, total: usize) -> Result<()> {
        if self.unreadable * 100 <= total * ALLOWED_PERCENT {
            return Ok(());
        }
        let first = self.problems.iter().find(|p| p.severity == "error");
        Err(TransferError::TooManyUnreadable {
            bad: self.unreadable,
            total,
            allowed_percent: ALLOWED_PERCENT as u32,
            first: first.map(|p| format!("{}: {}", p.path, p.detail)).unwrap_or_default(),
        })
    }
}

/// Gives every sample a split; duplicates stay together.
pub fn assign_splits(
    dataset: &mut Dataset,
    duplicates: Vec<Vec<usize>>,
    seed: u64,
    val: f64,
    test: f64,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let named = dataset.samples.iter().any(|s| s.split == Some(offshoot_data::Split::Test));
    offshoot_data::split(dataset, &SplitSpec { val, test, seed, together: duplicates })?;
    if !named {
        watch.note("no test split is named: one was made, see data/manifest.csv")?;
    }
    Ok(())
}

/// What `train` asks of data before it computes anything.
fn refusal(dataset: &Dataset, findings: &Findings) -> Result<()> {
    findings.refuse_if_too_many_unreadable(dataset.samples.len())?;
    let usual = TrainPlan::default();
    let mut trainable = dataset.clone();
    let together = findings.duplicates.clone();
    let spec = SplitSpec { val: USUAL_VAL, test: usual.test, seed: usual.seed, together };
    offshoot_data::split(&mut trainable, &spec)?;
    trainable.samples.retain(|s| s.label.is_some());
    refuse_unusable(&trainable)
}

/// The doctor's word for texts of which a source reads only the beginning.
const LONG: &str = "long-texts";

/// How many texts are longer than the source reads, by its own tokenizer, and how much of them it
/// leaves out; `None` where none is.
fn too_long(dataset: &Dataset, source: &Source) -> Option<DataProblem> {
    let Inputs::Texts(texts) = &source.inputs else { return None };
    let length = |sample: &Sample| match source.inputs.prepare(&sample.input) {
        Ok(Ready::Tokens(tokens)) => Some((tokens.ids.len(), tokens.left)),
        _ => None,
    };
    let found: Vec<(usize, usize)> = dataset.samples.par_iter().filter_map(length).collect();
    let mut lengths: Vec<usize> = found.iter().map(|(read, left)| read + left).collect();
    lengths.sort_unstable();
    let longer = found.iter().filter(|(_, left)| *left > 0).count();
    let longest = *lengths.last().filter(|_| longer > 0)?;
    let left: usize = found.iter().map(|(_, left)| left).sum();
    let all: usize = lengths.iter().sum();
    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    Some(DataProblem {
        path: String::new(),
        kind: LONG.into(),
        severity: "note".into(),
        detail: format!(
            "{longer} of {} texts ({:.1} %) have more than the {} tokens that `{}` reads; {:.1} % of \
             all tokens are not read; the median is {} tokens, the longest text has about {longest}",
            found.len(),
            share(longer, found.len()),
            texts.tokenizer().limit(),
            source.name,
            share(left, all),
            lengths[lengths.len() / 2],
        ),
    })
}

/// The data doctor: every fault of the data, named by file. Faults are no error: the document says
/// in `refused` whether `train` would refuse the data.
pub fn check(plan: &CheckPlan, observer: &mut dyn Observer) -> Result<CheckReport> {
    let mut watch = Watch::new(observer);
    let dataset = watch
        .phase(Phase::Read, None, |watch| crate::prepare::open(&plan.data, &plan.columns, watch))?;
    let total = dataset.samples.len();
    let findings = watch
        .phase(Phase::Check, Some(total), |watch| examine(&dataset, plan.near_duplicates, watch))?;
    let mut problems = findings.problems.clone();
    if let Some(model) = &plan.model {
        let source = crate::source::open(model, 0)?;
        source.inputs.refuse_others(&source.name, &dataset.samples)?;
        problems.retain(|p| p.kind != LONG);
        problems.extend(too_long(&dataset, &source));
    }
    let mut classes: BTreeMap<String, usize> =
        dataset.classes.iter().map(|name| (name.clone(), 0)).collect();
    for sample in &dataset.samples {
        let name = sample.label.and_then(|l| dataset.classes.get(l as usize));
        if let Some(count) = name.and_then(|name| classes.get_mut(name)) {
            *count += 1;
        }
    }
    let splits = split_counts(&dataset);
    let reason = refusal(&dataset, &findings).err().map(|error| error.to_string());
    Ok(CheckReport {
        schema: SCHEMA,
        command: "check".into(),
        run: None,
        seconds: watch.seconds(),
        data: dataset.name,
        samples: total,
        classes,
        splits,
        problems,
        refused: reason.is_some(),
        reason,
    })
}
