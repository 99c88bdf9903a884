//! Co-tuning: the source's classifier is tuned along, on the source classes that each target class
//! corresponds to.

use offshoot_data::wording::Choice;
use rayon::prelude::*;

use super::lwf::Classifier;
use super::{Kind, LossTerm, Own, Regularizer, SourceFacts, Step, softmax};
use crate::Result;

/// `λ·CE(source logits, p(y_s | y_t))`, where p(y_s | y_t) is the mean of the source's answers over the
/// training samples of a class (You et al. 2020, the direct approach of section 3.2). The paper first
/// calibrates the answers on the source's validation data; a `temperature` found there can be given.
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "co-tuning",
    summary: "tune the source's classifier along: co-tuning(weight=0.5,temperature=1)",
    paper: "You et al. 2020, NeurIPS",
    choices: &[
        Choice { name: "weight", default: 0.5, range: [0.0, 100.0] },
        Choice { name: "temperature", default: 1.0, range: [0.1, 100.0] },
    ],
    make: |values| {
        let [weight, temperature] = [values[0], values[1]];
        Kind::Term(Box::new(CoTuning { weight, temperature, ..CoTuning::default() }))
    },
};

#[derive(Default)]
struct CoTuning {
    weight: f64,
    temperature: f64,
    classifier: Classifier,
    /// p(y_s | y_t), one row a target class.
    relation: Vec<Vec<f64>>,
}

impl LossTerm for CoTuning {
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()> {
        self.classifier = Classifier::of(source, "co-tuning")?;
        let classes = self.classifier.bias.len();
        let mut counts = vec![0.0f64; source.classes];
        self.relation = vec![vec![0.0; classes]; source.classes];
        let rows = source.features.par_chunks_exact(source.dim);
        let answers: Vec<Vec<f64>> =
            rows.map(|row| softmax(&self.classifier.logits(row), self.temperature)).collect();
        for (answer, &label) in answers.iter().zip(source.labels) {
            counts[label as usize] += 1.0;
            self.relation[label as usize].iter_mut().zip(answer).for_each(|(sum, p)| *sum += p);
        }
        for (row, count) in self.relation.iter_mut().zip(counts) {
            row.iter_mut().for_each(|p| *p /= count.max(1.0));
        }
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let (weight, relation) = (self.weight, &self.relation);
        self.classifier.add(step, |_, label, logits, gradient| {
            let (target, now) = (&relation[label as usize], softmax(logits, 1.0));
            let mut loss = 0.0;
            for ((t, p), g) in target.iter().zip(&now).zip(gradient) {
                loss -= t * p.max(f64::MIN_POSITIVE).ln();
                *g = weight * (p - t);
            }
            weight * loss
        })
    }

    fn own(&mut self) -> Vec<Own<'_>> {
        self.classifier.own(["co-tuning.weight", "co-tuning.bias"])
    }
}
