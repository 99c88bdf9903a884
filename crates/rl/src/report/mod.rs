//! Was the source worth it? Learning curves of several methods become figures, a verdict and a page.
//!
//! [`judge`] compares every method with scratch and says what to ship; [`render`] makes one HTML file without
//! scripts.

mod answer;
mod curves;
pub mod document;
mod page;

pub use page::render;

use std::path::PathBuf;

use document::{MethodFigures, MethodReport, ReturnPoint, TransferReport, Verdict, WorldFacts};
use offshoot_stats::metrics::{
    Interval, ReturnCurves, TimeRatio, TransferFigures, TransferOptions, Worth, compare_transfer,
};

use crate::world::{Constants, Kind};
use crate::{Result, RlError};

/// The method that needs no source.
pub const SCRATCH: &str = "scratch";

/// A way of learning the target, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// The word that a user types.
    pub method: String,
    /// One line.
    pub summary: String,
    /// Mean returns of every seed, at the same steps for all ways.
    pub curves: ReturnCurves,
    /// Wall time of learning, all seeds together.
    pub seconds: f64,
}

/// Everything that is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// The run's folder.
    pub run: PathBuf,
    /// Where the source was learnt.
    pub source: WorldFacts,
    /// Where it is used.
    pub target: WorldFacts,
    /// What learnt.
    pub learner: String,
    /// Mean return at which the target counts as solved.
    pub threshold: Option<f64>,
    /// Steps that learning the source took.
    pub source_steps: u64,
    /// Episodes that each point of a curve is the mean of.
    pub episodes: usize,
    /// Without a source.
    pub scratch: Way,
    /// With it, at least one.
    pub methods: Vec<Way>,
    /// Keys the resamples.
    pub seed: u64,
    /// Wall time in all.
    pub seconds: f64,
    /// UTC, RFC 3339.
    pub created: String,
}

/// Seeds below which no verdict is given: drawing from two, half of the samples are one seed twice, and the interval
/// is their range.
const LEAST_SEEDS: usize = 3;

impl WorldFacts {
    /// A world of a kind with these constants.
    pub fn of(kind: &Kind, constants: &Constants) -> Self {
        let constants = constants.iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { world: kind.name.into(), constants }
    }
}

/// Compares each method with scratch. Seeds are taken as pairs: the same seed draws the same first states.
///
/// The best method is the one with the most total reward. It is shipped unless it is shown to be worse than
/// scratch, in total or in the end: then scratch is.
///
/// # Errors
/// No method, fewer than two seeds, or curves at other steps than scratch's.
pub fn judge(study: &Study) -> Result<TransferReport> {
    let options = TransferOptions {
        threshold: study.threshold,
        source_steps: study.source_steps as f64,
        seed: study.seed,
        ..TransferOptions::default()
    };
    let compared = |way: &Way| -> Result<MethodFigures> {
        let figures = compare_transfer(&way.curves, &study.scratch.curves, options)
            .map_err(|e| RlError::Unusable(format!("`{}` against scratch: {e}", way.method)))?;
        let mut figures = MethodFigures::from(figures);
        if way.curves.seeds() < LEAST_SEEDS {
            figures.worth = Verdict::Unclear;
        }
        Ok(figures)
    };
    let figures = study.methods.iter().map(compared).collect::<Result<Vec<MethodFigures>>>()?;
    let order = |a: &(usize, &MethodFigures), b: &(usize, &MethodFigures)| {
        // Of equal ones, the first that was asked for.
        a.1.total_reward.total_cmp(&b.1.total_reward).then(b.0.cmp(&a.0))
    };
    let best = figures.iter().enumerate().max_by(order).map(|(i, best)| (i, best.clone()));
    let Some((place, best)) = best else {
        return Err(RlError::Unusable("no method to compare with scratch".into()));
    };
    let tells = study.scratch.curves.seeds() >= LEAST_SEEDS;
    let harms = best.worth == Verdict::Hurts || (tells && best.asymptotic_ci[1] < 0.0);
    let name = study.methods[place].method.clone();
    let all = std::iter::once((&study.scratch, None))
        .chain(study.methods.iter().zip(figures.into_iter().map(Some)));
    let mut report = TransferReport {
        schema: offshoot_transfer::documents::SCHEMA,
        command: "rl transfer".into(),
        run: study.run.clone(),
        seconds: study.seconds,
        figure: String::new(),
        headline: String::new(),
        sentences: Vec::new(),
        verdict: best.worth,
        shipped: if harms { SCRATCH.into() } else { name.clone() },
        fell_back: harms,
        best: name,
        figures: best,
        source: study.source.clone(),
        target: study.target.clone(),
        learner: study.learner.clone(),
        threshold: study.threshold,
        source_steps: study.source_steps,
        seeds: study.scratch.curves.seeds(),
        episodes: study.episodes,
        methods: all.map(|(way, figures)| told(way, figures)).collect(),
        resamples: options.resamples,
        created: study.created.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    answer::answer(&mut report);
    Ok(report)
}

fn told(way: &Way, figures: Option<MethodFigures>) -> MethodReport {
    let curves = &way.curves;
    let point = |(i, [low, median, high]): (usize, [f64; 3])| ReturnPoint {
        steps: curves.steps()[i],
        median,
        quartiles: [low, high],
        returns: curves.returns().iter().map(|seed| seed[i]).collect(),
    };
    MethodReport {
        method: way.method.clone(),
        summary: way.summary.clone(),
        curve: curves.quartiles().into_iter().enumerate().map(point).collect(),
        figures,
        seconds: way.seconds,
    }
}

impl From<TransferFigures> for MethodFigures {
    fn from(figures: TransferFigures) -> Self {
        let ci = |interval: Interval| [interval.low, interval.high];
        let time = figures.time_to_threshold;
        let time_ci = |ratio: TimeRatio| [Some(ratio.low).filter(|v| v.is_finite()), ratio.high];
        Self {
            worth: match figures.worth() {
                Worth::Helps => Verdict::Helps,
                Worth::Hurts => Verdict::Hurts,
                Worth::Unclear => Verdict::Unclear,
            },
            jumpstart: figures.jumpstart.value,
            jumpstart_ci: ci(figures.jumpstart),
            asymptotic: figures.asymptotic.value,
            asymptotic_ci: ci(figures.asymptotic),
            total_reward: figures.total_reward.value,
            total_reward_ci: ci(figures.total_reward),
            transfer_ratio: figures.transfer_ratio.map(|r| r.value),
            transfer_ratio_ci: figures.transfer_ratio.map(ci),
            time_to_threshold: time.and_then(|t| t.ratio.value),
            time_to_threshold_ci: time.map(|t| time_ci(t.ratio)),
            time_is_upper_bound: time.is_some_and(|t| t.ratio.is_upper_bound),
            steps_to_threshold: time.and_then(|t| t.steps),
            scratch_steps_to_threshold: time.and_then(|t| t.scratch_steps),
            reached: time.map(|t| t.reached),
            scratch_reached: time.map(|t| t.scratch_reached),
            total_reward_with_source: figures.total_reward_with_source.value,
            total_reward_with_source_ci: ci(figures.total_reward_with_source),
            time_to_threshold_with_source: time.and_then(|t| t.ratio_with_source.value),
            time_to_threshold_with_source_ci: time.map(|t| time_ci(t.ratio_with_source)),
        }
    }
}

#[cfg(test)]
mod tests;
