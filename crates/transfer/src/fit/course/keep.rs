//! How a course survives a stop: what goes to disk, and how it comes back.

use std::time::Instant;

use offshoot_nn::{Array, Params};

use super::Course;
use crate::Result;
use crate::fit::checkpoint::{Checkpoint, Writing};
use crate::fit::learner::Learner;

/// What the keys of extras begin with in a checkpoint.
const EXTRA: &str = "extra.";

impl Course<'_, '_, '_> {
    /// Writes a checkpoint within a phase.
    pub(super) fn save(&mut self, learner: &mut Learner) -> Result<()> {
        self.write(model(learner))
    }

    /// Writes a checkpoint between epochs.
    pub(super) fn save_between(&mut self) -> Result<()> {
        self.write(self.between())
    }

    /// Everything that the next update depends on, between epochs.
    pub(super) fn between(&self) -> Params {
        let mut model = self.trained.clone();
        model.extend(marked(self.extras.clone()));
        model
    }

    fn write(&mut self, model: Params) -> Result<()> {
        self.state.spent = self.watch.spent();
        self.journal.sync()?;
        let held = [&self.best, &self.factors, &self.average, &self.good.0, &model];
        let values: usize = held.into_iter().map(values).sum();
        let moments = self.good.1.values() + self.optimiser.values();
        let bytes = 4 * (values + moments) as u64;
        self.parts(model).map_err(|error| error.needing(bytes))?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Part by part, so that no more than one copy is alive at a time.
    fn parts(&self, model: Params) -> Result<()> {
        let mut writing = Writing::begin(&self.setting.place)?;
        writing.part("model", &model)?;
        drop(model);
        writing.part("optimizer", &self.optimiser.state())?;
        writing.part("best", &self.best)?;
        writing.part("factors", &self.factors)?;
        writing.part("average", &self.average)?;
        writing.part("good", &self.good.0)?;
        writing.part("good_optimizer", &self.good.1.state())?;
        writing.finish(&self.state, self.journal.history())
    }

    /// Takes over a checkpoint, of which the journal has the history already.
    pub(super) fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Checkpoint {
            state,
            model,
            optimiser,
            best,
            factors,
            average,
            good,
            good_optimiser,
            history: _,
        } = checkpoint;
        self.watch.goes_on_from(state.spent);
        self.watch.note(&format!("going on after update {}", state.step))?;
        self.optimiser.restore(optimiser)?;
        self.extras = only_extras(&model);
        self.trained = model.into_iter().filter(|(key, _)| !key.starts_with(EXTRA)).collect();
        self.good.0 = good;
        self.good.1.restore(good_optimiser)?;
        (self.best, self.factors, self.average) = (best, factors, average);
        self.state = state;
        Ok(())
    }
}

fn values(params: &Params) -> usize {
    params.values().map(|array| array.data.len()).sum()
}

/// Everything of the learner that the next update depends on.
pub(super) fn model(learner: &mut Learner) -> Params {
    let mut model = learner.trained();
    model.extend(marked(learner.extras()));
    model
}

fn marked(extras: Params) -> impl Iterator<Item = (String, Array)> {
    extras.into_iter().map(|(key, array)| (format!("{EXTRA}{key}"), array))
}

pub(super) fn only_extras(model: &Params) -> Params {
    let extra = |(key, array): (&String, &Array)| {
        Some((key.strip_prefix(EXTRA)?.to_string(), array.clone()))
    };
    model.iter().filter_map(extra).collect()
}
