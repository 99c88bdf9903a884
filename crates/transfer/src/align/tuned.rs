//! From a network to one that is aligned with unlabelled samples.

use std::collections::BTreeMap;

use offshoot_data::{Dataset, Sample};
use offshoot_nn::Params;
use offshoot_stats::heads::{Head, Linear};
use serde::{Deserialize, Serialize};

use super::Spec;
use crate::cache::Cache;
use crate::extract::{Extraction, extract};
use crate::fit::{self, Alignment, Job, Sizes};
use crate::monitor::Record;
use crate::plan::{Method, TrainPlan};
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};

/// What tunes a network where the plan names no method that does.
const USUAL: &str = "lp-ft";

/// What alignment begins with. Samples of the validation and the test split never train.
pub struct Start<'a> {
    /// Where checkpoints and `metrics.jsonl` go.
    pub folder: &'a RunFolder,
    /// How it is tuned: method and settings of fine-tuning.
    pub plan: &'a TrainPlan,
    /// Labelled samples of the source.
    pub prepared: &'a Prepared,
    /// Samples of the target; nobody looks at their labels.
    pub target: &'a [Sample],
    /// The network.
    pub source: &'a Source,
    /// Where activations are kept.
    pub cache: &'a Cache,
    /// Features of the labelled samples.
    pub of_source: &'a Extraction,
    /// Features of the target's.
    pub of_target: &'a Extraction,
    /// Fitted on the features of the training split.
    pub head: &'a Linear,
    /// Time that this may take.
    pub seconds: Option<f64>,
}

/// A state of the network that may be shipped.
pub struct State {
    /// The whole network, as [`crate::source::tuned`] takes it.
    pub params: Params,
    /// The head on its features.
    pub head: Linear,
    /// Updates before it.
    pub updates: u64,
    /// What the terms came to in the last epoch, and whatever else is worth telling.
    pub facts: BTreeMap<String, f64>,
    /// How it came about, epoch by epoch.
    pub course: Vec<Moment>,
}

/// A moment of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Updates before it.
    pub step: u64,
    /// By name: `loss`, `source_accuracy` on validation, and each term of alignment.
    pub values: BTreeMap<String, f64>,
}

/// Tunes a network with terms of alignment, such as `dann` or `cdan,bsp`: each update sees as many samples of
/// the target as of the source. The state after the last update is kept, whatever validation on the source says.
///
/// # Errors
/// Wrong usage for an unknown term; as [`crate::train()`] for everything else.
pub fn tune(terms: &str, start: &Start<'_>, watch: &mut Watch<'_>) -> Result<Vec<State>> {
    let terms: Spec = terms.parse()?;
    let mut plan = start.plan.clone();
    if plan.method == Method::PROBE {
        plan.method = Method::find(USUAL)?;
    }
    plan.finetune.time = start.seconds.map(|seconds| fit::time_until(watch.spent() + seconds));
    let (prepared, target) = start.joined();
    let samples = &prepared.dataset.samples;
    // All rows are in the cache, unless there is none.
    let extraction =
        extract(samples, start.source, start.cache, plan.batch, Phase::Extract, watch)?;
    let readable = |&place: &usize| extraction.keys[place].is_some();
    let target: Vec<usize> = target.filter(readable).collect();
    if target.is_empty() {
        return Err(TransferError::BadData("no sample of the target can be read".into()));
    }
    let probe = Head::Linear(start.head.clone());
    let job = Job {
        folder: start.folder,
        plan: &plan,
        prepared: &prepared,
        source: start.source,
        cache: start.cache,
        extraction: &extraction,
        probe: &probe,
        refitted: &probe,
        sizes: Sizes::of(&prepared),
        after: 0.0,
        fitting: 0.0,
        told: &[],
        teacher: None,
        alignment: Some(Alignment { terms: &terms, target: &target }),
    };
    let Some(tuned) = fit::tune(&job, watch)? else { return Ok(Vec::new()) };
    let course = course(&tuned.history.records);
    let of_terms = |name: &String| name != "loss" && name != "source_accuracy";
    let last = course.last().map(|moment| moment.values.clone()).unwrap_or_default();
    let facts = last.into_iter().filter(|(name, _)| of_terms(name)).collect();
    fit::Checkpoint::clear(start.folder.path());
    if tuned.updates == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![State {
        params: tuned.params,
        head: tuned.head,
        updates: tuned.updates,
        facts,
        course,
    }])
}

impl Start<'_> {
    /// Both domains' samples as one list, and the places of the target's: without label and split.
    fn joined(&self) -> (Prepared, std::ops::Range<usize>) {
        let Dataset { name, classes, samples, .. } = &self.prepared.dataset;
        let without = |sample: &Sample| Sample { label: None, split: None, ..sample.clone() };
        let all: Vec<Sample> =
            samples.iter().cloned().chain(self.target.iter().map(without)).collect();
        let target = samples.len()..all.len();
        let (name, classes) = (name.clone(), classes.clone());
        let dataset = Dataset { name, classes, samples: all, notes: Vec::new() };
        (Prepared { dataset, problems: Vec::new() }, target)
    }
}

/// Every epoch with the means of the terms over its updates.
fn course(records: &[Record]) -> Vec<Moment> {
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut moments = Vec::new();
    for record in records {
        match record {
            Record::Step { terms, .. } => {
                for (name, value) in terms {
                    let sum = sums.entry(name.clone()).or_default();
                    *sum = (sum.0 + value, sum.1 + 1.0);
                }
            }
            Record::Epoch { step, train_loss, val_metric, metric, .. } => {
                let terms = std::mem::take(&mut sums).into_iter();
                let mut values: BTreeMap<String, f64> =
                    terms.map(|(name, (sum, n))| (name, sum / n)).collect();
                values.insert("loss".into(), *train_loss);
                if let (Some(value), "accuracy") = (val_metric, metric.as_str()) {
                    values.insert("source_accuracy".into(), *value);
                }
                moments.push(Moment { step: *step, values });
            }
            _ => {}
        }
    }
    moments
}
