//! Co-tuning: the source's classifier is tuned along, on the source classes that each target class
//! corresponds to.

use offshoot_data::wording::Choice;

use super::lwf::Classifier;
use super::{Kind, LossTerm, Own, Regularizer, SourceFacts, Step, softmax};
use crate::Result;

/// `λ·CE(source logits, p(y_s | y_t))`, where p(y_s | y_t) is the mean of the source's answers over the
/// training samples of a class (You et al. 2020, the direct approach of section 3.2).
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "co-tuning",
    summary: "tune the source's classifier along: co-tuning(weight=0.5)",
    paper: "You et al. 2020, NeurIPS",
    choices: &[Choice { name: "weight", default: 0.5, range: [0.0, 100.0] }],
    make: |values| Kind::Term(Box::new(CoTuning { weight: values[0], ..CoTuning::default() })),
};

#[derive(Default)]
struct CoTuning {
    weight: f64,
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
        for (row, &label) in source.features.chunks_exact(source.dim).zip(source.labels) {
            counts[label as usize] += 1.0;
            let answer = softmax(&self.classifier.logits(row), 1.0);
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
