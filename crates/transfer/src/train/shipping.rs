//! From everything that was fitted to the one model that is shipped, and to the figures of all.
//!
//! The choice comes first, on held-out samples of the training and validation splits; then the test split
//! is opened, once for each.

use std::collections::BTreeMap;
use std::time::Instant;

use super::baselines::{self, Fitted, Measured};
use super::evaluate::Evaluated;
use super::tuning::{self, Frozen};
use crate::cache::Cache;
use crate::documents::Baseline;
use crate::guard::Guard;
use crate::guard::choice::{Choice, Contender, choose};
use crate::guard::document::{CandidateReport, Gap, GuardReport, Watched};
use crate::guard::gap::{by_class, gap};
use crate::guard::sequential::{Looks, RULE};
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::report::words::{percent, points};
use crate::run::RunFolder;
use crate::source;
use crate::watch::Watch;
use crate::{Result, TransferError};

/// What of a low-rank network is of no use without it.
const ADAPTER: &str = "export/adapter.safetensors";

/// Where a run works.
pub struct Place<'a> {
    pub folder: &'a RunFolder,
    pub plan: &'a TrainPlan,
    pub prepared: &'a Prepared,
    pub cache: &'a Cache,
    /// What else tuning depends on.
    pub given: tuning::Given<'a>,
}

/// What came of the source.
pub struct Candidates {
    /// What the plan asks for.
    pub asked: Frozen,
    /// The source's frozen features, where that is a network tuned from it.
    pub probe: Option<Frozen>,
    /// What the guard saw, where a network learnt.
    pub looks: Option<Looks>,
}

/// What leaves the run.
pub struct Shipped {
    pub frozen: Frozen,
    pub evaluated: Evaluated,
    /// Everything else.
    pub baselines: Vec<Measured>,
    pub guard: Option<GuardReport>,
}

struct Candidate {
    name: &'static str,
    summary: String,
    uses_source: bool,
    frozen: Frozen,
    /// For `baselines` of the document.
    seconds: f64,
    /// Of these, what only the guard asked for.
    guarding: f64,
}

impl Candidate {
    fn of_fitted(fitted: Fitted) -> Self {
        let Fitted { name, summary, frozen, seconds, for_guard } = fitted;
        let guarding = if for_guard { seconds } else { 0.0 };
        Self { name, summary, uses_source: false, frozen, seconds, guarding }
    }
}

/// What held-out samples say.
fn choice(candidates: &[Candidate]) -> Choice {
    let contenders: Vec<Contender<'_>> = candidates
        .iter()
        .map(|c| Contender { uses_source: c.uses_source, evidence: &c.frozen.probe.evidence })
        .collect();
    let frozen = candidates.iter().position(|c| c.name == "probe").filter(|&at| at > 0);
    choose(&contenders, frozen)
}

/// Fits what else there is to fit, chooses, and opens the test split.
pub fn ship(place: &Place<'_>, from: Candidates, watch: &mut Watch<'_>) -> Result<Shipped> {
    let Place { plan, prepared, cache, .. } = place;
    let before = watch.seconds();
    let guard = baselines::guard(plan, prepared, &from.asked.source)?;
    let looks = from.looks.clone();
    let mut candidates = gather(place, from, guard, watch)?;
    let mut choice = choice(&candidates);
    // Few and small pixels are enough to see that a source hurts, but no model to be shipped for it.
    let few = &candidates[choice.shipped];
    if guard != Guard::Off && few.name == source::PIXELS {
        let start = watch.seconds();
        let more = baselines::more_pixels(plan, prepared, &few.frozen, cache, watch)?;
        let guarding = few.guarding + watch.seconds() - start;
        if let Some(more) = more {
            let at = choice.shipped;
            let few = std::mem::replace(&mut candidates[at], Candidate::of_fitted(more));
            match self::choice(&candidates) {
                again if again.shipped == at => choice = again,
                // What tells it from the source must still be enough.
                _ => candidates[at] = few,
            }
        }
        candidates[choice.shipped].guarding = guarding;
    }
    let fitting = (watch.seconds() - before).min(guarding(&candidates));
    let shipped = if guard == Guard::Off { 0 } else { choice.shipped };

    let mut evaluated = Vec::with_capacity(candidates.len());
    let mut judging = 0.0;
    for candidate in &mut candidates {
        let Frozen { extraction, probe, .. } = &mut candidate.frozen;
        if evaluated.len() == shipped {
            probe.calibrate(plan, prepared, extraction, watch)?;
        }
        let before = watch.seconds();
        evaluated.push(probe.evaluate(plan, prepared, extraction, watch)?);
        if candidate.guarding > 0.0 {
            judging += watch.seconds() - before;
        }
    }
    let report = match guard {
        Guard::Off => None,
        _ => {
            let before = watch.seconds();
            let mut report = document(place, guard, &candidates, &evaluated, choice, looks)?;
            let now = watch.seconds();
            report.seconds = fitting + judging + now - before;
            report.overhead = report.seconds / (now - report.seconds).max(1e-9);
            Some(report)
        }
    };
    if let Some(report) = &report {
        tell(report, watch)?;
    }
    let mut baselines = Vec::new();
    let mut majority = Some(baselines::majority(plan, prepared)?);
    for (i, (candidate, evaluated)) in candidates.iter().zip(&evaluated).enumerate() {
        if !candidate.uses_source {
            baselines.extend(majority.take());
        }
        if i == shipped {
            continue;
        }
        let baseline = Baseline {
            name: candidate.name.into(),
            summary: candidate.summary.clone(),
            figures: evaluated.figures.clone(),
            seconds: candidate.seconds,
        };
        baselines.push(Measured { baseline, probabilities: evaluated.probabilities.clone() });
    }
    baselines.extend(majority);
    // What tuning told stays told, whatever is shipped.
    let told = std::mem::take(&mut candidates[0].frozen.probe.history);
    let mut frozen = candidates.swap_remove(shipped).frozen;
    frozen.probe.history.splice(0..0, told);
    if shipped > 0 {
        let path = place.folder.file(ADAPTER);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(TransferError::io(path, e));
            }
            _ => {}
        }
    }
    Ok(Shipped { frozen, evaluated: evaluated.swap_remove(shipped), baselines, guard: report })
}

/// Everything that might be shipped; what was asked for comes first.
fn gather(
    place: &Place<'_>,
    from: Candidates,
    guard: Guard,
    watch: &mut Watch<'_>,
) -> Result<Vec<Candidate>> {
    let Place { folder, plan, prepared, cache, given } = place;
    let Candidates { asked, probe, looks } = from;
    let others = baselines::fit(plan, prepared, &asked.source, cache, watch)?;
    let from_scratch = match (guard, &probe, looks.is_some()) {
        (Guard::Full, Some(probe), true) => Some(probe),
        (Guard::Full, None, true) => Some(&asked),
        _ => None,
    };
    let start = Instant::now();
    let scratch = match from_scratch {
        Some(frozen) => tuning::scratch(folder, plan, prepared, cache, frozen, *given, watch)?,
        None => None,
    };
    let scratch_seconds = start.elapsed().as_secs_f64();
    let recipe = asked.source.facts.recipe.clone();
    let of_source = |name, summary: String, frozen| Candidate {
        name,
        summary,
        uses_source: true,
        frozen,
        seconds: 0.0,
        guarding: 0.0,
    };
    let mut all = match probe {
        Some(probe) => {
            let tuned = format!("{}, tuned ({})", asked.source.name, plan.method.name());
            vec![
                of_source("tuned", tuned, asked),
                of_source("probe", "the same source, frozen".into(), probe),
            ]
        }
        None => vec![of_source("probe", format!("{}, frozen", asked.source.name), asked)],
    };
    all.extend(others.into_iter().map(Candidate::of_fitted));
    all.extend(scratch.map(|frozen| Candidate {
        name: "scratch",
        summary: format!("{recipe} trained from scratch"),
        uses_source: false,
        frozen,
        seconds: scratch_seconds,
        guarding: scratch_seconds,
    }));
    Ok(all)
}

fn guarding(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|c| c.guarding).sum()
}

/// The guard's document but for what it took.
fn document(
    place: &Place<'_>,
    guard: Guard,
    candidates: &[Candidate],
    evaluated: &[Evaluated],
    choice: Choice,
    looks: Option<Looks>,
) -> Result<GuardReport> {
    let Place { plan, prepared, .. } = place;
    let labels = &evaluated[0].labels;
    let against = |with: usize, without: usize| {
        let [with, without] = [with, without].map(|i| &evaluated[i].probabilities);
        gap(with, without, labels, plan.seed)
    };
    let by_class = match choice.without {
        Some(without) => {
            let [with, without] = [0, without].map(|i| &evaluated[i].probabilities);
            by_class(with, without, labels, &prepared.dataset.classes, plan.seed)?
        }
        None => Vec::new(),
    };
    let gaps_of = |of: usize| -> Result<BTreeMap<String, Gap>> {
        let others = (0..candidates.len()).filter(|&i| i != of);
        others.map(|i| Ok((candidates[i].name.to_string(), against(of, i)?))).collect()
    };
    let gaps = gaps_of(0)?;
    let nt_gap = choice.without.and_then(|without| gaps.get(candidates[without].name).copied());
    let shipped_gaps = match choice.shipped {
        0 => gaps.clone(),
        other => gaps_of(other)?,
    };
    let report = |(c, e): (&Candidate, &Evaluated)| {
        let held_out = c.frozen.probe.evidence.share();
        CandidateReport {
            name: c.name.into(),
            summary: c.summary.clone(),
            uses_source: c.uses_source,
            held_out: held_out.map(|(share, _)| share),
            held_out_samples: held_out.map_or(0, |(_, n)| n),
            accuracy: e.figures.accuracy,
            accuracy_ci: e.figures.accuracy_ci,
            seconds: c.guarding,
        }
    };
    let watch = looks.map(|looks| Watched {
        looks: looks.looks,
        stopped_after: looks.stopped_after,
        rule: RULE.into(),
    });
    let name = |i: usize| candidates[i].name.to_string();
    Ok(GuardReport {
        mode: guard.name().into(),
        verdict: nt_gap.map_or("unmeasured", |gap| gap.verdict()).into(),
        shipped: name(choice.shipped),
        fell_back: choice.shipped > 0,
        reason: reason(candidates, choice),
        without: choice.without.map(name),
        nt_gap,
        by_class,
        by_source: Vec::new(),
        gaps,
        shipped_gaps,
        candidates: candidates.iter().zip(evaluated).map(report).collect(),
        watch,
        seconds: 0.0,
        overhead: 0.0,
    })
}

/// Why the shipped one was chosen.
fn reason(candidates: &[Candidate], choice: Choice) -> String {
    let Some(without) = choice.without else {
        return "nothing could be fitted without the source".into();
    };
    let (asked, without) = (&candidates[0].summary, &candidates[without].summary);
    let share = choice.lead.share;
    if choice.lead.n < 2 {
        return format!("no held-out sample tells {without} from {asked}");
    }
    let how = format!("on {} held-out samples of train and validation", choice.lead.n);
    let ahead = |first: &str, second: &str| {
        format!("{how}, {first} got {} against {second}", points(share.abs()))
    };
    match choice.shipped {
        0 if share > 0.0 => format!("{}: not far enough ahead", ahead(without, asked)),
        0 => ahead(asked, without),
        _ => ahead(without, asked),
    }
}

fn tell(report: &GuardReport, watch: &mut Watch<'_>) -> Result<()> {
    if report.fell_back {
        watch.warn(format!(
            "the source hurts: shipped is {}, without it ({})",
            report.shipped_summary(),
            report.reason
        ))?;
    } else {
        watch.note(&format!("guard: {}", report.reason))?;
    }
    if let Some(gap) = &report.nt_gap {
        watch.note(&format!(
            "guard: negative-transfer gap {} (p = {:.2e}), {}; overhead {}",
            points(gap.value),
            gap.p,
            report.verdict,
            percent(report.overhead)
        ))?;
    }
    Ok(())
}
