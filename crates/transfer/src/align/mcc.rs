//! MCC: answers for target samples confuse few classes.

use offshoot_data::wording::Choice;

use super::{Adversary, Term, entropy, through_softmax, weight};
use crate::Result;
use crate::regularize::{LossTerm, SourceFacts, Step};

/// The share of confusion between classes in `Σ w_i·p_i·p_iᵀ` of the target's softened answers, rows normalised
/// (Jin et al. 2020, eq. 6): `w = n(1 + e^{−H})/Σ(1 + e^{−H})`, which is held. A class that no sample resembles has
/// an empty row, and no share.
pub(super) const TERM: Term = Term {
    name: "mcc",
    summary: "answers for the target confuse few classes: mcc(weight=1,temperature=2.5)",
    paper: "Jin et al. 2020, arXiv:1912.03699",
    adversary: Adversary::None,
    held: "weights of samples",
    choices: &[weight(1.0), Choice { name: "temperature", default: 2.5, range: [0.1, 100.0] }],
    make: |values| Box::new(Mcc { weight: values[0], temperature: values[1] }),
};

struct Mcc {
    weight: f64,
    temperature: f64,
}

impl LossTerm for Mcc {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [source, target] = step.domains();
        let classes = step.classes;
        let answers = step.probabilities(source..source + target, self.temperature);
        let weights = certainty(&answers);
        let (value, slopes) = confusion(&answers, &weights, classes);
        let to = step.to_logits.chunks_exact_mut(classes).skip(source);
        for ((p, slope), to) in answers.iter().zip(slopes).zip(to) {
            through_softmax(p, &slope, self.weight / self.temperature, to);
        }
        self.weight * value
    }
}

/// `n(1 + e^{−H})/Σ(1 + e^{−H})`.
fn certainty(answers: &[Vec<f64>]) -> Vec<f64> {
    let each: Vec<f64> = answers.iter().map(|p| 1.0 + (-entropy(p)).exp()).collect();
    let sum: f64 = each.iter().sum();
    each.iter().map(|w| w * each.len() as f64 / sum).collect()
}

/// `1/C·Σ_c (1 − A_cc/r_c)` with `A = Σ w_i·p_i·p_iᵀ` and its sums of rows `r_c = Σ w_i·p_ic`, and the slopes by the
/// answers.
fn confusion(answers: &[Vec<f64>], weights: &[f64], classes: usize) -> (f64, Vec<Vec<f64>>) {
    let mut diagonal = vec![0.0; classes];
    let mut sums = vec![0.0; classes];
    for (p, w) in answers.iter().zip(weights) {
        for ((diagonal, sum), p) in diagonal.iter_mut().zip(&mut sums).zip(p) {
            *diagonal += w * p * p;
            *sum += w * p;
        }
    }
    let share = 1.0 / classes as f64;
    let filled = |sum: f64| sum > f64::MIN_POSITIVE;
    let rows = diagonal.iter().zip(&sums);
    let value = rows.clone().filter(|(_, r)| filled(**r)).map(|(a, r)| share * (1.0 - a / r)).sum();
    let slope = |p: &f64, w: f64, a: &f64, r: &f64| match filled(*r) {
        true => share * w * (a / r - 2.0 * p) / r,
        false => 0.0,
    };
    let of_sample = |(p, &w): (&Vec<f64>, &f64)| {
        p.iter().zip(rows.clone()).map(|(p, (a, r))| slope(p, w, a, r)).collect()
    };
    (value, answers.iter().zip(weights).map(of_sample).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With weights that are held, as the term holds them.
    #[test]
    fn slopes_of_the_confusion_are_slopes() {
        let answers = vec![vec![0.7, 0.2, 0.1], vec![0.1, 0.3, 0.6], vec![0.4, 0.4, 0.2]];
        let weights = [1.2, 0.8, 1.0];
        let (_, slopes) = confusion(&answers, &weights, 3);
        for i in 0..3 {
            for c in 0..3 {
                let at = |by: f64| {
                    let mut moved = answers.clone();
                    moved[i][c] += by;
                    confusion(&moved, &weights, 3).0
                };
                let measured = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((measured - slopes[i][c]).abs() < 1e-8, "{measured}, {}", slopes[i][c]);
            }
        }
    }

    /// Certain answers confuse nothing, whatever they are; a class without any has no row to divide.
    #[test]
    fn certain_answers_are_not_confused() {
        let answers = vec![vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 1.0, 0.0]];
        let (value, slopes) = confusion(&answers, &[1.0; 3], 3);
        assert_eq!(value, 0.0);
        assert!(slopes.iter().flatten().all(|s| s.is_finite()));
        let weights = certainty(&[vec![1.0, 0.0], vec![0.5, 0.5]]);
        assert!((weights[0] - 2.0 * 2.0 / 3.5).abs() < 1e-12, "{weights:?}");
    }
}
