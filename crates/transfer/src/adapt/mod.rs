//! `adapt`: a classifier of labelled source samples for a target without labels, or that classifier as it is.
//!
//! Methods are those of `offshoot_stats::adapters` on the features of one network, and networks that are tuned with
//! terms of alignment. The choice is made on held-out source samples and the target's inputs; the target's labels,
//! where it has any, judge once everything has been chosen.

mod candidate;
mod choice;
mod course;
pub mod document;
mod domains;
mod folder;
mod gather;
mod judge;
pub mod method;
mod mismatch;
mod network;
mod page;
pub mod plan;
mod plots;
mod sides;
mod trust;
mod words;

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::documents::SCHEMA;
use crate::error::Measured;
use crate::run::RunFolder;
use crate::run::record::{DataFacts, ModelFacts, RunRecord, RunState};
use crate::shift::document::Side;
use crate::train::folder::{MANIFEST, finish_record};
use crate::watch::Watch;
use crate::{Observer, Phase, Result, Sha, TransferError, estimate, prepare, train};
use document::{AdaptDryRun, AdaptReport};
use page::PageData;
use plan::{AdaptPlan, GAIN, NO_HARM};
use sides::Sides;

/// As `--json` and `run.json` show it.
pub const COMMAND: &str = "adapt";
const PLAN: &str = "plan.toml";
const DATA: &str = "eval/report.json";
const PAGE: &str = "report.html";

/// Adapts, chooses and judges; leaves a run folder.
///
/// # Errors
/// What reading, extraction and the source's own head refuse; a gate that is not met, after everything was written.
pub fn adapt(plan: &AdaptPlan, observer: &mut dyn Observer) -> Result<AdaptReport> {
    let mut watch = Watch::new(observer);
    plan.check()?;
    // Data that cannot be adapted is refused before a folder is made.
    let sides = sides::read(plan, &mut watch)?;
    if let (Some(metric), true) = (plan.require.keys().next(), sides.target.judging().is_empty()) {
        return Err(TransferError::usage(
            format!(
                "`--require {metric}` cannot be judged: {} has no labels",
                sides.target.dataset.name
            ),
            "a hundred target samples with labels, in the data or as its test split, can",
        ));
    }
    let training = &plan.training;
    let folder = RunFolder::create(&training.runs_dir, training.name.as_deref(), &wish(&sides))?;
    let plan = plan.resumable(folder.name());
    let text = toml::to_string_pretty(&plan)
        .map_err(|e| TransferError::Internal(format!("plan.toml: {e}")))?;
    let written = folder
        .write(PLAN, text.as_bytes())
        .and_then(|()| folder.save(&begun(&folder, &plan, &sides)));
    if let Err(error) = written {
        let _ = std::fs::remove_dir_all(folder.path());
        return Err(error);
    }
    let claim = folder.claim()?;
    let record = begun(&folder, &plan, &sides);
    let result = guarded(&folder, &plan, sides, record, watch);
    drop(claim);
    if let Err(TransferError::Usage { .. } | TransferError::Network(_)) = &result {
        // Nothing was done yet: a mistyped model is no run. The error is the one to tell.
        let _ = crate::runs::remove(folder.path());
    }
    result
}

/// Goes on with an unfinished adaptation; one that is complete is left as it is.
///
/// # Errors
/// As [`adapt`].
pub fn resume(run: &Path, observer: &mut dyn Observer) -> Result<AdaptReport> {
    let (folder, record) = RunFolder::open(run)?;
    if let (RunState::Complete, Some(report)) = (record.state, &record.adaptation) {
        return Ok(report.clone());
    }
    let _claim = folder.claim()?;
    let path = folder.file(PLAN);
    let text = std::fs::read_to_string(&path).map_err(|e| TransferError::io(&path, e))?;
    let mut plan: AdaptPlan = toml::from_str(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {}", path.display(), e.message())))?;
    train::resume_from(&mut plan.training);
    let mut watch = Watch::new(observer);
    let sides = sides::read(&plan, &mut watch)?;
    let record = begun(&folder, &plan, &sides).after(&record);
    guarded(&folder, &plan, sides, record, watch)
}

/// Whether a run folder is an adaptation's.
pub fn is_adaptation(run: &Path) -> bool {
    RunFolder::open(run).is_ok_and(|(_, record)| record.command == COMMAND)
}

/// Draws the page of a finished adaptation again, with this version of the program. Returns its path.
///
/// # Errors
/// A run that is not complete.
pub fn redraw(run: &Path) -> Result<PathBuf> {
    let (folder, _) = RunFolder::open(run)?;
    let data: PageData = folder.drawn_from(DATA)?;
    draw(&folder, &data)?;
    Ok(folder.file(PAGE))
}

/// What would be done, and what the features of both sides would take.
///
/// # Errors
/// As [`adapt`], as far as it goes.
pub fn adapt_dry_run(plan: &AdaptPlan, observer: &mut dyn Observer) -> Result<AdaptDryRun> {
    let mut watch = Watch::new(observer);
    plan.check()?;
    let mut sides = sides::read(plan, &mut watch)?;
    let training = &plan.training;
    let name = RunFolder::free_name(&training.runs_dir, training.name.as_deref(), &wish(&sides))?;
    let before = crate::machine::resident_bytes().unwrap_or(0);
    let (source, _) = sides::network(plan, &mut sides, &mut watch)?;
    let (cache, _) = Cache::open(&training.cache)?;
    // Both sides pass the same network: what one sample costs, every one does.
    let mut all =
        prepare::Prepared { dataset: sides.prepared.dataset.clone(), problems: Vec::new() };
    all.dataset.samples.extend(sides.target.unlabelled());
    let estimate = estimate::estimate(&all, &source, &cache, training, before, &mut watch)?;
    let side = |dataset: &offshoot_data::Dataset, used: usize| Side {
        name: dataset.name.clone(),
        samples: dataset.samples.len(),
        used,
        labelled: dataset.samples.iter().filter(|s| s.label.is_some()).count(),
        unreadable: 0,
    };
    let fitted = sides.prepared.dataset.samples.len() - course::home_samples(&sides).len();
    Ok(AdaptDryRun {
        schema: SCHEMA,
        command: COMMAND.into(),
        run: training.runs_dir.join(name),
        source: side(&sides.prepared.dataset, fitted),
        target: side(&sides.target.dataset, sides.target.adapting().len()),
        methods: match plan.is_auto() {
            true => method::tried(plan.time.is_some()).into_iter().map(String::from).collect(),
            false => vec![method::SOURCE_ONLY.into(), plan.method.clone()],
        },
        classes: plan.classes,
        unknown_share: plan.unknown_share,
        estimate,
        seconds: watch.seconds(),
    })
}

fn wish(sides: &Sides) -> String {
    format!("{}-to-{}", sides.prepared.dataset.name, sides.target.dataset.name)
}

fn begun(folder: &RunFolder, plan: &AdaptPlan, sides: &Sides) -> RunRecord {
    let (source, target) = (&sides.prepared.dataset, &sides.target.dataset);
    let mut splits = prepare::split_counts(source);
    splits.insert("target".into(), target.samples.len());
    let data = DataFacts {
        name: format!("{} → {}", source.name, target.name),
        classes: source.classes.clone(),
        splits,
        ..DataFacts::default()
    };
    let model = ModelFacts { name: plan.training.model.clone(), ..ModelFacts::default() };
    RunRecord::begun(folder.name(), COMMAND, plan.training.seed, data, model)
}

/// Runs the job and leaves a record of how it ended.
fn guarded(
    folder: &RunFolder,
    plan: &AdaptPlan,
    sides: Sides,
    mut record: RunRecord,
    mut watch: Watch<'_>,
) -> Result<AdaptReport> {
    watch.log_to(&folder.file("log.txt"))?;
    folder.save(&record)?;
    let result = run(folder, plan, sides, &mut record, &mut watch);
    let Err(error) = &result else { return result };
    watch.log_line(&format!("ended: {error}"));
    record.state = match error {
        TransferError::Stopped { .. } => RunState::Stopped,
        // Everything was written; only the figures were not what was asked for.
        TransferError::GateFailed { .. } => RunState::Complete,
        _ => RunState::Failed,
    };
    if record.state != RunState::Complete {
        record.phases.clone_from(&watch.phases);
        record.usage.seconds = watch.seconds();
        // The run's own error is the one to tell.
        let _ = folder.save(&record);
    }
    match result {
        Err(TransferError::Stopped { .. }) => {
            Err(TransferError::Stopped { run: Some(folder.path().into()) })
        }
        other => other,
    }
}

fn run(
    folder: &RunFolder,
    plan: &AdaptPlan,
    mut sides: Sides,
    record: &mut RunRecord,
    watch: &mut Watch<'_>,
) -> Result<AdaptReport> {
    let outcome = course::adapt(folder, plan, &mut sides, record, watch)?;
    let features = &outcome.features;
    record.model = outcome.place().0.facts.clone();
    record.data.unreadable =
        features.of_source.unreadable.len() + features.of_target.unreadable.len();
    record.lambda = outcome.chosen().lambda();
    record.temperature = Some(outcome.shipped.trained.temperature);
    record.fitted_on = outcome.shipped.fitted_on.clone();
    folder::write_data(folder, &sides, &outcome)?;
    record.data.manifest_sha256 = Sha::of_file(&folder.file(MANIFEST))?.to_string();

    // Everything is chosen; only now the target's labels are looked at.
    let total = features.judging.len();
    let judged = watch.phase(Phase::Evaluate, Some(total), |watch| {
        watch.listening(|_| judge::judge(&sides, &outcome, plan.training.seed))?
    })?;
    let said = judge::answers(&outcome, &features.adapting)?;
    let mut report = gather::report(plan, folder, &sides, &outcome, judged.as_ref(), &said, watch)?;
    watch.phase(Phase::Export, None, |_| {
        folder::write_results(folder, &sides, &outcome, judged.as_ref(), &report, record)
    })?;
    record.files = folder.digests()?;
    record.state = RunState::Complete;
    report.seconds = watch.seconds();
    record.adaptation = Some(report.clone());
    finish_record(folder, record, watch);
    // The report shows the record, so the record is there first; it is written again with its own time.
    folder.save(record)?;
    watch.phase(Phase::Report, None, |_| {
        let data = PageData::of(record, &sides, &outcome, judged.as_ref(), &said[0], &report)?;
        folder.write_json(DATA, &data)?;
        draw(folder, &data)
    })?;
    report.seconds = watch.seconds();
    record.adaptation = Some(report.clone());
    finish_record(folder, record, watch);
    folder.save(record)?;
    require(plan, &report)?;
    Ok(report)
}

fn draw(folder: &RunFolder, data: &PageData) -> Result<()> {
    let (text, drawings) = page::render(data)?;
    folder.write(PAGE, text.as_bytes())?;
    drawings.iter().try_for_each(|drawing| {
        folder.write(&format!("plots/{}.svg", drawing.name), drawing.standalone().as_bytes())
    })
}

/// Fails where a figure is worse than required, or cannot be known.
fn require(plan: &AdaptPlan, report: &AdaptReport) -> Result<()> {
    for (metric, &required) in &plan.require {
        let gain = report.gap.as_ref().map(|gap| -gap.value);
        let (reached, good) = match metric.as_str() {
            NO_HARM => (gain, report.verdict != "hurts"),
            GAIN => (gain, gain.is_some_and(|gain| gain >= required)),
            name => {
                let reached = report.target_figures.as_ref().and_then(|f| f.get(name));
                (reached, reached.is_some_and(|r| AdaptPlan::meets(name, r, required)))
            }
        };
        if !good {
            return Err(TransferError::GateFailed {
                metric: metric.clone(),
                required,
                reached: reached.unwrap_or(f64::NAN),
                report: Box::new(Measured::Adapt(report.clone())),
            });
        }
    }
    Ok(())
}
