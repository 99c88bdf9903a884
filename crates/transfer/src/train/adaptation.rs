//! From a text encoder to one that has read the target's unlabelled texts, where the plan names some.

use offshoot_data::Split;

use super::unlabelled;
use crate::documents::Adapted;
use crate::fit::mlm::{Job, adapt as guess_words};
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::run::RunFolder;
use crate::run::record::RunRecord;
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{Phase, Result, precision};

/// Adapts as the plan says; without unlabelled texts everything stays as it is. Texts of the test split are
/// left out: even without their labels, what judges takes no part.
pub fn adapt(
    folder: &RunFolder,
    plan: &TrainPlan,
    prepared: &Prepared,
    source: Source,
    record: &mut RunRecord,
    watch: &mut Watch<'_>,
) -> Result<(Source, Option<Adapted>)> {
    let Some(settings) = &plan.adapt_mlm else { return Ok((source, None)) };
    let texts = unlabelled::read(&settings.texts, &[Split::Test], plan, prepared, &source, watch)?;
    record.pin("the unlabelled texts", unlabelled::sha(&texts, &source))?;
    let (params, adapted) = watch.phase(Phase::Adapt, Some(1), |watch| {
        let job = Job {
            settings,
            run: folder.path(),
            checkpoint_every: plan.finetune.checkpoint_every,
            seed: plan.seed,
        };
        guess_words(&job, &source, &texts, watch)
    })?;
    let mut adapted_source = source::tuned(&source, params)?;
    precision::settle(&mut adapted_source, plan.precision, &prepared.dataset.samples, watch)?;
    Ok((adapted_source, Some(adapted)))
}
