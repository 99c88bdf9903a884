//! The two sides of a comparison: which samples, and the network whose features are compared.

use std::path::Path;

use offshoot_data::{Dataset, Split};
use offshoot_random::permutation;

use super::{ShiftPlan, ShiftSource};
use crate::extract::vector_length;
use crate::plan::TrainPlan;
use crate::run::RunFolder;
use crate::source::{self, Source};
use crate::train::evaluate::relabel;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, layers, precision, prepare};

/// The plan inside a run's folder.
const PLAN: &str = "plan.toml";

/// Source data and the network.
pub struct Opened {
    pub dataset: Dataset,
    pub source: Source,
}

/// Opens the source: data with the plan's model, or a run with its own.
pub fn open_source(plan: &ShiftPlan, watch: &mut Watch<'_>) -> Result<Opened> {
    let mut opened = match &plan.source {
        ShiftSource::Run(path) => of_run(path, watch)?,
        ShiftSource::Data(path) => {
            let dataset = watch
                .phase(Phase::Read, None, |watch| prepare::open(path, &plan.columns, watch))?;
            let source = watch.phase(Phase::Load, None, |watch| {
                let mut source = match vector_length(&dataset.samples)? {
                    Some(dim) => source::vectors(dim),
                    None => source::open_at(&plan.model, plan.size, plan.seed)?,
                };
                source = layers::fixed(layers::Asked::new(None, None)?, source)?;
                precision::settle(&mut source, plan.precision, &dataset.samples, watch)?;
                Ok(source)
            })?;
            Opened { dataset, source }
        }
    };
    limit(&mut opened.dataset, plan, "source");
    Ok(opened)
}

/// Opens the target; its labels are read by the names of the source's classes.
pub fn open_target(plan: &ShiftPlan, classes: &[String], watch: &mut Watch<'_>) -> Result<Dataset> {
    let mut dataset = watch
        .phase(Phase::Read, None, |watch| prepare::open(&plan.target, &plan.columns, watch))?;
    let labelled = dataset.samples.iter().any(|s| s.label.is_some());
    let known = dataset.classes.iter().any(|name| classes.contains(name));
    if labelled && known {
        let before = dataset.samples.iter().filter(|s| s.label.is_some()).count();
        relabel(&mut dataset, classes)?;
        let after = dataset.samples.iter().filter(|s| s.label.is_some()).count();
        if after < before {
            watch.warn(format!(
                "{} target samples are of classes that the source does not have; only their inputs are \
                 compared",
                before - after
            ))?;
        }
    } else if labelled {
        if !classes.is_empty() {
            watch.warn(
                "no class of the target has the name of a source class: its labels are not compared",
            )?;
        }
        dataset.samples.iter_mut().for_each(|s| s.label = None);
    }
    limit(&mut dataset, plan, "target");
    Ok(dataset)
}

/// A run's own network and samples. Where the network was tuned, features of what it learnt from look
/// unlike those of any new sample, so only the test split can stand for the source.
fn of_run(path: &Path, watch: &mut Watch<'_>) -> Result<Opened> {
    let (folder, record) = RunFolder::open(path)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let file = folder.file(PLAN);
    let text = std::fs::read_to_string(&file).map_err(|e| TransferError::io(&file, e))?;
    let own: TrainPlan = toml::from_str(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {}", file.display(), e.message())))?;
    let mut dataset = prepare::prepare(&own, watch)?.dataset;
    relabel(&mut dataset, &trained.classes)?;
    let tuned = record.model.tuned_from_sha256.is_some();
    dataset.samples.retain(|s| (s.split == Some(Split::Test)) == tuned);
    if tuned {
        watch.chose("the run tuned its network, so its test split stands for the source")?;
    }
    Ok(Opened { dataset, source })
}

/// Keeps as many samples as the plan allows, drawn at random, in their order.
fn limit(dataset: &mut Dataset, plan: &ShiftPlan, side: &str) {
    let n = dataset.samples.len();
    if n <= plan.samples {
        return;
    }
    let mut kept = permutation(n, plan.seed, side, 0);
    kept.truncate(plan.samples);
    let mut keep = vec![false; n];
    kept.into_iter().for_each(|i| keep[i] = true);
    let mut flags = keep.into_iter();
    dataset.samples.retain(|_| flags.next().unwrap_or(false));
}
