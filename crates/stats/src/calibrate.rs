//! Probabilities that mean what they say.

use crate::metrics::Answers;
use crate::{Probabilities, Result, StatsError};

/// One temperature for all classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// Scores are divided by it; above 1 the head was too sure of itself.
    pub temperature: f64,
    /// Mean log-loss before.
    pub log_loss_before: f64,
    /// Mean log-loss after.
    pub log_loss: f64,
}

/// Range in which the temperature is looked for.
const RANGE: (f64, f64) = (1e-3, 1e3);

/// The temperature that minimises the log-loss of `softmax(scores/T)` (Guo et al. 2017,
/// arXiv:1706.04599), for `scores` `[n, n_classes]`.
///
/// The loss is convex in `1/T`: Newton steps inside a bracket that shrinks by bisection.
pub fn scale(scores: &[f64], labels: &[u32], n_classes: usize) -> Result<Temperature> {
    scale_towards(scores, labels, n_classes, 0.0, 0.0)
}

/// [`scale`] for few samples: every right class is taken to be right with `(n + 1)/(n + 2)` only, and the
/// rest goes to the others evenly (Platt 1999, section 2.2). Where all of a few answers are right, the
/// temperature that minimises the plain log-loss is 0: certainty, from ten samples.
pub fn scale_few(scores: &[f64], labels: &[u32], n_classes: usize) -> Result<Temperature> {
    scale_towards(scores, labels, n_classes, 1.0 / (labels.len() as f64 + 2.0), 0.0)
}

/// [`scale_few`] for scores of a head that was regularised as cross-validation asked for: before any sample speaks,
/// its temperature is taken to be 1, give or take a factor of e (one standard deviation of a normal `ln T`; what is
/// found is the mode of the posterior). Where answers on a few samples are no better than chance, the temperature
/// that minimises the loss has no bound.
pub fn scale_believed(scores: &[f64], labels: &[u32], n_classes: usize) -> Result<Temperature> {
    let n = labels.len() as f64;
    scale_towards(scores, labels, n_classes, 1.0 / (n + 2.0), 1.0 / n)
}

/// `doubt`: what is taken from the right class's target. `belief` times `ln²T / 2` is added to the mean loss that is
/// minimised.
fn scale_towards(
    scores: &[f64],
    labels: &[u32],
    n_classes: usize,
    doubt: f64,
    belief: f64,
) -> Result<Temperature> {
    if n_classes == 0 || scores.len() != labels.len() * n_classes || labels.is_empty() {
        return Err(StatsError::Shape {
            expected: format!("{} × {n_classes} scores", labels.len()),
            actual: scores.len().to_string(),
        });
    }
    let rows = || scores.chunks_exact(n_classes).zip(labels.iter().map(|&y| y as usize));
    // Loss, first and second derivative by the inverse temperature.
    let at = |inverse: f64| {
        let (mut loss, mut first, mut second) = (0.0, 0.0, 0.0);
        for (row, label) in rows() {
            let largest = row.iter().copied().fold(f64::MIN, f64::max);
            let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
            for s in row {
                let e = (inverse * (s - largest)).exp();
                if e > 0.0 {
                    sum += e;
                    mean += e * (s - largest);
                    square += e * (s - largest) * (s - largest);
                }
            }
            let (mean, square) = (mean / sum, square / sum);
            // A class that training never saw has no finite score to learn from.
            let mut right = (row[label] - largest).max(-1e6);
            if doubt > 0.0 {
                // Nor has it a share of the doubt; e^-700 is next to the smallest number.
                let seen = |&(class, &s): &(usize, &f64)| class != label && s - largest > -700.0;
                let (n, others) = row
                    .iter()
                    .enumerate()
                    .filter(seen)
                    .fold((0.0, 0.0), |(n, sum), (_, s)| (n + 1.0, sum + (s - largest)));
                if n > 0.0 {
                    right = (1.0 - doubt) * right + doubt * others / n;
                }
            }
            loss += sum.ln() - inverse * right;
            first += mean - right;
            second += square - mean * mean;
        }
        let n = labels.len() as f64;
        (loss / n, first / n, second / n)
    };
    let (mut low, mut high) = (1.0 / RANGE.1, 1.0 / RANGE.0);
    let mut inverse = 1.0;
    for _ in 0..200 {
        let (_, first, second) = at(inverse);
        let first = first + belief * inverse.ln() / inverse;
        let second = second + belief * (1.0 - inverse.ln()) / (inverse * inverse);
        if first.abs() < 1e-12 || (high - low) < 1e-12 * high {
            break;
        }
        if first > 0.0 {
            high = inverse
        } else {
            low = inverse
        }
        let newton = inverse - first / second;
        inverse = if newton > low && newton < high { newton } else { (low * high).sqrt() };
    }
    Ok(Temperature {
        temperature: 1.0 / inverse,
        log_loss_before: at(1.0).0,
        log_loss: at(inverse).0,
    })
}

/// `p^(1/T)`, renormalised: what [`scale`] does to scores, for probabilities.
pub fn soften(probabilities: &Probabilities, temperature: f64) -> Probabilities {
    let scores = probabilities
        .rows()
        .flat_map(|row| row.iter().map(|p| p.max(f64::MIN_POSITIVE).ln() / temperature))
        .collect();
    Probabilities::softmax(probabilities.n_classes(), scores)
        .unwrap_or_else(|| probabilities.clone())
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Samples in the bin.
    pub count: usize,
    /// Mean probability of the predicted class.
    pub confidence: f64,
    /// Share of right predictions.
    pub accuracy: f64,
}

/// Bins of equal mass by confidence, from the least to the most sure; empty ones are left out.
pub fn reliability(probabilities: &Probabilities, labels: &[u32], bins: usize) -> Vec<Bin> {
    let all: Vec<usize> = (0..labels.len()).collect();
    Answers::new(probabilities, labels).reliability(&all, bins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_random::generator;
    use rand::RngExt;

    /// Labels drawn from `softmax(scores)`, and the scores.
    fn sample(n: usize, classes: usize) -> (Vec<f64>, Vec<u32>) {
        let mut rng = generator(0, "calibration test", 0, 0);
        let scores: Vec<f64> = (0..n * classes).map(|_| 4.0 * rng.random::<f64>()).collect();
        let p = Probabilities::softmax(classes, scores.clone()).unwrap();
        let labels = (0..n)
            .map(|i| {
                let mut left: f64 = rng.random();
                let drawn = p.row(i).iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                drawn.unwrap_or(classes - 1) as u32
            })
            .collect();
        (scores, labels)
    }

    #[test]
    fn a_sharpened_head_is_softened_by_the_same_factor() {
        let (scores, labels) = sample(20_000, 4);
        let plain = scale(&scores, &labels, 4).unwrap();
        assert!((plain.temperature - 1.0).abs() < 0.05, "{plain:?}");
        let sharp: Vec<f64> = scores.iter().map(|s| 5.0 * s).collect();
        let found = scale(&sharp, &labels, 4).unwrap();
        assert!((found.temperature / plain.temperature - 5.0).abs() < 1e-6, "{found:?}");
        assert!(found.log_loss < found.log_loss_before);
    }

    #[test]
    fn few_right_answers_are_no_certainty() {
        let few = scale_few(&[1.0, 0.0, 0.0, 1.0], &[0, 1], 2).unwrap();
        // The best logit for 3 right of 4 is ln 3, whatever the scores were.
        assert!((1.0 / few.temperature - 3f64.ln()).abs() < 1e-9, "{few:?}");
        let unseen = scale_few(&[1.0, 0.0, -1e300, 0.0, 1.0, -1e300], &[0, 1], 3).unwrap();
        assert_eq!(unseen.temperature, few.temperature);
        let (scores, labels) = sample(20_000, 4);
        let plain = scale(&scores, &labels, 4).unwrap().temperature;
        let many = scale_few(&scores, &labels, 4).unwrap().temperature;
        assert!((many / plain - 1.0).abs() < 1e-3, "{many} and {plain}");
    }

    #[test]
    fn a_belief_bounds_what_two_answers_say() {
        // One right, one wrong: the loss alone wants no answer at all.
        let (scores, labels) = ([1.0, 0.0, 0.0, 1.0], [0, 0]);
        assert!(scale_few(&scores, &labels, 2).unwrap().temperature > 900.0);
        let found = 1.0 / scale_believed(&scores, &labels, 2).unwrap().temperature;
        // The derivative of ln cosh(b/2) + ln²b/4 is 0 there.
        assert!((found * (found / 2.0).tanh() + found.ln()).abs() < 1e-9, "{found}");
        let (scores, labels) = sample(20_000, 4);
        let plain = scale(&scores, &labels, 4).unwrap().temperature;
        let many = scale_believed(&scores, &labels, 4).unwrap().temperature;
        assert!((many / plain - 1.0).abs() < 1e-3, "{many} and {plain}");
    }

    #[test]
    fn perfect_predictions_stay_inside_the_range() {
        let found = scale(&[1.0, 0.0, 0.0, 1.0], &[0, 1], 2).unwrap();
        assert!(found.temperature >= RANGE.0 * 0.999 && found.temperature.is_finite());
    }

    #[test]
    fn bins_hold_every_sample_once() {
        let (scores, labels) = sample(103, 3);
        let p = Probabilities::softmax(3, scores).unwrap();
        let bins = reliability(&p, &labels, 15);
        assert_eq!(bins.iter().map(|b| b.count).sum::<usize>(), 103);
        assert!(bins.is_sorted_by(|a, b| a.confidence <= b.confidence));
    }
}
