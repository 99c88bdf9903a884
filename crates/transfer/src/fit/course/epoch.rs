//! One epoch: its updates, and the way back where they diverge.

use std::time::Instant;

use super::keep::{model, only_extras};
use super::{Course, End, Room, batches};
use crate::fit::averaging::{self, Kind};
use crate::fit::learner::Learner;
use crate::fit::schedule::Schedule;
use crate::fit::step::Outcome;
use crate::monitor::Record;
use crate::{Event, Phase, Result, TransferError};

/// After so many returns to earlier weights, training is given up.
const ROLLBACKS: u32 = 2;

impl Course<'_, '_, '_> {
    pub(super) fn epoch(&mut self, schedule: Schedule<'_>, room: &mut Room<'_>) -> Result<End> {
        let setting = self.setting;
        let started = Instant::now();
        if self.state.batch == 0 {
            self.good.0 = match self.settled {
                true => self.between(),
                false => model(&mut room.pupil.learner),
            };
            self.good.1.copy_from(&self.optimiser);
            self.state.loss = [0.0; 2];
            self.state.right = 0;
        }
        let all = batches(setting, self.state.epochs);
        let view = room.inputs.view(self.state.epochs);
        while let Some(drawn) = all.get(self.state.batch) {
            if self.state.updates == Some(self.state.batch) {
                self.judge_at_end(room, started)?;
                return Ok(End::Enough(format!(
                    "the {} of {} updates of an epoch that the time allows are done",
                    self.state.batch,
                    all.len()
                )));
            }
            let at = self.state.epoch * all.len() + self.state.batch;
            let step = self.state.step;
            let progress = (step as f64 / self.updates_in_all(all.len()) as f64).min(1.0);
            let batch = drawn.batch(view, step, progress);
            self.settled = false;
            let mut outcome = setting.gradients(&mut room.pupil, &room.inputs, &batch)?;
            let factor = schedule.factor(at) * self.state.lr_scale;
            if outcome.loss.is_finite() {
                let momentum = schedule.momentum(at, self.optimiser.momentum());
                let phase = &room.phase;
                outcome.norm =
                    setting.update(&mut room.pupil, &mut self.optimiser, phase, factor, momentum);
            }
            if !outcome.is_finite() {
                self.roll_back(&mut room.pupil.learner, step)?;
                return Ok(End::Done);
            }
            self.count(outcome, drawn.samples.len(), all.len(), room, room.phase.lr * factor)?;
            if self.is_out_of_time() {
                self.judge_at_end(room, started)?;
                return Ok(End::Enough(self.used_up()));
            }
        }
        // Until it is judged, the epoch is not over: a stop on the way comes back to here.
        let before = self.state.clone();
        self.state.epoch += 1;
        self.state.epochs += 1;
        self.state.batch = 0;
        if let Err(error) = self.judge(room, started) {
            if matches!(error, TransferError::Stopped { .. }) {
                self.state = before;
                self.save(&mut room.pupil.learner)?;
            }
            return Err(error);
        }
        if let Some(reason) = self.refused.take() {
            return Ok(End::Enough(reason));
        }
        let patience = setting.settings.patience;
        if patience > 0 && self.state.stale >= patience {
            let reason =
                format!("{} has not improved for {patience} epochs", setting.settings.watch);
            return Ok(End::Enough(reason));
        }
        Ok(End::Done)
    }

    /// Judges within an epoch that ends before its time.
    fn judge_at_end(&mut self, room: &mut Room<'_>, started: Instant) -> Result<()> {
        let judged = self.judge(room, started);
        if matches!(judged, Err(TransferError::Stopped { .. })) {
            self.save(&mut room.pupil.learner)?;
        }
        judged
    }

    /// Counts an update, tells of it, and writes a checkpoint where one is due or the run is to stop.
    fn count(
        &mut self,
        outcome: Outcome,
        samples: usize,
        batches: usize,
        room: &mut Room<'_>,
        lr: f64,
    ) -> Result<()> {
        self.state.step += 1;
        self.state.batch += 1;
        self.state.loss[0] += outcome.loss * samples as f64;
        self.state.loss[1] += samples as f64;
        self.state.right += outcome.right;
        let epoch = self.state.epochs as f64 + self.state.batch as f64 / batches as f64;
        self.journal.tell(Record::Step {
            phase: self.told_as(&room.phase),
            step: self.steps_told(),
            epoch,
            loss: outcome.loss,
            terms: outcome.terms,
            lr,
        })?;
        if self.setting.average == Kind::Ema {
            self.state.averaged += 1;
            let weights = room.pupil.learner.trained();
            averaging::follow(&mut self.average, &weights, self.state.averaged);
        }
        let done = self.state.step as usize;
        let planned: usize = self.state.planned.iter().sum();
        let total = self.updates_in_all(batches);
        let told = self.watch.training(&Event::Training {
            epoch,
            epochs: planned,
            loss: outcome.loss,
            metric: &self.setting.settings.watch,
            last: self.state.last,
            best: self.state.best.map(|best| best.judged.metric),
            lr,
        });
        let told =
            told.and_then(|()| self.watch.progress(Phase::Finetune, done, total.max(done), 0));
        let every = self.setting.settings.checkpoint_every;
        if told.is_err() || self.saved.elapsed().as_secs_f64() >= every {
            self.save(&mut room.pupil.learner)?;
        }
        told
    }

    /// Updates that are planned, of so many an epoch.
    fn updates_in_all(&self, batches: usize) -> usize {
        let planned: usize = self.state.planned.iter().sum();
        self.state.updates.unwrap_or(batches * planned).max(1)
    }

    /// Back to the start of the epoch with half the learning rate.
    fn roll_back(&mut self, learner: &mut Learner, step: u64) -> Result<()> {
        self.state.rollbacks += 1;
        if self.state.rollbacks > ROLLBACKS {
            return Err(TransferError::Diverged(format!(
                "training diverged at update {} and twice before, each time with half the learning \
                 rate; the last good weights are in the run's checkpoints",
                step + 1
            )));
        }
        self.state.lr_scale /= 2.0;
        self.watch.warn(format!(
            "the loss or its gradient is not finite at update {}: back to the start of the epoch with \
             half the learning rate",
            step + 1
        ))?;
        let (model, optimiser) = &self.good;
        learner.load(model)?;
        learner.restore_extras(&only_extras(model))?;
        self.optimiser.copy_from(optimiser);
        self.state.step -= self.state.batch as u64;
        self.state.batch = 0;
        let step = self.steps_told();
        self.journal.retain(|record| record.step().is_none_or(|s| s <= step))?;
        self.save(learner)
    }
}
