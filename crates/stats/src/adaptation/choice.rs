//! Which of several models to ship.

use std::collections::BTreeMap;

use super::{Veto, vetoes};
use crate::validators::{self, Evidence};
use crate::{Result, StatsError};

/// The validators that decide together. Each looks at something else: whether a classifier of the answers finds the
/// way back, whether answers follow clusters, how sure they are, what is right where source rows look like the target,
/// and whether each class looks the same on both sides.
pub const ENSEMBLE: [&str; 5] = ["circular", "class-cluster", "entropy", "iwv", "joint"];

/// By how much each of [`ENSEMBLE`] must put a model before the source's head to count: a point of accuracy, and as
/// little in the others' units. Where classes form no clusters and answers hardly change, validators differ by noise.
const MARGINS: [f64; ENSEMBLE.len()] = [0.01, 0.025, 0.01, 0.01, 0.005];

/// Validators of [`ENSEMBLE`] that must put a model before the source's head: more than half.
const MAJORITY: usize = ENSEMBLE.len() / 2 + 1;

/// Differences below this are rounding.
const ROUNDING: f64 = 1e-9;

/// A model that may be shipped: an adapted head, or a state of a tuned network.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// By which it is called in what [`choose`] says.
    pub name: String,
    /// What it answers. The rows are those of all candidates; their features may be its own.
    pub evidence: Evidence<'a>,
}

/// What was found of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Of the candidate; `source-only` for the source's head.
    pub name: String,
    /// Of every validator of the registry that could answer, also of those that do not decide.
    pub scores: BTreeMap<&'static str, f64>,
    /// What speaks against it. None is looked for in the source's head.
    pub vetoes: Vec<Veto>,
    /// Models that it leaves behind, summed over the validators that decide; a tie is a half. 0 where it is vetoed.
    pub points: f64,
    /// Validators that decide and put it before the source's head by more than noise.
    pub ahead: usize,
}

/// Which model to ship.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Place among the candidates; `None`: the source's head as it is.
    pub which: Option<usize>,
    /// In plain words.
    pub why: String,
    /// Whether there were candidates and none was good enough.
    pub fell_back: bool,
    /// The source's head.
    pub source_only: Judged,
    /// In the given order.
    pub candidates: Vec<Judged>,
}

/// Chooses among `candidates`, all of which answer the same rows as `source_only`.
///
/// What [`vetoes`] speak against is out. Each validator of [`ENSEMBLE`] orders the rest together with the source's
/// head; a model gets a point for each that it leaves behind (Borda's count). The one with most points is chosen if a
/// majority of validators puts it before the source's head by more than noise; that head also wins ties.
///
/// # Errors
/// Candidates that answer other rows or classes.
pub fn choose(source_only: &Evidence<'_>, candidates: &[Candidate<'_>]) -> Result<Choice> {
    let shape = |e: &Evidence<'_>| [e.source().n(), e.target().n(), e.target().n_classes()];
    for candidate in candidates {
        let same = candidate.evidence.labels() == source_only.labels();
        if !same || shape(&candidate.evidence) != shape(source_only) {
            let [n, m, classes] = shape(source_only);
            let [own_n, own_m, own_classes] = shape(&candidate.evidence);
            return Err(StatsError::Shape {
                expected: format!("answers for the same {n} + {m} rows in {classes} classes"),
                actual: format!("`{}` for {own_n} + {own_m} in {own_classes}", candidate.name),
            });
        }
    }
    let judge = |name: &str, evidence: &Evidence<'_>, vetoes: Vec<Veto>| Judged {
        name: name.into(),
        scores: validators::all()
            .iter()
            .filter_map(|validator| Some((validator.name, validator.of(evidence).ok()?)))
            .collect(),
        vetoes,
        points: 0.0,
        ahead: 0,
    };
    let mut own = judge("source-only", source_only, Vec::new());
    let mut judged = candidates
        .iter()
        .map(|c| Ok(judge(&c.name, &c.evidence, vetoes(&c.evidence, source_only)?)))
        .collect::<Result<Vec<_>>>()?;
    let able: Vec<usize> = (0..judged.len()).filter(|&i| judged[i].vetoes.is_empty()).collect();
    for (name, margin) in ENSEMBLE.into_iter().zip(MARGINS) {
        let of = |one: &Judged| one.scores.get(name).copied().unwrap_or(f64::NEG_INFINITY);
        let base = of(&own);
        let scores: Vec<f64> = able.iter().map(|&i| of(&judged[i])).collect();
        let beats = |a: f64, b: f64| a > b + ROUNDING * (1.0 + b.abs());
        let against = |a: f64, b: f64| {
            if beats(a, b) {
                1.0
            } else if beats(b, a) {
                0.0
            } else {
                0.5
            }
        };
        own.points += scores.iter().map(|&other| against(base, other)).sum::<f64>();
        for (place, &i) in able.iter().enumerate() {
            let others = scores.iter().enumerate().filter(|(other, _)| *other != place);
            judged[i].points += against(scores[place], base)
                + others.map(|(_, &other)| against(scores[place], other)).sum::<f64>();
            judged[i].ahead += usize::from(beats(scores[place], base + margin));
        }
    }
    // The first of equals, in the order given.
    let best = able
        .iter()
        .copied()
        .filter(|&i| judged[i].ahead >= MAJORITY && judged[i].points > own.points)
        .fold(None, |best: Option<usize>, i| match best {
            Some(b) if judged[b].points >= judged[i].points => best,
            _ => Some(i),
        });
    let why = why(best, &judged, able.len());
    let fell_back = best.is_none() && !judged.is_empty();
    Ok(Choice { which: best, why, fell_back, source_only: own, candidates: judged })
}

fn why(best: Option<usize>, judged: &[Judged], able: usize) -> String {
    let all = ENSEMBLE.len();
    match best {
        Some(i) => format!(
            "`{}` has the best places of {able} adaptations that passed every veto; {} of {all} validators put it \
             before the source's head as it is",
            judged[i].name, judged[i].ahead
        ),
        None if judged.is_empty() => "nothing was tried".into(),
        None if able == 0 => {
            let first = &judged[0].vetoes[0].detail;
            format!("every adaptation was vetoed; of `{}`: {first}", judged[0].name)
        }
        None => {
            let most = judged.iter().map(|one| one.ahead).max().unwrap_or(0);
            format!(
                "no adaptation is both first by its places and before the source's head for {MAJORITY} of {all} \
                 validators (at most {most})"
            )
        }
    }
}
