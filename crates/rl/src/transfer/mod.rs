//! `offshoot rl transfer`: what was learnt in one world, reused in another.
//!
//! Every seed is learnt from scratch and with each method, with the same draws of the world, so that
//! differences are paired. The source is chosen among several by short roll-outs; the method by short
//! trainings where `auto` is asked for. Where the source hurts, a policy from scratch is shipped.

mod choose;
pub mod document;
mod judging;
mod methods;
pub mod plan;
pub mod remap;
mod source;
mod trial;

use std::path::Path;
use std::time::Instant;

use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::RunState;
use offshoot_transfer::{Observer, TransferError};

use crate::learn::{self, Start, Task};
use crate::train::course::{Course, all};
use crate::train::{Result, check_steps, folder, told};
use crate::world::{self, Constants, Spec};
use document::TransferDocument;
pub(crate) use judging::curves;
pub use methods::{METHODS, Method};
use plan::TransferPlan;
use source::Source;

/// Name of the command in documents and records.
pub const COMMAND: &str = "rl transfer";
/// What lets the method be chosen.
pub const AUTO: &str = "auto";

/// Transfers as planned and leaves a run.
///
/// # Errors
/// For a plan that cannot be, a source that is no such run, a disk that refuses, and
/// [`TransferError::Stopped`] where the observer asks for it; [`resume`] goes on from there.
pub fn transfer(plan: &TransferPlan, observer: &mut dyn Observer) -> Result<TransferDocument> {
    let checked = Checked::of(plan)?;
    let folder = RunFolder::create(&plan.runs_dir, plan.name.as_deref(), &plan.world)?;
    let models: Vec<String> = checked.sources.iter().map(|source| source.told.clone()).collect();
    let world = told(&checked.kind, &checked.constants);
    folder::begin(&folder, COMMAND, plan.seed, &world, &models.join(" + "))?;
    folder::write_plan(&folder, plan)?;
    go_on(&folder, plan, &checked, observer)
}

/// Goes on with a run that was stopped or killed; a finished one only gives its document.
///
/// # Errors
/// As [`transfer`], and for a folder that is not such a run.
pub fn resume(run: &Path, observer: &mut dyn Observer) -> Result<TransferDocument> {
    let (folder, record) = RunFolder::open(run)?;
    if record.state == RunState::Complete {
        return folder.drawn_from("report.json");
    }
    let plan: TransferPlan = folder::read_plan(&folder)?;
    let checked = Checked::of(&plan)?;
    go_on(&folder, &plan, &checked, observer)
}

/// A plan whose names exist and whose sources are there, in the target's names.
struct Checked {
    kind: world::Kind,
    constants: Constants,
    spec: Spec,
    learner: &'static learn::Entry,
    sources: Vec<Source>,
    /// Empty for `auto`.
    methods: Vec<&'static Method>,
}

impl Checked {
    fn of(plan: &TransferPlan) -> Result<Self> {
        let kind = *world::find(&plan.world)?;
        let set: Vec<(String, f64)> = plan.set.iter().map(|(n, v)| (n.clone(), *v)).collect();
        let constants = Constants::of(&kind, &set)?;
        let spec = (kind.build)(&constants)?.spec().clone();
        if plan.seeds < 2 || plan.seeds > 1000 {
            return Err(TransferError::usage(
                format!("`--seeds {}`", plan.seeds),
                "an interval needs from 2 to 1000; 10 is usual",
            ));
        }
        check_steps(plan.steps)?;
        if plan.sources.is_empty() {
            return Err(TransferError::usage("no source", "`offshoot rl train` makes one"));
        }
        let methods = match plan.methods.as_slice() {
            [one] if one == AUTO => Vec::new(),
            names => names
                .iter()
                .map(|name| methods::find(name))
                .collect::<crate::Result<Vec<&'static Method>>>()?,
        };
        let sources = plan
            .sources
            .iter()
            .map(|run| Source::load(run, &spec, &plan.remapping))
            .collect::<Result<Vec<_>>>()?;
        let learner = learn::find(plan.learner.as_deref().unwrap_or(&sources[0].learner))?;
        let checked = Self { kind, constants, spec, learner, sources, methods };
        // What cannot begin is refused before a folder is made.
        for method in &checked.methods {
            for source in 0..checked.sources.len() {
                checked.course(plan, plan.seed, Some((method, source)), "".as_ref())?;
            }
        }
        if checked.methods.is_empty() && checked.possible(plan, 0).is_empty() {
            return Err(TransferError::usage(
                "no method can begin with these sources",
                "`--method warm-start` says why",
            ));
        }
        Ok(checked)
    }

    /// The methods that can begin with source `source`.
    fn possible(&self, plan: &TransferPlan, source: usize) -> Vec<&'static Method> {
        let can = |method: &&Method| {
            self.course(plan, plan.seed, Some((method, source)), "".as_ref()).is_ok()
        };
        METHODS.iter().filter(can).collect()
    }

    /// One training of seed `seed`, from scratch or with a method and a source, which is refused if it
    /// cannot begin.
    fn course(
        &self,
        plan: &TransferPlan,
        seed: u64,
        reused: Option<(&Method, usize)>,
        folder: &Path,
    ) -> Result<Course> {
        let mut task = Task {
            kind: self.kind,
            constants: self.constants.clone(),
            seed,
            steps: plan.steps,
            start: Start::default(),
        };
        if let Some((method, source)) = reused {
            task.start = source::start(method, &self.sources, source, &task, &self.spec)?;
        }
        (self.learner.begin)(&task)?;
        Ok(Course { task, learner: self.learner, folder: folder.into() })
    }
}

fn go_on(
    folder: &RunFolder,
    plan: &TransferPlan,
    checked: &Checked,
    observer: &mut dyn Observer,
) -> Result<TransferDocument> {
    let _claim = folder.claim()?;
    let began = Instant::now();
    let moved: Vec<_> = checked.sources.iter().map(|source| source.moved.clone()).collect();
    let (chosen, zero_shot) = choose::choose(&moved, &checked.kind, &checked.constants, plan.seed)?;
    let (methods, tried) = match checked.methods.is_empty() {
        false => (checked.methods.clone(), Vec::new()),
        true => {
            let tried = trial::trials(folder, plan, checked, chosen, observer);
            let (best, tried) = folder::settled(folder, tried)?;
            (vec![best], tried)
        }
    };
    let ways: Vec<Option<&Method>> =
        std::iter::once(None).chain(methods.iter().map(|m| Some(*m))).collect();
    let mut courses = Vec::new();
    for way in &ways {
        for seed in plan.seed..plan.seed + plan.seeds {
            let name = way.map_or(crate::report::SCRATCH, |method| method.name);
            let place = folder.file(&format!("{name}/{seed}"));
            courses.push(checked.course(plan, seed, way.map(|m| (m, chosen)), &place)?);
        }
    }
    let learnt = folder::settled(folder, all(&courses, observer))?;
    let outcome = judging::Outcome { ways: &ways, learnt: &learnt, chosen, zero_shot, tried };
    judging::finish(folder, plan, checked, outcome, began)
}
