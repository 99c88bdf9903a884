//! A finished run meets samples of another kind, without its training data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_data::ColumnNames;
use offshoot_stats::heads::Head;
use serde::Serialize;

use super::{Course, Settings, Target, pupil};
use crate::fit::head::LinearHead;
use crate::run::RunFolder;
use crate::train::evaluate::relabel;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError};

/// What to adapt to what.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Folder of a finished run.
    pub run: PathBuf,
    /// Samples; labels, where there are any, only judge.
    pub data: PathBuf,
    /// Columns of a table.
    pub columns: ColumnNames,
    /// A name of [`super::all`].
    pub method: String,
    /// How.
    pub settings: Settings,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamReport {
    /// The method.
    pub method: String,
    /// Samples.
    pub samples: usize,
    /// Accuracy of the run as it was, where labels are known.
    pub before: Option<f64>,
    /// Of the answers that were given while samples came by.
    pub meanwhile: Option<f64>,
    /// Of each state, on all samples one by one; the last one would be used.
    pub after: Vec<f64>,
    /// Figures of each state.
    pub facts: Vec<BTreeMap<String, f64>>,
    /// Whether the network was left as it is, or its gradients were given up.
    pub warnings: Vec<String>,
    /// Wall time.
    pub seconds: f64,
}

/// Adapts a run's network to samples without labels, and judges what came of it where there are labels.
///
/// # Errors
/// A run that cannot be read or has no network or linear head, a method that does not exist, fewer than two samples.
pub fn stream(plan: &StreamPlan, observer: &mut dyn Observer) -> Result<StreamReport> {
    let mut watch = Watch::new(observer);
    let method = super::named(&plan.method)?;
    let (folder, record) = RunFolder::open(&plan.run)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let Head::Linear(head) = &trained.head else {
        return Err(TransferError::usage(
            "the run's head is not linear, so that nothing can be learned through it",
            "train with `--head logistic`",
        ));
    };
    let mut dataset = watch
        .phase(Phase::Read, None, |watch| crate::prepare::open(&plan.data, &plan.columns, watch))?;
    relabel(&mut dataset, &trained.classes)?;
    let labels: Vec<Option<u32>> = dataset.samples.iter_mut().map(|s| s.label.take()).collect();
    let all: Vec<usize> = (0..labels.len()).collect();
    let target = Target::new(&source, &dataset.samples, &all);
    let course = Course { source: &source, head, target: &target, settings: plan.settings };
    let classes = head.bias.len();
    let accuracy = |logits: &[f32]| -> Result<Option<f64>> {
        let answers = pupil::answers(logits, classes)?;
        let known = answers.iter().zip(&labels).filter_map(|(a, label)| Some(*a == (*label)?));
        let right: Vec<bool> = known.collect();
        let hits = right.iter().filter(|right| **right).count();
        Ok((!right.is_empty()).then(|| hits as f64 / right.len() as f64))
    };
    let before = accuracy(&pupil::before(&course)?.logits)?;
    let outcome = watch.phase(Phase::Finetune, None, |watch| method.run(&course, watch))?;
    let mut after = Vec::new();
    for state in &outcome.states {
        let Some((recipe, _)) = &source.network else { continue };
        let head = LinearHead::from_linear(&state.head);
        let answer = pupil::alone(&course, recipe, &state.params, &head)?;
        after.extend(accuracy(&answer.logits)?);
    }
    let meanwhile = match outcome.stream.is_empty() {
        true => None,
        false => accuracy(&outcome.stream)?,
    };
    Ok(StreamReport {
        method: plan.method.clone(),
        samples: labels.len(),
        before,
        meanwhile,
        after,
        facts: outcome.states.into_iter().map(|state| state.facts).collect(),
        warnings: outcome.warnings,
        seconds: watch.seconds(),
    })
}
