//! Everything that follows from a job: the schedule, how wide the loss is, and the weights at the first step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_data::Split;
use offshoot_nn::cpu::train::NormMode;
use offshoot_nn::{Params, Precision, Recipe};
use offshoot_stats::heads::Head;

use super::groups::Groups;
use super::head::LinearHead;
use super::inputs::Supply;
use super::refit::Way;
use super::strategy::{self, Facts, Schedule, Start};
use super::{
    Checkpoint, Finetune, Job, averaging, budget, certainty, course, learner, schedule, step,
    usual_batch, usual_epochs, usual_pair_batch,
};
use crate::guard::Guard;
use crate::regularize::Spec;
use crate::watch::Watch;
use crate::{Result, TransferError, precision};

/// A job with everything that follows from it.
pub struct Setting<'a> {
    pub job: &'a Job<'a>,
    pub settings: &'a Finetune,
    pub recipe: &'a Recipe,
    pub groups: Groups,
    pub schedule: Schedule,
    /// Which of the schedule and its cheaper ones was chosen, counted from the dearest.
    pub chosen: usize,
    pub norm: NormMode,
    pub precision: Precision,
    pub regularize: Spec,
    pub average: averaging::Kind,
    /// What logits are divided by in the loss.
    pub softness: f64,
    /// Weights at the first step.
    pub params: Params,
    /// The head at the first step, where tuning begins with a fitted one.
    pub probe: &'a Head,
    /// Places and labels of the training samples.
    pub train: Vec<usize>,
    pub labels: Vec<u32>,
    /// Places of the samples that judge.
    pub val: Vec<usize>,
    /// Below which checkpoints go.
    pub place: PathBuf,
    /// Lines of `metrics.jsonl` before this course.
    pub told: Vec<String>,
    /// Seconds of the run at which training must have ended.
    pub deadline: Option<f64>,
    /// The course that this one goes the way of, on more samples.
    pub way: Option<Way>,
    /// Which validation samples the probe recognises, where the guard holds the run against it.
    pub guarded: Option<Vec<bool>>,
    pub classes: usize,
    pub batch: usize,
}

/// Epochs below which a schedule is not worth beginning where there is a cheaper one.
const LEAST_EPOCHS: usize = 3;

impl<'a> Setting<'a> {
    /// Everything that follows from a job, the strategy's phases included; none keeps the probe.
    pub fn plan(job: &'a Job<'a>, supply: &Supply<'_>, watch: &mut Watch<'_>) -> Result<Self> {
        let (recipe, source_params) = job.network()?;
        let settings = &job.plan.finetune;
        let is_text = recipe.text().is_ok();
        if is_text {
            settings.check_for_texts()?;
        }
        let [train, val] = [Split::Train, Split::Val].map(|split| job.prepared.of(split));
        let samples = &job.prepared.dataset.samples;
        let labels: Vec<u32> = train.iter().filter_map(|&i| samples[i].label).collect();
        let classes = job.prepared.dataset.classes.len();
        let sizes = job.sizes;
        let batch = settings.batch.unwrap_or_else(|| usual_batch(sizes.train)).min(sizes.train);
        let updates = sizes.train.div_ceil(batch.max(1)).max(1);
        let epochs = match settings.schedule.as_str() {
            "bit" if settings.epochs.is_none() => {
                schedule::bit_steps(sizes.train).div_ceil(updates)
            }
            _ => settings.epochs.unwrap_or_else(|| usual_epochs(sizes.train)),
        };
        let groups = Groups::new(recipe);
        let strategy = strategy::find(job.plan.method.name())?;
        let told: Result<Vec<String>> = job.told.iter().map(crate::monitor::line).collect();
        let mut setting = Self {
            job,
            settings,
            recipe,
            schedule: Schedule::from_probe(Vec::new()),
            chosen: 0,
            norm: NormMode::Running,
            precision: precision::of_network(&job.source.facts.precision),
            regularize: settings.regularize.parse()?,
            average: averaging::Kind::of(&settings.average),
            softness: 1.0,
            params: source_params.clone(),
            probe: job.probe,
            train,
            labels,
            val,
            place: job.folder.path().into(),
            told: told?,
            deadline: settings.time.map(|budget| budget::deadline(budget, job.after)),
            way: None,
            guarded: None,
            classes,
            batch,
            groups,
        };
        let sensitivity = match (strategy.wants_sensitivity)(settings) {
            true => Some(step::sensitivity(&setting, supply)?),
            false => None,
        };
        let facts = Facts {
            groups: &setting.groups,
            settings,
            samples: sizes.train,
            classes,
            epochs,
            is_text,
            sensitivity,
        };
        setting.schedule = (strategy.plan)(&facts)?;
        setting.choose_in_time(supply, watch)?;
        if let Some(reason) = &setting.schedule.reason {
            watch.note(&format!("{}: {reason}", job.plan.method.name()))?;
        }
        if setting.schedule.has_pairs() {
            settings.check_for_pairs()?;
            if job.alignment.is_some() {
                return Err(TransferError::usage(
                    "pairs of labelled samples have no loss beside which others could be aligned",
                    "`--method lp-ft` or `full` can be aligned with a target",
                ));
            }
            if job.teacher.is_some() {
                return Err(TransferError::usage(
                    "pairs have no probabilities that a teacher could answer for",
                    "`--method full` or `lp-ft` learns from a teacher",
                ));
            }
            setting.batch = settings.batch.unwrap_or_else(|| usual_pair_batch(sizes.train));
        }
        if setting.schedule.start == Start::Scratch {
            setting.params = offshoot_nn::init::random_weights(recipe, job.plan.seed);
        }
        setting.norm = match (settings.norm.as_str(), setting.schedule.start) {
            ("batch", _) | ("auto", Start::Scratch) => NormMode::Batch,
            _ => NormMode::Running,
        };
        let guards = job.plan.guard != Guard::Off && job.alignment.is_none();
        if guards && setting.schedule.start != Start::Scratch {
            setting.guarded = setting.recognised_by_probe()?;
        }
        if setting.schedule.softens() {
            let of = |places: &[usize]| -> Vec<u32> {
                places.iter().filter_map(|&i| samples[i].label).collect()
            };
            let held_out = of(&setting.val);
            setting.softness = certainty::temperature(
                job.probe,
                job.extraction,
                (&setting.train, &setting.labels),
                (&setting.val, &held_out),
            )?;
            if setting.softness > 1.0 {
                let text = format!("the loss divides logits by {:.1}", setting.softness);
                watch.note(&text)?;
            }
        }
        Ok(setting)
    }

    /// Leaves a schedule for a cheaper one where the time does not suffice for [`LEAST_EPOCHS`] of it.
    pub fn choose_in_time(&mut self, supply: &Supply<'_>, watch: &mut Watch<'_>) -> Result<()> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let cheaper = std::mem::take(&mut self.schedule.cheaper);
        if cheaper.is_empty() {
            return Ok(());
        }
        // A run that goes on stays with what it chose, whatever the clock says now.
        let before = Checkpoint::latest(&self.place)?.0.map(|c| c.state.schedule);
        for (at, next) in cheaper.into_iter().enumerate() {
            if before == Some(at) {
                break;
            }
            let Some(last) = self.schedule.phases.last().cloned() else { break };
            if before.is_none() {
                let (pace, views, _) = course::measure(self, supply, &last, watch)?;
                let cost = budget::Cost::new(self, pace, views);
                let wanted = last.epochs.min(LEAST_EPOCHS);
                if cost.epochs(deadline - watch.spent(), wanted) >= wanted {
                    break;
                }
                let each = cost.epoch;
                watch.note(&format!("an epoch of {} takes {each:.1} s: too long", last.name))?;
            }
            self.chosen = at + 1;
            self.schedule = next;
        }
        Ok(())
    }

    /// Which validation samples the probe recognises; `None` without any.
    pub fn recognised_by_probe(&self) -> Result<Option<Vec<bool>>> {
        if self.val.is_empty() {
            return Ok(None);
        }
        let rows = self.job.extraction.gather(&self.val)?;
        let answers = self.job.probe.predict(rows.rows())?;
        let samples = &self.job.prepared.dataset.samples;
        let right =
            |(i, &place): (usize, &usize)| Some(answers.predicted(i)) == samples[place].label;
        Ok(Some(self.val.iter().enumerate().map(right).collect()))
    }

    /// The user's optimiser, or else the strategy's.
    pub fn optimiser(&self) -> &str {
        self.settings.optimiser.as_deref().unwrap_or(self.schedule.optimiser)
    }

    /// Places of target samples in the order in which training sees them, from the `first` on; empty without.
    pub fn target_from(&self, first: u64) -> impl Iterator<Item = usize> {
        let target = self.job.target();
        let seed = self.job.plan.seed;
        let mut now = None;
        let mut order = Vec::new();
        (first..).map_while(move |at| {
            let pass = at.checked_div(target.len() as u64)?;
            if now != Some(pass) {
                let n = target.len();
                order = offshoot_random::permutation(n, seed, "order of target samples", pass);
                now = Some(pass);
            }
            Some(target[order[(at % target.len() as u64) as usize]])
        })
    }

    /// The head at the first step.
    pub fn first_head(&self) -> Result<LinearHead> {
        let dim = self.recipe.feature_dim;
        match (self.schedule.start, self.probe) {
            (Start::Probe, Head::Linear(linear)) => Ok(LinearHead::from_linear(linear)),
            (Start::Probe, _) => Err(TransferError::usage(
                format!(
                    "tuning cannot begin with a `{}` head, which is not linear",
                    self.job.plan.head
                ),
                "`--head logistic` is the usual one; `--method full` begins with a random head",
            )),
            _ => Ok(LinearHead::random(dim, self.classes, self.job.plan.seed)),
        }
    }

    /// The source's weights, whatever tuning began with.
    pub fn source_params(&self) -> Option<&Params> {
        self.job.source.network.as_ref().map(|(_, params)| params)
    }

    /// The whole network with what has learnt in it.
    pub fn whole(&self, trained: &Params) -> Params {
        let mut params = self.params.clone();
        let own = learner::network_keys(trained);
        let trained: BTreeMap<_, _> = own
            .into_iter()
            .filter_map(|key| Some((key.clone(), trained.get(key)?.clone())))
            .collect();
        params.extend(trained);
        params
    }
}
