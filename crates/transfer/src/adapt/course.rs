//! The course of an adaptation: features of both sides, the mismatch, candidates, the choice, and only then a look
//! at the target's labels.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offshoot_data::Split;
use offshoot_stats::adaptation::{self, MOST_CHANGED, Unknown, changed};
use offshoot_stats::adapters::{self, Adapted, Adapter};
use offshoot_stats::heads::{Head, Limit};
use offshoot_stats::{Matrix, Probabilities, calibrate};

use super::candidate::{Candidate, Judges, Made, Matrices, fit};
use super::choice::{Chosen, choose_among};
use super::document::LeftOut;
use super::domains::{Domains, Measured};
use super::method::{SOURCE_ONLY, tunes};
use super::mismatch::{Found, compare_sides};
use super::network;
use super::plan::{AdaptPlan, Classes};
use super::sides::{self, Sides};
use super::trust;
use crate::cache::Cache;
use crate::digest::Sha;
use crate::extract::{Extraction, extract};
use crate::head;
use crate::run::RunFolder;
use crate::run::record::RunRecord;
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
    /// With the classes that the target seems to lack, where `matrices` holds less of them.
    pub full: Option<Matrices>,
    /// How much of each class `matrices` holds, where that is not all.
    pub weights: Option<Vec<f64>>,
}

/// A classifier of the target.
#[derive(Clone)]
pub struct Shipped {
    pub trained: Trained,
    /// What answers for source rows.
    pub at_home: AtHome,
    /// In words.
    pub fitted_on: String,
}

/// A classifier of the source.
#[derive(Clone)]
pub enum AtHome {
    /// On the features of a tuned network.
    Network(Head),
    /// On raw features, which it may show each domain's in another way.
    Shallow(Box<Adapted>),
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
    /// What was found of each domain of the source, where there are several.
    pub domains: Vec<Measured>,
}

/// From data to a choice. No label of the target is looked at.
pub fn adapt(
    folder: &RunFolder,
    plan: &AdaptPlan,
    sides: &mut Sides,
    record: &mut RunRecord,
    watch: &mut Watch<'_>,
) -> Result<Outcome> {
    let (source, own) = sides::network(plan, sides, watch)?;
    record.pin("its plan.toml", Sha::of_file(&folder.file(super::PLAN))?)?;
    record.pin("the network", source.facts.sha()?)?;
    let (cache, warning) = Cache::open(&plan.training.cache)?;
    warning.into_iter().try_for_each(|warning| watch.warn(warning))?;
    let mut features = features(plan, sides, source, &cache, watch)?;
    record.pin("the source", features.of_source.sha(&sides.prepared.dataset))?;
    record.pin("the target", features.of_target.sha(&sides.target.dataset))?;
    folder.save(record)?;
    let n_classes = sides.prepared.dataset.classes.len();
    let seed = plan.training.seed;
    if plan.classes == Classes::Partial {
        leave_out_absent(sides, &mut features, seed, watch)?;
    }
    let features = features;
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
        .phase(Phase::Align, None, |watch| try_all(plan, &features, n_classes, &found, watch))?;
    let place = (folder, plan, &cache);
    network::try_all(place, sides, &features, &found, &mut candidates, &mut left_out, watch)?;
    let classes = &sides.prepared.dataset.classes;
    let chosen = watch.phase(Phase::Choose, None, |watch| {
        watch.listening(|_| {
            choose_among(
                &candidates,
                &Judges::new(matrices, seed)?,
                matrices,
                classes,
                &found,
                seed,
            )
        })?
    })?;
    watch.note(&format!("chosen: {} ({})", candidates[chosen.which].name, chosen.reason))?;
    let given = (&*sides, features.full.as_ref().unwrap_or(matrices));
    let source_only = ship(&candidates[0], given, matrices, plan, watch)?;
    let shipped = match chosen.which {
        0 => source_only.clone(),
        which => ship(&candidates[which], (sides, matrices), matrices, plan, watch)?,
    };
    let domains = watch.phase(Phase::Compare, None, |watch| {
        watch.listening(|_| {
            super::domains::measure(matrices, &candidates, chosen.which, n_classes, seed)
        })?
    })?;
    Ok(Outcome {
        features,
        own,
        found,
        candidates,
        chosen,
        left_out,
        shipped,
        source_only,
        domains,
    })
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
    let domains = Domains::of(&sides.prepared);
    let matrices = Matrices::gather(sides, &of_source, &of_target, &adapting, domains)?;
    let (full, weights) = (None, None);
    Ok(Features { source, of_source, of_target, adapting, judging, matrices, full, weights })
}

/// Leaves source samples of classes out that the target seems to lack, by what the source's head answers.
fn leave_out_absent(
    sides: &mut Sides,
    features: &mut Features,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let n_classes = sides.prepared.dataset.classes.len();
    let adapter = adapters::find(SOURCE_ONLY)
        .ok_or_else(|| TransferError::Internal(format!("there is no method `{SOURCE_ONLY}`")))?;
    let full = &features.matrices;
    let head = watch.phase(Phase::Compare, None, |watch| {
        watch.listening(|stop| {
            let limit = Limit { stop: Some(Arc::clone(stop)), until: None };
            Candidate::shallow(adapter, full, full, n_classes, None, seed, limit)
        })
    })??;
    let weights = adaptation::class_weights(&full.both()?.labels, n_classes, &head.target)?;
    if weights.iter().all(|weight| *weight >= 1.0) {
        return watch.note("no class of the source seems to be absent from the target");
    }
    for split in [Split::Train, Split::Val] {
        let places = sides.prepared.of(split);
        let side = if split == Split::Train { &full.train } else { &full.val };
        let kept: BTreeSet<usize> =
            adaptation::thinned(side.rows.rows(), &side.labels, &weights).into_iter().collect();
        for (_, &place) in places.iter().enumerate().filter(|(row, _)| !kept.contains(row)) {
            sides.prepared.dataset.samples[place].split = None;
        }
    }
    let domains = Domains::of(&sides.prepared);
    let Features { of_source, of_target, adapting, .. } = &*features;
    let thinned = Matrices::gather(sides, of_source, of_target, adapting, domains)?;
    features.full = Some(std::mem::replace(&mut features.matrices, thinned));
    features.weights = Some(weights);
    Ok(())
}

/// Fits the source's head as it is, and every method that is asked for or prescribed.
fn try_all(
    plan: &AdaptPlan,
    features: &Features,
    n_classes: usize,
    found: &Found,
    watch: &mut Watch<'_>,
) -> Result<(Vec<Candidate>, Vec<LeftOut>)> {
    let Features { matrices, full, .. } = features;
    let find = |name: &str| -> Result<&'static Adapter> {
        adapters::find(name)
            .ok_or_else(|| TransferError::Internal(format!("there is no method `{name}`")))
    };
    let wanted: Vec<&'static Adapter> = match plan.is_auto() {
        true => adaptation::shortlist(&found.prescribed, matrices.domains.is_some()),
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
            // The source's classifier as it is knows all classes.
            let given = full.as_ref().filter(|_| adapter.name == SOURCE_ONLY).unwrap_or(matrices);
            Candidate::shallow(adapter, given, matrices, n_classes, lambda, seed, limit)
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
///
/// It is fitted to `given`, and was asked about the validation rows of `matrices`.
fn ship(
    candidate: &Candidate,
    (sides, given): (&Sides, &Matrices),
    matrices: &Matrices,
    plan: &AdaptPlan,
    watch: &mut Watch<'_>,
) -> Result<Shipped> {
    let (classes, seed) = (&sides.prepared.dataset.classes, plan.training.seed);
    let temperature = head::temperature(&candidate.source, &matrices.val.labels)?;
    let refitted = match &candidate.made {
        Made::Network(_) => None,
        Made::Shallow { adapter, .. } => {
            let both = given.both()?;
            let fitted = watch.phase(Phase::Fit, Some(both.labels.len()), |watch| {
                watch.listening(|stop| {
                    let limit = Limit { stop: Some(Arc::clone(stop)), until: None };
                    let (target, domains) = (given.target.rows(), given.both_domains());
                    let (domains, lambda) = (domains.as_deref(), candidate.lambda());
                    fit(adapter, &both, domains, classes.len(), target, lambda, seed, limit)
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
    let target = refitted.as_ref().map_or_else(|| candidate.of_target.clone(), Adapted::of_target);
    let head = head::exported(target);
    let trust = trust::calibrate(candidate, refitted.as_ref(), &head, sides, given)?;
    let (at_home, fitted_on) = match refitted {
        Some(adapted) => (
            AtHome::Shallow(Box::new(adapted)),
            "train + val of the source and the target without labels; chosen and calibrated on val before that",
        ),
        None => (
            candidate.at_home(),
            "train of the source and the target without labels; chosen and calibrated on val",
        ),
    };
    let (dim, classes) = (head.d(), classes.clone());
    let mut trained = Trained { classes, dim, head, temperature, trust, unknown: None };
    if plan.classes == Classes::Open {
        let said = match &candidate.made {
            Made::Network(_) => calibrate::soften(&candidate.target, temperature),
            Made::Shallow { .. } => trained.probabilities(matrices.target.rows())?,
        };
        trained.unknown = Some(Unknown::of(&said, plan.unknown_share)?);
    }
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
    /// Calibrated answers for raw source rows, of these domains where there are several.
    pub fn answers_at_home(&self, rows: &Matrix, domains: Option<&[u32]>) -> Result<Probabilities> {
        let said = match &self.at_home {
            AtHome::Network(head) => head.predict(rows.rows())?,
            AtHome::Shallow(adapted) => adapted.answers(rows.rows(), domains)?,
        };
        Ok(calibrate::soften(&said, self.trained.temperature))
    }
}

/// Source samples on which nothing was fitted or chosen.
pub fn home_samples(sides: &Sides) -> Vec<usize> {
    sides.prepared.of(Split::Test)
}
