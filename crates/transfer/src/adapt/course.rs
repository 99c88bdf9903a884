//! The course of an adaptation: features of both sides, the mismatch, candidates, the choice, and only then a look
//! at the target's labels.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offshoot_data::Split;
use offshoot_stats::adaptation::{self, MOST_CHANGED, changed};
use offshoot_stats::adapters::{self, Adapter};
use offshoot_stats::heads::{Head, Limit};
use offshoot_stats::{Matrix, Probabilities, calibrate};

use super::candidate::{Candidate, Judges, Made, Matrices, fit};
use super::choice::{Chosen, choose_among};
use super::document::LeftOut;
use super::method::{SOURCE_ONLY, tunes};
use super::mismatch::{Found, compare_sides};
use super::network;
use super::plan::AdaptPlan;
use super::sides::{self, Sides};
use crate::cache::Cache;
use crate::extract::{Extraction, extract};
use crate::head;
use crate::run::RunFolder;
use crate::source::Source;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, train};

/// Share of a limited time in which candidates may be begun; the rest writes the run.
pub const TRYING: f64 = 0.85;

/// Features of both sides.
pub struct Features {
    pub source: Source,
    pub of_source: Extraction,
    pub of_target: Extraction,
    /// Readable target samples that are adapted to.
    pub adapting: Vec<usize>,
    /// Readable target samples whose labels judge.
    pub judging: Vec<usize>,
    pub matrices: Matrices,
}

/// A classifier of the target.
#[derive(Clone)]
pub struct Shipped {
    pub trained: Trained,
    /// The head on raw source features.
    pub at_home: Head,
    /// In words.
    pub fitted_on: String,
}

/// Everything that an adaptation comes to.
pub struct Outcome {
    pub features: Features,
    pub own: Option<Trained>,
    pub found: Found,
    pub candidates: Vec<Candidate>,
    pub chosen: Chosen,
    pub left_out: Vec<LeftOut>,
    /// The chosen candidate.
    pub shipped: Shipped,
    /// The source's classifier as it is.
    pub source_only: Shipped,
}

/// From data to a choice. No label of the target is looked at.
pub fn adapt(
    folder: &RunFolder,
    plan: &AdaptPlan,
    sides: &mut Sides,
    watch: &mut Watch<'_>,
) -> Result<Outcome> {
    let (source, own) = sides::network(plan, sides, watch)?;
    let (cache, warning) = Cache::open(&plan.training.cache)?;
    warning.into_iter().try_for_each(|warning| watch.warn(warning))?;
    let features = features(plan, sides, source, &cache, watch)?;
    let n_classes = sides.prepared.dataset.classes.len();
    let seed = plan.training.seed;
    let matrices = &features.matrices;
    let rows = matrices.train.labels.len() + matrices.target.rows().n();
    let found = watch.phase(Phase::Compare, Some(rows), |watch| {
        watch.listening(|_| compare_sides(matrices, &sides.prepared.dataset.classes, seed))?
    })?;
    watch.note(&format!(
        "{} prescribed: {}",
        found.prescription.action.name(),
        found.prescription.reason
    ))?;

    let (mut candidates, mut left_out) = watch
        .phase(Phase::Align, None, |watch| try_all(plan, matrices, n_classes, &found, watch))?;
    let place = (folder, plan, &cache);
    network::try_all(place, sides, &features, &found, &mut candidates, &mut left_out, watch)?;
    let classes = &sides.prepared.dataset.classes;
    let chosen = watch.phase(Phase::Choose, None, |watch| {
        watch.listening(|_| {
            choose_among(&candidates, &Judges::new(matrices, seed)?, classes, &found, seed)
        })?
    })?;
    watch.note(&format!("chosen: {} ({})", candidates[chosen.which].name, chosen.reason))?;
    let source_only = ship(&candidates[0], matrices, classes, seed, watch)?;
    let shipped = match chosen.which {
        0 => source_only.clone(),
        which => ship(&candidates[which], matrices, classes, seed, watch)?,
    };
    Ok(Outcome { features, own, found, candidates, chosen, left_out, shipped, source_only })
}

/// Features of both sides, and which samples take which part.
fn features(
    plan: &AdaptPlan,
    sides: &mut Sides,
    source: Source,
    cache: &Cache,
    watch: &mut Watch<'_>,
) -> Result<Features> {
    let batch = plan.training.batch;
    let samples = &sides.prepared.dataset.samples;
    let of_source = watch.phase(Phase::Extract, Some(samples.len()), |watch| {
        extract(samples, &source, cache, batch, Phase::Extract, watch)
    })?;
    train::drop_unreadable(&mut sides.prepared, &of_source, watch)?;
    let samples = sides.target.unlabelled();
    let of_target = watch.phase(Phase::Extract, Some(samples.len()), |watch| {
        extract(&samples, &source, cache, batch, Phase::Extract, watch)
    })?;
    if !of_target.unreadable.is_empty() {
        watch.warn(format!(
            "{} of {} target samples cannot be read and are left out",
            of_target.unreadable.len(),
            samples.len()
        ))?;
        sides.target.problems.extend(of_target.unreadable.iter().cloned());
    }
    let readable = |i: &usize| of_target.keys[*i].is_some();
    let adapting: Vec<usize> = sides.target.adapting().into_iter().filter(readable).collect();
    let judging: Vec<usize> = sides.target.judging().into_iter().filter(readable).collect();
    // A sample whose source label was learnt proves nothing about the target.
    let learnt: BTreeSet<_> = of_source.keys.iter().flatten().collect();
    let before = judging.len();
    let judging: Vec<usize> = judging
        .into_iter()
        .filter(|&i| of_target.keys[i].as_ref().is_none_or(|key| !learnt.contains(key)))
        .collect();
    if judging.len() < before {
        watch.warn(format!(
            "{} target samples are in the source, too; their labels do not judge",
            before - judging.len()
        ))?;
    }
    if adapting.len() < 2 {
        return Err(TransferError::BadData(format!(
            "{}: fewer than two readable samples to adapt to",
            sides.target.dataset.name
        )));
    }
    let matrices = Matrices::gather(sides, &of_source, &of_target, &adapting)?;
    Ok(Features { source, of_source, of_target, adapting, judging, matrices })
}

/// Fits the source's head as it is, and every method that is asked for or prescribed.
fn try_all(
    plan: &AdaptPlan,
    matrices: &Matrices,
    n_classes: usize,
    found: &Found,
    watch: &mut Watch<'_>,
) -> Result<(Vec<Candidate>, Vec<LeftOut>)> {
    let find = |name: &str| -> Result<&'static Adapter> {
        adapters::find(name)
            .ok_or_else(|| TransferError::Internal(format!("there is no method `{name}`")))
    };
    let wanted: Vec<&'static Adapter> = match plan.is_auto() {
        true => adaptation::shortlist(&found.prescribed),
        false if tunes(&plan.method) => Vec::new(),
        false => vec![find(&plan.method)?],
    };
    let wanted: Vec<_> = wanted.into_iter().filter(|adapter| adapter.name != SOURCE_ONLY).collect();
    let seed = plan.training.seed;
    let until = plan.time.map(|time| {
        let left = (TRYING * time - watch.spent()).max(0.0);
        Instant::now() + Duration::from_secs_f64(left)
    });
    let one = |adapter: &'static Adapter, lambda: Option<f64>, watch: &mut Watch<'_>| {
        watch.listening(|stop| {
            let limit = Limit { stop: Some(Arc::clone(stop)), until };
            Candidate::shallow(adapter, matrices, n_classes, lambda, seed, limit)
        })
    };
    let mut candidates = vec![one(find(SOURCE_ONLY)?, None, watch)??];
    let lambda = candidates[0].lambda();
    let mut left_out = Vec::new();
    let total = wanted.len() + 1;
    for (i, adapter) in wanted.into_iter().enumerate() {
        watch.progress(Phase::Align, i + 1, total, 0)?;
        if until.is_some_and(|until| Instant::now() >= until) {
            left_out.push(LeftOut { name: adapter.name.into(), reason: "out of time".into() });
            continue;
        }
        match one(adapter, lambda, watch)? {
            Ok(candidate) => candidates.push(candidate),
            // What cannot be fitted to these samples is no reason to end; the source's head still stands.
            Err(TransferError::Stats(error)) => {
                watch.note(&format!("{}: {error}", adapter.name))?;
                left_out.push(LeftOut { name: adapter.name.into(), reason: error.to_string() });
            }
            Err(other) => return Err(other),
        }
    }
    Ok((candidates, left_out))
}

/// The candidate as it leaves the run: fitted once more on the samples that chose, and calibrated on what they
/// said before.
fn ship(
    candidate: &Candidate,
    matrices: &Matrices,
    classes: &[String],
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Shipped> {
    let temperature = head::temperature(&candidate.source, &matrices.val.labels)?;
    let refitted = match &candidate.made {
        Made::Network(_) => None,
        Made::Shallow { adapter, .. } => {
            let both = matrices.both()?;
            let fitted = watch.phase(Phase::Fit, Some(both.labels.len()), |watch| {
                watch.listening(|stop| {
                    let limit = Limit { stop: Some(Arc::clone(stop)), until: None };
                    let target = matrices.target.rows();
                    fit(adapter, &both, classes.len(), target, candidate.lambda(), seed, limit)
                })
            })?;
            // What was chosen is what was asked; a fit that answers otherwise is another candidate.
            let alike = |head: &Head| -> Result<bool> {
                let said = head.predict(matrices.target.rows())?;
                Ok(changed(&said, &candidate.target) <= MOST_CHANGED)
            };
            match fitted {
                Ok(adapted) if alike(&adapted.of_target())? => Some(adapted),
                _ => None,
            }
        }
    };
    let (target, at_home, fitted_on) = match refitted {
        Some(adapted) => (
            adapted.of_target(),
            adapted.of_source(),
            "train + val of the source and the target without labels; chosen and calibrated on val before that",
        ),
        None => (
            candidate.of_target.clone(),
            candidate.of_source.clone(),
            "train of the source and the target without labels; chosen and calibrated on val",
        ),
    };
    let head = head::exported(target);
    let trained =
        Trained { classes: classes.to_vec(), dim: head.d(), head, temperature, trust: None };
    Ok(Shipped { trained, at_home, fitted_on: fitted_on.into() })
}

impl Outcome {
    /// What is shipped, as it was chosen.
    pub fn chosen(&self) -> &Candidate {
        &self.candidates[self.chosen.which]
    }

    /// The network of what is shipped, and its features of both sides.
    pub fn place(&self) -> (&Source, &Extraction, &Extraction) {
        self.chosen().place(&self.features)
    }
}

impl Shipped {
    /// Calibrated answers for raw source rows.
    pub fn answers_at_home(&self, rows: &Matrix) -> Result<Probabilities> {
        Ok(calibrate::soften(&self.at_home.predict(rows.rows())?, self.trained.temperature))
    }
}

/// Source samples on which nothing was fitted or chosen.
pub fn home_samples(sides: &Sides) -> Vec<usize> {
    sides.prepared.of(Split::Test)
}
