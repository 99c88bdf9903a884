//! The answer in plain words.

use offshoot_transfer::report::words;

use super::SCRATCH;
use super::document::{MethodFigures, TransferReport, Verdict, WorldFacts};

/// Seeds below which it is said that they are few.
const FEW_SEEDS: usize = 10;

/// Writes figure, headline and sentences.
pub fn answer(report: &mut TransferReport) {
    let best = report.best.clone();
    let figures = report.figures.clone();
    let (figure, headline) = match (report.verdict, figures.time_to_threshold) {
        (Verdict::Helps, Some(ratio)) if ratio < 1.0 => {
            let at_most = if figures.time_is_upper_bound { "at most " } else { "" };
            let headline = match figures.time_is_upper_bound {
                true => format!(
                    "of the steps from scratch, which did not solve the target in all it had, with {best}"
                ),
                false => {
                    format!("of the steps that scratch takes to solve the target, with {best}")
                }
            };
            (format!("{at_most}{}", words::whole_percent(ratio)), headline)
        }
        (verdict, _) => {
            let told = match verdict {
                Verdict::Helps => format!("with {best}"),
                Verdict::Hurts => format!("with {best}: the source hurts"),
                Verdict::Unclear => format!(
                    "with {best}, which {} cannot tell from none",
                    words::counted(report.seeds, "seed", "seeds")
                ),
            };
            let sign = if figures.total_reward < 0.0 { '−' } else { '+' };
            let figure = match figures.transfer_ratio {
                Some(ratio) => words::whole_percent(ratio.abs()),
                None => decimal(figures.total_reward.abs()),
            };
            (format!("{sign}{figure}"), format!("reward while learning, against scratch, {told}"))
        }
    };
    report.figure = figure;
    report.headline = headline;
    report.sentences = sentences(report, &figures);
}

fn sentences(report: &TransferReport, figures: &MethodFigures) -> Vec<String> {
    let mut said = Vec::new();
    said.push(match (report.fell_back, report.verdict) {
        (true, verdict) => format!(
            "Shipped is a policy learnt from scratch: {} returns less {}, beyond chance.",
            report.best,
            if verdict == Verdict::Hurts { "on the way" } else { "in the end" }
        ),
        (false, Verdict::Unclear) => format!(
            "Shipped is what {} learnt; nothing shows that it is worse than scratch, nor that it is better.",
            report.best
        ),
        (false, _) => format!("Shipped is what {} learnt.", report.best),
    });
    said.push(format!(
        "Before it has learnt anything in the target, it returns {} an untrained policy ({}); in the end {} scratch ({}).",
        by(figures.jumpstart),
        range(figures.jumpstart_ci),
        by(figures.asymptotic),
        range(figures.asymptotic_ci)
    ));
    if let (Some(threshold), Some(reached), Some(scratch)) =
        (report.threshold, figures.reached, figures.scratch_reached)
    {
        let steps = |steps: Option<f64>| match steps {
            Some(steps) => format!("after {} steps", words::count(steps.round() as usize)),
            None => "not by half of the seeds".into(),
        };
        said.push(format!(
            "A mean return of {} is reached {} ({reached} of {} seeds), from scratch {} ({scratch} of {}).",
            decimal(threshold),
            steps(figures.steps_to_threshold),
            report.seeds,
            steps(figures.scratch_steps_to_threshold),
            report.seeds
        ));
    }
    let [low, high] = figures.total_reward_with_source_ci;
    let counted = match () {
        () if low > 0.0 => "it still pays",
        () if high < 0.0 => {
            "it costs more than it brings, so the source must be at hand or serve several targets"
        }
        () => "that is no longer clear",
    };
    said.push(format!(
        "If the source's own {} steps count, {counted}.",
        words::count(report.source_steps as usize)
    ));
    let hurting: Vec<&str> = report
        .methods
        .iter()
        .filter(|m| m.figures.as_ref().is_some_and(|f| f.worth == Verdict::Hurts))
        .map(|m| m.method.as_str())
        .collect();
    if !hurting.is_empty() {
        said.push(format!("Negative transfer: {}.", hurting.join(", ")));
    }
    if report.seeds < FEW_SEEDS {
        said.push(format!(
            "{} say little about others; {FEW_SEEDS} or more are usual.",
            words::counted(report.seeds, "seed", "seeds")
        ));
    }
    said
}

/// `12.3 more than`, or `as much as`.
fn by(difference: f64) -> String {
    match difference {
        0.0 => "as much as".into(),
        d if d < 0.0 => format!("{} less than", decimal(-d)),
        d => format!("{} more than", decimal(d)),
    }
}

/// Three digits or so, with a true minus.
pub fn decimal(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{:.digits$}", value.abs())
}

/// `+12.3`, `−0.50`.
pub fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", decimal(value)) } else { decimal(value) }
}

/// `+1.2 to +3.4`.
pub fn range([low, high]: [f64; 2]) -> String {
    format!("{} to {}", signed(low), signed(high))
}

/// `0.31–0.52`, open above where there is no measure.
pub fn ratio_range(ci: Option<[Option<f64>; 2]>) -> String {
    match ci {
        Some([Some(low), Some(high)]) => format!("{low:.2}–{high:.2}"),
        // From nothing to beyond all measure says nothing.
        Some([Some(low), None]) if low > 0.0 => format!("{low:.2} or more"),
        _ => "–".into(),
    }
}

/// A world and how it differs from the other: `cart-pole (gravity 15, length 1.5)`.
pub fn world(here: &WorldFacts, there: &WorldFacts) -> String {
    let differs = |name: &str, value: f64| there.constants.get(name).is_none_or(|v| *v != value);
    let own: Vec<String> = here
        .constants
        .iter()
        .filter(|(name, value)| here.world == there.world && differs(name, **value))
        .map(|(name, value)| format!("{} {value}", name.replace('_', " ")))
        .collect();
    if own.is_empty() { here.world.clone() } else { format!("{} ({})", here.world, own.join(", ")) }
}

/// Whether a method needs no source.
pub fn is_scratch(method: &str) -> bool {
    method == SCRATCH
}
