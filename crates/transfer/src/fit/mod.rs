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
pub(crate) mod inputs;
mod judge;
pub(crate) mod learner;
mod lora;
pub mod mlm;
pub(crate) mod net;
pub(crate) mod optimiser;
mod refit;
mod rehearsal;
mod schedule;
mod setting;
mod settings;
mod step;
pub mod strategy;
#[cfg(test)]
mod tests;

use offshoot_data::Split;
use offshoot_nn::{Params, Recipe};
use offshoot_stats::heads::{Head, Linear};

use crate::align;
use crate::cache::Cache;
use crate::extract::Extraction;
use crate::guard::sequential::Looks;
use crate::monitor::History;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Result, TransferError};
pub use budget::time_until;
pub use checkpoint::Checkpoint;
use distill::Teacher;
use inputs::Supply;
pub use lora::merged;
pub use rehearsal::rehearse;
use setting::Setting;
pub use settings::Finetune;

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
    refit::refit(setting, tuned, way, &supply, watch).map(Some)
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
