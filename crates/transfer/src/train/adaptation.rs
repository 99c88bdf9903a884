//! From a text encoder to one that has read the target's unlabelled texts, where the plan names some.

use std::collections::BTreeSet;

use offshoot_data::{Input, Sample, Split, Text};

use crate::digest::Sha;
use crate::documents::Adapted;
use crate::fit::mlm::{Job, adapt as guess_words, lines};
use crate::plan::TrainPlan;
use crate::prepare::{self, Prepared};
use crate::run::RunFolder;
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
    watch: &mut Watch<'_>,
) -> Result<(Source, Option<Adapted>)> {
    let Some(settings) = &plan.adapt_mlm else { return Ok((source, None)) };
    let mut texts: Vec<Sample> = match lines(&settings.texts)? {
        Some(lines) => lines.into_iter().map(sample).collect(),
        None => prepare::open(&settings.texts, &plan.columns, watch)?.samples,
    };
    source.inputs.refuse_others(&source.name, &texts)?;
    let content = |input: &Input| source.inputs.read(input).ok().map(|content| content.sha());
    let judges = prepared.of(Split::Test);
    let judges: BTreeSet<Sha> =
        judges.iter().filter_map(|&i| content(&prepared.dataset.samples[i].input)).collect();
    let all = texts.len();
    texts.retain(|text| content(&text.input).is_none_or(|sha| !judges.contains(&sha)));
    if texts.len() < all {
        watch.note(&format!("{} texts of the test split are not adapted to", all - texts.len()))?;
    }
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

/// A line of a text file.
fn sample(line: String) -> Sample {
    let input = Input::Text(Text::from(line.as_str()));
    Sample { id: String::new(), input, label: None, split: None, domain: None, group: None }
}
