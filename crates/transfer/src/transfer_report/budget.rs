//! What cells cost, and which of them a time budget allows: those of the fewest labels first.

use std::collections::BTreeMap;

use offshoot_data::Split;

use super::cell::Cell;
use super::study::Study;
use crate::cache::Cache;
use crate::train::rehearse;
use crate::watch::Watch;
use crate::{Result, estimate, fit};

/// Seconds of everything about a cell that is neither features, nor head, nor training.
const AROUND: f64 = 0.2;
/// How far the course of a report may correct its estimates.
const DRIFT: [f64; 2] = [0.2, 5.0];

/// Of the training of one method on all labels of a target.
#[derive(Debug, Clone, Copy)]
struct Training {
    /// Seconds of the course that chooses the epoch.
    course: f64,
}

/// What cells cost.
#[derive(Debug, Default)]
pub struct Costs {
    /// Seconds of a head on all labels, by target and source.
    heads: BTreeMap<(usize, Option<usize>), f64>,
    /// Seconds of the features that are not in the cache.
    pub features: f64,
    trainings: BTreeMap<(usize, usize, usize), Training>,
    /// What cells of a method took, and what was expected of them.
    seen: BTreeMap<usize, [f64; 2]>,
}

impl Costs {
    /// Measures a batch of every source and rehearses every method on every target.
    pub fn measure(study: &Study, cache: &Cache, watch: &mut Watch<'_>) -> Result<Self> {
        let mut costs = Self::default();
        for (&(target, model), opened) in &study.opened {
            let prepared = &study.targets[target].prepared;
            let plan = study.cell_plan(target, model.unwrap_or(0), "probe", 0)?;
            let found = estimate::estimate(prepared, &opened.source, cache, &plan, 0, watch)?;
            let batches = found.samples as f64 / plan.batch.max(1) as f64;
            let features = batches * found.seconds_per_batch;
            costs.features += features;
            costs.heads.insert((target, model), (found.seconds - features).max(0.0));
        }
        for cell in study.cells().iter().filter(|cell| cell.weight > 0) {
            let key = (cell.target, cell.model, cell.method);
            let Some(opened) = study.opened.get(&(cell.target, Some(cell.model))) else { continue };
            if costs.trainings.contains_key(&key) {
                continue;
            }
            let method = &study.plan.methods[cell.method];
            let plan = study.cell_plan(cell.target, cell.model, method, 0)?;
            let prepared = &study.targets[cell.target].prepared;
            let found = rehearse::rehearse(&plan, prepared, &opened.source, 0.0, watch)?;
            let course = found.map_or(0.0, |found| {
                found.phases.iter().map(|p| p.epochs as f64 * p.seconds_per_epoch).sum()
            });
            costs.trainings.insert(key, Training { course });
        }
        Ok(costs)
    }

    /// Seconds of a cell, corrected by what cells of its method have taken so far.
    pub fn of(&self, study: &Study, cell: &Cell) -> f64 {
        let drift = match self.seen.get(&cell.method) {
            Some([took, expected]) if *expected > 0.0 => {
                (took / expected).clamp(DRIFT[0], DRIFT[1])
            }
            _ => 1.0,
        };
        drift * self.expected(study, cell)
    }

    /// Learns from a finished cell.
    pub fn saw(&mut self, study: &Study, cell: &Cell, seconds: f64) {
        let expected = self.expected(study, cell);
        let seen = self.seen.entry(cell.method).or_default();
        seen[0] += seconds;
        seen[1] += expected;
    }

    fn expected(&self, study: &Study, cell: &Cell) -> f64 {
        let target = &study.targets[cell.target];
        let level = &target.ladder.levels[cell.level];
        let source = study.source_of(cell);
        let head = self.heads.get(&source).copied().unwrap_or(0.0);
        let share = level.labels as f64 / target.ladder.pool.max(1) as f64;
        let mut seconds = AROUND + head * share;
        let key = (cell.target, cell.model, cell.method);
        if let Some(training) = self.trainings.get(&key) {
            let work = |labels: usize| {
                let settings = &study.plan.training.finetune;
                let epochs = settings.epochs.unwrap_or_else(|| fit::usual_epochs(labels));
                (labels * epochs) as f64
            };
            let pool = target.ladder.pool;
            let own = work(level.labels) / work(pool).max(1.0);
            let refit = study.plan.training.refit && level.labels < fit::REFIT_BELOW;
            // What validation judged joins training, where the network is trained once more.
            seconds += training.course * own * if refit { 2.5 } else { 1.0 };
            let pace = study.opened.get(&source).map_or(0.0, |opened| opened.pace);
            seconds += pace * target.prepared.of(Split::Test).len() as f64;
        }
        seconds
    }
}
