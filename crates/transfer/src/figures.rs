//! Metrics with their intervals, as documents show them.

use offshoot_stats::metrics::{PairedOptions, bootstrap_all, find, paired};
use offshoot_stats::{Probabilities, StatsError};

use crate::Result;
use crate::documents::Figures;

/// Bins of the calibration plot and of the ECE.
pub const BINS: usize = 15;

/// Fewer resamples of more samples: the interval of a large set is narrow in any case. Documents and
/// reports say how many.
pub fn resamples(n: usize) -> usize {
    (5_000_000 / n.max(1)).clamp(200, 1000)
}

/// Accuracy, macro-F1, log-loss and ECE, each with its 95 % bootstrap interval.
pub fn figures(probabilities: &Probabilities, labels: &[u32], seed: u64) -> Result<Figures> {
    let n = labels.len();
    let metric = |name: &str| {
        find(name).ok_or_else(|| StatsError::Unusable(format!("there is no metric `{name}`")))
    };
    let metrics = [metric("accuracy")?, metric("macro_f1")?, metric("log_loss")?, metric("ece")?];
    let intervals = bootstrap_all(metrics, probabilities, labels, resamples(n), seed)?;
    let [accuracy, macro_f1, log_loss, ece] = intervals.map(|i| (i.value, [i.low, i.high]));
    let (accuracy, accuracy_ci) = accuracy;
    let (macro_f1, macro_f1_ci) = macro_f1;
    let (log_loss, log_loss_ci) = log_loss;
    let (ece, ece_ci) = ece;
    Ok(Figures {
        n,
        resamples: resamples(n),
        accuracy,
        accuracy_ci,
        macro_f1,
        macro_f1_ci,
        log_loss,
        log_loss_ci,
        ece,
        ece_ci,
    })
}

/// Difference of two classifiers' accuracies on the same samples, `a − b`, with its 95 % interval
/// by paired bootstrap.
///
/// # Errors
/// Without samples, or where rows and labels do not fit.
pub fn accuracy_gain(
    a: &Probabilities,
    b: &Probabilities,
    labels: &[u32],
    seed: u64,
) -> Result<(f64, [f64; 2])> {
    let metric = find("accuracy")
        .ok_or_else(|| StatsError::Unusable("there is no metric `accuracy`".into()))?;
    let options = PairedOptions { resamples: resamples(labels.len()), seed };
    let difference = paired(metric, a, b, labels, options)?;
    Ok((difference.value, [difference.low, difference.high]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probabilities(right: &[bool]) -> Probabilities {
        let data = right.iter().flat_map(|&r| if r { [0.9, 0.1] } else { [0.2, 0.8] });
        Probabilities::new(2, data.collect()).unwrap()
    }

    #[test]
    fn the_gain_over_itself_is_zero() {
        let p = probabilities(&[true, false, true]);
        assert_eq!(accuracy_gain(&p, &p, &[0; 3], 0).unwrap(), (0.0, [0.0, 0.0]));
    }

    #[test]
    fn figures_tell_their_resamples() {
        let all = |n: usize| figures(&probabilities(&vec![true; n]), &vec![0; n], 0).unwrap();
        assert_eq!(all(5_000).resamples, 1000);
        assert_eq!(all(10_000).resamples, 500);
        assert_eq!([25_000, 1_000_000].map(resamples), [200; 2]);
    }

    #[test]
    fn a_paired_interval_is_narrower_than_that_of_the_accuracies() {
        let right: Vec<bool> = (0..100).map(|i| i % 2 == 0).collect();
        let one_more: Vec<bool> = right.iter().enumerate().map(|(i, &r)| r || i < 2).collect();
        let (a, b) = (probabilities(&one_more), probabilities(&right));
        let (gain, [low, high]) = accuracy_gain(&a, &b, &[0; 100], 0).unwrap();
        assert!((gain - 0.01).abs() < 1e-12 && low >= 0.0 && high < 0.05);
        let own = figures(&a, &[0; 100], 0).unwrap();
        assert!(own.accuracy_ci[1] - own.accuracy_ci[0] > high - low);
    }
}
