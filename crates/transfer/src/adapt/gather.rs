//! The document, from everything that was found, chosen and judged.

use std::collections::BTreeMap;

use offshoot_stats::Probabilities;
use offshoot_stats::adaptation::Rehearsal;

use super::candidate::Candidate;
use super::course::Outcome;
use super::document::{AdaptReport, CandidateReport, ClassChange, UnknownReport};
use super::judge::{Judged, at_home, recalls};
use super::method::SOURCE_ONLY;
use super::plan::AdaptPlan;
use super::sides::Sides;
use super::{COMMAND, words};
use crate::Result;
use crate::documents::SCHEMA;
use crate::run::RunFolder;
use crate::shift::document::Side;
use crate::watch::Watch;

/// `said` are the answers of what is shipped and of the source's classifier for the samples that are adapted to.
pub fn report(
    plan: &AdaptPlan,
    folder: &RunFolder,
    sides: &Sides,
    outcome: &Outcome,
    judged: Option<&Judged>,
    said: &[Probabilities; 2],
    watch: &Watch<'_>,
) -> Result<AdaptReport> {
    let chosen = outcome.chosen();
    let changed = offshoot_stats::adaptation::changed(&said[0], &said[1]);
    let judging = outcome.features.judging.len();
    let mut report = AdaptReport {
        schema: SCHEMA,
        command: COMMAND.into(),
        run: folder.path().into(),
        seconds: watch.seconds(),
        method: chosen.name.clone(),
        asked: plan.method.clone(),
        fell_back: outcome.chosen.fell_back && plan.method != SOURCE_ONLY,
        reason: outcome.chosen.reason.clone(),
        sentences: Vec::new(),
        accuracy: judged.map(|j| j.shipped.figures.accuracy),
        source_only_accuracy: judged.map(|j| j.source_only.figures.accuracy),
        gap: judged.map(|j| j.gap),
        by_class: judged.map(|j| j.by_class.clone()).unwrap_or_default(),
        verdict: judged.map_or("unmeasured", |j| j.gap.verdict()).into(),
        labels: words::labels(judging, sides.target.is_transductive()),
        target_figures: judged.map(|j| j.shipped.figures.clone()),
        source_only_figures: judged.map(|j| j.source_only.figures.clone()),
        home_figures: at_home(sides, outcome, plan.training.seed)?,
        run_accuracy: judged.and_then(|j| j.run),
        model: outcome.features.source.name.clone(),
        source: of_source(sides, outcome),
        target: of_target(sides, outcome),
        mismatch: outcome.found.mismatch.clone(),
        prescription: outcome.found.prescription.clone(),
        domains: super::domains::told(&outcome.domains, judged),
        candidates: candidates(outcome, judged),
        left_out: outcome.left_out.clone(),
        classes: classes(sides, outcome, judged, said),
        sets: judged.and_then(|j| j.shipped.sets.clone()),
        trust: outcome.shipped.trained.trust.as_ref().map(|_| super::trust::WARNING.into()),
        unknown: unknown(plan, outcome, judged, &said[0]),
        changed,
        next: Vec::new(),
        warnings: watch.warnings.clone(),
    };
    report.sentences = words::sentences(&report);
    report.next = words::next(&report);
    Ok(report)
}

fn unknown(
    plan: &AdaptPlan,
    outcome: &Outcome,
    judged: Option<&Judged>,
    said: &Probabilities,
) -> Option<Box<UnknownReport>> {
    let rule = outcome.shipped.trained.unknown?;
    let open = judged.and_then(|judged| judged.open);
    Some(Box::new(UnknownReport {
        above: rule.above,
        share: rule.share(said),
        expected: plan.unknown_share,
        figures: open.map(|[shipped, _]| shipped),
        source_only_figures: open.map(|[_, source_only]| source_only),
    }))
}

fn of_source(sides: &Sides, outcome: &Outcome) -> Side {
    let matrices = &outcome.features.matrices;
    let samples = sides.prepared.dataset.samples.len();
    Side {
        name: sides.prepared.dataset.name.clone(),
        samples,
        used: matrices.train.labels.len() + matrices.val.labels.len(),
        labelled: samples,
        unreadable: outcome.features.of_source.unreadable.len(),
    }
}

fn of_target(sides: &Sides, outcome: &Outcome) -> Side {
    let samples = &sides.target.dataset.samples;
    Side {
        name: sides.target.dataset.name.clone(),
        samples: samples.len(),
        used: outcome.features.adapting.len(),
        labelled: samples.iter().filter(|s| s.label.is_some()).count(),
        unreadable: outcome.features.of_target.unreadable.len(),
    }
}

fn candidates(outcome: &Outcome, judged: Option<&Judged>) -> Vec<CandidateReport> {
    let labels = &outcome.features.matrices.val.labels;
    let right = |said: &Probabilities| {
        let right = labels.iter().enumerate().filter(|&(i, &y)| said.predicted(i) == y).count();
        right as f64 / labels.len().max(1) as f64
    };
    let source_only = &outcome.candidates[0].target;
    let one = |(i, candidate): (usize, &Candidate)| CandidateReport {
        name: candidate.name.clone(),
        summary: candidate.summary.clone(),
        family: candidate.family().into(),
        scores: outcome.chosen.scores[i].clone(),
        vetoes: outcome.chosen.vetoes[i].clone(),
        source_accuracy: right(&candidate.source),
        changed: candidate.changed(source_only),
        facts: facts(candidate, outcome.chosen.rehearsed.get(&i)),
        course: candidate.course.clone(),
        accuracy: judged.map(|j| j.candidates[i]),
        shipped: i == outcome.chosen.which,
        seconds: candidate.seconds,
    };
    outcome.candidates.iter().enumerate().map(one).collect()
}

/// What a method tells of itself, and how it did where source domains took the target's part.
fn facts(candidate: &Candidate, rehearsed: Option<&Rehearsal>) -> BTreeMap<String, f64> {
    let mut facts = candidate.facts.clone();
    if let Some(found) = rehearsed {
        facts.insert("rehearsed_gain".into(), found.gain);
        facts.insert("rehearsed_domains".into(), found.domains as f64);
    }
    facts
}

fn classes(
    sides: &Sides,
    outcome: &Outcome,
    judged: Option<&Judged>,
    said: &[Probabilities; 2],
) -> Vec<ClassChange> {
    let names = &sides.prepared.dataset.classes;
    let mut in_source = vec![0usize; names.len()];
    let samples = &sides.prepared.dataset.samples;
    samples.iter().filter_map(|s| s.label).for_each(|y| in_source[y as usize] += 1);
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    let taken = said.each_ref().map(|p| {
        let mut counts = vec![0usize; names.len()];
        (0..p.n()).for_each(|i| counts[p.predicted(i) as usize] += 1);
        counts
    });
    let mut of_target = vec![0usize; names.len()];
    if let Some(judged) = judged {
        judged.shipped.labels.iter().for_each(|&y| of_target[y as usize] += 1);
    }
    let recalled = judged.map(|j| [recalls(&j.shipped), recalls(&j.source_only)]);
    let recall = |side: usize, class: usize| recalled.as_ref().and_then(|r| r[side][class]);
    let estimated = outcome.found.shares.as_ref();
    names
        .iter()
        .enumerate()
        .map(|(class, name)| ClassChange {
            class: name.clone(),
            source_share: share(in_source[class], samples.len()),
            weight: outcome.features.weights.as_ref().map_or(1.0, |weights| weights[class]),
            estimated_share: estimated.and_then(|shares| shares.get(class).copied()),
            source_only_share: share(taken[1][class], said[1].n()),
            share: share(taken[0][class], said[0].n()),
            n: of_target[class],
            source_only_recall: recall(1, class),
            recall: recall(0, class),
        })
        .collect()
}
