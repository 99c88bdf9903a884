//! `offshoot rl train`: a learner, a world, several seeds, one run folder.
//!
//! Every seed is a training of its own, with a curve of its own; they share the processor's cores. What a
//! seed left is never computed again: a finished one is its policy and its curve, an unfinished one a
//! checkpoint, from which it goes on to the same bits.

pub mod course;
pub mod document;
pub(crate) mod folder;
pub mod plan;

use std::path::Path;
use std::time::Instant;

use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::RunState;
use offshoot_transfer::{Observer, TransferError};

use crate::learn::{self, Start, Task, evaluate};
use crate::transfer::curves;
use crate::world::{self, Constants};
use course::{Course, Learnt, all};
use document::{CurvePoint, SeedReport, TrainReport, interval};
pub use folder::{command_of, is_rl};
use plan::TrainPlan;

/// Name of the command in documents and records.
pub const COMMAND: &str = "rl train";
/// Episodes that a finished policy is judged on.
pub const EPISODES: usize = 100;
/// Which of a seed's evaluation episodes judge what was learnt, and which choose among seeds.
pub(crate) const JUDGING: u64 = 0;
pub(crate) const CHOOSING: u64 = 2;

/// Result of what runs.
pub type Result<T> = std::result::Result<T, TransferError>;

/// Trains as planned and leaves a run.
///
/// # Errors
/// For a plan that cannot be, a disk that refuses, and [`TransferError::Stopped`] where the observer asks
/// for it; [`resume`] goes on from there.
pub fn train(plan: &TrainPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let checked = Checked::of(plan)?;
    let folder = RunFolder::create(&plan.runs_dir, plan.name.as_deref(), &plan.world)?;
    folder::begin(&folder, COMMAND, plan.seed, &checked.told(), &plan.learner)?;
    folder::write_plan(&folder, plan)?;
    go_on(&folder, plan, observer)
}

/// Goes on with a run that was stopped or killed; a finished one only gives its document.
///
/// # Errors
/// As [`train`], and for a folder that is not such a run.
pub fn resume(run: &Path, observer: &mut dyn Observer) -> Result<TrainReport> {
    let (folder, record) = RunFolder::open(run)?;
    if record.state == RunState::Complete {
        return folder.drawn_from("report.json");
    }
    let plan = folder::read_plan(&folder)?;
    go_on(&folder, &plan, observer)
}

/// A plan whose names exist.
/// Refuses a training of nothing.
pub(crate) fn check_steps(steps: Option<u64>) -> Result<()> {
    match steps {
        Some(0) => Err(TransferError::usage("`--steps 0`", "without it, as many as published")),
        _ => Ok(()),
    }
}

struct Checked {
    kind: world::Kind,
    constants: Constants,
    learner: &'static learn::Entry,
}

impl Checked {
    fn of(plan: &TrainPlan) -> Result<Self> {
        let kind = *world::find(&plan.world)?;
        let constants = Constants::of(&kind, &plan.constants())?;
        let learner = learn::find(&plan.learner)?;
        if plan.seeds == 0 || plan.seeds > 1000 {
            return Err(TransferError::usage(
                format!("`--seeds {}`", plan.seeds),
                "from 1 to 1000; 10 is usual",
            ));
        }
        check_steps(plan.steps)?;
        let checked = Self { kind, constants, learner };
        // Refuses what the learner does not take, before a folder is made.
        (learner.begin)(&checked.task(plan, 0))?;
        Ok(checked)
    }

    fn task(&self, plan: &TrainPlan, seed: u64) -> Task {
        Task {
            kind: self.kind,
            constants: self.constants.clone(),
            seed: plan.seed + seed,
            steps: plan.steps,
            start: Start::default(),
        }
    }

    /// `cart-pole, gravity 15`.
    fn told(&self) -> String {
        told(&self.kind, &self.constants)
    }
}

/// A world and what is unusual of it, in words: `cart-pole with gravity 15`.
pub fn told(kind: &world::Kind, constants: &Constants) -> String {
    let changed: Vec<String> = match Constants::of(kind, &[]) {
        Ok(usual) => {
            let changed = constants.changed(&usual);
            changed.into_iter().map(|(name, here, _)| format!("{name} {here}")).collect()
        }
        Err(_) => Vec::new(),
    };
    match changed.is_empty() {
        true => kind.name.into(),
        false => format!("{} with {}", kind.name, changed.join(", ")),
    }
}

fn go_on(folder: &RunFolder, plan: &TrainPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let _claim = folder.claim()?;
    let began = Instant::now();
    let checked = Checked::of(plan)?;
    let courses: Vec<Course> = (0..plan.seeds)
        .map(|seed| Course {
            task: checked.task(plan, seed),
            learner: checked.learner,
            folder: folder.file(&format!("seeds/{}", plan.seed + seed)),
        })
        .collect();
    let learnt = folder::settled(folder, all(&courses, observer))?;
    let report = report(folder, plan, &checked, &courses, &learnt, began)?;
    folder.write_json("report.json", &report)?;
    folder::finish(folder, began.elapsed().as_secs_f64())?;
    Ok(report)
}

fn report(
    folder: &RunFolder,
    plan: &TrainPlan,
    checked: &Checked,
    courses: &[Course],
    learnt: &[Learnt],
    began: Instant,
) -> Result<TrainReport> {
    let spec = courses[0].task.spec()?;
    let mut seeds = Vec::new();
    let mut chosen: Option<(f64, usize)> = None;
    for (index, (course, learnt)) in courses.iter().zip(learnt).enumerate() {
        let Task { kind, constants, seed, .. } = &course.task;
        // The best of ten is the best by luck as well: others than these episodes judge it.
        let choosing = evaluate(&learnt.policy, kind, constants, EPISODES, (*seed, CHOOSING))?;
        if chosen.is_none_or(|(best, _)| choosing.mean() > best) {
            chosen = Some((choosing.mean(), index));
        }
        let judged = evaluate(&learnt.policy, kind, constants, EPISODES, (*seed, JUDGING))?;
        seeds.push(SeedReport {
            seed: *seed,
            mean_return: judged.mean(),
            steps: learnt.steps,
            seconds: learnt.seconds,
        });
    }
    let best = chosen.map_or(0, |(_, index)| index);
    folder::ship(folder, &learnt[best].policy)?;
    let returns: Vec<f64> = seeds.iter().map(|seed| seed.mean_return).collect();
    let (mean_return, mean_return_ci) = interval(&returns, plan.seed);
    Ok(TrainReport {
        schema: 1,
        command: COMMAND.into(),
        run: folder.path().into(),
        seconds: began.elapsed().as_secs_f64(),
        world: plan.world.clone(),
        constants: checked.constants.iter().map(|(name, v)| (name.to_owned(), v)).collect(),
        told: checked.told(),
        learner: plan.learner.clone(),
        mean_return,
        mean_return_ci,
        episodes: EPISODES,
        threshold: spec.threshold,
        solved: spec.threshold.map(|t| returns.iter().filter(|r| **r >= t).count()),
        chosen: seeds[best].seed,
        curve: CurvePoint::of(&curves(learnt)?),
        seeds,
    })
}
