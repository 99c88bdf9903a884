//! What comes before the first update of a phase: how many epochs fit the time, the sweep over learning
//! rates, the first judgement.

use super::{Course, End, Room, Stretch};
use crate::Result;
use crate::fit::budget::{self, Cost, Pace};
use crate::fit::checkpoint::Best;
use crate::fit::finder;
use crate::fit::inputs::View;
use crate::monitor::Record;

/// Share of the time left that the sweep over learning rates may take.
const SWEEPING: f64 = 0.2;
/// A sweep of fewer steps says nothing.
const LEAST_SWEEP: usize = 30;

impl Course<'_, '_, '_> {
    pub(super) fn prepare(&mut self, room: &mut Room<'_>) -> Result<End> {
        let setting = self.setting;
        let begins = self.state.epoch == 0 && self.state.batch == 0;
        if let (Some(way), true) = (&setting.way, self.state.planned.is_empty()) {
            self.state.planned.clone_from(&way.planned);
            self.state.settled = way.planned.len();
            self.state.found_lr = way.found_lr;
            self.state.lr_scale = way.lr_scale;
        }
        if self.state.planned.is_empty() {
            self.state.planned = setting.schedule.phases.iter().map(|p| p.epochs).collect();
        }
        let unsettled = begins && self.state.settled <= self.state.phase;
        let pace = match setting.deadline {
            Some(_) if unsettled => {
                let Room { phase, inputs, judge, pupil } = &mut *room;
                let pace = Pace::measure(setting, pupil, inputs, judge, phase, self.watch)?;
                self.judging = pace.judging;
                Some(pace)
            }
            _ => None,
        };
        if setting.settings.find_lr && self.state.found_lr.is_none() && setting.way.is_none() {
            self.sweep(room, pace)?;
        }
        room.phase.lr = self.state.found_lr.unwrap_or(room.phase.lr);
        if let (Some(pace), Some(deadline)) = (pace, setting.deadline)
            && let End::Enough(reason) = self.settle(room, pace, deadline)?
        {
            return Ok(End::Enough(reason));
        }
        if begins {
            let learning = room.pupil.learner.learning();
            self.journal.tell(Record::Phase {
                name: self.told_as(&room.phase),
                summary: format!("{learning} values learn at {:.1e}", room.phase.lr),
                trainable: learning,
                frozen: setting.groups.all_values().saturating_sub(learning),
                first_step: self.steps_told(),
            })?;
        }
        if !self.ensure(&mut room.inputs, &room.judge.samples, View::Plain)? {
            return Ok(End::Enough(self.used_up()));
        }
        if self.state.best.is_none() {
            self.judge_first(room)?;
        }
        Ok(End::Done)
    }

    /// How a phase is called in what is told.
    pub(super) fn told_as(&self, phase: &Stretch) -> String {
        match self.setting.way {
            None => phase.name.clone(),
            Some(_) => format!("{}, once more", phase.name),
        }
    }

    /// Updates as they are told: those of a course before this one count.
    pub(super) fn steps_told(&self) -> u64 {
        self.setting.way.as_ref().map_or(0, |way| way.updates) + self.state.step
    }

    fn judge_first(&mut self, room: &mut Room<'_>) -> Result<()> {
        let trained = room.pupil.learner.trained();
        let Some(verdict) = self.judged(&trained, room)? else { return Ok(()) };
        // Where tuning helps nothing, the first weights stay.
        let judged = verdict.judged;
        self.state.best = Some(Best { judged, step: self.state.step, epoch: self.state.epochs });
        self.state.first = Some(judged);
        self.state.top = Some(verdict);
        self.best = trained;
        Ok(())
    }

    fn sweep(&mut self, room: &mut Room<'_>, pace: Option<Pace>) -> Result<()> {
        let setting = self.setting;
        let steps = match (pace, setting.deadline) {
            (Some(pace), Some(deadline)) => {
                let time = SWEEPING * (deadline - self.watch.spent());
                (time / pace.update.max(1e-9)).clamp(0.0, finder::STEPS as f64) as usize
            }
            _ => finder::STEPS,
        };
        if steps < LEAST_SWEEP {
            return self.watch.warn(format!(
                "the time does not allow to look for a learning rate: {:.1e} is taken",
                room.phase.lr
            ));
        }
        let view = room.inputs.view(0);
        for samples in [setting.train.as_slice(), setting.job.target()] {
            if !self.ensure(&mut room.inputs, samples, view)? {
                return Ok(());
            }
        }
        let sweep = finder::sweep(setting, room, steps, self.watch)?;
        self.state.found_lr = sweep.suggestion();
        self.journal.tell(sweep.record())
    }

    /// Plans this phase and, as if they cost the same, those after it.
    fn settle(&mut self, room: &Room<'_>, pace: Pace, deadline: f64) -> Result<End> {
        let setting = self.setting;
        let now = self.state.phase;
        self.state.settled = now + 1;
        let wanted: Vec<usize> = setting.schedule.phases[now..].iter().map(|p| p.epochs).collect();
        let total: usize = wanted.iter().sum();
        let cost = Cost::new(setting, pace, room.inputs.views());
        let left = deadline - self.watch.spent() - pace.prefix * room.judge.samples.len() as f64;
        // Once more on train and validation costs more than once; where that leaves less than half of
        // the epochs, they are worth more.
        let again = match setting.wants_refit() {
            true => 1.2 * (1.0 + setting.val.len() as f64 / setting.train.len() as f64),
            false => 0.0,
        };
        let with_refit = cost.epochs(left / (1.0 + again), total);
        let fit = if 2 * with_refit >= total { with_refit } else { cost.epochs(left, total) };
        if fit >= total {
            self.state.planned.splice(now.., wanted);
            return Ok(End::Done);
        }
        if fit > 0 {
            let budget = setting.settings.time.unwrap_or(0.0);
            self.watch.note(&format!(
                "{fit} of {total} epochs fit into {budget:.0} s at {:.1} s each",
                cost.epoch
            ))?;
            self.state.planned.splice(now.., budget::share(&wanted, fit));
            return Ok(End::Done);
        }
        let batches = super::batches(setting, 0).len();
        let updates = ((left - cost.view - (cost.epoch - pace.update * batches as f64))
            / pace.update.max(1e-9)) as usize;
        if updates == 0 {
            return Ok(End::Enough(format!(
                "the time does not allow an update of {:.1} s",
                pace.update
            )));
        }
        self.watch.note(&format!(
            "{updates} updates of {:.1} s fit the time, less than an epoch",
            pace.update
        ))?;
        self.state.updates = Some(updates);
        self.state.planned.splice(now.., budget::share(&wanted, 1));
        Ok(End::Done)
    }
}
