//! Who is scored on how many samples.

use std::time::Instant;

use super::contest::Entrant;
use super::document::LeftOut;
use super::measure::{self, Line, Setting};
use super::{Asked, sort};
use crate::watch::Watch;
use crate::{Phase, Result, TransferError};

/// Times that the samples may be doubled.
const DOUBLINGS: u32 = 4;
/// Samples a class in the first round at least: below, every score is chance.
const FIRST: usize = 10;
/// Share of the time left that a full round may be expected to take, so that intervals fit behind it.
const SHARE: f64 = 0.7;

/// What the rounds leave.
pub struct Outcome {
    /// Best first; those that were eliminated behind, in the order of how far they came.
    pub lines: Vec<Line>,
    /// Samples of the last round that all of its lines could read.
    pub samples: Vec<usize>,
    pub left_out: Vec<LeftOut>,
    pub notes: Vec<String>,
}

/// Scores everyone on all samples, or, where the time until `deadline` does not suffice for that, everyone on few,
/// the better half on twice as many, and so on.
pub fn run(
    setting: &Setting<'_>,
    asked: &Asked,
    entrants: Vec<Entrant>,
    deadline: Option<Instant>,
    watch: &mut Watch<'_>,
) -> Result<Outcome> {
    let mut all = setting.training();
    all.truncate(setting.plan.limit);
    let mut out =
        Outcome { lines: Vec::new(), samples: Vec::new(), left_out: Vec::new(), notes: Vec::new() };
    let least = (FIRST * setting.n_classes()).min(all.len());
    let mut count = match deadline {
        Some(_) => (all.len() >> DOUBLINGS).max(least),
        None => all.len(),
    };
    let mut entrants = entrants;
    loop {
        let round = Instant::now();
        let is_last = count == all.len();
        // Eliminated lines need no more than what eliminates them.
        let scores = if is_last { &asked.all } else { &asked.order };
        let mut lines = Vec::new();
        let total = entrants.len();
        watch.phase(Phase::Extract, Some(total * count), |watch| {
            for (done, entrant) in entrants.iter().enumerate() {
                watch.note(&format!("features of {}", entrant.model))?;
                match setting.features(entrant, &all[..count], watch) {
                    Ok(found) => lines.extend(found),
                    Err(error @ TransferError::Stopped { .. }) => return Err(error),
                    Err(error) => out
                        .left_out
                        .push(LeftOut { model: entrant.model.clone(), reason: error.to_string() }),
                }
                watch.progress(Phase::Extract, (done + 1) * count, total * count, 0)?;
            }
            Ok(())
        })?;
        let common = measure::align(&mut lines);
        out.samples = common.iter().map(|&at| all[at]).collect();
        let labels = setting.labels(&out.samples);
        let mut scored = Vec::with_capacity(lines.len());
        let total = lines.len();
        watch.phase(Phase::Fit, Some(total), |watch| {
            for (done, mut line) in lines.drain(..).enumerate() {
                match measure::score(&mut line, &labels, setting.n_classes(), scores, watch) {
                    Ok(()) => scored.push(line),
                    Err(error @ TransferError::Stopped { .. }) => return Err(error),
                    Err(error) => out
                        .left_out
                        .push(LeftOut { model: line.name.clone(), reason: error.to_string() }),
                }
                watch.progress(Phase::Fit, done + 1, total, 0)?;
            }
            Ok(())
        })?;
        sort(&mut scored, asked);
        let left = deadline.map_or(f64::INFINITY, |deadline| {
            deadline.saturating_duration_since(Instant::now()).as_secs_f64()
        });
        let took = round.elapsed().as_secs_f64();
        let next = (2 * count).min(all.len());
        // The next round computes what is missing of its features; scores grow a little faster than that.
        let expected = |kept: usize, samples: usize| {
            took * (kept as f64 / scored.len().max(1) as f64)
                * (samples as f64 / count as f64 - 0.5).max(0.5)
        };
        if is_last || scored.len() <= 1 && deadline.is_none() {
            finish(&mut out, scored);
            break;
        }
        let whole = expected(scored.len(), all.len()) <= SHARE * left;
        let kept = if whole { scored.len() } else { scored.len().div_ceil(2) };
        let to = if whole { all.len() } else { next };
        if expected(kept, to) > left {
            out.notes
                .push(format!("the time was up: {count} of {} samples were looked at", all.len()));
            // Everyone who is left is complete on these samples.
            watch.phase(Phase::Fit, Some(scored.len()), |watch| {
                for line in &mut scored {
                    let rest: Vec<_> = asked
                        .all
                        .iter()
                        .copied()
                        .filter(|score| !line.scores.contains_key(score.name))
                        .collect();
                    measure::score(line, &labels, setting.n_classes(), &rest, watch)?;
                }
                Ok(())
            })?;
            finish(&mut out, scored);
            break;
        }
        if kept < scored.len() {
            let gone = scored.split_off(kept);
            let names: Vec<String> = gone.iter().map(title).collect();
            out.notes.push(format!(
                "to keep within the time, {} left after {count} samples: {}",
                names.len(),
                names.join(", ")
            ));
            out.lines.splice(0..0, gone);
        }
        // An encoder goes on as long as one of its layers does.
        entrants.retain(|entrant| scored.iter().any(|line| &line.entrant == entrant));
        count = to;
    }
    Ok(out)
}

/// The last round's lines come first. A layer that goes on only because another of its encoder does is told once.
fn finish(out: &mut Outcome, scored: Vec<Line>) {
    out.lines.retain(|gone| {
        !scored.iter().any(|line| line.entrant == gone.entrant && line.shape == gone.shape)
    });
    out.lines.splice(0..0, scored);
}

fn title(line: &Line) -> String {
    match line.variant() {
        Some(variant) => format!("{} ({variant})", line.name),
        None => line.name.clone(),
    }
}
