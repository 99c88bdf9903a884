//! A policy: what was learnt in a world, and what acts.

mod act;
mod file;

use serde::{Deserialize, Serialize};

use crate::learn::Moments;
use crate::network::Perceptron;
use crate::world::{Actions, Spec};

use crate::{Result, RlError};
pub use act::Acting;
pub(crate) use act::best;

/// What the outputs of a policy's network stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Logits of actions.
    Categorical,
    /// Means of normal actions.
    Gaussian,
    /// Discounted returns that follow each action.
    ActionValues,
}

/// Names of a world's observations and actions: all that a remapping goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Dimensions of an observation.
    pub observation: Vec<String>,
    /// Actions, or dimensions of an action.
    pub actions: Vec<String>,
    /// Whether an action is a list of numbers.
    pub continuous: bool,
}

impl Names {
    /// Those of a world.
    pub fn of(spec: &Spec) -> Self {
        let observation = spec.observation.iter().map(|d| d.name.to_string()).collect();
        let (actions, continuous) = match &spec.actions {
            Actions::Discrete(names) => (names.iter().map(|n| n.to_string()).collect(), false),
            Actions::Continuous(dims) => (dims.iter().map(|d| d.name.to_string()).collect(), true),
        };
        Self { observation, actions, continuous }
    }
}

/// What acts in a world, and what it expects of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What goes in and comes out.
    pub names: Names,
    /// What the outputs of `actor` stand for.
    pub form: Form,
    /// Observations to actions.
    pub actor: Perceptron,
    /// Observations to discounted returns; a network of action values needs none.
    pub critic: Option<Perceptron>,
    /// Logarithms of the deviations of normal actions.
    pub log_std: Vec<f32>,
    /// By which observations are normalised.
    pub moments: Option<Moments>,
    /// What a value of 1 stands for, in the world's own rewards.
    pub unit: f64,
}

impl Policy {
    /// Refuses a world of other names.
    ///
    /// # Errors
    /// For a world that shows or takes something else; the message says what.
    pub fn fits(&self, spec: &Spec) -> Result<()> {
        let expected = Names::of(spec);
        if self.names == expected {
            return Ok(());
        }
        let told = |names: &Names| {
            let several = |list: &[String]| match list.len() {
                0..=12 => format!("`{}`", list.join("`, `")),
                n => format!("{n} values"),
            };
            format!("{} with actions {}", several(&names.observation), several(&names.actions))
        };
        Err(RlError::Unusable(format!(
            "a policy for {} does not fit `{}`: {}",
            told(&self.names),
            spec.name,
            told(&expected)
        )))
    }
}
