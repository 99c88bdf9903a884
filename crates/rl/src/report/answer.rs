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
                    "of the steps that scratch was given, and it did not get there; with {best}"
                ),
                false => {
                    format!("of the steps that scratch takes to solve the target, with {best}")
                }
            };
            (format!("{at_most}{}", words::whole_percent(ratio)), headline)
        }
        (verdict, _) => {
            let verdict = match verdict {
                Verdict::Helps => format!("reward while learning than from scratch, with {best}"),
                Verdict::Hurts => format!(
                    "reward while learning than from scratch: the source hurts, even with {best}"
                ),
                Verdict::Unclear => format!(
                    "reward while learning than from scratch with {best}, which {} cannot tell from none",
                    words::counted(report.seeds, "seed", "seeds")
                ),
            };
            let less = if figures.total_reward < 0.0 { "less" } else { "more" };
            let figure = match figures.transfer_ratio {
                Some(ratio) => words::whole_percent(ratio.abs()),
                None => decimal(figures.total_reward.abs()),
            };
            (figure, format!("{less} {verdict}"))
        }
    };
    let minus = figures.total_reward < 0.0 && report.verdict != Verdict::Helps;
    report.figure = if minus { format!("−{figure}") } else { figure };
    report.headline = headline;
    report.sentences = sentences(report, &figures);
}

fn sentences(report: &TransferReport, figures: &MethodFigures) -> Vec<String> {
    let mut said = Vec::new();
    said.push(match (report.fell_back, report.verdict) {
        (true, _) => format!(
            "Shipped is a policy learnt from scratch: {} returns {} {}.",
            report.best,
            relation(figures.asymptotic, "more", "less"),
            "in the end or on the way, beyond chance"
        ),
        (false, Verdict::Unclear) => format!(
            "Shipped is what {} learnt; nothing shows that it is worse than scratch, nor that it is better.",
            report.best
        ),
        (false, _) => format!("Shipped is what {} learnt.", report.best),
    });
    said.push(format!(
        "Before it has learnt anything in the target, it returns {} than an untrained policy ({}); in the end {} than scratch ({}).",
        by(figures.jumpstart),
        range(figures.jumpstart_ci),
        by(figures.asymptotic),
        range(figures.asymptotic_ci)
    ));
    if let (Some(threshold), Some(reached), Some(scratch)) =
        (report.threshold, figures.reached, figures.scratch_reached)
    {
        let steps = |steps: Option<f64>| match steps {
            Some(steps) => format!("{} steps", words::count(steps.round() as usize)),
            None => "never, for half of the seeds,".into(),
        };
        said.push(format!(
            "A mean return of {} is reached after {} ({reached} of {} seeds), from scratch after {} ({scratch} of {}).",
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

fn relation<'a>(value: f64, more: &'a str, less: &'a str) -> &'a str {
    if value < 0.0 { less } else { more }
}

/// `12.3 more`.
fn by(difference: f64) -> String {
    format!("{} {}", decimal(difference.abs()), relation(difference, "more", "less"))
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
