//! The loop: phases, epochs, updates; validation, early stopping, checkpoints, divergence.

use std::time::Instant;

use offshoot_nn::Params;
use offshoot_stats::Rows;
use offshoot_stats::heads::Head;

use super::averaging::{self, Kind};
use super::budget::{self, Pace};
use super::checkpoint::{Best, Checkpoint, State};
use super::finder;
use super::head::LinearHead;
use super::inputs::{Inputs, Supply, View};
use super::judge::{self, Judge, Judgement, Verdict};
use super::learner::{Learner, load_head};
use super::optimiser::Optimiser;
use super::schedule::Schedule;
use super::step::{Batch, Pupil};
use super::strategy::{Objective, Phase as Stretch, Start};
use super::{Setting, Tuned, Way};
use crate::monitor::{History, Record};
use crate::watch::Watch;
use crate::{Event, Phase, Result, TransferError, head};

/// After so many returns to earlier weights, training is given up.
const ROLLBACKS: u32 = 2;
/// Seconds of training that are written down at its end, lest they be repeated after a stop.
const WORTH_SAVING: f64 = 20.0;
/// Batches over which the statistics of averaged weights are taken.
const STATISTICS_BATCHES: usize = 20;
/// Share of a batch in running statistics while training.
const NORM_MOMENTUM: f64 = 0.1;

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
    /// Factors and tensors of loss terms.
    extras: Params,
    average: Params,
    /// Of the best weights.
    factors: Params,
    learning: usize,
    saved: Instant,
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
    let first = super::learner::head_params(&setting.first_head()?);
    let mut course = Course {
        setting,
        supply,
        watch,
        state: State { lr_scale: 1.0, ..State::default() },
        history: History::default(),
        trained: first,
        best: Params::new(),
        optimiser: Optimiser::new(setting.optimiser()),
        good: Default::default(),
        extras: Params::new(),
        average: Params::new(),
        factors: Params::new(),
        learning: 0,
        saved: Instant::now(),
    };
    if let Some(checkpoint) = checkpoint {
        course.restore(checkpoint)?;
    }
    course.run()
}

impl Course<'_, '_, '_> {
    fn run(mut self) -> Result<(Tuned, Way)> {
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
        // Repeating less than this costs no more than writing it down.
        if self.saved.elapsed().as_secs_f64() < WORTH_SAVING {
            return Ok(());
        }
        // Nothing will learn from here on: moments and the weights to roll back to can go.
        self.optimiser = Optimiser::new(self.setting.optimiser());
        self.good = Default::default();
        let mut model = self.trained.clone();
        model.extend(marked(self.extras.clone()));
        self.write(model)
    }

    fn finish(self) -> Result<(Tuned, Way)> {
        let reason = self.state.ended.as_deref().unwrap_or_default();
        let best = self.state.best;
        let trained = if self.best.is_empty() { &self.trained } else { &self.best };
        let params = self.setting.whole(trained);
        let mut head = self.setting.first_head()?;
        load_head(&mut head, trained)?;
        // The probe stays where no weights after it were as good, as far as validation can tell. That few
        // samples put it ahead by less than their standard error is no reason to keep it.
        let from_probe = self.setting.schedule.start == Start::Probe;
        let helped = !(from_probe && best.is_some_and(|best| best.epoch == 0));
        let kept = match best {
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
            found_lr: self.state.found_lr,
            lr_scale: self.state.lr_scale,
            after: self.state.after,
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
            refitted: false,
            history: self.history,
        };
        Ok((tuned, way))
    }

    /// One phase of the strategy, from where it stands.
    fn phase(&mut self, phase: &Stretch) -> Result<End> {
        let setting = self.setting;
        let boundary = setting.groups.boundary(&phase.learns).map(str::to_string);
        let mut inputs = Inputs::new(self.supply, boundary.as_deref(), setting.train.len())?;
        let val = setting.val.clone();
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
        let mut pupil = setting.pupil(phase, &inputs, &self.trained)?;
        pupil.learner.restore_extras(&self.extras)?;
        self.learning = pupil.learner.learning();
        let phase = self.prepare(phase, &mut pupil, &inputs, &judge)?;
        let epochs = self.state.planned.get(self.state.phase).copied().unwrap_or(phase.epochs);
        let updates = batches(setting, 0).len();
        let schedule = Schedule {
            name: &setting.settings.schedule,
            warmup: setting.settings.warmup,
            steps: epochs * updates,
        };
        let until = setting.way.as_ref().map(|way| way.epochs);
        while self.state.epoch < epochs {
            if until == Some(self.state.epochs) {
                return Ok(End::Enough("as many epochs as were best".into()));
            }
            let view = inputs.view(self.state.epochs);
            inputs.ensure(&setting.train, view, self.watch)?;
            let end = self.epoch(&phase, schedule, &mut pupil, &inputs, &judge)?;
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
        pupil: &mut Pupil,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
    ) -> Result<Stretch> {
        let setting = self.setting;
        let mut phase = phase.clone();
        if let (Some(way), true) = (&setting.way, self.state.planned.is_empty()) {
            self.state.planned.clone_from(&way.planned);
            self.state.found_lr = way.found_lr;
            self.state.lr_scale = way.lr_scale;
            self.state.after = way.after;
        }
        if setting.settings.find_lr && self.state.found_lr.is_none() {
            let sweep = finder::sweep(setting, pupil, inputs, &phase, self.watch)?;
            self.state.found_lr = sweep.suggestion();
            self.history.records.push(sweep.record());
        }
        phase.lr = self.state.found_lr.unwrap_or(phase.lr);
        if self.state.planned.is_empty() {
            let wanted: Vec<usize> = setting.schedule.phases.iter().map(|p| p.epochs).collect();
            self.state.planned = match setting.settings.time {
                None => wanted,
                Some(budget) => {
                    let pace = Pace::measure(setting, pupil, inputs, judge, &phase)?;
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
            let learning = pupil.learner.learning();
            self.history.records.push(Record::Phase {
                name: phase.name.clone(),
                summary: format!("{learning} values learn at {:.1e}", phase.lr),
                trainable: learning,
                frozen: setting.groups.all_values().saturating_sub(learning),
                first_step: self.state.step,
            });
        }
        if self.state.best.is_none()
            && let Some(verdict) = self.judged(&pupil.learner.trained(), inputs, judge)?
        {
            // Where tuning helps nothing, the first weights stay.
            let judged = verdict.judged;
            self.state.best =
                Some(Best { judged, step: self.state.step, epoch: self.state.epochs });
            self.state.first = Some(judged);
            self.state.top = Some(verdict);
            self.best = pupil.learner.trained();
        }
        Ok(phase)
    }

    fn epoch(
        &mut self,
        phase: &Stretch,
        schedule: Schedule<'_>,
        pupil: &mut Pupil,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
    ) -> Result<End> {
        let setting = self.setting;
        let started = Instant::now();
        if self.state.batch == 0 {
            self.good = (model(&mut pupil.learner), self.optimiser.state());
            self.state.loss = [0.0; 2];
            self.state.right = 0;
        }
        let all = batches(setting, self.state.epochs);
        let total = all.len() * self.state.planned.iter().sum::<usize>();
        let view = inputs.view(self.state.epochs);
        while let Some(places) = all.get(self.state.batch) {
            let at = self.state.epoch * all.len() + self.state.batch;
            let samples: Vec<usize> = places.iter().map(|&place| setting.train[place]).collect();
            let step = self.state.step;
            let batch = Batch { samples: &samples, places, view, step };
            let mut outcome = setting.gradients(pupil, inputs, &batch)?;
            let factor = schedule.factor(at) * self.state.lr_scale;
            if outcome.loss.is_finite() {
                let momentum = schedule.momentum(at, self.optimiser.momentum());
                outcome.norm = setting.update(pupil, &mut self.optimiser, phase, factor, momentum);
            }
            if !outcome.is_finite() {
                self.roll_back(&mut pupil.learner, step)?;
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
                terms: outcome.terms,
                lr: phase.lr * factor,
            });
            if setting.average == Kind::Ema {
                self.state.averaged += 1;
                let weights = pupil.learner.trained();
                averaging::follow(&mut self.average, &weights, self.state.averaged);
            }
            let done = self.state.step as usize;
            let told = self.watch.training(&Event::Training {
                epoch: self.state.epochs as f64 + self.state.batch as f64 / all.len() as f64,
                epochs: self.state.planned.iter().sum(),
                loss: outcome.loss,
                metric: &setting.settings.watch,
                last: self.state.last,
                best: self.state.best.map(|best| best.judged.metric),
                lr: phase.lr * factor,
            });
            let told =
                told.and_then(|()| self.watch.progress(Phase::Finetune, done, total.max(done), 0));
            let due = self.saved.elapsed().as_secs_f64() >= setting.settings.checkpoint_every;
            if told.is_err() || due {
                self.save(&mut pupil.learner)?;
            }
            told?;
            if let Some(reason) = self.out_of_time() {
                self.judge(phase, pupil, inputs, judge, started)?;
                return Ok(End::Enough(reason));
            }
        }
        self.state.epoch += 1;
        self.state.epochs += 1;
        self.state.batch = 0;
        self.judge(phase, pupil, inputs, judge, started)?;
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
        pupil: &mut Pupil,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
        started: Instant,
    ) -> Result<()> {
        if phase.objective == Objective::Pairs {
            self.fit_head(pupil, inputs, judge)?;
        }
        self.trained = pupil.learner.trained();
        self.extras = pupil.learner.extras();
        let trained = self.candidate(pupil, inputs, judge)?;
        let verdict = self.judged(&trained, inputs, judge)?;
        let judged = verdict.as_ref().map(|verdict| verdict.judged);
        let min_delta = self.setting.settings.min_delta;
        let top = self.state.top.as_ref();
        let best = verdict.as_ref().is_some_and(|new| {
            top.is_none_or(|top| judge.is_better(new.judged, top.judged, min_delta))
        });
        // Who stops early asks for the best; else what is as good and later has learnt at lower rates.
        let whole = min_delta == 0.0 && self.setting.settings.patience == 0;
        let as_good = |new: &Verdict| whole && top.is_some_and(|top| new.is_as_good(top));
        // Without anybody to judge, the last are the best.
        let keep = best || verdict.as_ref().is_none_or(as_good);
        self.state.last = judged.map(|judged| judged.metric);
        self.state.stale = if best || judged.is_none() { 0 } else { self.state.stale + 1 };
        if let (true, Some(judged)) = (keep, judged) {
            self.state.best =
                Some(Best { judged, step: self.state.step, epoch: self.state.epochs });
        }
        if best {
            self.state.top = verdict;
        }
        if keep {
            self.best = trained;
            self.factors = pupil.learner.factors();
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
            best: keep,
        });
        Ok(())
    }

    /// Fits the head anew on what the network makes of the training samples now.
    fn fit_head(&self, pupil: &mut Pupil, inputs: &Inputs<'_>, judge: &Judge<'_>) -> Result<()> {
        let setting = self.setting;
        let params = setting.whole(&pupil.learner.trained());
        let features = judge.features(&params, &setting.train, inputs)?;
        let dim = setting.recipe.feature_dim;
        if features.iter().any(|v| !v.is_finite()) {
            // The judge finds the same, and keeps other weights.
            return Ok(());
        }
        let rows = Rows::new(setting.train.len(), dim, &features)
            .ok_or_else(|| TransferError::Internal("features do not form rows".into()))?;
        let request = head::Request {
            name: "logistic",
            classes: setting.classes,
            class_weights: setting.job.plan.class_weights,
            seed: setting.job.plan.seed,
            lambda: None,
        };
        if let Head::Linear(linear) = head::fit(&request, rows, &setting.labels)?.head {
            pupil.learner.head = LinearHead::from_linear(&linear);
        }
        Ok(())
    }

    /// What `trained` comes to on validation.
    fn judged(
        &self,
        trained: &Params,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
    ) -> Result<Option<Verdict>> {
        let mut head = self.setting.first_head()?;
        load_head(&mut head, trained)?;
        judge.judge(&self.setting.whole(trained), &head, inputs)
    }

    /// The weights that may be kept after this epoch: the last ones, or their average.
    fn candidate(
        &mut self,
        pupil: &mut Pupil,
        inputs: &Inputs<'_>,
        judge: &Judge<'_>,
    ) -> Result<Params> {
        let setting = self.setting;
        let trained = self.trained.clone();
        let epochs = self.state.planned.iter().sum();
        match setting.average {
            Kind::Ema if self.state.averaged > 0 => {}
            kind @ Kind::Swa if kind.takes_epoch(self.state.epochs as usize, epochs) => {
                self.state.averaged += 1;
                averaging::join(&mut self.average, &trained, self.state.averaged);
            }
            Kind::Soup => {
                let mut soup = self.average.clone();
                averaging::join(&mut soup, &trained, self.state.averaged + 1);
                let soup = self.with_statistics(pupil, inputs, soup)?;
                let old = match self.state.averaged {
                    0 => None,
                    _ => self.judged(&self.average, inputs, judge)?.map(|v| v.judged),
                };
                let new = self.judged(&soup, inputs, judge)?.map(|v| v.judged);
                if !matches!((old, new), (Some(old), Some(new)) if judge.is_better(old, new, 0.0)) {
                    self.average = soup;
                    self.state.averaged += 1;
                }
                return Ok(self.average.clone());
            }
            Kind::WiseFt => return self.way(&trained, inputs, judge),
            _ => return Ok(trained),
        }
        let average = self.average.clone();
        self.with_statistics(pupil, inputs, average)
    }

    /// The best point on the way from the first weights to `trained` by validation.
    fn way(&self, trained: &Params, inputs: &Inputs<'_>, judge: &Judge<'_>) -> Result<Params> {
        let mut first: Params = self
            .setting
            .params
            .iter()
            .filter(|(key, _)| trained.contains_key(*key))
            .map(|(key, array)| (key.clone(), array.clone()))
            .collect();
        first.extend(super::learner::head_params(&self.setting.first_head()?));
        let at = |share: f64| {
            let mut point = first.clone();
            averaging::blend(&mut point, trained, share);
            point
        };
        let mut best: Option<(Params, Judgement)> = None;
        for share in averaging::SHARES.into_iter().chain([1.0]) {
            let point = at(share);
            let Some(Verdict { judged, .. }) = self.judged(&point, inputs, judge)? else {
                return Ok(at(averaging::USUAL_SHARE));
            };
            if best.as_ref().is_none_or(|(_, old)| judge.is_better(judged, *old, 0.0)) {
                best = Some((point, judged));
            }
        }
        Ok(best.map_or_else(|| trained.clone(), |(point, _)| point))
    }

    /// `weights` with the running statistics that belong to them, where statistics move at all: the
    /// mean over batches of the training split.
    fn with_statistics(
        &self,
        pupil: &mut Pupil,
        inputs: &Inputs<'_>,
        weights: Params,
    ) -> Result<Params> {
        if !pupil.learner.moves_statistics() {
            return Ok(weights);
        }
        let now = pupil.learner.trained();
        pupil.learner.load(&weights)?;
        let view = inputs.view(self.state.epochs.saturating_sub(1));
        for (k, places) in batches(self.setting, 0).iter().take(STATISTICS_BATCHES).enumerate() {
            let samples: Vec<usize> =
                places.iter().map(|&place| self.setting.train[place]).collect();
            pupil.learner.set_norm_momentum(1.0 / (k + 1) as f64);
            pupil.learner.forward(&inputs.batch(&samples, view)?, samples.len(), None)?;
        }
        pupil.learner.set_norm_momentum(NORM_MOMENTUM);
        let settled = pupil.learner.trained();
        pupil.learner.load(&now)?;
        Ok(settled)
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
        learner.restore_extras(&only_extras(&model))?;
        self.optimiser.restore(moments)?;
        self.state.step -= self.state.batch as u64;
        self.state.batch = 0;
        let step = self.state.step;
        self.history.records.retain(|record| record.step().is_none_or(|s| s <= step));
        self.save(learner)
    }

    fn save(&mut self, learner: &mut Learner) -> Result<()> {
        self.write(model(learner))
    }

    fn write(&mut self, model: Params) -> Result<()> {
        let checkpoint = Checkpoint {
            state: self.state.clone(),
            history: self.history.clone(),
            model,
            optimiser: self.optimiser.state(),
            best: self.best.clone(),
            factors: self.factors.clone(),
            average: self.average.clone(),
            good: self.good.0.clone(),
            good_optimiser: self.good.1.clone(),
        };
        checkpoint.save(&self.setting.place)?;
        self.saved = Instant::now();
        Ok(())
    }

    fn restore(&mut self, mut checkpoint: Checkpoint) -> Result<()> {
        self.good =
            (std::mem::take(&mut checkpoint.good), std::mem::take(&mut checkpoint.good_optimiser));
        let Checkpoint { state, history, model, optimiser, best, factors, average, .. } =
            checkpoint;
        self.factors = factors;
        self.average = average;
        self.history = history;
        self.watch.note(&format!("going on after update {}", state.step))?;
        self.optimiser.restore(optimiser)?;
        self.extras = only_extras(&model);
        self.trained = model.into_iter().filter(|(key, _)| !key.starts_with(EXTRA)).collect();
        self.best = best;
        self.state = state;
        Ok(())
    }
}

/// What the keys of extras begin with in a checkpoint.
const EXTRA: &str = "extra.";

/// Everything of the learner that the next update depends on.
fn model(learner: &mut Learner) -> Params {
    let mut model = learner.trained();
    model.extend(marked(learner.extras()));
    model
}

fn marked(extras: Params) -> impl Iterator<Item = (String, offshoot_nn::Array)> {
    extras.into_iter().map(|(key, array)| (format!("{EXTRA}{key}"), array))
}

fn only_extras(model: &Params) -> Params {
    let extra = |(key, array): (&String, &offshoot_nn::Array)| {
        Some((key.strip_prefix(EXTRA)?.to_string(), array.clone()))
    };
    model.iter().filter_map(extra).collect()
}
