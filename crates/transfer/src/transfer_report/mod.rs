//! `transfer-report`: was transfer worth it? Learning curves with and without a source, what transfer saves
//! in labels and time, and every source on every target.
//!
//! A report is made of cells: (target, source, method, labels, seed). Each is an ordinary training on some of
//! the labels, and all of a target are judged on one test split. A finished cell is a file in the report's
//! folder, named by everything that decides it, so that an interrupted report goes on where it was, and the
//! document and the page follow from the files alone.

mod answer;
mod budget;
mod cell;
pub mod document;
mod gather;
mod labels;
mod page;
pub mod plan;
mod plots;
mod study;
mod tables;
#[cfg(test)]
mod tests;

pub use plots::{apart, colour};

use std::path::{Path, PathBuf};

use offshoot_data::Split;

use crate::cache::Cache;
use crate::documents::SCHEMA;
use crate::extract::vector_length;
use crate::plan::TrainPlan;
use crate::prepare::{Prepared, prepare, split_counts};
use crate::run::RunFolder;
use crate::run::record::{DataFacts, ModelFacts, RunRecord, RunState, Usage};
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError, machine, runs, train};
use budget::Costs;
use document::{PlannedCells, TransferReport, TransferReportDryRun};
use plan::TransferReportPlan;
use study::Study;

/// As `--json` and `run.json` show it.
pub const COMMAND: &str = "transfer-report";
const PLAN: &str = "plan.toml";
const DOCUMENT: &str = "report.json";
const PAGE: &str = "report.html";
/// Where unfinished cells keep their checkpoints.
const WORK: &str = "checkpoints";

/// Makes a report, or goes on with the one of the same plan in the same folder of runs.
pub fn transfer_report(
    plan: &TransferReportPlan,
    observer: &mut dyn Observer,
) -> Result<TransferReport> {
    let mut watch = Watch::new(observer);
    plan.check()?;
    let plan = absolute(plan);
    // Data that cannot be trained on is refused before a folder is made.
    let prepared = read(&plan, &mut watch)?;
    let folder = match found(&plan)? {
        Some(folder) => folder,
        None => RunFolder::create(
            &plan.training.runs_dir,
            plan.training.name.as_deref(),
            &wish(&prepared),
        )?,
    };
    let text = toml::to_string_pretty(&plan)
        .map_err(|e| TransferError::Internal(format!("plan.toml: {e}")))?;
    let record = begun(&folder, &plan, &prepared);
    folder.write(PLAN, text.as_bytes())?;
    folder.save(&record)?;
    guarded(&folder, &plan, prepared, record, watch)
}

/// Goes on with an unfinished report.
pub fn resume(run: &Path, observer: &mut dyn Observer) -> Result<TransferReport> {
    let (folder, _) = RunFolder::open(run)?;
    let plan = written(&folder)?;
    let mut watch = Watch::new(observer);
    let prepared = read(&plan, &mut watch)?;
    let record = begun(&folder, &plan, &prepared);
    guarded(&folder, &plan, prepared, record, watch)
}

/// Whether a run folder is a report's.
pub fn is_report(run: &Path) -> bool {
    RunFolder::open(run).is_ok_and(|(_, record)| record.command == COMMAND)
}

/// Draws the page of a finished report again, with this version of the program. Returns its path.
pub fn redraw(run: &Path) -> Result<PathBuf> {
    let (folder, _) = RunFolder::open(run)?;
    let report: TransferReport = folder.drawn_from(DOCUMENT)?;
    draw(&folder, &report)?;
    Ok(folder.file(PAGE))
}

/// What a report would take, from a rehearsal of every method; trains no cell.
pub fn transfer_report_dry_run(
    plan: &TransferReportPlan,
    observer: &mut dyn Observer,
) -> Result<TransferReportDryRun> {
    let mut watch = Watch::new(observer);
    plan.check()?;
    let plan = absolute(plan);
    let prepared = read(&plan, &mut watch)?;
    let run = match found(&plan)? {
        Some(folder) => folder.path().to_path_buf(),
        None => {
            let training = &plan.training;
            let name = training.name.as_deref();
            let free = RunFolder::free_name(&training.runs_dir, name, &wish(&prepared))?;
            training.runs_dir.join(free)
        }
    };
    let (cache, warning) = Cache::open(&plan.training.cache)?;
    warning.into_iter().try_for_each(|warning| watch.warn(warning))?;
    let study = Study::open(&plan, prepared, &cache, &mut watch, false)?;
    let costs = Costs::measure(&study, &cache, &mut watch)?;
    let mut spent = costs.features;
    let mut cells: Vec<PlannedCells> = Vec::new();
    for cell in study.cells() {
        let seconds = costs.of(&study, &cell);
        spent += seconds;
        let affordable = plan.time.is_none_or(|time| spent <= time);
        let planned = study.planned(&cell, seconds, affordable);
        let alike = cells.iter_mut().find(|other| {
            (&other.data, &other.model, &other.method, other.labels, other.affordable)
                == (&planned.data, &planned.model, &planned.method, planned.labels, affordable)
        });
        match alike {
            Some(other) => {
                other.cells += 1;
                other.seconds += seconds;
            }
            None => cells.push(planned),
        }
    }
    Ok(TransferReportDryRun {
        schema: SCHEMA,
        command: COMMAND.into(),
        run,
        seconds: watch.seconds(),
        estimate: spent,
        cells,
        notes: study.targets.iter().flat_map(|t| t.ladder.notes.clone()).collect(),
    })
}

/// A plan that is resumed elsewhere must still find its data.
fn absolute(plan: &TransferReportPlan) -> TransferReportPlan {
    let targets = plan.targets.iter().map(|path| train::absolute(path)).collect();
    TransferReportPlan { targets, ..plan.clone() }
}

fn wish(prepared: &[(Prepared, bool)]) -> String {
    let names: Vec<&str> = prepared.iter().map(|(p, _)| p.dataset.name.as_str()).collect();
    format!("transfer-{}", names.join("-"))
}

fn written(folder: &RunFolder) -> Result<TransferReportPlan> {
    let path = folder.file(PLAN);
    let text = std::fs::read_to_string(&path).map_err(|e| TransferError::io(&path, e))?;
    let plan: TransferReportPlan = toml::from_str(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {}", path.display(), e.message())))?;
    // The folder may have been moved.
    let parent = folder.path().parent().unwrap_or(Path::new(".")).to_path_buf();
    let training = TrainPlan { runs_dir: parent, ..plan.training };
    Ok(TransferReportPlan { training, ..plan })
}

/// The report of the same plan, whatever its time, where there is one.
fn found(plan: &TransferReportPlan) -> Result<Option<RunFolder>> {
    for run in runs::list(&plan.training.runs_dir)? {
        let named = plan.training.name.as_ref().is_none_or(|name| *name == run.name);
        if !named || !is_report(&run.run) {
            continue;
        }
        let (folder, _) = RunFolder::open(&run.run)?;
        if written(&folder).is_ok_and(|other| other.essence() == plan.essence()) {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// The targets' samples, each with whether the data itself names a validation split.
fn read(plan: &TransferReportPlan, watch: &mut Watch<'_>) -> Result<Vec<(Prepared, bool)>> {
    let one = |path: &PathBuf| {
        let training = TrainPlan { data: path.clone(), ..plan.training.clone() };
        let named = crate::prepare::open(path, &training.columns, &mut Watch::new(&mut ()))?;
        let named = named.samples.iter().any(|s| s.split == Some(Split::Val));
        let prepared = prepare(&training, watch)?;
        if vector_length(&prepared.dataset.samples)?.is_some() {
            return Err(TransferError::usage(
                format!(
                    "{}: feature vectors leave no network to train from scratch",
                    path.display()
                ),
                "a transfer report needs the pictures or texts themselves",
            ));
        }
        Ok((prepared, named))
    };
    plan.targets.iter().map(one).collect()
}

fn begun(
    folder: &RunFolder,
    plan: &TransferReportPlan,
    prepared: &[(Prepared, bool)],
) -> RunRecord {
    let earlier = RunFolder::open(folder.path()).ok().map(|(_, record)| record.created);
    let names: Vec<&str> = prepared.iter().map(|(p, _)| p.dataset.name.as_str()).collect();
    let first = prepared.first().map(|(p, _)| &p.dataset);
    let data = DataFacts {
        name: names.join(", "),
        classes: first.map(|d| d.classes.clone()).unwrap_or_default(),
        splits: first.map(split_counts).unwrap_or_default(),
        ..DataFacts::default()
    };
    let model = ModelFacts { name: plan.models.join(", "), ..ModelFacts::default() };
    let begun = RunRecord::begun(folder.name(), COMMAND, plan.training.seed, data, model);
    // A report that goes on began when it was first asked for.
    RunRecord { created: earlier.unwrap_or_else(|| begun.created.clone()), ..begun }
}

/// Runs the job and leaves a record of how it ended.
fn guarded(
    folder: &RunFolder,
    plan: &TransferReportPlan,
    prepared: Vec<(Prepared, bool)>,
    mut record: RunRecord,
    mut watch: Watch<'_>,
) -> Result<TransferReport> {
    let _claim = folder.claim()?;
    watch.log_to(&folder.file("log.txt"))?;
    folder.save(&record)?;
    let result = run(folder, plan, prepared, &record, &mut watch);
    record.state = match &result {
        Ok(_) => RunState::Complete,
        Err(TransferError::Stopped { .. }) => RunState::Stopped,
        Err(error) => {
            watch.log_line(&format!("ended: {error}"));
            RunState::Failed
        }
    };
    record.phases.clone_from(&watch.phases);
    record.usage = Usage {
        memory_bytes: machine::peak_resident_bytes(),
        disk_bytes: folder.bytes(),
        seconds: result.as_ref().map_or_else(|_| watch.seconds(), |report| report.seconds),
    };
    let saved = folder.save(&record);
    match result {
        Ok(report) => saved.map(|()| report),
        Err(TransferError::Stopped { .. }) => {
            Err(TransferError::Stopped { run: Some(folder.path().into()) })
        }
        Err(error) => Err(error),
    }
}

fn run(
    folder: &RunFolder,
    plan: &TransferReportPlan,
    prepared: Vec<(Prepared, bool)>,
    record: &RunRecord,
    watch: &mut Watch<'_>,
) -> Result<TransferReport> {
    let (cache, warning) = Cache::open(&plan.training.cache)?;
    warning.into_iter().try_for_each(|warning| watch.warn(warning))?;
    let study = Study::open(plan, prepared, &cache, watch, true)?;
    for note in study.targets.iter().flat_map(|target| &target.ladder.notes) {
        watch.chose(note)?;
    }
    let (outcomes, missing) = study.carry_out(folder, &cache, watch)?;
    let left_out = study.left_out(&missing);
    for left in &left_out {
        watch.warn(format!("out of time: {}", answer::left_out(left)))?;
    }
    let report = watch.phase(Phase::Report, None, |_| {
        let report = gather::report(&study, &outcomes, left_out, folder, record)?;
        folder.write_json(DOCUMENT, &report)?;
        for (name, bytes) in tables::tables(&report)? {
            folder.write(name, &bytes)?;
        }
        draw(folder, &report)?;
        Ok(report)
    })?;
    let _ = std::fs::remove_dir(folder.file(WORK));
    Ok(report)
}

fn draw(folder: &RunFolder, report: &TransferReport) -> Result<()> {
    let (text, drawings) = page::render(report)?;
    folder.write(PAGE, text.as_bytes())?;
    drawings.iter().try_for_each(|drawing| {
        folder.write(&format!("plots/{}.svg", drawing.name), drawing.standalone().as_bytes())
    })
}
