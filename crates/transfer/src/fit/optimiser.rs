//! Optimiser steps over named tensors: the network's, the head's, and those of loss terms.

use std::collections::BTreeMap;

use offshoot_nn::cpu::train::{AdamW, Lion, Sgd};
use offshoot_nn::{Array, Params};

use crate::{Result, TransferError};

/// The words that a user types.
pub const NAMES: [&str; 3] = ["adamw", "sgd", "lion"];

/// What one update does to one tensor.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Learning rate.
    pub lr: f64,
    /// Share of the parameter that is taken away, times the rate.
    pub decay: f64,
    /// Momentum of SGD, first decay rate of the others.
    pub momentum: f64,
    /// What the gradient is multiplied by: 1, or less where it is clipped.
    pub scale: f64,
}

/// Moments of every tensor that has learned so far.
#[derive(Debug, Clone)]
pub struct Optimiser {
    rule: Rule,
    /// Updates so far, of each tensor: those that begin to learn later begin at 0.
    moments: BTreeMap<String, Moments>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    AdamW,
    Sgd,
    Lion,
}

#[derive(Debug, Clone, Default)]
struct Moments {
    steps: u64,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Optimiser {
    /// One of [`NAMES`].
    pub fn new(name: &str) -> Self {
        let rule = match name {
            "sgd" => Rule::Sgd,
            "lion" => Rule::Lion,
            _ => Rule::AdamW,
        };
        Self { rule, moments: BTreeMap::new() }
    }

    /// The usual momentum.
    pub fn momentum(&self) -> f64 {
        0.9
    }

    /// Updates the tensor called `key`.
    pub fn update(&mut self, key: &str, rate: Rate, value: &mut [f32], gradient: &[f32]) {
        if !self.moments.contains_key(key) {
            self.moments.insert(key.to_string(), Moments::default());
        }
        let Some(Moments { steps, first, second }) = self.moments.get_mut(key) else { return };
        *steps += 1;
        first.resize(value.len(), 0.0);
        let Rate { lr, decay, momentum, scale } = rate;
        let [lr, weight_decay, momentum, scale] = [lr, decay, momentum, scale].map(|v| v as f32);
        match self.rule {
            Rule::AdamW => {
                second.resize(value.len(), 0.0);
                let betas = [momentum, 0.999];
                let rule = AdamW { betas, scale, ..AdamW::new(lr, weight_decay) };
                rule.step(*steps, value, gradient, first, second);
            }
            Rule::Sgd => {
                // The decay is decoupled here, too, so that it means the same for every rule.
                let keep = 1.0 - lr * weight_decay;
                value.iter_mut().for_each(|v| *v *= keep);
                let rule = Sgd { lr, momentum, nesterov: false, weight_decay: 0.0, scale };
                rule.step(value, gradient, first);
            }
            Rule::Lion => {
                let rule = Lion { lr, betas: [momentum, 0.99], weight_decay, scale };
                rule.step(value, gradient, first);
            }
        }
    }

    /// Takes over another's moments, into the memory of its own: where that is done every few updates, pages
    /// that are new each time cost more than the copy.
    pub fn copy_from(&mut self, other: &Self) {
        self.rule = other.rule;
        self.moments.retain(|key, _| other.moments.contains_key(key));
        for (key, from) in &other.moments {
            let to = self.moments.entry(key.clone()).or_default();
            to.steps = from.steps;
            to.first.clone_from(&from.first);
            to.second.clone_from(&from.second);
        }
    }

    /// How many moments there are.
    pub fn values(&self) -> usize {
        self.moments.values().map(|moments| moments.first.len() + moments.second.len()).sum()
    }

    /// Everything that the next update depends on.
    pub fn state(&self) -> Params {
        let vector = |data: &Vec<f32>| Array { shape: vec![data.len()], data: data.clone().into() };
        let mut state = Params::new();
        for (key, moments) in &self.moments {
            state.insert(format!("first.{key}"), vector(&moments.first));
            if !moments.second.is_empty() {
                state.insert(format!("second.{key}"), vector(&moments.second));
            }
            // Two numbers below 2²⁴, which f32 holds exactly.
            let steps = vec![(moments.steps >> 20) as f32, (moments.steps & 0xf_ffff) as f32];
            state.insert(format!("steps.{key}"), vector(&steps));
        }
        state
    }

    /// Goes on from [`Optimiser::state`].
    ///
    /// # Errors
    /// Where a value is missing.
    pub fn restore(&mut self, state: Params) -> Result<()> {
        self.moments.clear();
        for (name, array) in state {
            let (field, key) = name.split_once('.').unwrap_or(("", &name));
            let moments = self.moments.entry(key.to_string()).or_default();
            match (field, array.data.as_slice()) {
                ("first", _) => moments.first = array.data.into_vec(),
                ("second", _) => moments.second = array.data.into_vec(),
                ("steps", [high, low]) => moments.steps = ((*high as u64) << 20) + *low as u64,
                _ => {
                    let detail = format!("a checkpoint's optimiser holds `{name}`");
                    return Err(TransferError::ModelRefused(detail));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_optimiser_goes_on_from_its_state() {
        for name in NAMES {
            let rate = Rate { lr: 0.1, decay: 0.01, momentum: 0.9, scale: 1.0 };
            let mut optimiser = Optimiser::new(name);
            let mut value = vec![1.0, -2.0];
            optimiser.update("w", rate, &mut value, &[0.5, 0.25]);
            let mut other = Optimiser::new(name);
            other.restore(optimiser.state()).unwrap();
            let mut again = value.clone();
            optimiser.update("w", rate, &mut value, &[0.125, 1.0]);
            other.update("w", rate, &mut again, &[0.125, 1.0]);
            assert_eq!(value, again, "{name}");
            assert_ne!(value, [1.0, -2.0]);
        }
    }

    #[test]
    fn decay_means_the_same_for_every_rule() {
        for name in NAMES {
            let rate = Rate { lr: 0.1, decay: 0.5, momentum: 0.9, scale: 1.0 };
            let mut value = vec![2.0];
            Optimiser::new(name).update("w", rate, &mut value, &[0.0]);
            assert!((value[0] - 1.9).abs() < 1e-6, "{name}: {}", value[0]);
        }
    }
}
