//! The loop: phases of epochs of updates, judged on validation, written down as they go.
//!
//! This file is the story; [`plan`] says what a phase begins with, [`epoch`] how it learns, [`validate`]
//! what is kept, [`average`] what averages do to that, and [`keep`] how it survives a stop.

mod average;
mod epoch;
mod keep;
mod plan;
mod validate;

use std::time::Instant;

use offshoot_nn::Params;

use super::Tuned;
use super::budget::Pace;
use super::checkpoint::{Checkpoint, State};
use super::inputs::{Inputs, Supply, View};
use super::judge::{self, Judge};
use super::learner::{head_params, load_head};
use super::optimiser::Optimiser;
use super::refit::Way;
use super::schedule::Schedule;
use super::setting::Setting;
use super::step::{Batch, Pupil};
use super::strategy::{Phase as Stretch, Start};
use crate::guard::evidence::Evidence;
use crate::monitor::{History, Journal, Record};
use crate::watch::Watch;
use crate::{Result, TransferError};

/// Seconds of training that are written down at its end, lest they be repeated after a stop.
const WORTH_SAVING: f64 = 20.0;
/// Samples whose frozen part is computed between two looks at the clock, where there is a time budget.
const BETWEEN_LOOKS: usize = 256;

/// What a batch is made of.
pub struct Drawn {
    /// Places among the training samples.
    places: Vec<usize>,
    /// The same among all samples.
    pub samples: Vec<usize>,
    /// Places of as many samples of the target among all samples, where there is one.
    pub target: Vec<usize>,
}

impl Drawn {
    /// For update number `step`, when the share `progress` of training is done.
    pub fn batch(&self, view: View, step: u64, progress: f64) -> Batch<'_> {
        let Self { places, samples, target } = self;
        Batch { samples, places, target, view, step, progress }
    }
}

/// The batches of an epoch. A last batch of one sample joins the one before: batch norms cannot work on it.
///
/// Samples of a target come in turn, in another order each time that all of them have been seen; so an epoch
/// of few labelled samples goes on where the one before left off.
pub fn batches(setting: &Setting<'_>, epoch: u64) -> Vec<Drawn> {
    let n = setting.train.len();
    let seed = setting.job.plan.seed;
    let order = offshoot_random::permutation(n, seed, "order of samples", epoch);
    let mut batches: Vec<Vec<usize>> = order.chunks(setting.batch).map(<[usize]>::to_vec).collect();
    if batches.len() > 1 && batches.last().is_some_and(|last| last.len() == 1) {
        let single = batches.pop().unwrap_or_default();
        batches.last_mut().into_iter().for_each(|last| last.extend(&single));
    }
    let mut target = setting.target_from(epoch * n as u64);
    let drawn = |places: Vec<usize>| Drawn {
        samples: places.iter().map(|&place| setting.train[place]).collect(),
        target: target.by_ref().take(places.len()).collect(),
        places,
    };
    batches.into_iter().map(drawn).collect()
}

/// How a stretch of training ended.
enum End {
    /// All of its epochs are done.
    Done,
    /// For this reason nothing more should follow.
    Enough(String),
}

/// Everything that changes.
struct Course<'a, 'w, 'o> {
    setting: &'a Setting<'a>,
    supply: &'a Supply<'a>,
    watch: &'w mut Watch<'o>,
    state: State,
    journal: Journal,
    /// What has learnt so far, the head included.
    trained: Params,
    best: Params,
    optimiser: Optimiser,
    /// Weights at the start of the epoch, and the optimiser there.
    good: (Params, Optimiser),
    /// Whether `trained` and `extras` are what the learner holds.
    settled: bool,
    /// Factors and tensors of loss terms.
    extras: Params,
    average: Params,
    /// Of the best weights.
    factors: Params,
    learning: usize,
    saved: Instant,
    /// Seconds that a validation takes, as far as that was seen.
    judging: f64,
    /// Why the guard lets the run go no further.
    refused: Option<String>,
}

/// What a phase works with.
pub struct Room<'a> {
    /// With the learning rate that the sweep found, where there was one.
    pub phase: Stretch,
    /// Samples, or the frozen part's activations.
    pub inputs: Inputs<'a>,
    /// Validation.
    pub judge: Judge<'a>,
    /// What learns.
    pub pupil: Pupil,
}

/// Tunes, from the latest checkpoint where there is one.
pub fn run(
    setting: &Setting<'_>,
    supply: &Supply<'_>,
    watch: &mut Watch<'_>,
) -> Result<(Tuned, Way)> {
    let (checkpoint, refused) = Checkpoint::latest(&setting.place)?;
    for detail in refused {
        watch.warn(format!("a checkpoint is not used: {detail}"))?;
    }
    let history = checkpoint.as_ref().map(|c| c.history.clone()).unwrap_or_default();
    let mut course = Course::begin(setting, supply, history, watch)?;
    if let Some(checkpoint) = checkpoint {
        course.restore(checkpoint)?;
    }
    course.run()
}

/// Times one phase of the schedule, as if it were the first. Returns also the views that serve in turn, and
/// the bytes that inputs take when all samples have been looked at, beyond those that were.
pub fn measure(
    setting: &Setting<'_>,
    supply: &Supply<'_>,
    phase: &Stretch,
    watch: &mut Watch<'_>,
) -> Result<(Pace, usize, u64)> {
    let mut course = Course::begin(setting, supply, History::default(), watch)?;
    let Room { phase, mut inputs, judge, mut pupil } = course.enter(phase)?;
    let pace = Pace::measure(setting, &mut pupil, &mut inputs, &judge, &phase, course.watch)?;
    let sizes = setting.job.sizes;
    Ok((pace, inputs.views(), inputs.to_be_held(sizes.train + sizes.val)))
}

impl<'a, 'w, 'o> Course<'a, 'w, 'o> {
    /// Nothing is learnt yet, but what `history` tells is told.
    fn begin(
        setting: &'a Setting<'a>,
        supply: &'a Supply<'a>,
        history: History,
        watch: &'w mut Watch<'o>,
    ) -> Result<Self> {
        Ok(Self {
            setting,
            supply,
            watch,
            state: State { schedule: setting.chosen, lr_scale: 1.0, ..State::default() },
            journal: Journal::open(setting.job.folder.path(), &setting.told, history)?,
            trained: head_params(&setting.first_head()?),
            best: Params::new(),
            optimiser: Optimiser::new(setting.optimiser()),
            good: (Params::new(), Optimiser::new(setting.optimiser())),
            settled: false,
            extras: Params::new(),
            average: Params::new(),
            factors: Params::new(),
            learning: 0,
            saved: Instant::now(),
            judging: 0.0,
            refused: None,
        })
    }

    fn run(mut self) -> Result<(Tuned, Way)> {
        let phases = &self.setting.schedule.phases;
        while self.state.ended.is_none() {
            let Some(phase) = phases.get(self.state.phase) else {
                self.end(&self.all_done())?;
                break;
            };
            match self.phase(phase)? {
                End::Done => {
                    self.state.phase += 1;
                    self.state.epoch = 0;
                    self.state.batch = 0;
                }
                End::Enough(reason) => self.end(&reason)?,
            }
        }
        self.finish()
    }

    fn all_done(&self) -> String {
        let wanted: usize = self.setting.schedule.phases.iter().map(|p| p.epochs).sum();
        let planned: usize = self.state.planned.iter().sum();
        match self.setting.settings.time {
            Some(budget) if planned < wanted && self.setting.way.is_none() => {
                format!("the {planned} of {wanted} epochs that fit into {budget:.0} s are done")
            }
            _ => "all epochs are done".into(),
        }
    }

    /// One phase of the strategy, from where it stands.
    fn phase(&mut self, phase: &Stretch) -> Result<End> {
        let mut room = self.enter(phase)?;
        let end = self.learn(&mut room)?;
        let last = self.state.phase + 1 == self.setting.schedule.phases.len();
        if last || matches!(end, End::Enough(_)) {
            self.stir(&mut room)?;
        }
        Ok(end)
    }

    /// The network of a phase, and what it reads.
    fn enter(&mut self, phase: &Stretch) -> Result<Room<'a>> {
        let setting = self.setting;
        let boundary = setting.groups.boundary(&phase.learns).map(str::to_string);
        let training = setting.job.sizes.train + setting.job.target().len();
        let inputs = Inputs::new(self.supply, boundary.as_deref(), training)?;
        let samples = &setting.job.prepared.dataset.samples;
        let judge = Judge {
            recipe: setting.recipe,
            precision: setting.precision,
            boundary,
            labels: setting.val.iter().filter_map(|&i| samples[i].label).collect(),
            samples: setting.val.clone(),
            metric: judge::metric(&setting.settings.watch)?,
        };
        let mut pupil = setting.pupil(phase, &inputs, &self.trained)?;
        pupil.learner.restore_extras(&self.extras)?;
        self.settled = false;
        self.learning = pupil.learner.learning();
        Ok(Room { phase: phase.clone(), inputs, judge, pupil })
    }

    fn learn(&mut self, room: &mut Room<'_>) -> Result<End> {
        let setting = self.setting;
        if let End::Enough(reason) = self.prepare(room)? {
            return Ok(End::Enough(reason));
        }
        let planned = self.state.planned.get(self.state.phase);
        let epochs = planned.copied().unwrap_or(room.phase.epochs);
        let updates = batches(setting, 0).len();
        let schedule = Schedule {
            name: &setting.settings.schedule,
            warmup: setting.settings.warmup,
            steps: self.state.updates.unwrap_or(epochs * updates),
        };
        let until = setting.way.as_ref().map(|way| way.epochs);
        while self.state.epoch < epochs {
            if until == Some(self.state.epochs) {
                return Ok(End::Enough("as many epochs as were best".into()));
            }
            let view = room.inputs.view(self.state.epochs);
            for samples in [setting.train.as_slice(), setting.job.target()] {
                if !self.ensure(&mut room.inputs, samples, view)? {
                    return Ok(End::Enough(self.used_up()));
                }
            }
            if let End::Enough(reason) = self.epoch(schedule, room)? {
                return Ok(End::Enough(reason));
            }
        }
        Ok(End::Done)
    }

    /// Computes the frozen part's activations that are not there yet; false where the time does not allow it.
    fn ensure(&mut self, inputs: &mut Inputs<'_>, samples: &[usize], view: View) -> Result<bool> {
        let together = match self.setting.deadline {
            Some(_) => BETWEEN_LOOKS,
            None => samples.len().max(1),
        };
        for samples in samples.chunks(together) {
            if self.is_out_of_time() {
                return Ok(false);
            }
            let ensured = inputs.ensure(samples, view, self.watch);
            if matches!(ensured, Err(TransferError::Stopped { .. })) && self.state.step > 0 {
                self.save_between()?;
            }
            ensured?;
        }
        Ok(true)
    }

    fn is_out_of_time(&self) -> bool {
        self.setting.deadline.is_some_and(|end| self.watch.spent() + self.judging >= end)
    }

    fn used_up(&self) -> String {
        format!("the time of {:.0} s is used up", self.setting.settings.time.unwrap_or(0.0))
    }

    /// Writes down that training has ended, so that a run that is stopped later need not repeat it.
    fn end(&mut self, reason: &str) -> Result<()> {
        let best = self.state.best;
        let step = self.steps_told();
        let before = step - self.state.step;
        self.journal.tell(Record::Stopped {
            reason: reason.into(),
            step,
            best_step: best.map_or(step, |b| before + b.step),
            best_metric: best.map(|b| b.judged.metric),
        })?;
        self.state.ended = Some(reason.into());
        // Repeating less than this costs no more than writing it down.
        if self.saved.elapsed().as_secs_f64() < WORTH_SAVING {
            return Ok(());
        }
        // Nothing will learn from here on: moments and the weights to roll back to can go.
        self.optimiser = Optimiser::new(self.setting.optimiser());
        self.good = (Params::new(), self.optimiser.clone());
        self.save_between()
    }

    fn finish(mut self) -> Result<(Tuned, Way)> {
        let looks = std::mem::take(&mut self.state.looks);
        let reason = self.state.ended.as_deref().unwrap_or_default();
        let best = self.state.best;
        let trained = if self.best.is_empty() { &self.trained } else { &self.best };
        let params = self.setting.whole(trained);
        let mut head = self.setting.first_head()?;
        load_head(&mut head, trained)?;
        // The probe stays where no weights after it were as good, as far as validation can tell. That few
        // samples put it ahead by less than their standard error is no reason to keep it.
        let from_probe = self.setting.schedule.start == Start::Probe;
        let at_first = self.state.step == 0 || best.is_some_and(|best| best.step == 0);
        let kept_right = self.state.kept.clone().filter(|_| self.state.step > 0 && !at_first);
        let lost = match (&self.setting.guarded, &kept_right) {
            (Some(probe), Some(kept)) if !from_probe => loses(kept, probe),
            _ => false,
        };
        let helped = self.state.step > 0 && !(from_probe && at_first) && !lost;
        let kept = match best {
            _ if self.state.step == 0 => format!("{reason}; nothing was learnt"),
            _ if !helped => format!("{reason}; validation preferred the probe"),
            Some(best) => format!(
                "{reason}; the weights of epoch {} are kept, {} {:.4} on validation",
                best.epoch, self.setting.settings.watch, best.judged.metric
            ),
            None => format!("{reason}; without validation samples the last weights are kept"),
        };
        if self.setting.way.is_none() {
            self.watch.note(&kept)?;
        }
        let way = Way {
            planned: self.state.planned,
            epochs: best.map_or(0, |b| b.epoch),
            updates: self.state.step,
            found_lr: self.state.found_lr,
            lr_scale: self.state.lr_scale,
        };
        let tuned = Tuned {
            helped,
            params,
            head: head.to_linear(),
            low_rank: self.factors,
            learning: self.learning,
            values: self.setting.groups.all_values(),
            epochs: self.state.epochs,
            updates: self.state.step,
            best_update: best.map_or(self.state.step, |b| b.step),
            ended: kept,
            temperature: best.map(|b| b.judged.temperature),
            right: kept_right,
            looks,
            refitted: false,
            before: None,
            history: self.journal.into_history(),
        };
        Ok((tuned, way))
    }
}

/// Whether `kept` recognises fewer validation samples than `probe`, by more than the standard error.
fn loses(kept: &[bool], probe: &[bool]) -> bool {
    let of = |right: &[bool]| Evidence { val: right.to_vec(), ..Evidence::default() };
    let lead = of(probe).lead(&of(kept));
    lead.share > lead.error
}
