//! `eval`: a trained run on labelled data.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_data::{Sample, Split};

use crate::cache::Cache;
use crate::documents::{SCHEMA, TrainReport};
use crate::extract::extract;
use crate::guard::Guard;
use crate::plan::EvalPlan;
use crate::run::RunFolder;
use crate::train::evaluate::{check_required, evaluate as figures_of, foreign, relabel, require};
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Observer, Phase, Result};

/// Evaluates a trained run on labelled data: its test split where the data names one, else all
/// samples whose class the run knows. Where the run calls samples unknown, those of other classes judge that. Files that the run did not write are refused.
pub fn evaluate(plan: &EvalPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let mut watch = Watch::new(observer);
    check_required(&plan.require, Guard::Off)?;
    let (folder, record) = RunFolder::open(&plan.run)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let mut dataset = watch
        .phase(Phase::Read, None, |watch| crate::prepare::open(&plan.data, &plan.columns, watch))?;
    if dataset.samples.iter().any(|s| s.split == Some(Split::Test)) {
        dataset.samples.retain(|s| s.split == Some(Split::Test));
    }
    let strangers = match trained.unknown {
        Some(_) => foreign(&dataset, &trained.classes),
        None => BTreeSet::new(),
    };
    relabel(&mut dataset, &trained.classes)?;
    let before = dataset.samples.len();
    let judges =
        |(i, s): (usize, Sample)| (s.label.is_some() || strangers.contains(&i)).then_some(s);
    dataset.samples = dataset.samples.into_iter().enumerate().filter_map(judges).collect();
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
    let readable = extraction.readable();
    let samples: Vec<usize> =
        readable.iter().copied().filter(|&i| dataset.samples[i].label.is_some()).collect();
    let open = match trained.unknown {
        Some(rule) => {
            let labels: Vec<_> = readable.iter().map(|&i| dataset.samples[i].label).collect();
            rule.judged(&trained.probabilities(extraction.gather(&readable)?.rows())?, &labels)
        }
        None => None,
    };
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
        open,
        guard: None,
        sources: Vec::new(),
        unreadable: extraction.unreadable.len(),
        warnings: watch.warnings.clone(),
    };
    require(&plan.require, &report)?;
    Ok(report)
}
