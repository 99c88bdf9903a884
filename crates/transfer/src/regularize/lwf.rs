//! LWF: learning without forgetting. The source's classifier, which learns on, must go on saying what the
//! source said.

use offshoot_data::wording::Choice;
use rayon::prelude::*;

use super::{Kind, LossTerm, Own, Regularizer, SourceFacts, Step, classify, divergence, softmax};
use crate::{Result, TransferError};

/// `λ·T²·KL(source at T ‖ now at T)` on the source's classes (Li & Hoiem 2016, with Hinton's T²). The
/// source is asked once for every sample, as it is evaluated.
pub(super) const REGULARIZER: Regularizer = Regularizer {
    name: "lwf",
    summary: "go on answering as the source's classifier: lwf(weight=1,temperature=2)",
    paper: "Li & Hoiem 2016, arXiv:1606.09282",
    choices: &[
        Choice { name: "weight", default: 1.0, range: [0.0, 100.0] },
        Choice { name: "temperature", default: 2.0, range: [0.1, 100.0] },
    ],
    make: |values| {
        Kind::Term(Box::new(Lwf { weight: values[0], temperature: values[1], ..Lwf::default() }))
    },
};

#[derive(Default)]
struct Lwf {
    weight: f64,
    temperature: f64,
    classifier: Classifier,
    /// The source's answers, `[training samples, source classes]`.
    answers: Vec<Vec<f64>>,
}

impl LossTerm for Lwf {
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()> {
        self.classifier = Classifier::of(source, "lwf")?;
        let rows = source.features.par_chunks_exact(source.dim);
        self.answers =
            rows.map(|row| softmax(&self.classifier.logits(row), self.temperature)).collect();
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let (weight, temperature) = (self.weight, self.temperature);
        let answers = &self.answers;
        self.classifier.add(step, |place, _, logits, gradient| {
            weight
                * divergence(&answers[place], logits, temperature, |class, slope| {
                    gradient[class] = weight * slope;
                })
        })
    }

    fn own(&mut self) -> Vec<Own<'_>> {
        self.classifier.own(["lwf.weight", "lwf.bias"])
    }
}

/// A copy of the source's classifier that learns on.
#[derive(Default)]
pub(super) struct Classifier {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    weight_gradient: Vec<f32>,
    bias_gradient: Vec<f32>,
}

impl Classifier {
    pub fn of(source: &SourceFacts<'_>, name: &str) -> Result<Self> {
        let fits = |(weight, bias): &(&[f32], &[f32])| {
            !bias.is_empty() && weight.len() == bias.len() * source.dim
        };
        let (weight, bias) = source.classifier.filter(fits).ok_or_else(|| {
            TransferError::usage(
                format!(
                    "`{name}` needs the source's own classifier, and these weights come without"
                ),
                "`l2-sp` and `bss` need none",
            )
        })?;
        Ok(Self {
            weight: weight.to_vec(),
            bias: bias.to_vec(),
            weight_gradient: vec![0.0; weight.len()],
            bias_gradient: vec![0.0; bias.len()],
        })
    }

    pub fn logits(&self, row: &[f32]) -> Vec<f32> {
        classify(&self.weight, &self.bias, row)
    }

    /// Mean over the batch of `loss(place, label, logits, gradient of the logits)`.
    pub fn add(
        &mut self,
        step: &mut Step<'_>,
        loss: impl Fn(usize, u32, &[f32], &mut [f64]) -> f64 + Sync,
    ) -> f64 {
        let (dim, classes, n) = (step.dim, self.bias.len(), step.labels.len());
        let features = step.features;
        let add = |to: &mut [f32], factor: f32, values: &[f32]| {
            to.iter_mut().zip(values).for_each(|(to, v)| *to += factor * v);
        };
        // A classifier of a thousand classes costs as much as a stage of a small network. Each sum
        // is one worker's, in one order.
        let mut gradients = vec![0.0f32; n * classes];
        let samples = gradients
            .par_chunks_exact_mut(classes)
            .zip(features.par_chunks_exact(dim))
            .zip(step.to_features.par_chunks_exact_mut(dim))
            .zip(step.places.par_iter().zip(step.labels));
        let one = |(((gradient, row), to), (&place, &label)): (_, (&usize, &u32))| {
            let (gradient, row, to): (&mut [f32], &[f32], &mut [f32]) = (gradient, row, to);
            let mut of_logits = vec![0.0f64; classes];
            let value = loss(place, label, &self.logits(row), &mut of_logits);
            let weights = self.weight.chunks_exact(dim);
            for ((g, of), weight) in gradient.iter_mut().zip(of_logits).zip(weights) {
                *g = (of / n as f64) as f32;
                add(to, *g, weight);
            }
            value
        };
        let values: Vec<f64> = samples.map(one).collect();
        let of_classes = self.weight_gradient.par_chunks_exact_mut(dim);
        of_classes.zip(&mut self.bias_gradient).enumerate().for_each(|(class, (weight, bias))| {
            weight.fill(0.0);
            *bias = 0.0;
            for (gradient, row) in gradients.chunks_exact(classes).zip(features.chunks_exact(dim)) {
                *bias += gradient[class];
                add(weight, gradient[class], row);
            }
        });
        values.iter().sum::<f64>() / n as f64
    }

    pub fn own(&mut self, keys: [&'static str; 2]) -> Vec<Own<'_>> {
        let Self { weight, bias, weight_gradient, bias_gradient } = self;
        vec![
            Own { key: keys[0], value: weight, gradient: weight_gradient, decays: true, rate: 1.0 },
            Own { key: keys[1], value: bias, gradient: bias_gradient, decays: false, rate: 1.0 },
        ]
    }
}
