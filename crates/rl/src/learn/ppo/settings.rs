//! The published settings.

use serde::{Deserialize, Serialize};

use crate::world::{Actions, Spec};

/// Everything that decides a training with PPO, beside the world and the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PpoSettings {
    /// Steps in all worlds together.
    pub steps: u64,
    /// Worlds that are stepped side by side.
    pub worlds: usize,
    /// Steps of each world before an update.
    pub horizon: usize,
    /// Parts into which these samples are cut, each a step of Adam.
    pub minibatches: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Learning rate at first.
    pub lr: f32,
    /// Whether it falls to zero, linearly.
    pub anneal: bool,
    /// Discount γ.
    pub gamma: f32,
    /// λ of generalised advantage estimation.
    pub lambda: f32,
    /// How far the ratio of probabilities counts, and how far a value may move where that is clipped.
    pub clip: f32,
    /// Whether the loss of the values is clipped too.
    pub clip_values: bool,
    /// Weight of the entropy.
    pub entropy: f32,
    /// Weight of the loss of the values.
    pub value: f32,
    /// Norm at which all slopes together are clipped.
    pub max_norm: f32,
    /// Whether observations and rewards are brought to a common scale.
    pub normalise: bool,
    /// Sizes of the hidden layers of the policy and of the value function.
    pub hidden: Vec<usize>,
}

impl PpoSettings {
    /// CleanRL's `ppo.py` (Huang et al. 2022, JMLR 23(274)).
    pub fn discrete() -> Self {
        Self {
            steps: 500_000,
            worlds: 4,
            horizon: 128,
            minibatches: 4,
            epochs: 4,
            lr: 2.5e-4,
            anneal: true,
            gamma: 0.99,
            lambda: 0.95,
            clip: 0.2,
            clip_values: true,
            entropy: 0.01,
            value: 0.5,
            max_norm: 0.5,
            normalise: false,
            hidden: vec![64, 64],
        }
    }

    /// CleanRL's `ppo_continuous_action.py`.
    pub fn continuous() -> Self {
        Self {
            steps: 1_000_000,
            worlds: 1,
            horizon: 2048,
            minibatches: 32,
            epochs: 10,
            lr: 3e-4,
            entropy: 0.0,
            normalise: true,
            ..Self::discrete()
        }
    }

    /// The settings with which a world is known to be learnt. For the two worlds that CleanRL's settings
    /// do not learn within their budget they are RL Baselines3 Zoo's (Raffin 2020, `hyperparams/ppo.yml`): MountainCar at
    /// CleanRL's falling rate, Pendulum with twice the steps and without state-dependent exploration.
    pub fn published(spec: &Spec) -> Self {
        match spec.name {
            // A car that never reaches the goal sees no reward but −1: many short roll-outs find it.
            "mountain-car" => Self {
                steps: 1_000_000,
                worlds: 16,
                horizon: 16,
                lambda: 0.98,
                clip_values: false,
                entropy: 0.0,
                normalise: true,
                ..Self::discrete()
            },
            "pendulum" => Self {
                steps: 200_000,
                worlds: 4,
                horizon: 1024,
                minibatches: 64,
                lr: 1e-3,
                anneal: false,
                gamma: 0.9,
                // Returns are in the hundreds: values that may move by 0.2 an update never get there.
                clip_values: false,
                normalise: false,
                ..Self::continuous()
            },
            _ => match spec.actions {
                Actions::Discrete(_) => Self::discrete(),
                Actions::Continuous(_) => Self::continuous(),
            },
        }
    }

    /// Samples between two updates.
    pub fn batch(&self) -> usize {
        self.worlds * self.horizon
    }

    /// Updates in all; at least one.
    pub fn updates(&self) -> u64 {
        (self.steps / self.batch() as u64).max(1)
    }
}
