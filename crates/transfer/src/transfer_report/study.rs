//! Data, sources and plan, and the cells that follow from them.

use std::collections::BTreeMap;

use super::WORK;
use super::budget::Costs;
use super::cell::{self, Cell, Opened, Outcome, Target};
use super::document::{LeftOut, PlannedCells};
use super::labels::Ladder;
use super::plan::{PIXELS, SCRATCH, TransferReportPlan};
use crate::cache::Cache;
use crate::extract::extract;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{
    Event, Flow, Observer, Phase, Result, TransferError, durable, estimate, fit, precision, train,
};

/// Where finished cells are.
const CELLS: &str = "cells";
/// Parts in which progress is told.
const PARTS: usize = 100;

/// Data, sources and plan, ready for cells.
pub struct Study {
    /// As asked for.
    pub plan: TransferReportPlan,
    /// Data to transfer to.
    pub targets: Vec<Target>,
    /// By target and model; pixels have no model.
    pub opened: BTreeMap<(usize, Option<usize>), Opened>,
    /// Methods of each target that its data allows.
    methods: Vec<Vec<usize>>,
}

/// Cells that the time did not suffice for, with the seconds that they would take.
pub type Missing = Vec<(Cell, f64)>;

impl Study {
    /// Opens every source on every target; `extracts` its features, too.
    pub fn open(
        plan: &TransferReportPlan,
        prepared: Vec<(Prepared, bool)>,
        cache: &Cache,
        watch: &mut Watch<'_>,
        extracts: bool,
    ) -> Result<Self> {
        let mut study = Self {
            plan: plan.clone(),
            targets: Vec::new(),
            opened: BTreeMap::new(),
            methods: Vec::new(),
        };
        for (number, (mut prepared, named_val)) in prepared.into_iter().enumerate() {
            let path = plan.targets[number].clone();
            let mut keys = Vec::new();
            let mut pictures = true;
            for model in 0..plan.models.len() {
                let training = plan.cell(&path, &plan.models[model], "probe", 0)?;
                let source = train::source_of(&training, &prepared, watch)?;
                pictures = source.pictures().is_ok();
                let opened = open(source, &mut prepared, cache, &training, watch, extracts)?;
                keys.clone_from(&opened.extraction.keys);
                study.opened.insert((number, Some(model)), opened);
            }
            let allowed = |method: &String| pictures || method != PIXELS;
            let methods: Vec<usize> =
                (0..plan.methods.len()).filter(|&m| allowed(&plan.methods[m])).collect();
            if methods.len() < plan.methods.len() {
                watch
                    .note(&format!("{}: no pictures, so `{PIXELS}` is left out", path.display()))?;
            }
            if methods.iter().any(|&m| plan.methods[m] == PIXELS) {
                let training = plan.cell(&path, PIXELS, PIXELS, 0)?;
                let source = source::open(PIXELS, plan.training.seed)?;
                let opened = open(source, &mut prepared, cache, &training, watch, extracts)?;
                study.opened.insert((number, None), opened);
            }
            let ladder = Ladder::new(&prepared.dataset, &plan.shares, named_val);
            study.targets.push(Target { path, prepared, ladder, keys });
            study.methods.push(methods);
        }
        Ok(study)
    }

    /// All cells, the cheapest first.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (target, facts) in self.targets.iter().enumerate() {
            for (level, labels) in facts.ladder.levels.iter().enumerate() {
                for &method in &self.methods[target] {
                    let name = self.plan.methods[method].as_str();
                    let weight = if [PIXELS, "probe"].contains(&name) { 0 } else { labels.labels };
                    for model in 0..self.plan.models.len() {
                        let owner = match name {
                            PIXELS => 0,
                            SCRATCH => self.scratch_of(target, model),
                            _ => model,
                        };
                        if owner != model {
                            continue;
                        }
                        let seeds = 0..self.plan.seeds as u64;
                        cells.extend(seeds.map(|seed| Cell {
                            weight,
                            level,
                            seed,
                            target,
                            model,
                            method,
                        }));
                    }
                }
            }
        }
        cells.sort();
        cells
    }

    /// The first model of the same architecture: from scratch they are the same.
    pub fn scratch_of(&self, target: usize, model: usize) -> usize {
        let shape = |model: usize| {
            let opened = self.opened.get(&(target, Some(model)))?;
            let recipe = opened.source.network.as_ref().map(|(recipe, _)| recipe)?;
            Some((recipe.name, recipe.stages.len(), opened.source.facts.preprocessing.clone()))
        };
        (0..=model).find(|&other| shape(other) == shape(model)).unwrap_or(model)
    }

    /// The source of a cell, by target and model.
    pub fn source_of(&self, cell: &Cell) -> (usize, Option<usize>) {
        let pixels = self.plan.methods[cell.method] == PIXELS;
        (cell.target, (!pixels).then_some(cell.model))
    }

    /// How a cell is trained.
    pub fn cell_plan(
        &self,
        target: usize,
        model: usize,
        method: &str,
        seed: u64,
    ) -> Result<TrainPlan> {
        self.plan.cell(&self.targets[target].path, &self.plan.models[model], method, seed)
    }

    /// A cell as a dry run lists it.
    pub fn planned(&self, cell: &Cell, seconds: f64, affordable: bool) -> PlannedCells {
        let target = &self.targets[cell.target];
        let level = &target.ladder.levels[cell.level];
        let (_, model) = self.source_of(cell);
        PlannedCells {
            data: target.prepared.dataset.name.clone(),
            model: model.map(|model| self.plan.models[model].clone()),
            method: self.plan.methods[cell.method].clone(),
            labels: level.labels,
            share: level.share,
            cells: 1,
            seconds,
            affordable,
        }
    }

    /// The same for cells that the time did not suffice for, those that differ by their seed together.
    pub fn left_out(&self, missing: &Missing) -> Vec<LeftOut> {
        let mut left_out: Vec<LeftOut> = Vec::new();
        for (cell, seconds) in missing {
            let planned = self.planned(cell, *seconds, false);
            let left = LeftOut {
                data: planned.data,
                model: planned.model.unwrap_or_default(),
                method: planned.method,
                labels: planned.labels,
                cells: 1,
                seconds: *seconds,
            };
            let alike = left_out.iter_mut().find(|other| {
                (&other.data, &other.model, &other.method, other.labels)
                    == (&left.data, &left.model, &left.method, left.labels)
            });
            match alike {
                Some(other) => {
                    other.cells += 1;
                    other.seconds += seconds;
                }
                None => left_out.push(left),
            }
        }
        left_out
    }

    /// Does every cell that is not done yet and that the time allows.
    pub fn carry_out(
        &self,
        folder: &RunFolder,
        cache: &Cache,
        watch: &mut Watch<'_>,
    ) -> Result<(BTreeMap<Cell, Outcome>, Missing)> {
        let cells = self.cells();
        let mut fingerprints = Vec::with_capacity(cells.len());
        let mut outcomes = BTreeMap::new();
        for cell in &cells {
            let Some(opened) = self.opened.get(&self.source_of(cell)) else { continue };
            let target = &self.targets[cell.target];
            let level = &target.ladder.levels[cell.level];
            let named = (self.plan.methods[cell.method].as_str(), cell.seed);
            let print = cell::fingerprint(&self.plan, target, &opened.source, level, named)?;
            if let Some(done) = Outcome::read(&folder.file(&self.file(cell)), &print) {
                outcomes.insert(cell.clone(), done);
            }
            fingerprints.push((cell, print));
        }
        let ahead = fingerprints.iter().any(|(cell, _)| !outcomes.contains_key(*cell));
        let mut costs = match (self.plan.time, ahead) {
            (Some(_), true) => Some(
                watch.phase(Phase::Rehearse, None, |watch| Costs::measure(self, cache, watch))?,
            ),
            _ => None,
        };
        let mut spent: f64 = outcomes.values().map(|outcome| outcome.seconds).sum();
        let mut missing = Missing::new();
        // A guess that is only used to tell how far the report is.
        let share = |cell: &Cell| {
            let epochs = self.plan.training.finetune.epochs;
            let passes = epochs.unwrap_or_else(|| fit::usual_epochs(cell.weight));
            1.0 + (cell.weight * passes) as f64 / 20.0
        };
        let whole: f64 = cells.iter().map(share).sum();
        let mut done = 0.0;
        watch.phase(Phase::Curves, Some(PARTS), |watch| {
            let before: f64 = outcomes.keys().map(share).sum();
            let parts = |work: f64| (PARTS as f64 * work / whole) as usize;
            for (cell, print) in &fingerprints {
                let own = share(cell);
                done += own;
                if outcomes.contains_key(*cell) {
                    continue;
                }
                if let (Some(costs), Some(time)) = (&costs, self.plan.time) {
                    let seconds = costs.of(self, cell);
                    if spent + seconds > time {
                        missing.push(((*cell).clone(), seconds));
                        continue;
                    }
                }
                let mut inner = Within {
                    watch: &mut *watch,
                    at: done - own,
                    own,
                    whole,
                    before,
                    furthest: 0.0,
                };
                let outcome = self.one(cell, folder, cache, &mut inner)?;
                let outcome = Outcome { fingerprint: print.clone(), ..outcome };
                folder.write_json(&self.file(cell), &outcome)?;
                cell::clear(&self.work(folder, cell))?;
                if let Some(costs) = &mut costs {
                    costs.saw(self, cell, outcome.seconds);
                }
                spent += outcome.seconds;
                watch.note(&self.told(cell, &outcome))?;
                outcomes.insert((*cell).clone(), outcome);
                watch.progress(Phase::Curves, parts(done), PARTS, parts(before))?;
            }
            Ok(())
        })?;
        Ok((outcomes, missing))
    }

    fn one(
        &self,
        cell: &Cell,
        folder: &RunFolder,
        cache: &Cache,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        let method = self.plan.methods[cell.method].as_str();
        let plan = self.cell_plan(cell.target, cell.model, method, cell.seed)?;
        let target = &self.targets[cell.target];
        let level = &target.ladder.levels[cell.level];
        let opened = self.opened.get(&self.source_of(cell)).ok_or_else(|| {
            TransferError::Internal("a cell without a source was about to be trained".into())
        })?;
        let work = self.work(folder, cell);
        durable::create_dir(work.path())?;
        let mut watch = Watch::new(observer);
        cell::run(&plan, method, target, opened, level, (cache, &work), &mut watch)
    }

    fn name(&self, cell: &Cell) -> String {
        let labels = self.targets[cell.target].ladder.levels[cell.level].labels;
        let method = &self.plan.methods[cell.method];
        format!("{}-{}-{method}-{labels}-{}", cell.target, cell.model, cell.seed)
    }

    fn file(&self, cell: &Cell) -> String {
        format!("{CELLS}/{}.json", self.name(cell))
    }

    fn work(&self, folder: &RunFolder, cell: &Cell) -> RunFolder {
        folder.inner(&format!("{WORK}/{}", self.name(cell)))
    }

    fn told(&self, cell: &Cell, outcome: &Outcome) -> String {
        let planned = self.planned(cell, outcome.seconds, true);
        let right = outcome.answers().iter().filter(|right| **right).count();
        format!(
            "{}, {} {}, {} labels, seed {}: {right} of {} right, {:.1} s",
            planned.data,
            planned.model.unwrap_or_default(),
            planned.method,
            planned.labels,
            cell.seed,
            outcome.right.len(),
            outcome.seconds
        )
    }
}

/// A source with the features of `prepared`, from which unreadable samples are dropped.
fn open(
    mut source: Source,
    prepared: &mut Prepared,
    cache: &Cache,
    training: &TrainPlan,
    watch: &mut Watch<'_>,
    extracts: bool,
) -> Result<Opened> {
    if source.name == PIXELS {
        precision::settle(&mut source, training.precision, &prepared.dataset.samples, watch)?;
    }
    let all = &prepared.dataset.samples;
    let total = Some(all.len());
    let wanted = if extracts { all.as_slice() } else { &[] };
    let extraction = watch.phase(Phase::Extract, total, |watch| {
        extract(wanted, &source, cache, training.batch, Phase::Extract, watch)
    })?;
    if extracts {
        train::drop_unreadable(prepared, &extraction, watch)?;
    }
    let pace = estimate::seconds_per_image(prepared, &source)?;
    Ok(Opened { source, extraction, pace })
}

/// What a cell tells becomes the report's progress.
struct Within<'w, 'o> {
    watch: &'w mut Watch<'o>,
    /// Work before this cell, of this cell, of all cells, and done by earlier processes.
    at: f64,
    own: f64,
    whole: f64,
    before: f64,
    /// Largest share of this cell so far: a network that is trained once more begins at 0 again.
    furthest: f64,
}

impl Observer for Within<'_, '_> {
    fn on(&mut self, event: &Event<'_>) -> Flow {
        let told = match *event {
            Event::Progress { phase: Phase::Finetune, done, total, .. } => {
                let part = |work: f64| (PARTS as f64 * work / self.whole) as usize;
                self.furthest = self.furthest.max(done as f64 / total.max(1) as f64);
                let now = self.at + self.own * self.furthest;
                self.watch.progress(Phase::Curves, part(now), PARTS, part(self.before))
            }
            Event::Warning(text) | Event::Note(text) => {
                self.watch.log_line(&format!("  {text}"));
                self.watch.ask()
            }
            _ => self.watch.ask(),
        };
        match told {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Stop,
        }
    }
}
