//! The loop: phases, epochs, updates; validation, early stopping, checkpoints, divergence.

use std::collections::BTreeMap;
use std::time::Instant;

use offshoot_data::Split;
use offshoot_nn::Params;

use super::budget::{self, Pace};
use super::checkpoint::{Best, Checkpoint, State};
use super::finder;
use super::inputs::{Inputs, Supply, View};
use super::judge::{self, Judge};
use super::learner::{Learner, load_head};
use super::optimiser::Optimiser;
use super::schedule::Schedule;
use super::step::Batch;
use super::strategy::{Phase as Stretch, Start};
use super::{Setting, Tuned};
use crate::monitor::{History, Record};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};

/// After so many returns to earlier weights, training is given up.
const ROLLBACKS: u32 = 2;

/// Places of the training samples of each batch of an epoch. A last batch of one sample joins the one
/// before: batch norms cannot work on it.
pub fn batches(setting: &Setting<'_>, epoch: u64) -> Vec<Vec<usize>> {
    let n = setting.train.len();
    let order = offshoot_random::permutation(n, setting.job.plan.seed, "order of samples", epoch);
    let mut batches: Vec<Vec<usize>> = order.chunks(setting.batch).map(<[usize]>::to_vec).collect();
    if batches.len() > 1 && batches.last().is_some_and(|last| last.len() == 1) {
        let single = batches.pop().unwrap_or_default();
        batches.last_mut().into_iter().for_each(|last| last.extend(&single));
    }
    batches
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
    history: History,
    /// What has learnt so far, the head included.
    trained: Params,
    best: Params,
    optimiser: Optimiser,
    /// Weights and moments at the start of the epoch.
    good: (Params, Params),
    low_rank: Params,
    learning: usize,
    saved: Instant,
}

/// Tunes, from the latest checkpoint where there is one.
pub fn run(setting: &Setting<'_>, supply: &Supply<'_>, watch: &mut Watch<'_>) -> Result<Tuned> {
    let folder = setting.job.folder.path();
    let (checkpoint, refused) = Checkpoint::latest(folder)?;
    for detail in refused {
        watch.warn(format!("a checkpoint is not used: {detail}"))?;
    }
    let first = super::learner::head_params(&setting.first_head()?);
    let mut course = Course {
        setting,
        supply,
        watch,
        state: State { lr_scale: 1.0, ..State::default() },
        history: History::default(),
        trained: first,
        best: Params::new(),
        optimiser: Optimiser::new(&setting.settings.optimiser),
        good: Default::default(),
        low_rank: Params::new(),
        learning: 0,
        saved: Instant::now(),
    };
    if let Some(checkpoint) = checkpoint {
        course.restore(checkpoint)?;
    }
    course.run()
}

impl Course<'_, '_, '_> {
    fn run(mut self) -> Result<Tuned> {
        let phases = &self.setting.schedule.phases;
        while self.state.ended.is_none() {
            let Some(phase) = phases.get(self.state.phase) else {
                self.end("all epochs are done")?;
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

    /// Writes down that training has ended, so that a run that is stopped later need not repeat it.
    fn end(&mut self, reason: &str) -> Result<()> {
        let best = self.state.best;
        self.history.records.push(Record::Stopped {
            reason: reason.into(),
            step: self.state.step,
            best_step: best.map_or(self.state.step, |b| b.step),
            best_metric: best.map(|b| b.judged.metric),
        });
        self.state.ended = Some(reason.into());
        let mut model = self.trained.clone();
        model.extend(self.low_rank.clone());
        self.write(model)
    }

    fn finish(self) -> Result<Tuned> {
        let reason = self.state.ended.as_deref().unwrap_or_default();
        let best = self.state.best;
        let trained = if self.best.is_empty() { &self.trained } else { &self.best };
        let params = self.setting.whole(trained);
        let mut head = self.setting.first_head()?;
        load_head(&mut head, trained)?;
        let kept = match best {
            Some(best) => format!(
                "{reason}; the weights of epoch {} are kept, {} {:.4} on validation",
                best.epoch, self.setting.settings.watch, best.judged.metric
            ),
            None => format!("{reason}; without validation samples the last weights are kept"),
        };
        self.watch.note(&kept)?;
        let probe = self.setting.schedule.start == Start::Probe;
        Ok(Tuned {
            helped: !(probe && best.is_some_and(|b| b.step == 0)),
            params,
            head: head.to_linear(),
            low_rank: self.low_rank,
            learning: self.learning,
            values: self.setting.groups.all_values(),
            epochs: self.state.epochs,
            updates: self.state.step,
            best_update: best.map_or(self.state.step, |b| b.step),
            ended: kept,
            history: self.history,
        })
    }

    /// One phase of the strategy, from where it stands.
    fn phase(&mut self, phase: &Stretch) -> Result<End> {
        let setting = self.setting;
        let boundary = setting.groups.boundary(&phase.learns).map(str::to_string);
        let mut inputs = Inputs::new(self.supply, boundary.as_deref(), setting.train.len())?;
        let val = setting.job.prepared.of(Split::Val);
        let samples = &setting.job.prepared.dataset.samples;
        let judge = Judge {
            recipe: setting.recipe,
            precision: setting.precision,
            boundary,
            labels: val.iter().filter_map(|&i| samples[i].label).collect(),
            samples: val,
            metric: judge::metric(&setting.settings.watch)?,
        };
        inputs.ensure(&judge.samples, View::Plain, self.watch)?;
        let first = inputs.view(self.state.epochs);
        inputs.ensure(&setting.train, first, self.watch)?;
        let mut head = setting.first_head()?;
        load_head(&mut head, &self.trained)?;
        let mut learner = setting.learner(phase, &inputs, &setting.whole(&self.trained), head)?;
        learner.restore_low_rank(&self.low_rank)?;
        self.learning = learner.learning();
        let phase = self.prepare(phase, &mut learner, &inputs, &judge)?;
        let epochs = self.state.planned.get(self.state.phase).copied().unwrap_or(phase.epochs);
        let updates = batches(setting, 0).len();
        let schedule = Schedule {
            name: &setting.settings.schedule,
            warmup: setting.settings.warmup,
            steps: epochs * updates,
        };
        while self.state.epoch < epochs {
            let view = inputs.view(self.state.epochs);
            inputs.ensure(&setting.train, view, self.watch)?;
            let end = self.epoch(&phase, schedule, &mut learner, &inputs, &judge)?;
            if let End::Enough(reason) = end {
                return Ok(End::Enough(reason));
            }
        }
        Ok(End::Done)
    }

    /// What comes before the first update of a phase: the sweep over learning rates, the first
    /// judgement, and how many epochs fit the time.
    fn prepare(
        &mut self,
        phase: &Stretch,
        learner: &mut Learner,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
    ) -> Result<Stretch> {
        let setting = self.setting;
        let mut phase = phase.clone();
        if setting.settings.find_lr && self.state.found_lr.is_none() {
            let sweep = finder::sweep(setting, learner, inputs, &phase, self.watch)?;
            self.state.found_lr = sweep.suggestion();
            self.history.records.push(sweep.record());
        }
        phase.lr = self.state.found_lr.unwrap_or(phase.lr);
        if self.state.planned.is_empty() {
            let wanted: Vec<usize> = setting.schedule.phases.iter().map(|p| p.epochs).collect();
            self.state.planned = match setting.settings.time {
                None => wanted,
                Some(budget) => {
                    let pace = Pace::measure(setting, learner, inputs, judge, &phase)?;
                    let fit = pace.epochs(self.watch.seconds(), budget);
                    let total: usize = wanted.iter().sum();
                    if fit < total {
                        let text = format!(
                            "{fit} of {total} epochs fit into {budget:.0} s at {:.1} s each",
                            pace.epoch
                        );
                        self.watch.note(&text)?;
                    }
                    self.state.after = Some(pace.after);
                    budget::share(&wanted, fit)
                }
            };
        }
        if self.state.epoch == 0 && self.state.batch == 0 {
            let learning = learner.learning();
            self.history.records.push(Record::Phase {
                name: phase.name.clone(),
                summary: format!("{learning} values learn at {:.1e}", phase.lr),
                trainable: learning,
                frozen: setting.groups.all_values().saturating_sub(learning),
                first_step: self.state.step,
            });
        }
        if self.state.best.is_none()
            && let Some(judged) =
                judge.judge(&setting.whole(&learner.trained()), &learner.head, inputs)?
        {
            // Where tuning helps nothing, the first weights stay.
            self.state.best =
                Some(Best { judged, step: self.state.step, epoch: self.state.epochs });
            self.best = learner.trained();
        }
        Ok(phase)
    }

    fn epoch(
        &mut self,
        phase: &Stretch,
        schedule: Schedule<'_>,
        learner: &mut Learner,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
    ) -> Result<End> {
        let setting = self.setting;
        let started = Instant::now();
        if self.state.batch == 0 {
            self.good = (self.model(learner), self.optimiser.state());
            self.state.loss = [0.0; 2];
            self.state.right = 0;
        }
        let all = batches(setting, self.state.epochs);
        let total = all.len() * self.state.planned.iter().sum::<usize>();
        let view = inputs.view(self.state.epochs);
        while let Some(places) = all.get(self.state.batch) {
            let at = self.state.epoch * all.len() + self.state.batch;
            let samples: Vec<usize> = places.iter().map(|&place| setting.train[place]).collect();
            let (step, epoch) = (self.state.step, self.state.epochs);
            let batch = Batch { samples: &samples, places, view, step, epoch };
            let mut outcome = setting.gradients(learner, inputs, &batch)?;
            let factor = schedule.factor(at) * self.state.lr_scale;
            if outcome.loss.is_finite() {
                let momentum = schedule.momentum(at, self.optimiser.momentum());
                outcome.norm =
                    setting.update(learner, &mut self.optimiser, phase, factor, momentum);
            }
            if !outcome.is_finite() {
                self.roll_back(learner, step)?;
                return Ok(End::Done);
            }
            self.state.step += 1;
            self.state.batch += 1;
            self.state.loss[0] += outcome.loss * samples.len() as f64;
            self.state.loss[1] += samples.len() as f64;
            self.state.right += outcome.right;
            self.history.records.push(Record::Step {
                phase: phase.name.clone(),
                step: self.state.step,
                epoch: self.state.epochs as f64 + self.state.batch as f64 / all.len() as f64,
                loss: outcome.loss,
                terms: BTreeMap::new(),
                lr: phase.lr * factor,
            });
            let done = self.state.step as usize;
            let told = self.watch.progress(Phase::Finetune, done, total.max(done), 0);
            let due = self.saved.elapsed().as_secs_f64() >= setting.settings.checkpoint_every;
            if told.is_err() || due {
                self.save(learner)?;
            }
            told?;
            if let Some(reason) = self.out_of_time() {
                self.judge(phase, learner, inputs, judge, started)?;
                self.trained = learner.trained();
                self.low_rank = learner.low_rank_state(true);
                return Ok(End::Enough(reason));
            }
        }
        self.state.epoch += 1;
        self.state.epochs += 1;
        self.state.batch = 0;
        self.judge(phase, learner, inputs, judge, started)?;
        self.trained = learner.trained();
        self.low_rank = learner.low_rank_state(true);
        let patience = setting.settings.patience;
        if patience > 0 && self.state.stale >= patience {
            let reason =
                format!("{} has not improved for {patience} epochs", setting.settings.watch);
            return Ok(End::Enough(reason));
        }
        Ok(End::Done)
    }

    fn out_of_time(&self) -> Option<String> {
        let budget = self.setting.settings.time?;
        let pace = Pace { epoch: 0.0, after: self.state.after? };
        (self.watch.seconds() >= pace.deadline(budget))
            .then(|| format!("the time of {budget:.0} s is used up"))
    }

    /// Validates and keeps the best.
    fn judge(
        &mut self,
        phase: &Stretch,
        learner: &Learner,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
        started: Instant,
    ) -> Result<()> {
        let trained = learner.trained();
        let judged = judge.judge(&self.setting.whole(&trained), &learner.head, inputs)?;
        let min_delta = self.setting.settings.min_delta;
        let best = judged.is_some_and(|new| {
            self.state.best.is_none_or(|old| judge.is_better(new, old.judged, min_delta))
        });
        self.state.stale = if best { 0 } else { self.state.stale + 1 };
        if let (true, Some(judged)) = (best, judged) {
            self.state.best =
                Some(Best { judged, step: self.state.step, epoch: self.state.epochs });
            self.best = trained;
        }
        let [loss, n] = self.state.loss;
        let metric = &self.setting.settings.watch;
        self.history.records.push(Record::Epoch {
            phase: phase.name.clone(),
            epoch: self.state.epochs as u32,
            step: self.state.step,
            seconds: started.elapsed().as_secs_f64(),
            train_loss: loss / n.max(1.0),
            train_metric: (metric == "accuracy").then(|| self.state.right as f64 / n.max(1.0)),
            val_loss: judged.map(|j| j.loss),
            val_metric: judged.map(|j| j.metric),
            metric: metric.clone(),
            best,
        });
        Ok(())
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
        let (model, moments) = self.good.clone();
        learner.load(&model)?;
        learner.restore_low_rank(&model)?;
        self.optimiser.restore(moments)?;
        self.state.step -= self.state.batch as u64;
        self.state.batch = 0;
        let step = self.state.step;
        self.history.records.retain(|record| record.step().is_none_or(|s| s <= step));
        self.save(learner)
    }

    /// Everything of the learner that the next update depends on.
    fn model(&self, learner: &Learner) -> Params {
        let mut model = learner.trained();
        model.extend(learner.low_rank_state(true));
        model
    }

    fn save(&mut self, learner: &Learner) -> Result<()> {
        self.write(self.model(learner))
    }

    fn write(&mut self, model: Params) -> Result<()> {
        let checkpoint = Checkpoint {
            state: self.state.clone(),
            history: self.history.clone(),
            model,
            optimiser: self.optimiser.state(),
            best: self.best.clone(),
            average: Params::new(),
            good: self.good.0.clone(),
            good_optimiser: self.good.1.clone(),
        };
        checkpoint.save(self.setting.job.folder.path())?;
        self.saved = Instant::now();
        Ok(())
    }

    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Checkpoint { state, history, model, optimiser, best, good, good_optimiser, .. } =
            checkpoint;
        self.history = history;
        self.watch.note(&format!("going on after update {}", state.step))?;
        self.optimiser.restore(optimiser)?;
        self.low_rank = model.clone();
        self.trained = model.into_iter().filter(|(key, _)| !is_low_rank(key)).collect();
        self.best = best;
        self.good = (good, good_optimiser);
        self.state = state;
        Ok(())
    }
}

fn is_low_rank(key: &str) -> bool {
    [".lora_A.weight", ".lora_B.weight", ".base"].iter().any(|end| key.ends_with(end))
}
