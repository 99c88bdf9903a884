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
mod finder;
mod groups;
mod head;
mod inputs;
mod judge;
mod learner;
mod lora;
pub mod mlm;
mod net;
mod optimiser;
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

use crate::cache::Cache;
use crate::extract::Extraction;
use crate::monitor::History;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::regularize::Spec;
use crate::run::RunFolder;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Result, TransferError, precision};
pub use checkpoint::Checkpoint;
use groups::Groups;
use head::LinearHead;
use inputs::Supply;
pub use lora::merged;
pub use settings::Finetune;
use strategy::{Facts, Schedule, Start};

/// Epochs where the user names none: more for few samples, whose epochs are short.
fn usual_epochs(samples: usize) -> usize {
    match samples {
        n if n < 1_000 => 20,
        n if n < 10_000 => 10,
        _ => 5,
    }
}

/// Beyond so many training samples, those of validation add too little to train once more on both.
const REFIT_BELOW: usize = 1_000;

/// Samples an update where the user names none: at least about ten updates an epoch.
fn usual_batch(samples: usize) -> usize {
    (samples / 10).next_power_of_two().clamp(8, 32)
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
    /// Seconds that a sample takes through the network, where a time budget asks for it.
    pub pace: f64,
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
    /// Whether it was trained once more, on train and validation.
    pub refitted: bool,
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
    /// The course that this one goes the way of, on more samples.
    way: Option<Way>,
    classes: usize,
    batch: usize,
}

/// Tunes as the plan says; `None` where the strategy keeps the probe.
///
/// # Errors
/// [`TransferError::Stopped`] when the observer asks for it, after a checkpoint is on disk;
/// [`TransferError::Diverged`] where the loss left all bounds three times.
pub fn tune(job: &Job<'_>, watch: &mut Watch<'_>) -> Result<Option<Tuned>> {
    let Some((recipe, source_params)) = &job.source.network else {
        return Err(TransferError::usage(
            format!("`{}` has no network to tune", job.source.name),
            "`--method probe` fits a head on the features as they are",
        ));
    };
    let settings = &job.plan.finetune;
    let is_text = recipe.text().is_ok();
    if is_text {
        settings.check_for_texts()?;
    }
    let [train, val] = [Split::Train, Split::Val].map(|split| job.prepared.of(split));
    let samples = &job.prepared.dataset.samples;
    let labels: Vec<u32> = train.iter().filter_map(|&i| samples[i].label).collect();
    let classes = job.prepared.dataset.classes.len();
    let batch = settings.batch.unwrap_or_else(|| usual_batch(train.len())).min(train.len());
    let updates = train.len().div_ceil(batch.max(1)).max(1);
    let epochs = match settings.schedule.as_str() {
        "bit" if settings.epochs.is_none() => schedule::bit_steps(train.len()).div_ceil(updates),
        _ => settings.epochs.unwrap_or_else(|| usual_epochs(train.len())),
    };
    let supply = Supply {
        samples,
        extraction: job.extraction,
        source: job.source,
        cache: job.cache,
        cache_bytes: job.plan.cache.max_bytes,
        augment: inputs::pipeline(&settings.augment)?,
        views: settings.views,
        seed: job.plan.seed,
    };
    let groups = Groups::new(recipe);
    let strategy = strategy::find(job.plan.method.name())?;
    let mut setting = Setting {
        job,
        settings,
        recipe,
        schedule: Schedule::from_probe(Vec::new()),
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
        way: None,
        classes,
        batch,
        groups,
    };
    let sensitivity = match (strategy.wants_sensitivity)(settings) {
        true => Some(step::sensitivity(&setting, &supply)?),
        false => None,
    };
    let facts = Facts {
        groups: &setting.groups,
        settings,
        samples: setting.train.len(),
        classes,
        epochs,
        is_text,
        sensitivity,
    };
    setting.schedule = (strategy.plan)(&facts)?;
    if let Some(reason) = &setting.schedule.reason {
        watch.note(&format!("{}: {reason}", job.plan.method.name()))?;
    }
    if setting.schedule.phases.is_empty() {
        return Ok(None);
    }
    if setting.schedule.has_pairs() {
        settings.check_for_pairs()?;
        setting.batch = settings.batch.unwrap_or_else(|| usual_pair_batch(setting.train.len()));
    }
    if setting.schedule.start == Start::Scratch {
        setting.params = offshoot_nn::init::random_weights(recipe, job.plan.seed);
    }
    setting.norm = match (settings.norm.as_str(), setting.schedule.start) {
        ("batch", _) | ("auto", Start::Scratch) => NormMode::Batch,
        _ => NormMode::Running,
    };
    if setting.schedule.softens {
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
    let started = watch.seconds();
    let (tuned, way) = course::run(&setting, &supply, watch)?;
    let seconds = watch.seconds() - started;
    if !setting.may_refit(&tuned, &way, seconds, watch)? {
        return Ok(Some(tuned));
    }
    refit(setting, tuned, way, &supply, watch).map(Some)
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
    setting.way = Some(way);
    let (tuned, _) = course::run(&setting, supply, watch)?;
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
        ..chosen
    })
}

/// What a course leaves for one that goes the same way on more samples.
#[derive(Debug, Clone)]
struct Way {
    /// Epochs of each phase.
    planned: Vec<usize>,
    /// Epochs before the best weights.
    epochs: u64,
    /// What the sweep found.
    found_lr: Option<f64>,
    /// What divergence left of the learning rate.
    lr_scale: f64,
    /// Seconds from the last update to the end of the run, where there is a time budget.
    after: Option<f64>,
}

impl Setting<'_> {
    /// The user's optimiser, or else the strategy's.
    fn optimiser(&self) -> &str {
        self.settings.optimiser.as_deref().unwrap_or(self.schedule.optimiser)
    }

    /// Whether `tuned` should be trained once more on train and validation: few samples, an epoch that was
    /// chosen, weights that validation did not mix, and time for it.
    fn may_refit(
        &self,
        tuned: &Tuned,
        way: &Way,
        seconds: f64,
        watch: &mut Watch<'_>,
    ) -> Result<bool> {
        let mixed = matches!(self.average, averaging::Kind::Soup | averaging::Kind::WiseFt);
        let chosen = tuned.helped && way.epochs > 0 && !self.val.is_empty();
        if !self.job.plan.refit || !chosen || mixed || self.train.len() >= REFIT_BELOW {
            return Ok(false);
        }
        let Some(budget) = self.settings.time else { return Ok(true) };
        let more = 1.0 + self.val.len() as f64 / self.train.len() as f64;
        let share = way.epochs as f64 / tuned.epochs.max(1) as f64;
        let needed = 1.2 * seconds * share * more + way.after.unwrap_or(0.0);
        let enough = watch.seconds() + needed < budget;
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
