//! From curves to a document, a page and a policy that is shipped.

use std::time::Instant;

use offshoot_random::generator;
use offshoot_stats::metrics::ReturnCurves;
use offshoot_transfer::documents::SCHEMA;
use offshoot_transfer::report::svg::Drawing;
use offshoot_transfer::run::RunFolder;

use super::document::{SourceReport, TransferDocument, Trial};
use super::methods::Method;
use super::plan::TransferPlan;
use super::{COMMAND, Checked};
use crate::film::Film;
use crate::learn::evaluate;
use crate::policy::{Acting, Policy};
use crate::report::document::{Verdict, WorldFacts};
use crate::report::{SCRATCH, Study, Way, judge, render};
use crate::train::course::{self, Learnt};
use crate::train::document::interval;
use crate::train::{CHOOSING, EPISODES, JUDGING, Result, folder, told};

/// Pictures of an episode.
const FRAMES: usize = 12;

/// What all trainings came to.
pub(super) struct Outcome<'a> {
    /// `None` for scratch, which comes first.
    pub ways: &'a [Option<&'a Method>],
    /// Of each way all seeds.
    pub learnt: &'a [Learnt],
    /// The source that was reused.
    pub chosen: usize,
    /// What each source is worth in the target as it is.
    pub zero_shot: Vec<f64>,
    /// What `auto` tried.
    pub tried: Vec<Trial>,
}

/// Judges, ships, and writes document and page.
pub(super) fn finish(
    folder: &RunFolder,
    plan: &TransferPlan,
    checked: &Checked,
    outcome: Outcome<'_>,
    began: Instant,
) -> Result<TransferDocument> {
    let seeds = plan.seeds as usize;
    let of = |way: usize| &outcome.learnt[way * seeds..(way + 1) * seeds];
    let mut ways = Vec::new();
    for (at, method) in outcome.ways.iter().enumerate() {
        ways.push(Way {
            method: method.map_or(SCRATCH, |m| m.name).into(),
            summary: method.map_or("no source", |m| m.summary).into(),
            curves: curves(of(at))?,
            seconds: of(at).iter().map(|l| l.seconds).sum(),
        });
    }
    let source = &checked.sources[outcome.chosen];
    let (_, record) = RunFolder::open(folder.path())?;
    let mut study = Study {
        run: folder.path().into(),
        source: source.world.clone(),
        target: WorldFacts::of(&checked.kind, &checked.constants),
        learner: checked.learner.name.into(),
        threshold: checked.spec.threshold,
        source_steps: source.steps,
        episodes: course::EPISODES,
        scratch: ways.remove(0),
        methods: ways,
        seed: plan.seed,
        seconds: 0.0,
        created: record.created,
    };
    study.seconds = began.elapsed().as_secs_f64();
    let mut report = judge(&study)?;
    report.schema = SCHEMA;
    report.command = COMMAND.into();
    let place = |name: &str| {
        outcome.ways.iter().position(|way| way.map_or(SCRATCH, |m| m.name) == name).unwrap_or(0)
    };
    let judged = |way: usize, number: u64| -> Result<Vec<f64>> {
        let first = plan.seed;
        let one = |(at, learnt): (usize, &Learnt)| {
            let key = (first + at as u64, number);
            let (kind, constants) = (&checked.kind, &checked.constants);
            Ok(evaluate(&learnt.policy, kind, constants, EPISODES, key)?.mean())
        };
        of(way).iter().enumerate().map(one).collect()
    };
    let (best, shipped) = (place(&report.best), place(&report.shipped));
    let (mean_return, mean_return_ci) = interval(&judged(best, JUDGING)?, plan.seed);
    let (scratch_mean_return, scratch_mean_return_ci) = interval(&judged(0, JUDGING)?, plan.seed);
    // The best of the seeds in some episodes; others say what it is worth.
    let seed = crate::policy::best(
        &judged(shipped, CHOOSING)?.iter().map(|mean| *mean as f32).collect::<Vec<_>>(),
    );
    let shipped_mean_return = judged(shipped, JUDGING)?[seed];
    let policy = &of(shipped)[seed].policy;
    folder::ship(folder, policy)?;
    let mut films = vec![film(checked, policy, plan.seed, "shipped", "What is shipped")?];
    if let Some(moved) = source.moved.first() {
        let title = "The source as it is, before it learns anything here";
        films.insert(0, film(checked, moved, plan.seed, "source", title)?);
    }
    let sources = checked.sources.iter().zip(&outcome.zero_shot);
    let document = TransferDocument {
        negative_transfer: report.verdict == Verdict::Hurts,
        told: told(&checked.kind, &checked.constants),
        steps: of(0)[0].steps,
        tried: outcome.tried,
        sources: sources
            .map(|(source, zero_shot)| SourceReport {
                run: source.run.clone(),
                told: source.told.clone(),
                learner: source.learner.clone(),
                steps: source.steps,
                policies: source.moved.len(),
                zero_shot: *zero_shot,
            })
            .collect(),
        chosen: source.run.clone(),
        mean_return,
        mean_return_ci,
        scratch_mean_return,
        scratch_mean_return_ci,
        shipped_mean_return,
        report,
    };
    let (page, drawings) = render(&document.report, &films)?;
    folder.write("report.html", page.as_bytes())?;
    for drawing in &drawings {
        folder.write(&format!("plots/{}.svg", drawing.name), drawing.standalone().as_bytes())?;
    }
    folder.write_json("report.json", &document)?;
    folder::finish(folder, began.elapsed().as_secs_f64())?;
    Ok(document)
}

/// An episode of `policy` in the target.
fn film(checked: &Checked, policy: &Policy, seed: u64, name: &str, title: &str) -> Result<Drawing> {
    let mut world = (checked.kind.build)(&checked.constants)?;
    let mut acting = Acting::new(policy)?;
    let mut draws = generator(seed, "film", 0, 0);
    let film = Film::shoot(world.as_mut(), &mut draws, FRAMES, |observation, action| {
        acting.greedy(observation, action);
    });
    Ok(film.strip(name, title))
}

/// Curves of several seeds, as statistics take them.
pub(crate) fn curves(learnt: &[Learnt]) -> Result<ReturnCurves> {
    let Some(first) = learnt.first() else {
        return Err(offshoot_transfer::TransferError::Internal("no seed".into()));
    };
    let steps = first.curve.iter().map(|point| point.steps as f64).collect();
    let returns = |l: &Learnt| l.curve.iter().map(|point| point.mean_return).collect();
    Ok(ReturnCurves::new(steps, learnt.iter().map(returns).collect())?)
}
