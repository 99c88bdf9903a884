//! Fine-tuning: one loop. A strategy plans phases, which are data; loss terms add to the loss;
//! observers only watch.
//!
//! What lies before the first stage that learns is computed once for each sample and view and kept in
//! the cache, so that an epoch costs what is trained. Every draw is keyed by (seed, purpose, epoch,
//! index) and every sum has a fixed order: a run that was stopped at any step and resumed ends with the
//! same bits.

mod averaging;
mod budget;
mod certainty;
mod checkpoint;
mod contrast;
mod course;
pub mod distill;
#[cfg(test)]
mod faults;
mod finder;
pub(crate) mod groups;
pub(crate) mod head;
mod inputs;
mod judge;
pub(crate) mod learner;
mod lora;
pub mod mlm;
pub(crate) mod net;
pub(crate) mod optimiser;
mod schedule;
mod settings;
mod step;
pub mod strategy;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use offshoot_data::Split;
use offshoot_nn::cpu::train::NormMode;
use offshoot_nn::{Params, Recipe};
use offshoot_stats::heads::{Head, Linear};

use crate::align;
use crate::cache::Cache;
use crate::extract::Extraction;
use crate::guard::Guard;
use crate::guard::sequential::Looks;
use crate::monitor::{History, Record};
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::regularize::Spec;
use crate::run::RunFolder;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Result, TransferError, precision};
pub use budget::time_until;
pub use checkpoint::Checkpoint;
use distill::Teacher;
use groups::Groups;
use head::LinearHead;
use inputs::Supply;
pub use lora::merged;
pub use settings::Finetune;
use strategy::{Facts, Schedule, Start};

/// Epochs where the user names none: more for few samples, whose epochs are short.
pub fn usual_epochs(samples: usize) -> usize {
    match samples {
        n if n < 1_000 => 20,
        n if n < 10_000 => 10,
        _ => 5,
    }
}

/// Beyond so many training samples, those of validation add too little to train once more on both.
pub const REFIT_BELOW: usize = 1_000;

/// Samples an update where the user names none: at least about ten updates an epoch.
fn usual_batch(samples: usize) -> usize {
    (samples / 10).next_power_of_two().clamp(8, 32)
}

/// Samples an update of this plan.
pub fn batch(plan: &TrainPlan, samples: usize) -> usize {
    let usual = match plan.method.name() {
        "setfit" => usual_pair_batch(samples),
        _ => usual_batch(samples),
    };
    plan.finetune.batch.unwrap_or(usual).min(samples)
}

/// The same, where pairs learn: half of the samples, so that a class meets itself and others.
fn usual_pair_batch(samples: usize) -> usize {
    (samples / 2).next_power_of_two().clamp(8, 32).min(samples)
}

/// What there is to tune.
pub struct Job<'a> {
    /// Where checkpoints go.
    pub folder: &'a RunFolder,
    /// What the user asked for.
    pub plan: &'a TrainPlan,
    /// Samples, labels, splits.
    pub prepared: &'a Prepared,
    /// The network to begin with.
    pub source: &'a Source,
    /// Where activations are kept.
    pub cache: &'a Cache,
    /// Names of the samples' contents, and features of the source.
    pub extraction: &'a Extraction,
    /// The head that was fitted on the source's features of the training split.
    pub probe: &'a Head,
    /// The same, fitted on train and validation where the plan says so.
    pub refitted: &'a Head,
    /// How many samples there are.
    pub sizes: Sizes,
    /// Seconds from the end of tuning to the end of the run, where there is a time budget.
    pub after: f64,
    /// Seconds that fitting a head took.
    pub fitting: f64,
    /// Lines of `metrics.jsonl` so far.
    pub told: &'a [serde_json::Value],
    /// What a larger network says to the samples, where one teaches.
    pub teacher: Option<&'a Teacher>,
    /// What the network is to be aligned with, where there is such a thing.
    pub alignment: Option<Alignment<'a>>,
}

/// Samples of another domain, whose labels nobody looks at, and how they take part.
///
/// Each update sees as many of them as labelled ones. The latest weights are kept, whatever validation says: it
/// is of the source.
#[derive(Debug, Clone, Copy)]
pub struct Alignment<'a> {
    /// Terms of the loss.
    pub terms: &'a align::Spec,
    /// Places of the samples among all samples of [`Prepared`].
    pub target: &'a [usize],
}

/// Samples of the data that a plan is made for. A rehearsal works on fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// To learn from.
    pub train: usize,
    /// To judge by.
    pub val: usize,
    /// All samples.
    pub all: usize,
}

impl Sizes {
    /// Of all the data.
    pub fn of(prepared: &Prepared) -> Self {
        let of = |split| prepared.of(split).len();
        let all = prepared.dataset.samples.len();
        Self { train: of(Split::Train), val: of(Split::Val), all }
    }
}

/// A tuned network.
pub struct Tuned {
    /// Whether any weights were as good as those that tuning began with, where those were the probe's.
    pub helped: bool,
    /// All weights and statistics.
    pub params: Params,
    /// The head on its features.
    pub head: Linear,
    /// Factors that were added to matrices, as PEFT stores them; empty without.
    pub low_rank: Params,
    /// Values that learnt in the last phase.
    pub learning: usize,
    /// Values of the network.
    pub values: usize,
    /// Epochs and updates done, and updates before the weights that were taken.
    pub epochs: u64,
    /// As above.
    pub updates: u64,
    /// As above.
    pub best_update: u64,
    /// Why it ended, and which weights were taken: a sentence.
    pub ended: String,
    /// What calibrates its probabilities, where validation samples told.
    pub temperature: Option<f64>,
    /// Which validation samples the weights recognised that were chosen, before they were trained once more;
    /// `None` where those that tuning began with were kept.
    pub right: Option<Vec<bool>>,
    /// What the guard saw.
    pub looks: Looks,
    /// Whether it was trained once more, on train and validation.
    pub refitted: bool,
    /// All weights and the head as they were before that.
    pub before: Option<(Params, Linear)>,
    /// Everything that was told on the way.
    pub history: History,
}

/// A job with everything that follows from it.
struct Setting<'a> {
    job: &'a Job<'a>,
    settings: &'a Finetune,
    recipe: &'a Recipe,
    groups: Groups,
    schedule: Schedule,
    /// Which of the schedule and its cheaper ones was chosen, counted from the dearest.
    chosen: usize,
    norm: NormMode,
    precision: offshoot_nn::Precision,
    regularize: Spec,
    average: averaging::Kind,
    /// What logits are divided by in the loss.
    softness: f64,
    /// Weights at the first step.
    params: Params,
    /// The head at the first step, where tuning begins with a fitted one.
    probe: &'a Head,
    /// Places and labels of the training samples.
    train: Vec<usize>,
    labels: Vec<u32>,
    /// Places of the samples that judge.
    val: Vec<usize>,
    /// Below which checkpoints go.
    place: PathBuf,
    /// Lines of `metrics.jsonl` before this course.
    told: Vec<String>,
    /// Seconds of the run at which training must have ended.
    deadline: Option<f64>,
    /// The course that this one goes the way of, on more samples.
    way: Option<Way>,
    /// Which validation samples the probe recognises, where the guard holds the run against it.
    guarded: Option<Vec<bool>>,
    classes: usize,
    batch: usize,
}

/// Tunes as the plan says; `None` where the strategy keeps the probe.
///
/// # Errors
/// [`TransferError::Stopped`] when the observer asks for it, after a checkpoint is on disk;
/// [`TransferError::Diverged`] where the loss left all bounds three times.
pub fn tune(job: &Job<'_>, watch: &mut Watch<'_>) -> Result<Option<Tuned>> {
    let supply = job.supply()?;
    let setting = Setting::plan(job, &supply, watch)?;
    if setting.schedule.phases.is_empty() {
        return Ok(None);
    }
    let started = watch.seconds();
    let (tuned, way) = course::run(&setting, &supply, watch)?;
    let seconds = watch.seconds() - started;
    if !setting.may_refit(&tuned, &way, seconds, watch)? {
        return Ok(Some(tuned));
    }
    refit(setting, tuned, way, &supply, watch).map(Some)
}

impl Job<'_> {
    /// Places of the samples that the network is aligned with.
    fn target(&self) -> &[usize] {
        self.alignment.map_or(&[], |alignment| alignment.target)
    }

    fn network(&self) -> Result<(&Recipe, &Params)> {
        self.source.network.as_ref().map(|(recipe, params)| (recipe, params)).ok_or_else(|| {
            TransferError::usage(
                format!("`{}` has no network to tune", self.source.name),
                "`--method probe` fits a head on the features as they are",
            )
        })
    }

    fn supply(&self) -> Result<Supply<'_>> {
        let settings = &self.plan.finetune;
        Ok(Supply {
            samples: &self.prepared.dataset.samples,
            all: self.sizes.all,
            extraction: self.extraction,
            source: self.source,
            cache: self.cache,
            cache_bytes: self.plan.cache.max_bytes,
            augment: inputs::pipeline(&settings.augment)?,
            views: settings.views,
            seed: self.plan.seed,
        })
    }
}

impl<'a> Setting<'a> {
    /// Everything that follows from a job, the strategy's phases included; none keeps the probe.
    fn plan(job: &'a Job<'a>, supply: &Supply<'_>, watch: &mut Watch<'_>) -> Result<Self> {
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
}

/// What tuning takes, as a rehearsal on a few samples says.
pub struct Rehearsal {
    /// Names, epochs and seconds an epoch of the phases.
    pub phases: Vec<(String, usize, f64)>,
    /// Seconds in all.
    pub seconds: f64,
    /// Whether the network will be trained once more on train and validation.
    pub refit: bool,
    /// Bytes that all the data takes in memory beyond what these few samples took.
    pub more_bytes: u64,
    /// Weights to go on with, as tuning leaves them.
    pub tuned: Tuned,
}

/// Times the first and the last phase, and goes through the last once: a job on a few of the samples, whose
/// sizes are those of all the data. The schedule is the one that suits the plan's time; nothing else keeps to it.
/// `None` where the probe is kept.
pub fn rehearse(job: &Job<'_>, watch: &mut Watch<'_>) -> Result<Option<Rehearsal>> {
    let supply = job.supply()?;
    let mut setting = Setting::plan(job, &supply, watch)?;
    setting.deadline = None;
    let phases = std::mem::take(&mut setting.schedule.phases);
    let (Some(first), Some(last)) = (phases.first(), phases.last()) else { return Ok(None) };
    let (slow, views, more_bytes) = course::measure(&setting, &supply, last, watch)?;
    let (fast, first_views) = match phases.len() {
        1 => (slow, views),
        _ => {
            let (pace, views, _) = course::measure(&setting, &supply, first, watch)?;
            (pace, views)
        }
    };
    let [fast, slow] =
        [(fast, first_views), (slow, views)].map(|(pace, v)| budget::Cost::new(&setting, pace, v));
    let mut seconds = slow.view / setting.job.sizes.train.max(1) as f64 * job.sizes.val as f64;
    if setting.settings.find_lr {
        seconds += finder::STEPS as f64 * slow.epoch * setting.batch as f64
            / setting.job.sizes.train.max(1) as f64;
    }
    // Phases between the two take what lies between.
    let between = |i: usize, fast: f64, slow: f64| {
        let share = i as f64 / (phases.len() - 1).max(1) as f64;
        fast + share * (slow - fast)
    };
    let mut told = Vec::new();
    for (i, phase) in phases.iter().enumerate() {
        let cost = budget::Cost {
            epoch: between(i, fast.epoch, slow.epoch),
            view: between(i, fast.view, slow.view),
            views: if i == 0 { fast.views } else { slow.views },
        };
        seconds += cost.of(phase.epochs);
        told.push((phase.name.clone(), phase.epochs, cost.epoch));
    }
    let refit = setting.wants_refit();
    let values = setting.groups.all_values() as u64;
    let mut more_bytes = more_bytes;
    if refit {
        seconds *= 2.0 + job.sizes.val as f64 / job.sizes.train.max(1) as f64;
        // The weights that were chosen wait beside those that learn once more.
        more_bytes += 4 * values;
    }
    setting.schedule.phases = vec![strategy::Phase { epochs: 1, ..last.clone() }];
    let (tuned, _) = course::run(&setting, &supply, watch)?;
    Ok(Some(Rehearsal { phases: told, seconds, refit, more_bytes, tuned }))
}

/// Trains once more from the beginning, on train and validation, for as many epochs as were best: with few
/// labels, those of validation are worth more in training than they cost.
fn refit(
    mut setting: Setting<'_>,
    chosen: Tuned,
    way: Way,
    supply: &Supply<'_>,
    watch: &mut Watch<'_>,
) -> Result<Tuned> {
    watch.note(&format!("once more on train and validation, {} epochs", way.epochs))?;
    setting.train.append(&mut setting.val);
    setting.train.sort_unstable();
    let samples = &setting.job.prepared.dataset.samples;
    setting.labels = setting.train.iter().filter_map(|&i| samples[i].label).collect();
    setting.probe = setting.job.refitted;
    setting.place = Checkpoint::inside(&setting.place, "refit");
    let epochs = way.epochs;
    let mut history = chosen.history.clone();
    let (samples, first_step) = (setting.train.len(), way.updates);
    history.records.push(Record::Refit { samples, epochs, first_step });
    let told: Result<Vec<String>> = history.records.iter().map(crate::monitor::line).collect();
    setting.told.extend(told?);
    setting.way = Some(way);
    setting.guarded = None;
    let (tuned, _) = course::run(&setting, supply, watch)?;
    history.records.extend(tuned.history.records);
    let chosen = Tuned { history, ..chosen };
    if tuned.epochs < epochs {
        watch.warn("the time did not suffice to train once more on train and validation")?;
        return Ok(chosen);
    }
    Ok(Tuned {
        params: tuned.params,
        head: tuned.head,
        low_rank: tuned.low_rank,
        updates: chosen.updates + tuned.updates,
        ended: format!("{}; trained as long once more on train and validation", chosen.ended),
        refitted: true,
        before: Some((chosen.params, chosen.head)),
        temperature: chosen.temperature,
        right: chosen.right,
        looks: chosen.looks,
        helped: chosen.helped,
        learning: chosen.learning,
        values: chosen.values,
        epochs: chosen.epochs,
        best_update: chosen.best_update,
        history: chosen.history,
    })
}

/// Epochs below which a schedule is not worth beginning where there is a cheaper one.
const LEAST_EPOCHS: usize = 3;

/// What a course leaves for one that goes the same way on more samples.
#[derive(Debug, Clone)]
struct Way {
    /// Epochs of each phase.
    planned: Vec<usize>,
    /// Epochs before the best weights.
    epochs: u64,
    /// Updates of the whole course.
    updates: u64,
    /// What the sweep found.
    found_lr: Option<f64>,
    /// What divergence left of the learning rate.
    lr_scale: f64,
}

impl Setting<'_> {
    /// Leaves a schedule for a cheaper one where the time does not suffice for [`LEAST_EPOCHS`] of it.
    fn choose_in_time(&mut self, supply: &Supply<'_>, watch: &mut Watch<'_>) -> Result<()> {
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
    fn recognised_by_probe(&self) -> Result<Option<Vec<bool>>> {
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
    fn optimiser(&self) -> &str {
        self.settings.optimiser.as_deref().unwrap_or(self.schedule.optimiser)
    }

    /// Whether tuned weights should be trained once more on train and validation: few samples, and weights
    /// that validation did not mix.
    fn wants_refit(&self) -> bool {
        let mixed = matches!(self.average, averaging::Kind::Soup | averaging::Kind::WiseFt);
        self.job.plan.refit
            && !self.val.is_empty()
            && !mixed
            && self.job.sizes.train < REFIT_BELOW
            && self.way.is_none()
            && self.job.alignment.is_none()
    }

    /// Places of target samples in the order in which training sees them, from the `first` on; empty without.
    fn target_from(&self, first: u64) -> impl Iterator<Item = usize> {
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

    /// The same, where an epoch was chosen and there is time for it.
    fn may_refit(
        &self,
        tuned: &Tuned,
        way: &Way,
        seconds: f64,
        watch: &mut Watch<'_>,
    ) -> Result<bool> {
        if !self.wants_refit() || !tuned.helped || way.epochs == 0 {
            return Ok(false);
        }
        let Some(deadline) = self.deadline else { return Ok(true) };
        let more = 1.0 + self.val.len() as f64 / self.train.len() as f64;
        let share = way.epochs as f64 / tuned.epochs.max(1) as f64;
        let enough = watch.spent() + 1.1 * seconds * share * more < deadline;
        if !enough {
            watch.note("the time does not allow to train once more on train and validation")?;
        }
        Ok(enough)
    }

    /// The head at the first step.
    fn first_head(&self) -> Result<LinearHead> {
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
    fn source_params(&self) -> Option<&Params> {
        self.job.source.network.as_ref().map(|(_, params)| params)
    }

    /// The whole network with what has learnt in it.
    fn whole(&self, trained: &Params) -> Params {
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
