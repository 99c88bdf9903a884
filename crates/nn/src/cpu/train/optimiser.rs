//! Optimiser steps over a trainer's parameters.

use offshoot_kernels::{AdamW, Sgd};

use super::{ParamInfo, Trainer};

/// Which rule updates the parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// Gradient descent with momentum.
    Sgd(Sgd),
}

/// A rule with its moments for one trainer's parameters.
#[derive(Debug, Clone)]
pub struct Optimiser {
    /// May change from step to step, as a schedule wants it.
    pub rule: Rule,
    steps: u64,
    /// First and second moments (or velocity and nothing) of each parameter.
    moments: Vec<[Vec<f32>; 2]>,
}

impl Optimiser {
    /// Zero moments for `trainer`'s parameters.
    pub fn new(rule: Rule, trainer: &Trainer) -> Self {
        let moments = trainer.params().map(|param| {
            let second = if matches!(rule, Rule::AdamW(_)) { param.len } else { 0 };
            [vec![0.0; param.len], vec![0.0; second]]
        });
        Self { rule, steps: 0, moments: moments.collect() }
    }

    /// One step along the gradients of the last backward pass. `group` gives each parameter's share
    /// of the learning rate and of the weight decay (0 leaves a parameter's decay or value alone).
    pub fn step(&mut self, trainer: &mut Trainer, group: impl Fn(ParamInfo<'_>) -> [f32; 2]) {
        self.steps += 1;
        let learning = trainer.params.iter_mut().filter(|param| param.learns);
        for (param, [first, second]) in learning.zip(&mut self.moments) {
            let [rate, decay] = group(param.info());
            let (value, gradient) = (&mut param.value[..], &param.gradient[..]);
            match self.rule {
                Rule::AdamW(rule) => {
                    let (lr, weight_decay) = (rule.lr * rate, rule.weight_decay * decay);
                    let rule = AdamW { lr, weight_decay, ..rule };
                    rule.step(self.steps, value, gradient, first, second);
                }
                Rule::Sgd(rule) => {
                    let (lr, weight_decay) = (rule.lr * rate, rule.weight_decay * decay);
                    Sgd { lr, weight_decay, ..rule }.step(value, gradient, first);
                }
            }
        }
        for layer in &mut trainer.layers {
            layer.weights_moved();
        }
    }
}
