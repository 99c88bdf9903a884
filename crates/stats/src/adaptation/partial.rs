//! Classes of the source that the target lacks.

use crate::{Probabilities, Result, Rows, StatsError, check, content};

/// Weight below which nothing of a class is kept.
const NOTHING: f64 = 0.02;

/// How much each class should count for a target that may lack some, `[classes]`, from 0 to 1.
///
/// After Cao et al. 2018 (Partial adversarial domain adaptation, arXiv:1808.04205, equation 3): the mean answer to the
/// target's rows, over the share of the class among source labels, relative to the largest. A class that reaches half of
/// that counts in full, so that classes which are only more or less frequent stay as they are. 0 for classes
/// without source rows.
///
/// # Errors
/// Labels out of range, no rows, answers in another number of classes.
pub fn class_weights(labels: &[u32], n_classes: usize, target: &Probabilities) -> Result<Vec<f64>> {
    if target.n_classes() != n_classes || target.n() == 0 || labels.is_empty() {
        return Err(StatsError::Shape {
            expected: format!("labels, and answers in {n_classes} classes"),
            actual: format!(
                "{} labels, {} answers in {}",
                labels.len(),
                target.n(),
                target.n_classes()
            ),
        });
    }
    if let Some(label) = labels.iter().find(|label| **label as usize >= n_classes) {
        return Err(StatsError::Shape {
            expected: format!("labels below {n_classes}"),
            actual: format!("{label}"),
        });
    }
    let mut mean = vec![0.0; n_classes];
    for row in target.rows() {
        mean.iter_mut().zip(row).for_each(|(mean, p)| *mean += p / target.n() as f64);
    }
    let counts = check::counts(labels, n_classes);
    let ratio = |(mean, &n): (&f64, &usize)| match n {
        0 => 0.0,
        n => mean * labels.len() as f64 / n as f64,
    };
    let ratios: Vec<f64> = mean.iter().zip(&counts).map(ratio).collect();
    let most = ratios.iter().copied().fold(0.0, f64::max);
    Ok(ratios.iter().map(|r| if most > 0.0 { (2.0 * r / most).min(1.0) } else { 1.0 }).collect())
}

/// Places of the rows that stay when each class keeps its weight's share of rows, in their order. Which these are goes
/// by the content of rows; at least two classes keep some.
pub fn thinned(rows: Rows<'_>, labels: &[u32], weights: &[f64]) -> Vec<usize> {
    let counts = check::counts(labels, weights.len());
    let keep = |class: usize| {
        let weight = weights[class];
        if weight < NOTHING { 0 } else { (weight * counts[class] as f64).ceil() as usize }
    };
    let mut left: Vec<usize> = (0..weights.len()).map(keep).collect();
    if left.iter().filter(|n| **n > 0).count() < 2 {
        return (0..labels.len()).collect();
    }
    let mut kept: Vec<usize> = Vec::new();
    for i in content::order(rows) {
        let left = &mut left[labels[i] as usize];
        if *left > 0 {
            *left -= 1;
            kept.push(i);
        }
    }
    kept.sort_unstable();
    kept
}
