//! One cell: an ordinary training on some of the labels, judged on the test split that all cells share.

use std::path::Path;
use std::time::Instant;

use offshoot_data::{Sample, Split};
use offshoot_stats::heads::Head;
use serde::{Deserialize, Serialize};

use super::labels::{Drawn, Ladder, Level};
use super::plan::{PIXELS, SCRATCH, TransferReportPlan};
use crate::cache::Cache;
use crate::digest::Sha;
use crate::extract::{Extraction, extract};
use crate::fit::{self, Job, Sizes};
use crate::monitor::{History, Record};
use crate::plan::{Method, TrainPlan};
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::source::{self, Source};
use crate::train::evaluate::SealedTest;
use crate::train::probe::Probe;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, durable, precision};

/// Data to transfer to, with the labels that cells learn from.
pub struct Target {
    /// As the user named it.
    pub path: std::path::PathBuf,
    /// Samples, labels, splits.
    pub prepared: Prepared,
    /// How many labels cells learn from.
    pub ladder: Ladder,
    /// sha256 of each sample's content.
    pub keys: Vec<Option<Sha>>,
}

/// A source whose features of a target are in the cache.
pub struct Opened {
    /// The source.
    pub source: Source,
    /// Its features.
    pub extraction: Extraction,
    /// Seconds that the features of one sample take.
    pub pace: f64,
}

/// Which cell. Cells are done in this order: the cheapest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Whether a network is trained, and how many labels it learns from; without, the number is 0.
    pub weight: usize,
    /// Number of the level in its target's ladder.
    pub level: usize,
    /// Which repetition, from 0.
    pub seed: u64,
    /// Number of the target.
    pub target: usize,
    /// Number of the model; the first where it does not matter.
    pub model: usize,
    /// Number of the method.
    pub method: usize,
}

/// A point on the way of a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CoursePoint {
    /// Epochs so far; 0 before the network learns.
    pub epoch: u32,
    /// Seconds so far: features, head and epochs.
    pub seconds: f64,
    /// Accuracy on validation.
    pub accuracy: f64,
}

/// What a cell came to. Written once, when it is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Everything that decides it: a cell of another plan or of other data is done again.
    pub fingerprint: String,
    /// Samples to learn from, and to choose by.
    pub train: usize,
    /// As above.
    pub val: usize,
    /// One character a test sample: `1` where the answer was right.
    pub right: String,
    /// On validation, before it joined training; absent without validation.
    pub val_accuracy: Option<f64>,
    /// Whether validation preferred the probe to the tuned network.
    pub kept_probe: bool,
    /// Passes over the training samples.
    pub epochs: u64,
    /// Wall time of the cell.
    pub seconds: f64,
    /// How validation went.
    pub course: Vec<CoursePoint>,
}

impl Outcome {
    /// Whether each answer was right.
    pub fn answers(&self) -> Vec<bool> {
        self.right.bytes().map(|b| b == b'1').collect()
    }

    /// Reads what an earlier process left; `None` where that is not this cell.
    pub fn read(path: &Path, fingerprint: &str) -> Option<Self> {
        let found: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (found.fingerprint == fingerprint).then_some(found)
    }
}

/// Everything that decides the outcome of a cell, in one line of hex.
pub fn fingerprint(
    plan: &TransferReportPlan,
    target: &Target,
    source: &Source,
    level: &Level,
    (method, seed): (&str, u64),
) -> Result<String> {
    let training = TrainPlan { data: "".into(), model: String::new(), ..plan.essence().training };
    let text = toml::to_string(&training)
        .map_err(|e| TransferError::Internal(format!("plan.toml: {e}")))?;
    let mut samples = String::new();
    for (sample, key) in target.prepared.dataset.samples.iter().zip(&target.keys) {
        let key = key.map(|key| key.to_string()).unwrap_or_default();
        samples.push_str(&format!("{key} {:?} {:?}\n", sample.label, sample.split));
    }
    let parts = [
        env!("CARGO_PKG_VERSION"),
        &text,
        &samples,
        &source.scope.sha().to_string(),
        &source.facts.precision,
        method,
        &seed.to_string(),
        &level.labels.to_string(),
    ];
    Ok(Sha::of_texts(&parts).to_string())
}

/// Trains and judges. `work` holds checkpoints on the way; a stopped cell goes on from them.
pub fn run(
    plan: &TrainPlan,
    method: &str,
    target: &Target,
    opened: &Opened,
    level: &Level,
    (cache, work): (&Cache, &RunFolder),
    watch: &mut Watch<'_>,
) -> Result<Outcome> {
    let begun = Instant::now();
    let drawn = target.ladder.draw(&target.prepared, &target.keys, level, (plan.seed, plan.val))?;
    let Drawn { prepared, places } = &drawn;
    let Opened { source, extraction, pace } = opened;
    let samples = &prepared.dataset.samples;
    let extraction = match extraction.part(source, cache, places)? {
        Some(part) => part,
        None => extract(samples, source, cache, plan.batch, Phase::Extract, watch)?,
    };
    let mut probe = Probe::fit(plan, prepared, &extraction, None, watch)?;
    let [train, val] = [Split::Train, Split::Val].map(|split| prepared.of(split));
    let probe_val = accuracy_of(&probe.on_train, prepared, &extraction, &val)?;
    let seconds = pace * (train.len() + val.len()) as f64 + probe.seconds;
    let at_probe = probe_val.map(|accuracy| CoursePoint { epoch: 0, seconds, accuracy });
    let mut outcome = Outcome {
        fingerprint: String::new(),
        train: train.len(),
        val: val.len(),
        right: String::new(),
        val_accuracy: probe_val,
        kept_probe: false,
        epochs: 0,
        seconds: 0.0,
        course: at_probe.into_iter().collect(),
    };
    let tuned = match method == PIXELS || plan.method == Method::PROBE {
        true => None,
        false => {
            let job = Job {
                folder: work,
                plan,
                prepared,
                source,
                cache,
                extraction: &extraction,
                probe: &probe.on_train,
                refitted: &probe.trained.head,
                sizes: Sizes::of(prepared),
                after: 0.0,
                fitting: probe.seconds,
                told: &[],
                teacher: None,
                alignment: None,
            };
            fit::tune(&job, watch)?
        }
    };
    let Some(tuned) = tuned else {
        let evaluated = probe.evaluate(plan, prepared, &extraction, watch)?;
        outcome.right = right(&evaluated.probabilities, &evaluated.labels);
        outcome.seconds = begun.elapsed().as_secs_f64();
        return Ok(outcome);
    };
    // What begins with a random head has nothing to say before its first epoch.
    let before = match method {
        SCRATCH | "full" => None,
        _ => outcome.course.pop(),
    };
    (outcome.course, outcome.val_accuracy) = course(&tuned.history, before);
    outcome.epochs = tuned.epochs;
    if !tuned.helped {
        outcome.kept_probe = true;
        outcome.val_accuracy = probe_val;
        let evaluated = probe.evaluate(plan, prepared, &extraction, watch)?;
        outcome.right = right(&evaluated.probabilities, &evaluated.labels);
        outcome.seconds = begun.elapsed().as_secs_f64();
        return Ok(outcome);
    }
    let mut source = source::tuned(source, tuned.params)?;
    precision::settle(&mut source, plan.precision, samples, watch)?;
    // Nobody else will ask for the features of these weights. Only now that everything has been chosen are
    // there any of the test split.
    let own = Cache::temporary()?;
    let test = SealedTest::new(prepared.of(Split::Test)).open();
    let judged: Vec<Sample> = test.iter().map(|&i| samples[i].clone()).collect();
    let features = extract(&judged, &source, &own, plan.batch, Phase::Evaluate, watch)?;
    let readable = features.readable();
    if readable.len() != test.len() {
        return Err(TransferError::BadData("files changed while the run worked on them".into()));
    }
    let labels: Vec<u32> = judged.iter().filter_map(|sample| sample.label).collect();
    let rows = features.gather(&readable)?;
    outcome.right = right(&Head::Linear(tuned.head).predict(rows.rows())?, &labels);
    outcome.seconds = begun.elapsed().as_secs_f64();
    Ok(outcome)
}

fn right(probabilities: &offshoot_stats::Probabilities, labels: &[u32]) -> String {
    let one = |(row, &label): (usize, &u32)| match probabilities.predicted(row) == label {
        true => '1',
        false => '0',
    };
    labels.iter().enumerate().map(one).collect()
}

fn accuracy_of(
    head: &Head,
    prepared: &Prepared,
    extraction: &Extraction,
    samples: &[usize],
) -> Result<Option<f64>> {
    if samples.is_empty() {
        return Ok(None);
    }
    let labels: Vec<u32> =
        samples.iter().filter_map(|&i| prepared.dataset.samples[i].label).collect();
    let rows = extraction.gather(samples)?;
    let answers = right(&head.predict(rows.rows())?, &labels);
    let n = answers.bytes().filter(|b| *b == b'1').count();
    Ok(Some(n as f64 / labels.len() as f64))
}

/// Validation over the epochs of the first course, and what was best of it. What is trained once more on
/// validation, too, has none.
fn course(history: &History, before: Option<CoursePoint>) -> (Vec<CoursePoint>, Option<f64>) {
    let mut seconds = before.map_or(0.0, |point| point.seconds);
    let mut points: Vec<CoursePoint> = before.into_iter().collect();
    let mut best = None;
    for record in &history.records {
        match record {
            Record::Epoch { epoch, seconds: took, val_metric, .. } => {
                seconds += took;
                if let Some(accuracy) = *val_metric {
                    points.push(CoursePoint { epoch: *epoch, seconds, accuracy });
                }
            }
            Record::Stopped { best_metric, .. } => {
                best = *best_metric;
                break;
            }
            Record::Refit { .. } => break,
            Record::Phase { .. } | Record::Step { .. } | Record::LrFinder { .. } => {}
        }
    }
    (points, best)
}

/// Removes what only an unfinished cell needs.
pub fn clear(work: &RunFolder) -> Result<()> {
    match work.path().is_dir() {
        true => durable::remove_dir(work.path()),
        false => Ok(()),
    }
}
