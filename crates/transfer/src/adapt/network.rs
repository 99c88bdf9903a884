//! Candidates whose network learns, too: tuned with a term of alignment ([`crate::align`]), or by itself on the target
//! ([`crate::source_free`]).

use std::time::Instant;

use offshoot_data::Sample;
use offshoot_stats::adaptation;
use offshoot_stats::adapters::Family;
use offshoot_stats::heads::Head;
use offshoot_stats::shift::Prescription;

use super::candidate::{Candidate, Tuned};
use super::course::{Features, TRYING};
use super::document::LeftOut;
use super::method::tunes;
use super::mismatch::Found;
use super::plan::AdaptPlan;
use super::sides::Sides;
use crate::align::{self, Start, State};
use crate::cache::Cache;
use crate::extract::{Extraction, extract};
use crate::run::RunFolder;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, precision, source, source_free};

/// Terms that `auto` tries where it has time, the cheapest and surest first.
pub const SHORT: [&str; 3] = ["mcc", "deep-coral", "dann"];

/// The same terms by other weights, where time is left after [`SHORT`].
pub const WEIGHTS: [&str; 2] = ["mcc(weight=0.3)", "dann(weight=0.3)"];

/// Seconds below which no network is tuned.
const LEAST_SECONDS: f64 = 5.0;

/// Tunes the network by the terms that are asked for, or that there is time for.
pub fn try_all(
    place: (&RunFolder, &AdaptPlan, &Cache),
    sides: &Sides,
    features: &Features,
    found: &Found,
    candidates: &mut Vec<Candidate>,
    left_out: &mut Vec<LeftOut>,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let plan = place.1;
    let rounds = match (plan.is_auto(), tunes(&plan.method)) {
        (true, _) => shortlist(plan, features, &found.prescribed),
        (false, true) => vec![vec![plan.method.as_str()]],
        _ => return Ok(()),
    };
    if !plan.is_auto() && features.source.network.is_none() {
        return Err(TransferError::usage(
            format!("`{}` tunes a network, and there is none", plan.method),
            "other methods work on features as they are: `coral`, `ot` or `auto`",
        ));
    }
    let places = rounds.iter().flat_map(|round| (0..round.len()).map(|i| round.len() - i));
    for (term, still) in rounds.iter().flatten().copied().zip(places) {
        // What is left is divided evenly among those of the round that are still to come.
        let seconds = plan.time.map(|time| (TRYING * time - watch.spent()) / still as f64);
        if seconds.is_some_and(|seconds| seconds < LEAST_SECONDS) {
            left_out.push(LeftOut { name: term.into(), reason: "out of time".into() });
            continue;
        }
        let tuned = watch.phase(Phase::Finetune, None, |watch| {
            tune(term, place, sides, features, &candidates[0], seconds, watch)
        });
        match tuned {
            Ok(tuned) if tuned.is_empty() => {
                let reason = "nothing was learnt in its time".into();
                left_out.push(LeftOut { name: term.into(), reason });
            }
            Ok(tuned) => candidates.extend(tuned),
            // A network that diverges or has no time is no reason to end; the others still stand.
            Err(
                error @ (TransferError::Diverged(_)
                | TransferError::TooLittleTime { .. }
                | TransferError::Stats(_)),
            ) => left_out.push(LeftOut { name: term.into(), reason: error.to_string() }),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Tunes the network with `terms` and asks every state that this leaves about both sides.
fn tune(
    terms: &str,
    place: (&RunFolder, &AdaptPlan, &Cache),
    sides: &Sides,
    features: &Features,
    base: &Candidate,
    seconds: Option<f64>,
    watch: &mut Watch<'_>,
) -> Result<Vec<Candidate>> {
    let (folder, plan, cache) = place;
    let Head::Linear(head) = &base.of_source else {
        return Err(TransferError::Internal("the source's head is not linear".into()));
    };
    let begun = Instant::now();
    let inside: String =
        terms.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let folder = folder.within(&format!("adapt/{inside}"))?;
    let all = sides.target.unlabelled();
    let target: Vec<Sample> = features.adapting.iter().map(|&i| all[i].clone()).collect();
    let part = features.of_target.part(&features.source, cache, &features.adapting)?;
    let start = Start {
        folder: &folder,
        plan: &plan.training,
        prepared: &sides.prepared,
        target: &target,
        source: &features.source,
        cache,
        of_source: &features.of_source,
        of_target: part.as_ref().unwrap_or(&features.of_target),
        head,
        seconds,
    };
    let mut candidates = Vec::new();
    let (batch, samples) = (plan.training.batch, &sides.prepared.dataset.samples);
    let states = learned(terms, &start, watch)?;
    let several = states.len() > 1;
    for state in states {
        let mut network = source::tuned(&features.source, state.params)?;
        precision::settle(&mut network, plan.training.precision, samples, watch)?;
        // Nobody else will ask for the features of these weights.
        let own = Cache::temporary()?;
        let mut rows = |samples: &[Sample]| -> Result<Extraction> {
            extract(samples, &network, &own, batch, Phase::Extract, watch)
        };
        let (of_source, of_target) = (rows(samples)?, rows(&all)?);
        let alike = of_source.readable() == features.of_source.readable()
            && of_target.readable() == features.of_target.readable();
        if !alike {
            return Err(TransferError::BadData(
                "files changed while the run worked on them".into(),
            ));
        }
        let mut facts = state.facts;
        facts.insert("updates".into(), state.updates as f64);
        let tuned = Tuned { source: network, of_source, of_target };
        let seconds = begun.elapsed().as_secs_f64();
        // States of one method are told apart by the updates before them.
        let named = match (several, facts.get("prior")) {
            (true, Some(prior)) => format!("{terms}@{} (prior {prior:.0})", state.updates),
            (true, None) => format!("{terms}@{}", state.updates),
            (false, _) => terms.to_string(),
        };
        let (head, course) = (state.head, state.course);
        let mut candidate =
            Candidate::network(terms, named, tuned, head, facts, seconds, sides, features)?;
        candidate.course = course;
        candidates.push(candidate);
    }
    Ok(candidates)
}

/// The network's states after a method without the source's data, or after tuning with terms of alignment.
fn learned(terms: &str, start: &Start<'_>, watch: &mut Watch<'_>) -> Result<Vec<State>> {
    match source_free::find(terms) {
        Some(_) => source_free::tune(terms, start, watch),
        None => align::tune(terms, start, watch),
    }
}

/// Which terms `auto` tries, round by round: none without a time that allows it, or where no network could learn.
fn shortlist(
    plan: &AdaptPlan,
    features: &Features,
    prescription: &Prescription,
) -> Vec<Vec<&'static str>> {
    let aligned = adaptation::shortlist(prescription, false)
        .iter()
        .any(|adapter| adapter.family == Family::Align);
    match aligned && plan.time.is_some() && features.source.network.is_some() {
        true => vec![SHORT.to_vec(), WEIGHTS.to_vec()],
        false => Vec::new(),
    }
}
