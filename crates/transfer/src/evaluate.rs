//! `eval`: a trained run on labelled data.

use std::collections::BTreeMap;

use offshoot_data::Split;

use crate::cache::Cache;
use crate::documents::{SCHEMA, TrainReport};
use crate::extract::extract;
use crate::guard::Guard;
use crate::plan::EvalPlan;
use crate::run::RunFolder;
use crate::train::evaluate::{check_required, evaluate as figures_of, relabel, require};
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Observer, Phase, Result};

/// Evaluates a trained run on labelled data: its test split where the data names one, else all
/// samples whose class the run knows. Files that the run did not write are refused.
pub fn evaluate(plan: &EvalPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let mut watch = Watch::new(observer);
    check_required(&plan.require, Guard::Off)?;
    let (folder, record) = RunFolder::open(&plan.run)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let mut dataset = watch
        .phase(Phase::Read, None, |watch| crate::prepare::open(&plan.data, &plan.columns, watch))?;
    relabel(&mut dataset, &trained.classes)?;
    if dataset.samples.iter().any(|s| s.split == Some(Split::Test)) {
        dataset.samples.retain(|s| s.split == Some(Split::Test));
    }
    let before = dataset.samples.len();
    dataset.samples.retain(|s| s.label.is_some());
    let dropped = before - dataset.samples.len();
    if dropped > 0 {
        watch.warn(format!("{dropped} samples without a label that the run knows are left out"))?;
    }
    let (cache, warning) = Cache::open(&plan.cache)?;
    if let Some(warning) = warning {
        watch.warn(warning)?;
    }
    let total = dataset.samples.len();
    let extraction = watch.phase(Phase::Extract, Some(total), |watch| {
        extract(&dataset.samples, &source, &cache, plan.batch, Phase::Extract, watch)
    })?;
    let samples = extraction.readable();
    let evaluated = watch.phase(Phase::Evaluate, Some(samples.len()), |_| {
        figures_of(&trained, &dataset, &extraction, samples, record.seed)
    })?;
    let report = TrainReport {
        schema: SCHEMA,
        command: "eval".into(),
        run: plan.run.clone(),
        seconds: watch.seconds(),
        method: record.outcome().0.unwrap_or("probe").into(),
        model: source.name.clone(),
        data: dataset.name,
        figures: evaluated.figures,
        baselines: Vec::new(),
        domains: BTreeMap::new(),
        splits: BTreeMap::from([("test".to_string(), evaluated.samples.len())]),
        adapted: None,
        tuning: None,
        sets: evaluated.sets,
        alarms: evaluated.alarms,
        guard: None,
        sources: Vec::new(),
        unreadable: extraction.unreadable.len(),
        warnings: watch.warnings.clone(),
    };
    require(&plan.require, &report)?;
    Ok(report)
}
