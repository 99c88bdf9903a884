//! Knowledge distillation: a network learns from a larger one's answers beside its labels (Hinton et al.
//! 2015, arXiv:1503.02531).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::regularize::{LossTerm, SourceFacts, Step, divergence};
use crate::{Result, TransferError};

/// How the term is called in logs.
pub const NAME: &str = "distillation";

/// Who teaches, and how much it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distill {
    /// The teacher's run folder.
    pub run: PathBuf,
    /// Samples without labels that the teacher answers for, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Of the teacher's answers, beside the labels' 1.
    pub weight: f64,
    /// Answers are softened at this temperature.
    pub temperature: f64,
}

impl Default for Distill {
    fn default() -> Self {
        Self { run: PathBuf::new(), data: None, weight: 1.0, temperature: 2.0 }
    }
}

impl Distill {
    /// Refuses settings that make no sense, before any work.
    pub fn check(&self) -> Result<()> {
        if self.weight >= 0.0 && self.weight <= 1e3 && (0.1..=100.0).contains(&self.temperature) {
            return Ok(());
        }
        Err(TransferError::usage(
            format!("a teacher of weight {} at temperature {}", self.weight, self.temperature),
            "--distill-weight lies between 0 and 1000, --distill-temperature between 0.1 and 100",
        ))
    }
}

/// What the teacher says to every sample, by its number; empty where it was not asked.
pub struct Teacher {
    /// How its answers count.
    pub settings: Distill,
    /// Probabilities `[classes]` of each sample.
    pub answers: Vec<Vec<f64>>,
}

impl Teacher {
    /// The term for these training samples.
    pub fn term(&self, samples: &[usize]) -> Distillation {
        let Distill { weight, temperature, .. } = self.settings;
        let answers = samples.iter().map(|&i| softened(&self.answers[i], temperature)).collect();
        Distillation { weight, temperature, answers }
    }
}

/// `p^(1/T)`, normalised: the softmax of logits over T.
fn softened(probabilities: &[f64], temperature: f64) -> Vec<f64> {
    let powers: Vec<f64> = probabilities.iter().map(|p| p.powf(1.0 / temperature)).collect();
    let sum = powers.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    powers.into_iter().map(|p| p / sum).collect()
}

/// `λ·T²·KL(teacher at T ‖ student at T)`, the mean over the batch.
pub struct Distillation {
    weight: f64,
    temperature: f64,
    /// Softened answers of the training samples.
    answers: Vec<Vec<f64>>,
}

impl LossTerm for Distillation {
    fn start(&mut self, _: &SourceFacts<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, step: &mut Step<'_>) -> f64 {
        let share = self.weight / step.places.len() as f64;
        let rows = step
            .logits
            .chunks_exact(step.classes)
            .zip(step.to_logits.chunks_exact_mut(step.classes));
        let one = |(&place, (logits, to)): (&usize, (&[f32], &mut [f32]))| {
            divergence(&self.answers[place], logits, self.temperature, |class, slope| {
                to[class] += (share * slope) as f32;
            })
        };
        share * step.places.iter().zip(rows).map(one).sum::<f64>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn run(logits: &[f32], settings: &Distill) -> (f64, Vec<f32>) {
        let answers = vec![vec![0.7, 0.2, 0.1], vec![0.0, 0.5, 0.5], vec![0.25, 0.25, 0.5]];
        let teacher = Teacher { settings: settings.clone(), answers };
        // Training samples are the last and the first.
        let mut term = teacher.term(&[2, 0]);
        let mut to_logits = vec![0.5; 6];
        let value = term.add(&mut Step {
            places: &[1, 0],
            labels: &[0, 1],
            progress: 0.0,
            dim: 1,
            features: &[0.0; 2],
            classes: 3,
            logits,
            stage: [&[], &[]],
            to_features: &mut [0.0; 2],
            to_logits: &mut to_logits,
            to_head: &mut [0.0; 6],
            to_stage: &mut [],
        });
        (value, to_logits)
    }

    #[test]
    fn the_gradient_is_the_slope_and_a_student_that_agrees_has_none() {
        for temperature in [1.0, 2.0, 4.0] {
            let settings = Distill { weight: 1.5, temperature, ..Distill::default() };
            let logits = [0.3, -0.2, 1.0, 0.5, 0.1, -1.5];
            let (value, gradient) = run(&logits, &settings);
            assert!(value > 0.0);
            for k in 0..6 {
                let at = |step: f32| {
                    let mut moved = logits;
                    moved[k] += step;
                    run(&moved, &settings).0
                };
                let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
                let own = f64::from(gradient[k] - 0.5);
                assert!((slope - own).abs() < 1e-4, "T {temperature}, {k}: {slope} is not {own}");
            }
            // Logits that are the logarithms of the teacher's answers.
            let agree = [0.7f32, 0.2, 0.1, 0.25, 0.25, 0.5].map(f32::ln);
            let (value, gradient) = run(&agree, &settings);
            assert!(value.abs() < 1e-6, "{value}");
            assert!(gradient.iter().all(|g| (g - 0.5).abs() < 1e-6), "{gradient:?}");
        }
    }
}
