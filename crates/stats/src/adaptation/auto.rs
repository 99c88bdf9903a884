//! Everything from the mismatch to the choice, on matrices.

use std::time::{Duration, Instant};

use super::{Candidate, Choice, Tried, choose, rehearse, shortlist};
use crate::adapters::{self, Adapted, Adapter, Options, Problem};
use crate::shift::{self, Prescription, Set};
use crate::validators::{Inputs, density_ratio};
use crate::{Matrix, Probabilities, Result, StatsError, cv};

/// Share of the target's answers that a fit on more source rows may change. What was chosen is what was asked; a fit
/// that answers otherwise is another model.
pub const MOST_CHANGED: f64 = 0.2;

/// How [`auto`] works.
#[derive(Debug, Clone)]
pub struct AutoOptions {
    /// Tenths of the source that are held out to judge by.
    pub held: usize,
    /// Time after which no further method is begun. With it, what is tried depends on the machine.
    pub within: Option<Duration>,
    /// How the mismatch is tested.
    pub shift: shift::Options,
}

impl Default for AutoOptions {
    fn default() -> Self {
        Self { held: 3, within: None, shift: shift::Options::default() }
    }
}

/// What [`auto`] came to.
#[derive(Debug)]
pub struct Auto {
    /// What the mismatch calls for.
    pub prescription: Prescription,
    /// Why which method. Its places are those of `tried` but for the first, the source's head.
    pub choice: Choice,
    /// What was fitted on a part of the source; the source's head first.
    pub tried: Vec<Tried>,
    /// Places of the source rows by which was judged; none of `tried` was fitted to them.
    pub held: Vec<usize>,
    /// Methods that were not fitted, and why.
    pub left_out: Vec<(&'static str, String)>,
    /// The choice, fitted once more on all of the source, or as it was judged where that changes more than
    /// [`MOST_CHANGED`] of the target's answers.
    pub adapted: Adapted,
}

/// Finds out what kind of mismatch there is, tries what suits it on a part of the source, chooses by the rest of it
/// and by the target's rows, and fits the choice once more on everything, which must leave its answers about as they were.
///
/// # Errors
/// A source that is too small to hold out a part of every class of it, and as [`shift::compare`] and [`choose`]. A
/// method that cannot be fitted is left out and named.
pub fn auto(problem: &Problem<'_>, options: &AutoOptions) -> Result<Auto> {
    let begun = Instant::now();
    let (labels, seed) = (problem.labels(), problem.seed());
    let tenth = cv::stratified_folds(labels, 10, seed);
    let (held, kept): (Vec<usize>, Vec<usize>) =
        (0..labels.len()).partition(|&i| tenth[i] < options.held);
    if held.len() < 2 || kept.len() < 2 {
        return Err(StatsError::Unusable(format!(
            "choosing needs source samples to hold out, got {} samples",
            labels.len()
        )));
    }
    let side = |indices: &[usize]| {
        let own: Vec<u32> = indices.iter().map(|&i| labels[i]).collect();
        (Matrix::gather(problem.source(), indices), own)
    };
    let ((rows, own), (judges, judge_labels)) = (side(&kept), side(&held));
    let classes = problem.n_classes();
    let part = Problem::new(rows.rows(), &own, classes, problem.target(), seed)?;
    let of = |places: &[usize]| -> Option<Vec<u32>> {
        let domains = problem.domains()?;
        Some(places.iter().map(|&i| domains[i]).collect())
    };
    let (own_domains, judge_domains) = (of(&kept), of(&held));
    let part = match &own_domains {
        Some(domains) => part.with_domains(domains)?,
        None => part,
    };
    let known: Vec<Option<u32>> = own.iter().copied().map(Some).collect();
    let source = Set { rows: rows.rows(), labels: &known };
    let target = Set { rows: problem.target(), labels: &[] };
    let mut tests = options.shift;
    tests.distances.seed = seed;
    let prescription = shift::compare(source, target, classes, &tests)?.prescription;
    let judge_domains = judge_domains.as_deref();
    let try_one = |adapter: &Adapter| {
        Tried::fit(adapter, &part, &Options::default(), judges.rows(), judge_domains)
    };
    let source_only = adapters::find("source-only")
        .ok_or_else(|| StatsError::Unusable("no adapter `source-only`".into()))?;
    let (mut tried, mut left_out) = (vec![try_one(source_only)?], Vec::new());
    let mut fitted = vec![source_only];
    for adapter in shortlist(&prescription, part.has_several_domains()) {
        if options.within.is_some_and(|within| begun.elapsed() >= within) {
            left_out.push((adapter.name, "no time was left".into()));
            continue;
        }
        match try_one(adapter) {
            Ok(one) => {
                tried.push(one);
                fitted.push(adapter);
            }
            Err(error) => left_out.push((adapter.name, error.to_string())),
        }
    }
    let ratio = density_ratio(judges.rows(), problem.target(), seed)?;
    let inputs = Inputs::new(problem.target())?;
    let mut choice = {
        let mut evidence = tried
            .iter()
            .map(|one| one.evidence(&judge_labels, seed)?.with_ratio(&ratio)?.with_inputs(&inputs))
            .collect::<Result<Vec<_>>>()?
            .into_iter();
        let own = evidence
            .next()
            .ok_or_else(|| StatsError::Unusable("the source's head was not tried".into()))?;
        let candidates: Vec<Candidate<'_>> = evidence
            .zip(&tried[1..])
            .map(|(evidence, one)| Candidate { name: one.name.into(), evidence })
            .collect();
        choose(&own, &candidates)?
    };
    // Where several domains have labels, what leads must not harm them while they play the target.
    while let Some(which) = choice.which {
        match rehearse(fitted[which + 1], &part, &Options::default())?.and_then(|r| r.veto()) {
            Some(veto) => choice.rule_out(which, veto),
            None => break,
        }
    }
    let adapted = match choice.which {
        None => source_only.fit(problem, &Options::default())?,
        Some(i) => {
            let judged = &tried[i + 1];
            let all = fitted[i + 1].fit(problem, &Options::default());
            let alike = |all: &Adapted| -> Result<bool> {
                let said = all.of_target().predict(problem.target())?;
                Ok(changed(&said, &judged.target) <= MOST_CHANGED)
            };
            match all {
                Ok(all) if alike(&all)? => all,
                // What cannot be fitted to all or answers otherwise there is not what was chosen.
                _ => judged.adapted.clone(),
            }
        }
    };
    if choice.which.is_none() && choice.candidates.is_empty() && left_out.is_empty() {
        choice.why = format!("nothing was to be tried: {}", prescription.reason);
    }
    Ok(Auto { prescription, choice, tried, held, left_out, adapted })
}

/// Share of rows whose most probable class differs.
pub fn changed(a: &Probabilities, b: &Probabilities) -> f64 {
    let differ = (0..a.n().min(b.n())).filter(|&i| a.predicted(i) != b.predicted(i)).count();
    differ as f64 / a.n().max(1) as f64
}
