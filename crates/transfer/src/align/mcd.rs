//! MCD: two classifiers that agree on the source do not disagree on the target.

use super::dann::reversal;
use super::perceptron::Perceptron;
use super::{Adversary, Term, through_softmax, weight};
use crate::Result;
use crate::regularize::{LossTerm, Own, SourceFacts, Step, softmax};

/// The head and a second classifier learn to differ on the target, by the mean of `|p_1 − p_2|`, features learn
/// that they do not; the second classifier also learns the labels (Saito et al. 2018, eq. 9). The authors take
/// turns of optimisers; here features are shown the opposite of the classifiers' gradient, as they tried in
/// their section 3.4.
pub(super) const TERM: Term = Term {
    name: "mcd",
    summary: "two classifiers agree on the target: mcd(weight=1)",
    paper: "Saito et al. 2018, arXiv:1712.02560",
    adversary: Adversary::Target,
    held: "",
    choices: &[weight(1.0)],
    make: |values| Box::new(Mcd { weight: values[0], second: Perceptron::default() }),
};

struct Mcd {
    weight: f64,
    second: Perceptron,
}

impl LossTerm for Mcd {
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()> {
        const KEYS: [[&str; 2]; 1] = [["mcd.weight", "mcd.bias"]];
        let sizes = [source.dim, source.classes];
        self.second = Perceptron::new(&sizes, &KEYS, source.seed, source.fresh);
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let [source, target] = step.domains();
        let (dim, classes) = (step.dim, step.classes);
        let (weight, opposed) = (self.weight, reversal(step.progress));
        let said = self.second.forward(step.features.to_vec());
        let answers = step.probabilities(source..source + target, 1.0);
        let mut slopes = vec![0.0f32; said.len()];
        let mut value = 0.0;
        let mut rows = said.chunks_exact(classes).zip(slopes.chunks_exact_mut(classes));
        for (&label, (row, slope)) in step.labels.iter().zip(rows.by_ref()) {
            let p = softmax(row, 1.0);
            let share = weight / source as f64;
            value -= share * p[label as usize].max(f64::MIN_POSITIVE).ln();
            for (class, (slope, p)) in slope.iter_mut().zip(&p).enumerate() {
                *slope = (share * (p - f64::from(u8::from(class == label as usize)))) as f32;
            }
        }
        let share = -weight / (target.max(1) * classes) as f64;
        for (i, ((row, slope), first)) in rows.zip(&answers).enumerate() {
            let second = softmax(row, 1.0);
            let differs: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
            value += share * differs.iter().map(|d| d.abs()).sum::<f64>();
            let sign = |d: &f64| if *d == 0.0 { 0.0 } else { d.signum() };
            let by_first: Vec<f64> = differs.iter().map(sign).collect();
            let by_second: Vec<f64> = by_first.iter().map(|s| -s).collect();
            through_softmax(&second, &by_second, share, slope);
            let place = (source + i) * classes..(source + i + 1) * classes;
            // The head sees the slope, what lies below it the opposite.
            through_softmax(first, &by_first, -opposed * share, &mut step.to_logits[place.clone()]);
            through_softmax(first, &by_first, (1.0 + opposed) * share, &mut step.to_head[place]);
        }
        let slopes = self.second.backward(slopes);
        for (i, (to, slope)) in step.to_features.iter_mut().zip(slopes).enumerate() {
            *to += if i < source * dim { slope } else { -(opposed as f32) * slope };
        }
        value
    }

    fn own(&mut self) -> Vec<Own<'_>> {
        self.second.own()
    }
}
