//! From a text encoder to one that has read the target's unlabelled texts, where the plan names some.
//!
//! Guessing words teaches what words the target uses, and may cost what the source's features were good for: an
//! encoder that was trained to put sentences of one meaning together loses some of that with every update. So the
//! guard asks a head on either, by cross-validation over the labelled samples that do not judge in the end. Few
//! labels seldom tell, and then it counts what the source was last trained for: one that was to guess words goes on
//! with that unless the head is worse by more than a standard error, any other stays as it was unless it is better
//! by as much.

use offshoot_data::{Sample, Split};
use offshoot_nn::cpu::MASKED_HEAD;

use super::unlabelled;
use crate::cache::Cache;
use crate::documents::{Adapted, AdaptedWorth};
use crate::extract::extract;
use crate::fit::mlm::{Job, adapt as guess_words};
use crate::guard::Guard;
use crate::guard::evidence::Lead;
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::report::words::{counted, percent};
use crate::run::RunFolder;
use crate::run::record::RunRecord;
use crate::source::{self, Source};
use crate::watch::Watch;
use crate::{Phase, Result, head, precision};

/// Labelled samples that judge, at most: more would only make it slower.
const MOST: usize = 2_000;

/// Adapts as the plan says; without unlabelled texts everything stays as it is. Texts of the test split are
/// left out: even without their labels, what judges takes no part.
pub fn adapt(
    folder: &RunFolder,
    plan: &TrainPlan,
    prepared: &Prepared,
    source: Source,
    cache: &Cache,
    record: &mut RunRecord,
    watch: &mut Watch<'_>,
) -> Result<(Source, Option<Adapted>)> {
    let Some(settings) = &plan.adapt_mlm else { return Ok((source, None)) };
    let texts = unlabelled::read(&settings.texts, &[Split::Test], plan, prepared, &source, watch)?;
    record.pin("the unlabelled texts", unlabelled::sha(&texts, &source))?;
    let (params, mut adapted) = watch.phase(Phase::Adapt, Some(1), |watch| {
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
    if plan.guard != Guard::Off {
        adapted.worth = worth(plan, prepared, [&source, &adapted_source], cache, watch)?;
    }
    let Some(worth) = &adapted.worth else { return Ok((adapted_source, Some(adapted))) };
    watch.note(&told(worth))?;
    let taken = if worth.kept { adapted_source } else { source };
    Ok((taken, Some(adapted)))
}

/// For a report: what was read, and what it was worth.
pub fn words(adapted: &Adapted) -> String {
    let read = counted(adapted.texts, "unlabelled text", "unlabelled texts");
    let worth = adapted.worth.as_ref().map(|worth| format!("; {}", told(worth)));
    format!("by guessing hidden words of {read}{}", worth.unwrap_or_default())
}

fn told(worth: &AdaptedWorth) -> String {
    let end = match worth.kept {
        true => "the adapted encoder is taken",
        false => "the source stays as it was (--guard off takes the adapted one)",
    };
    format!(
        "of {} a head knows {} before and {} after, log-loss {:.3} and {:.3} (lower by {:.3} ± {:.3}): {end}",
        counted(
            worth.samples,
            "labelled sample that is held out",
            "labelled samples held out in turn"
        ),
        percent(worth.accuracy_before),
        percent(worth.accuracy_after),
        worth.log_loss_before,
        worth.log_loss_after,
        worth.gain,
        worth.gain_error,
    )
}

/// What a head says of a sample that was held out: whether it is right, and −ln p of its class.
type Said = Option<(bool, f64)>;

/// Judges the source before and after; `None` where cross-validation cannot.
fn worth(
    plan: &TrainPlan,
    prepared: &Prepared,
    sources: [&Source; 2],
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Option<AdaptedWorth>> {
    let all = &prepared.dataset.samples;
    let open: Vec<usize> = (0..all.len()).filter(|&i| all[i].split != Some(Split::Test)).collect();
    let drawn = offshoot_random::some(open.len(), MOST, plan.seed, "samples that judge", 0);
    let samples: Vec<Sample> = drawn.iter().map(|&at| all[open[at]].clone()).collect();
    let [before, after] =
        sources.map(|source| asked(plan, prepared, &samples, source, cache, watch));
    let (before, after) = (before?, after?);
    let pairs: Vec<[(bool, f64); 2]> =
        before.iter().zip(&after).filter_map(|(a, b)| Some([(*a)?, (*b)?])).collect();
    // One sample has no standard error, and documents no number for that.
    if pairs.len() < 2 {
        return Ok(None);
    }
    let n = pairs.len() as f64;
    let right = |side: usize| pairs.iter().filter(|pair| pair[side].0).count() as f64 / n;
    let loss = |side: usize| pairs.iter().map(|pair| pair[side].1).sum::<f64>() / n;
    let gain = Lead::of(pairs.iter().map(|[(_, before), (_, after)]| before - after));
    let guessed = sources[0].network.as_ref().is_some_and(|(_, p)| p.contains_key(MASKED_HEAD[0]));
    let least = if guessed { -gain.error } else { gain.error };
    Ok(Some(AdaptedWorth {
        samples: pairs.len(),
        log_loss_before: loss(0),
        log_loss_after: loss(1),
        gain: gain.share,
        gain_error: gain.error,
        accuracy_before: right(0),
        accuracy_after: right(1),
        kept: gain.share > least,
    }))
}

/// What a head on the features of `source` says of each sample while it is held out.
fn asked(
    plan: &TrainPlan,
    prepared: &Prepared,
    samples: &[Sample],
    source: &Source,
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Vec<Said>> {
    let extraction = watch.phase(Phase::Extract, Some(samples.len()), |watch| {
        extract(samples, source, cache, plan.batch, Phase::Extract, watch)
    })?;
    let readable = extraction.readable();
    let labels: Vec<u32> = readable.iter().filter_map(|&i| samples[i].label).collect();
    let rows = extraction.gather(&readable)?;
    let fitted = watch.phase(Phase::Fit, Some(readable.len()), |watch| {
        watch.listening(|stop| {
            let request = head::Request::of(plan, prepared.dataset.classes.len()).until(stop);
            head::fit(&request, rows.rows(), &labels)
        })?
    })?;
    let mut said = vec![None; samples.len()];
    for ((&place, right), loss) in
        readable.iter().zip(&fitted.held_out).zip(&fitted.held_out_losses)
    {
        said[place] = right.zip(*loss);
    }
    Ok(said)
}
