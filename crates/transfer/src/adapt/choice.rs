//! The choice among candidates, as documents tell it.

use std::collections::BTreeMap;

use offshoot_stats::Probabilities;
use offshoot_stats::adaptation::{self, Rehearsal};
use offshoot_stats::adapters::{Options, Problem};

use super::candidate::{Candidate, Judges, Made, Matrices};
use super::method::SOURCE_ONLY;
use super::mismatch::Found;
use crate::report::words::percent;
use crate::{Result, TransferError};

/// What was chosen and why.
pub struct Chosen {
    /// The first is the source's own head.
    pub which: usize,
    pub reason: String,
    /// Whether something was tried and none of it is shipped.
    pub fell_back: bool,
    /// Of each candidate.
    pub scores: Vec<BTreeMap<String, f64>>,
    pub vetoes: Vec<Vec<String>>,
    /// What candidates came to while source domains took the target's part, by their places.
    pub rehearsed: BTreeMap<usize, Rehearsal>,
}

/// By how much more than those of the source's head answers may differ from the estimated shares of classes.
const ASTRAY: f64 = 0.1;

/// Chooses on held-out source samples and on the target's inputs. The first candidate is the source's own head.
pub fn choose_among(
    candidates: &[Candidate],
    judges: &Judges<'_>,
    matrices: &Matrices,
    classes: &[String],
    found: &Found,
    seed: u64,
) -> Result<Chosen> {
    let Some((source_only, others)) = candidates.split_first() else {
        let detail = format!("no candidate, not even {SOURCE_ONLY}");
        return Err(TransferError::Internal(detail));
    };
    let astray: Vec<Option<String>> =
        candidates.iter().map(|one| astray(one, source_only, found)).collect();
    let asked: Vec<usize> = (1..candidates.len()).filter(|&i| astray[i].is_none()).collect();
    let evidence = asked
        .iter()
        .map(|&i| {
            let evidence = candidates[i].evidence(judges, seed)?;
            Ok(adaptation::Candidate { name: candidates[i].name.clone(), evidence })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut choice = adaptation::choose(&source_only.evidence(judges, seed)?, &evidence)?;
    // What leads must not harm the source's own domains while they play the target. Networks are not tuned again.
    let mut rehearsed = BTreeMap::new();
    while let Some(&place) = choice.which.and_then(|which| asked.get(which)) {
        let Some(found) = rehearsed_by(&candidates[place], matrices, classes.len(), seed)? else {
            break;
        };
        let veto = found.veto();
        rehearsed.insert(place, found);
        match (veto, choice.which) {
            (Some(veto), Some(which)) => choice.rule_out(which, veto),
            _ => break,
        }
    }
    let mut scores = vec![BTreeMap::new(); candidates.len()];
    let mut vetoes: Vec<Vec<String>> =
        astray.into_iter().map(|veto| veto.into_iter().collect()).collect();
    let places = std::iter::once(0).chain(asked.iter().copied());
    for (place, one) in places.zip(std::iter::once(&choice.source_only).chain(&choice.candidates)) {
        scores[place] = one.scores.iter().map(|(k, v)| ((*k).to_string(), *v)).collect();
        vetoes[place].extend(one.vetoes.iter().map(|v| named(&v.detail, classes)));
    }
    // Where nothing was tried, what the mismatch calls for is the reason.
    let reason = match (others.is_empty(), asked.is_empty()) {
        (true, _) => found.prescription.reason.clone(),
        (false, true) => {
            format!("every method was vetoed; of `{}`: {}", others[0].name, vetoes[1].join("; "))
        }
        _ => choice.why,
    };
    let which = choice.which.and_then(|i| asked.get(i).copied()).unwrap_or(0);
    let fell_back = which == 0 && !others.is_empty();
    Ok(Chosen { which, reason, fell_back, scores, vetoes, rehearsed })
}

/// What a method on features comes to where each of several source domains takes the target's part.
fn rehearsed_by(
    candidate: &Candidate,
    matrices: &Matrices,
    n_classes: usize,
    seed: u64,
) -> Result<Option<Rehearsal>> {
    let (Made::Shallow { adapter, .. }, Some(domains)) =
        (&candidate.made, matrices.train_domains())
    else {
        return Ok(None);
    };
    let (train, target) = (&matrices.train, matrices.target.rows());
    let problem = Problem::new(train.rows.rows(), &train.labels, n_classes, target, seed)?;
    let problem = match candidate.lambda() {
        Some(lambda) => problem.with_lambda(lambda),
        None => problem,
    };
    Ok(adaptation::rehearse(adapter, &problem.with_domains(domains)?, &Options::default())?)
}

/// Where classes are more or less frequent and look as they did, their shares in the target can be estimated, and a
/// method whose answers leave them takes samples of one class for another. Validators do not see that: torn into the
/// source's shares, answers look as clustered and as sure as before.
fn astray(candidate: &Candidate, source_only: &Candidate, found: &Found) -> Option<String> {
    let estimated = found.shares.as_ref().filter(|_| found.mismatch.verdict == ["label"])?;
    let off = |said: &Probabilities| {
        let shares = said.shares();
        let apart = shares.iter().zip(estimated).map(|(a, b)| (a - b).abs());
        0.5 * apart.sum::<f64>()
    };
    let (own, before) = (off(&candidate.target), off(&source_only.target));
    (own > before + ASTRAY).then(|| {
        format!(
            "answers leave the estimated shares of classes: {} of them would have to be of another class, {} before",
            percent(own),
            percent(before)
        )
    })
}

/// A veto's words with a class's name in place of its number.
fn named(detail: &str, classes: &[String]) -> String {
    let Some((before, after)) = detail.split_once(": class ") else { return detail.into() };
    let digits = after.chars().take_while(char::is_ascii_digit).count();
    let (number, rest) = after.split_at(digits);
    match number.parse::<usize>().ok().and_then(|class| classes.get(class)) {
        Some(name) => format!("{before}: “{name}”{rest}"),
        None => detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_veto_names_its_class() {
        let classes = ["cat".to_string(), "dog".to_string()];
        let told = named("1 of 2 classes are hardly ever answered: class 1 for 0 %", &classes);
        assert_eq!(told, "1 of 2 classes are hardly ever answered: “dog” for 0 %");
        assert_eq!(
            named("answers are spread over 1.0 classes", &classes),
            "answers are spread over 1.0 classes"
        );
    }
}
