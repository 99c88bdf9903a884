//! The heads of `offshoot-stats`, as a run asks for them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use offshoot_stats::calibrate;
use offshoot_stats::heads::{self, FitOptions, Head, Limit};
use offshoot_stats::{Probabilities, Rows};
use serde_json::json;

use crate::plan::TrainPlan;
use crate::{Result, TransferError};

/// What to fit.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// An entry of the registry of heads.
    pub name: &'a str,
    /// Number of classes.
    pub classes: usize,
    /// Weigh classes by n/(C·n_c).
    pub class_weights: bool,
    /// Keys the folds of cross-validation.
    pub seed: u64,
    /// Regularisation strength; `None` lets cross-validation choose.
    pub lambda: Option<f64>,
    /// Widths of the blocks of features, where they come from several sources.
    pub blocks: &'a [usize],
    /// Ends the fit early.
    pub limit: Limit,
}

impl<'a> Request<'a> {
    /// The head that a plan asks for, on the features of one source, with a strength that is chosen.
    pub fn of(plan: &'a TrainPlan, classes: usize) -> Self {
        Self {
            name: &plan.head,
            classes,
            class_weights: plan.class_weights,
            seed: plan.seed,
            lambda: None,
            blocks: &[],
            limit: Limit::default(),
        }
    }

    /// Ends when `stop` is set.
    pub fn until(self, stop: &Arc<AtomicBool>) -> Self {
        Self { limit: Limit { stop: Some(Arc::clone(stop)), until: None }, ..self }
    }
}

/// A head on raw features and how it was found.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// With the values that will be exported.
    pub head: Head,
    /// The λ that was used, where the head has one.
    pub lambda: Option<f64>,
    /// Whether the solver reached its tolerance.
    pub converged: bool,
    /// Least log-loss that cross-validation found, where there was one.
    pub held_out_loss: Option<f64>,
    /// Lines for `metrics.jsonl`.
    pub history: Vec<serde_json::Value>,
    /// Whether each sample was recognised while cross-validation held it out; `None` where it was not, empty
    /// without cross-validation.
    pub held_out: Vec<Option<bool>>,
    /// `−ln p` of each sample's class, as above.
    pub held_out_losses: Vec<Option<f64>>,
}

/// Where a brief fit has converged: as far as fits of cross-validation go.
const BRIEF_TOLERANCE: f64 = 1e-4;
/// Where a head has converged that is asked and thrown away: as far as products in single precision lead.
const ASIDE_TOLERANCE: f64 = 1e-5;

/// Samples times classes from which whole care holds out two folds: eight thousand samples of a hundred and thirty
/// classes, or two thousand of five hundred.
const MANY_ANSWERS: usize = 1 << 20;

/// With how much care cross-validation chooses a strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Care {
    /// All strengths, all folds; of a thousand classes two, as a fit of all takes minutes.
    Whole,
    /// Three strengths on two folds, or one of many samples: a sixth of the fits, or less.
    Brief,
    /// This strength, all folds.
    At(f64),
    /// This strength, on the folds of [`Self::Brief`].
    BriefAt(f64),
    /// This strength, for a head that is asked and thrown away, but must be like the one that is kept.
    Aside(f64),
}

impl Care {
    /// Folds that are held out.
    fn held(self, samples: usize, classes: usize) -> usize {
        match (self, samples) {
            (Self::Whole, _) if samples.saturating_mul(classes) >= MANY_ANSWERS => 2,
            (Self::Whole | Self::At(_) | Self::Aside(_), _) => usize::MAX,
            (_, 0..2_000) => 2,
            _ => 1,
        }
    }

    /// Strengths that are tried: all, or every other but the weakest, whose fits take longest.
    fn grid(self) -> Vec<f64> {
        let usual = FitOptions::default().grid;
        match self {
            Self::Whole => usual,
            Self::Brief => usual.into_iter().step_by(2).take(3).collect(),
            Self::At(strength) | Self::BriefAt(strength) | Self::Aside(strength) => vec![strength],
        }
    }

    /// Largest gradient that counts as none.
    fn tolerance(self) -> f64 {
        match self {
            Self::Whole => FitOptions::default().tolerance,
            Self::Aside(_) => ASIDE_TOLERANCE,
            Self::Brief | Self::At(_) | Self::BriefAt(_) => BRIEF_TOLERANCE,
        }
    }
}

fn find(name: &str) -> Result<&'static heads::Entry> {
    heads::find(name).ok_or_else(|| {
        let known: Vec<&str> = heads::all().iter().map(|entry| entry.name).collect();
        TransferError::usage(
            format!("unknown head `{name}`"),
            format!("there are {}", known.join(", ")),
        )
    })
}

/// Refuses a head that does not exist.
pub fn check_name(name: &str) -> Result<()> {
    find(name).map(drop)
}

/// Fits a head on these rows.
pub fn fit(request: &Request<'_>, rows: Rows<'_>, labels: &[u32]) -> Result<Fitted> {
    fit_with(request, Care::Whole, rows, labels)
}

/// Fits a head on these rows, choosing its strength with more or less care.
pub fn fit_with(
    request: &Request<'_>,
    care: Care,
    rows: Rows<'_>,
    labels: &[u32],
) -> Result<Fitted> {
    let usual = FitOptions::default();
    let options = FitOptions {
        lambda: request.lambda,
        balanced: request.class_weights,
        blocks: request.blocks.to_vec(),
        seed: request.seed,
        limit: request.limit.clone(),
        held: care.held(labels.len(), request.classes),
        grid: care.grid(),
        tolerance: care.tolerance(),
        ..usual
    };
    let fitted = find(request.name)?.fit(rows, labels, request.classes, &options)?;
    let mut history: Vec<serde_json::Value> = fitted
        .path
        .iter()
        .map(|point| json!({ "phase": "cv", "lambda": point.lambda, "log_loss": point.log_loss }))
        .collect();
    history.push(json!({
        "phase": "fit",
        "head": request.name,
        "samples": labels.len(),
        "lambda": fitted.lambda,
        "iterations": fitted.iterations,
        "converged": fitted.converged,
    }));
    let held_out_loss = fitted.path.iter().map(|point| point.log_loss).reduce(f64::min);
    let head = exported(fitted.head.clone());
    let heads::Fitted { lambda, converged, held_out, held_out_losses, .. } = fitted;
    Ok(Fitted { head, lambda, converged, held_out_loss, history, held_out, held_out_losses })
}

/// Rounds a linear head to the precision in which it is written, so that what is evaluated is what
/// is exported.
pub fn exported(head: Head) -> Head {
    match head {
        Head::Linear(mut linear) => {
            for value in linear.weight.iter_mut().chain(&mut linear.bias) {
                *value = f64::from(value.clamp(f32::MIN.into(), f32::MAX.into()) as f32);
            }
            Head::Linear(linear)
        }
        other => other,
    }
}

/// The temperature that minimises the log-loss of these probabilities, not surer than so few allow.
pub fn temperature(probabilities: &Probabilities, labels: &[u32]) -> Result<f64> {
    let scores = scores(probabilities);
    Ok(calibrate::scale_few(&scores, labels, probabilities.n_classes())?.temperature)
}

/// The same of a head whose strength cross-validation chose, which is taken to be about right before these speak.
pub fn believed_temperature(probabilities: &Probabilities, labels: &[u32]) -> Result<f64> {
    let scores = scores(probabilities);
    Ok(calibrate::scale_believed(&scores, labels, probabilities.n_classes())?.temperature)
}

/// The logarithms differ from the logits by a constant a row, which no softmax sees.
fn scores(probabilities: &Probabilities) -> Vec<f64> {
    probabilities.rows().flatten().map(|p| p.max(f64::MIN_POSITIVE).ln()).collect()
}
