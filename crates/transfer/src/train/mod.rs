//! `train`: data → features → head → temperature → one look at the test split → a run folder.
//!
//! The rule of the splits: λ is chosen by cross-validation inside the training split, the
//! temperature on validation, and only then the head is fitted once more on both, with that λ and
//! that temperature. The test split is read by [`evaluate::SealedTest::open`], once a source.

pub mod adaptation;
pub mod baselines;
mod budget;
pub mod evaluate;
pub mod folder;
pub mod probe;
pub mod rehearse;
mod shipping;
pub mod sources;
pub(crate) mod teacher;
pub mod tuning;
mod unlabelled;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offshoot_data::Split;
use offshoot_nn::NnError;

use crate::cache::Cache;
use crate::digest::Sha;
use crate::documents::{Figures, SCHEMA, TrainReport};
use crate::extract::{Extraction, extract, vector_length};
use crate::monitor::overfitting;
use crate::plan::{Method, TrainPlan};
use crate::precision;
use crate::prepare::{Prepared, USUAL_VAL, prepare, split_counts};
use crate::report::words::percent;
use crate::run::RunFolder;
use crate::run::record::{DataFacts, ModelFacts, RunRecord, RunState};
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError, demo, estimate, fit, layers, machine};
use evaluate::Evaluated;
use probe::Probe;

const PLAN: &str = "plan.toml";

/// Trains, calibrates and evaluates a head on frozen features; leaves a run folder.
pub fn train(plan: &TrainPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let mut watch = Watch::new(observer);
    check_plan(plan)?;
    // Data that cannot be trained on is refused before a folder is made.
    let prepared = prepare(plan, &mut watch)?;
    let plan = &crate::rank::chosen(plan, &prepared, &mut watch)?;
    let folder = RunFolder::create(&plan.runs_dir, plan.name.as_deref(), &wish(plan, &prepared))?;
    let plan = resumable(plan, &folder);
    let text = toml::to_string_pretty(&plan)
        .map_err(|e| TransferError::Internal(format!("plan.toml: {e}")))?;
    let result = folder.write(PLAN, text.as_bytes()).and_then(|()| {
        // What cannot even write this leaves nothing: it would be neither a run nor a free name.
        folder.save(&new_record(&folder, &plan, &prepared))
    });
    if let Err(error) = result {
        let _ = std::fs::remove_dir_all(folder.path());
        return Err(error);
    }
    let claim = folder.claim()?;
    let record = new_record(&folder, &plan, &prepared);
    let result = guarded(&folder, &plan, prepared, record, watch);
    drop(claim);
    if let Err(
        TransferError::Usage { .. }
        | TransferError::Network(NnError::Unknown { .. })
        | TransferError::TooLittleTime { .. },
    ) = &result
    {
        // Nothing was done yet: a mistyped model is no run. The error is the one to tell.
        let _ = crate::runs::remove(folder.path());
    }
    result
}

/// Goes on with an unfinished run, of which this is the record.
pub fn resume(
    folder: RunFolder,
    earlier: &RunRecord,
    observer: &mut dyn Observer,
) -> Result<TrainReport> {
    let _claim = folder.claim()?;
    let path = folder.file(PLAN);
    let text = std::fs::read_to_string(&path).map_err(|e| TransferError::io(&path, e))?;
    let mut plan: TrainPlan = toml::from_str(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {}", path.display(), e.message())))?;
    resume_from(&mut plan);
    let mut watch = Watch::new(observer);
    let prepared = prepare(&plan, &mut watch)?;
    let record = new_record(&folder, &plan, &prepared).after(earlier);
    guarded(&folder, &plan, prepared, record, watch)
}

/// The name that a run without one gets, unless it is taken.
pub fn wish(plan: &TrainPlan, prepared: &Prepared) -> String {
    if plan.command == "demo" {
        return "demo".into();
    }
    // A model that was named by a path is called by its last part.
    let last = |name: &&str| name.rsplit(['/', '\\', '@']).next().unwrap_or(name).replace(':', "-");
    let models: Vec<String> = source::names(&plan.model).iter().map(last).collect();
    format!("{}-{}", prepared.dataset.name, models.join("-"))
}

/// The plan as it is kept: whoever resumes it elsewhere finds what it names.
fn resumable(plan: &TrainPlan, folder: &RunFolder) -> TrainPlan {
    let mut plan = TrainPlan { name: Some(folder.name()), ..plan.clone() };
    plan.begun_in = std::env::current_dir().ok();
    plan.data = absolute(&plan.data);
    plan.also_eval.values_mut().for_each(|path| *path = absolute(path));
    if let Some(adapt) = &mut plan.adapt_mlm {
        adapt.texts = absolute(&adapt.texts);
    }
    if let Some(distill) = &mut plan.distill {
        distill.run = absolute(&distill.run);
        distill.data = distill.data.as_deref().map(absolute);
    }
    plan
}

/// Names the model as it is found from here.
pub fn resume_from(plan: &mut TrainPlan) {
    if let Some(folder) = &plan.begun_in {
        plan.model = source::found_from(&plan.model, folder);
    }
}

/// A plan that is resumed elsewhere must still find its data.
pub fn absolute(path: &Path) -> PathBuf {
    if path.to_str().is_some_and(|p| p.starts_with(demo::PREFIX)) {
        return path.into();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Refuses a plan that cannot be carried out, before any work.
pub fn check_plan(plan: &TrainPlan) -> Result<()> {
    if let Some(name) = &plan.name {
        crate::run::check_name(name)?;
    }
    probe::check_head(&plan.head)?;
    evaluate::check_required(&plan.require, plan.guard)?;
    plan.finetune.check()?;
    plan.adapt_mlm.as_ref().map_or(Ok(()), fit::mlm::AdaptMlm::check)?;
    if let Some(distill) = &plan.distill {
        distill.check()?;
        if plan.method == Method::PROBE {
            return Err(TransferError::usage(
                "the probe learns from labels alone; a teacher needs a method that tunes",
                "for instance `--method full` or `lp-ft`",
            ));
        }
    }
    layers::Asked::new(plan.layer.as_deref(), plan.pooling.as_deref())?;
    sources::check_plan(plan)?;
    let val = plan.val.unwrap_or(USUAL_VAL);
    let shares = [val, plan.test];
    if shares.iter().any(|s| !(0.0..1.0).contains(s)) {
        return Err(TransferError::usage(
            format!(
                "validation share {val} and test share {} leave nothing to train on",
                plan.test
            ),
            "both lie between 0 and 1: 0.2 of all samples to test, 0.1 of the rest to validation",
        ));
    }
    Ok(())
}

/// Runs the job and leaves a record of how it ended.
fn guarded(
    folder: &RunFolder,
    plan: &TrainPlan,
    prepared: Prepared,
    mut record: RunRecord,
    mut watch: Watch<'_>,
) -> Result<TrainReport> {
    watch.log_to(&folder.file("log.txt"))?;
    folder.save(&record)?;
    let result = run(folder, plan, prepared, &mut watch, &mut record);
    let Err(error) = &result else { return result };
    record.state = match error {
        TransferError::Stopped { .. } => RunState::Stopped,
        // Everything was written; only the figures were not what was asked for.
        TransferError::GateFailed { .. } => RunState::Complete,
        _ => RunState::Failed,
    };
    watch.log_line(&format!("ended: {error}"));
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

fn new_record(folder: &RunFolder, plan: &TrainPlan, prepared: &Prepared) -> RunRecord {
    let data = DataFacts {
        name: prepared.dataset.name.clone(),
        classes: prepared.dataset.classes.clone(),
        splits: split_counts(&prepared.dataset),
        ..DataFacts::default()
    };
    let model = ModelFacts { name: plan.model.clone(), ..ModelFacts::default() };
    let begun = RunRecord::begun(folder.name(), &plan.command, plan.seed, data, model);
    RunRecord { model_chosen: plan.model_chosen.clone(), ..begun }
}

/// Opens the source of a plan; data that holds vectors brings its own.
pub fn source_of(plan: &TrainPlan, prepared: &Prepared, watch: &mut Watch<'_>) -> Result<Source> {
    watch.phase(Phase::Load, None, |watch| {
        let mut opened = match vector_length(&prepared.dataset.samples)? {
            Some(dim) => {
                watch.note("the data holds feature vectors; they are used as they are")?;
                vec![source::vectors(dim)]
            }
            None => source::open_each(&source::names(&plan.model), plan.size, plan.seed)?,
        };
        for source in &mut opened {
            for note in &source.notes {
                watch.note(note)?;
            }
            precision::settle(source, plan.precision, &prepared.dataset.samples, watch)?;
        }
        match opened.pop() {
            Some(only) if opened.is_empty() => Ok(only),
            last => {
                let part = |source| source::Part { source: Arc::new(source), scale: 1.0 };
                source::join(opened.into_iter().chain(last).map(part).collect())
            }
        }
    })
}

fn run(
    folder: &RunFolder,
    plan: &TrainPlan,
    mut prepared: Prepared,
    watch: &mut Watch<'_>,
    record: &mut RunRecord,
) -> Result<TrainReport> {
    let before = machine::resident_bytes().unwrap_or(0);
    record.pin("its plan.toml", Sha::of_file(&folder.file(PLAN))?)?;
    let source = source_of(plan, &prepared, watch)?;
    record.pin("the source", source.facts.sha()?)?;
    let (cache, warning) = Cache::open(&plan.cache)?;
    if let Some(warning) = warning {
        watch.warn(warning)?;
    }
    let (source, adapted) =
        adaptation::adapt(folder, plan, &prepared, source, &cache, record, watch)?;
    let source = layers::choose(plan, &prepared, source, &cache, watch)?;
    record.model = source.facts.clone();
    let teacher = teacher::ask(plan, &mut prepared, &source, &cache, record, watch)?;
    let expected = estimate::estimate(&prepared, &source, &cache, plan, before, watch)?;
    budget::check(plan, &expected, watch)?;
    record.estimate = Some(expected);
    folder.save(record)?;

    let samples = prepared.dataset.samples.len();
    let extraction = watch.phase(Phase::Extract, Some(samples), |watch| {
        extract(&prepared.dataset.samples, &source, &cache, plan.batch, Phase::Extract, watch)
    })?;
    drop_unreadable(&mut prepared, &extraction, watch)?;
    folder::write_data(folder, &prepared, &extraction)?;
    record.pin("the data", Sha::of_file(&folder.file(folder::MANIFEST))?)?;
    folder.save(record)?;

    let (source, extraction, mut told) =
        sources::weigh(plan, &prepared, source, extraction, watch)?;
    let after = budget::after(plan, &prepared, &source, &extraction, watch)?;
    let until = budget::head_until(plan, after, watch);
    let probe = Probe::fit(plan, &prepared, &extraction, until, watch)?;
    let frozen = tuning::Frozen { source, extraction, probe };
    let sizes = fit::Sizes::of(&prepared);
    let given = tuning::Given { sizes, after, teacher: teacher.as_ref() };
    let (asked, tuned) = tuning::tune(folder, plan, &prepared, &cache, frozen, given, watch)?;
    let (tuned, unfrozen) = tuned.map_or((None, None), |mut tuned| {
        let probe = tuned.probe.take();
        (Some(tuned), probe)
    });
    let looks = tuned.as_ref().map(|tuned| tuned.looks.clone());
    let candidates = shipping::Candidates { asked, probe: unfrozen, looks };
    let place = shipping::Place { folder, plan, prepared: &prepared, cache: &cache, given };
    let shipped = shipping::ship(&place, candidates, watch)?;
    let shipping::Shipped { frozen, mut evaluated, baselines, mut guard } = shipped;
    let tuning::Frozen { source, extraction, mut probe } = frozen;
    record.model = source.facts.clone();
    if let (Some(guard), Some(told)) = (&mut guard, &mut told) {
        guard.by_source = told.judge(plan, &prepared, watch)?;
    }
    let domains = other_domains(plan, &prepared, &source, &cache, &probe, watch)?;
    let mut history = None;
    let tuning = tuned.map(|tuned| {
        history = Some(tuned.history);
        tuned.facts
    });
    if let Some(warning) = history.as_ref().and_then(overfitting::warning) {
        watch.warn(warning)?;
    }

    if let Some(alarms) = evaluated.alarms.as_ref().filter(|alarms| alarms.is_broken()) {
        watch.warn(format!(
            "{} of the test samples are called unfamiliar, where {} were to be expected: they differ from \
             what was learnt from, or the alarm says nothing here",
            percent(alarms.share),
            percent(alarms.promised)
        ))?;
    }

    let report = TrainReport {
        schema: SCHEMA,
        command: plan.command.clone(),
        run: folder.path().into(),
        seconds: watch.seconds(),
        method: plan.method.name().into(),
        model: source.name.clone(),
        data: prepared.dataset.name.clone(),
        figures: evaluated.figures.clone(),
        baselines: baselines.iter().map(|b| b.baseline.clone()).collect(),
        domains,
        splits: split_counts(&prepared.dataset),
        unreadable: extraction.unreadable.len(),
        adapted,
        tuning,
        sets: evaluated.sets.clone(),
        alarms: evaluated.alarms.clone(),
        open: None,
        guard,
        sources: told.map(|told| told.reports).unwrap_or_default(),
        warnings: watch.warnings.clone(),
    };
    record.data.splits = report.splits.clone();
    record.data.unreadable = report.unreadable;
    record.lambda = probe.lambda;
    record.temperature = Some(probe.trained.temperature);
    record.fitted_on = probe.fitted_on.clone();
    let everything = folder::Everything {
        plan,
        prepared: &prepared,
        extraction: &extraction,
        source: &source,
        probe: &mut probe,
        evaluated: &mut evaluated,
        baselines: &baselines,
        history: history.as_ref(),
    };
    let report = folder::write_results(folder, everything, report, record, watch)?;
    fit::Checkpoint::clear(folder.path());
    evaluate::require(&plan.require, &report)?;
    Ok(report)
}

/// Samples that could not be read are listed among the problems and leave their split.
pub fn drop_unreadable(
    prepared: &mut Prepared,
    extraction: &Extraction,
    watch: &mut Watch<'_>,
) -> Result<()> {
    for (sample, key) in prepared.dataset.samples.iter_mut().zip(&extraction.keys) {
        if key.is_none() {
            sample.split = None;
        }
    }
    // The doctor may have found the same files already, in its own words.
    for problem in &extraction.unreadable {
        if !prepared.problems.iter().any(|p| p.path == problem.path && p.severity == "error") {
            prepared.problems.push(problem.clone());
        }
    }
    if !extraction.unreadable.is_empty() {
        watch.warn(format!(
            "{} of {} samples cannot be read and are left out; data/problems.csv lists them",
            extraction.unreadable.len(),
            prepared.dataset.samples.len()
        ))?;
    }
    crate::prepare::refuse_unusable(&prepared.dataset)
}

/// The trained head on other data. Samples whose group took part in training are left out, so that
/// a drop is a drop by shift and not by memory.
fn other_domains(
    plan: &TrainPlan,
    prepared: &Prepared,
    source: &Source,
    cache: &Cache,
    probe: &Probe,
    watch: &mut Watch<'_>,
) -> Result<BTreeMap<String, Figures>> {
    let fitted_groups: Vec<&String> = {
        let samples = prepared.dataset.samples.iter();
        let fitted = samples.filter(|s| matches!(s.split, Some(Split::Train | Split::Val)));
        let mut groups: Vec<&String> = fitted.filter_map(|s| s.group.as_ref()).collect();
        groups.sort_unstable();
        groups
    };
    let mut figures = BTreeMap::new();
    for (name, path) in &plan.also_eval {
        let mut other = crate::prepare::open(path, &plan.columns, watch)?;
        evaluate::relabel(&mut other, &prepared.dataset.classes)?;
        other.samples.retain(|s| {
            let seen = s.group.as_ref().is_some_and(|g| fitted_groups.binary_search(&g).is_ok());
            s.label.is_some() && !seen
        });
        let total = other.samples.len();
        let evaluated: Evaluated = watch.phase(Phase::Evaluate, Some(total), |watch| {
            let extraction =
                extract(&other.samples, source, cache, plan.batch, Phase::Evaluate, watch)?;
            evaluate::evaluate(
                &probe.trained,
                &other,
                &extraction,
                extraction.readable(),
                plan.seed,
            )
        })?;
        figures.insert(name.clone(), evaluated.figures);
    }
    Ok(figures)
}
