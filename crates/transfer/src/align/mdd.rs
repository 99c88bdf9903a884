//! MDD: a second classifier cannot agree with the first on the source and disagree on the target.

use offshoot_data::wording::Choice;

use super::dann::{HIDDEN, reversal};
use super::perceptron::Perceptron;
use super::{Adversary, Term, weight};
use crate::Result;
use crate::regularize::{LossTerm, Own, SourceFacts, Step, softmax};

/// `γ·mean −ln p′_ŷ` on the source `+ mean −ln(1 − p′_ŷ)` on the target, where `p′` are the second classifier's
/// probabilities and `ŷ` the head's answers (Zhang et al. 2019, eq. 30); features are shown the opposite.
pub(super) const TERM: Term = Term {
    name: "mdd",
    summary: "no classifier differs from the head on the target alone: mdd(weight=1,margin=4,hidden=256)",
    paper: "Zhang et al. 2019, arXiv:1904.05801",
    adversary: Adversary::Both,
    held: "",
    choices: &[weight(1.0), Choice { name: "margin", default: 4.0, range: [0.1, 100.0] }, HIDDEN],
    make: |values| {
        Box::new(Mdd {
            weight: values[0],
            margin: values[1],
            hidden: values[2] as usize,
            second: Perceptron::default(),
        })
    },
};

/// Share of the gradient that features are shown the opposite of in the end (the authors' code).
pub(super) const OPPOSED: f64 = 0.1;
/// What a probability of disagreement is at least, lest its logarithm grow without bounds.
const LEAST: f64 = 1e-6;

struct Mdd {
    weight: f64,
    margin: f64,
    hidden: usize,
    second: Perceptron,
}

impl LossTerm for Mdd {
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()> {
        const KEYS: [[&str; 2]; 2] =
            [["mdd.0.weight", "mdd.0.bias"], ["mdd.1.weight", "mdd.1.bias"]];
        let sizes = [source.dim, self.hidden, source.classes];
        self.second = Perceptron::new(&sizes, &KEYS, source.seed, source.fresh);
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [source, target] = step.domains();
        let classes = step.classes;
        let said = self.second.forward(step.features.to_vec());
        let mut slopes = vec![0.0; said.len()];
        let mut value = 0.0;
        let rows = said.chunks_exact(classes).zip(slopes.chunks_exact_mut(classes));
        let answers = step.logits.chunks_exact(classes).map(largest);
        for (i, ((row, slope), answer)) in rows.zip(answers).enumerate() {
            let p = softmax(row, 1.0);
            let agrees = p[answer];
            let at_answer = |class: usize| f64::from(u8::from(class == answer));
            // ∂p_ŷ/∂z_c = p_ŷ·(δ_cŷ − p_c).
            let factor = if i < source {
                let share = self.weight * self.margin / source as f64;
                value -= share * agrees.max(f64::MIN_POSITIVE).ln();
                -share
            } else {
                let share = self.weight / target as f64;
                value -= share * (1.0 - agrees).max(LEAST).ln();
                match 1.0 - agrees > LEAST {
                    true => share * agrees / (1.0 - agrees),
                    false => 0.0,
                }
            };
            for (class, (slope, p)) in slope.iter_mut().zip(&p).enumerate() {
                *slope = (factor * (at_answer(class) - p)) as f32;
            }
        }
        let opposite = -(OPPOSED * reversal(step.progress)) as f32;
        let slopes = self.second.backward(slopes);
        step.to_features.iter_mut().zip(slopes).for_each(|(to, slope)| *to += opposite * slope);
        value
    }

    fn own(&mut self) -> Vec<Own<'_>> {
        self.second.own()
    }
}

/// The largest value's place; the first of equal ones.
fn largest(row: &[f32]) -> usize {
    let better = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
    (0..row.len()).reduce(better).unwrap_or(0)
}
