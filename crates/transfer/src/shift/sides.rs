//! The two sides of a comparison: which samples, and the network whose features are compared.

use std::path::Path;

use offshoot_data::{Dataset, Split};

use super::{ShiftPlan, ShiftSource};
use crate::extract::vector_length;
use crate::plan::TrainPlan;
use crate::run::RunFolder;
use crate::run::record::RunRecord;
use crate::source::{self, Source};
use crate::train::evaluate::relabel;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, layers, precision, prepare};

/// The plan inside a run's folder.
const PLAN: &str = "plan.toml";
/// Commands whose runs have labelled data of their own.
const TRAINED: &str = "train";
const DEMO: &str = "demo";

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
    let mut dataset = watch.phase(Phase::Read, None, |watch| {
        prepare::open_unlabelled(&plan.target, &plan.columns, watch)
    })?;
    name_labels(&mut dataset, classes, UNKNOWN, watch)?;
    limit(&mut dataset, plan, "target");
    Ok(dataset)
}

/// What becomes of labels that the source does not know.
pub const UNKNOWN: &str = "they count as without labels";

/// Gives the target's labels the numbers of the source's classes, by name; labels that the source does not know
/// are taken away, and that is told, with what becomes of them.
pub fn name_labels(
    dataset: &mut Dataset,
    classes: &[String],
    fate: &str,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let labelled = dataset.samples.iter().any(|s| s.label.is_some());
    let known = dataset.classes.iter().any(|name| classes.contains(name));
    if labelled && known {
        let before = dataset.samples.iter().filter(|s| s.label.is_some()).count();
        relabel(dataset, classes)?;
        let after = dataset.samples.iter().filter(|s| s.label.is_some()).count();
        if after < before {
            watch.warn(format!(
                "{} target samples are of classes that the source does not have; {fate}",
                before - after
            ))?;
        }
    } else if labelled {
        if !classes.is_empty() {
            watch.warn(
                "no class of the target has the name of a source class: its labels are left out",
            )?;
        }
        dataset.samples.iter_mut().for_each(|s| s.label = None);
    }
    Ok(())
}

/// A run's own network and samples. Where the network was tuned, features of what it learnt from look
/// unlike those of any new sample, so only the test split can stand for the source.
fn of_run(path: &Path, watch: &mut Watch<'_>) -> Result<Opened> {
    let (folder, record) = RunFolder::open(path)?;
    let own = own_plan(&folder, &record)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let mut dataset = prepare::prepare(&own, watch)?.dataset;
    relabel(&mut dataset, &trained.classes)?;
    let tuned = record.model.tuned_from_sha256.is_some();
    dataset.samples.retain(|s| (s.split == Some(Split::Test)) == tuned);
    if tuned {
        watch.chose("the run tuned its network, so its test split stands for the source")?;
    }
    Ok(Opened { dataset, source })
}

/// The plan of a run that was trained, whose data can be read again.
pub fn own_plan(folder: &RunFolder, record: &RunRecord) -> Result<TrainPlan> {
    if ![TRAINED, DEMO].contains(&record.command.as_str()) {
        return Err(TransferError::usage(
            format!("run `{}` was made by `{}`", record.name, record.command),
            "name a run of `offshoot train`, or the data itself",
        ));
    }
    let file = folder.file(PLAN);
    let text = std::fs::read_to_string(&file).map_err(|e| TransferError::io(&file, e))?;
    toml::from_str(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {}", file.display(), e.message())))
}

/// Keeps as many samples as the plan allows, drawn at random, in their order.
fn limit(dataset: &mut Dataset, plan: &ShiftPlan, side: &str) {
    let n = dataset.samples.len();
    if n <= plan.samples {
        return;
    }
    let mut keep = vec![false; n];
    for i in offshoot_random::some(n, plan.samples, plan.seed, side, 0) {
        keep[i] = true;
    }
    let mut flags = keep.into_iter();
    dataset.samples.retain(|_| flags.next().unwrap_or(false));
}
