//! The target's labels, looked at once everything has been chosen.

use offshoot_stats::adaptation::OpenSet;
use offshoot_stats::{Probabilities, metrics};

use super::course::{Features, Outcome, home_samples};
use super::sides::Sides;
use crate::documents::Figures;
use crate::extract::Extraction;
use crate::guard::document::{ClassGap, Gap};
use crate::guard::gap::{by_class, gap};
use crate::train::evaluate::{Evaluated, evaluate};
use crate::trained::Trained;
use crate::{Result, figures};

/// What the target's labels say.
pub struct Judged {
    /// Of what is shipped.
    pub shipped: Evaluated,
    /// Of the source's classifier as it is.
    pub source_only: Evaluated,
    /// Error of the first minus error of the second.
    pub gap: Gap,
    pub by_class: Vec<ClassGap>,
    /// Accuracy of every candidate, as it was when the choice was made.
    pub candidates: Vec<f64>,
    /// Of the run's own classifier.
    pub run: Option<f64>,
    /// Of each domain of the source that was left out: error with it minus error without it.
    pub domains: Vec<Option<Gap>>,
    /// What calling samples unknown is worth, of what is shipped and of the source's classifier; `None` where no label
    /// names a class that the source does not have.
    pub open: Option<[OpenSet; 2]>,
}

/// Judges by the target's labels; `None` where none is known.
pub fn judge(sides: &Sides, outcome: &Outcome, seed: u64) -> Result<Option<Judged>> {
    let Features { of_target, judging, .. } = &outcome.features;
    if judging.is_empty() {
        return Ok(None);
    }
    let dataset = &sides.target.dataset;
    let of = |trained, rows| evaluate(trained, dataset, rows, judging.clone(), seed);
    let shipped = of(&outcome.shipped.trained, outcome.place().2)?;
    let source_only = of(&outcome.source_only.trained, of_target)?;
    let labels = &shipped.labels;
    let [with, without] = [&shipped, &source_only].map(|e| &e.probabilities);
    let accuracy = |said: &Probabilities| share_right(said, labels);
    let candidates = outcome
        .candidates
        .iter()
        .map(|candidate| {
            let rows = candidate.place(&outcome.features).2.gather(judging)?;
            Ok(accuracy(&candidate.of_target.predict(rows.rows())?))
        })
        .collect::<Result<Vec<f64>>>()?;
    let run = match &outcome.own {
        Some(own) => Some(accuracy(&own.head.predict(of_target.gather(judging)?.rows())?)),
        None => None,
    };
    let rows = of_target.gather(judging)?;
    let all = outcome.candidates[0].of_target.predict(rows.rows())?;
    let domains = outcome
        .domains
        .iter()
        .map(|domain| match &domain.without {
            Some(head) => gap(&all, &head.predict(rows.rows())?, labels, seed).map(Some),
            None => Ok(None),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(Judged {
        open: open_set(sides, outcome)?,
        domains,
        gap: gap(with, without, labels, seed)?,
        by_class: by_class(with, without, labels, &dataset.classes, seed)?,
        candidates,
        run,
        shipped,
        source_only,
    }))
}

/// Known and unknown samples together.
fn open_set(sides: &Sides, outcome: &Outcome) -> Result<Option<[OpenSet; 2]>> {
    let rules = [&outcome.shipped, &outcome.source_only].map(|s| s.trained.unknown);
    let [Some(of_shipped), Some(of_source_only)] = rules else { return Ok(None) };
    let Features { of_target, judging, .. } = &outcome.features;
    let readable = |i: &usize| of_target.keys[*i].is_some();
    let foreign: Vec<usize> = sides.target.foreign().into_iter().filter(readable).collect();
    let samples = [judging.as_slice(), &foreign].concat();
    let label = |&i: &usize| sides.target.dataset.samples[i].label;
    let labels: Vec<Option<u32>> = samples.iter().map(label).collect();
    let [shipped, source_only] = answers(outcome, &samples)?;
    let shipped = of_shipped.judged(&shipped, &labels);
    let source_only = of_source_only.judged(&source_only, &labels);
    Ok(shipped.zip(source_only).map(|(a, b)| [a, b]))
}

/// Figures of what is shipped on source samples that took no part; `None` without any.
pub fn at_home(sides: &Sides, outcome: &Outcome, seed: u64) -> Result<Option<Figures>> {
    let samples = home_samples(sides);
    if samples.is_empty() {
        return Ok(None);
    }
    let rows = outcome.place().1.gather(&samples)?;
    let dataset = &sides.prepared.dataset;
    let labels: Vec<u32> = samples.iter().filter_map(|&i| dataset.samples[i].label).collect();
    let domains = outcome.features.matrices.domains.as_ref().map(|domains| domains.at(&samples));
    let said = outcome.shipped.answers_at_home(&rows, domains.as_deref())?;
    figures::figures(&said, &labels, seed).map(Some)
}

/// Calibrated answers of what is shipped and of the source's classifier for these target samples.
pub fn answers(outcome: &Outcome, samples: &[usize]) -> Result<[Probabilities; 2]> {
    let of = |trained: &Trained, rows: &Extraction| -> Result<Probabilities> {
        trained.probabilities(rows.gather(samples)?.rows())
    };
    Ok([
        of(&outcome.shipped.trained, outcome.place().2)?,
        of(&outcome.source_only.trained, &outcome.features.of_target)?,
    ])
}

/// Recall of every class; `None` where it has no sample.
pub fn recalls(evaluated: &Evaluated) -> Vec<Option<f64>> {
    let confusion = metrics::Confusion::of(&evaluated.probabilities, &evaluated.labels);
    confusion.by_class().into_iter().map(|f| (f.support > 0).then_some(f.recall)).collect()
}

fn share_right(said: &Probabilities, labels: &[u32]) -> f64 {
    let right = labels.iter().enumerate().filter(|&(i, &y)| said.predicted(i) == y).count();
    right as f64 / labels.len().max(1) as f64
}
