//! Which parts of a network learn when, and how fast. A strategy plans; it runs nothing.

mod auto;
mod bitfit;
mod discriminative;
mod full;
mod gradual;
mod last_k;
mod lora;
mod lp_ft;
mod norm_tune;
mod probe;
mod scratch;
mod setfit;
mod surgical;

use std::collections::BTreeSet;

use super::groups::Groups;
use super::settings::Finetune;
use crate::{Result, TransferError};

/// Where tuning begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The source's weights, and the head that was fitted on its features: the first logits are the
    /// probe's.
    Probe,
    /// The source's weights and a random head.
    RandomHead,
    /// Random weights and a random head.
    Scratch,
}

/// What a phase makes small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Cross-entropy of the head's probabilities; the head learns along.
    CrossEntropy,
    /// The contrastive loss of pairs of features; the head is fitted anew after each epoch.
    Pairs,
}

/// A stretch of training in which the same parameters learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Short, for logs and charts.
    pub name: String,
    /// Keys of the backbone's parameters that learn.
    pub learns: BTreeSet<String>,
    /// Whether matrices learn by low-rank products that are added to them.
    pub low_rank: bool,
    /// Each group's share of the learning rate; the head's is last.
    pub rates: Vec<f64>,
    /// Highest learning rate.
    pub lr: f64,
    /// Passes over the training samples.
    pub epochs: usize,
    /// What is made small.
    pub objective: Objective,
}

/// The optimiser of all strategies but one.
const ADAMW: &str = "adamw";

/// What a strategy decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Where tuning begins.
    pub start: Start,
    /// In order; none keeps the probe.
    pub phases: Vec<Phase>,
    /// Where the user names no optimiser.
    pub optimiser: &'static str,
    /// Why, where the strategy had a choice: a sentence.
    pub reason: Option<String>,
    /// What takes its place where the time does not suffice for it: the dearest first. The last may have no phases.
    pub cheaper: Vec<Self>,
}

/// A strategy's usual learning rates. Encoders of texts, which have layer norms and no batch norms,
/// bear lower ones.
#[derive(Debug, Clone, Copy)]
pub struct Usual {
    /// Of networks that read pictures.
    pub pictures: f64,
    /// Of text encoders.
    pub texts: f64,
}

/// What a strategy may know.
pub struct Facts<'a> {
    /// Parts of the network.
    pub groups: &'a Groups,
    /// Settings of the user.
    pub settings: &'a Finetune,
    /// Training samples.
    pub samples: usize,
    /// Classes.
    pub classes: usize,
    /// Passes over the training samples.
    pub epochs: usize,
    /// Whether the network is a text encoder.
    pub is_text: bool,
    /// `‖gradient‖ / ‖weights‖` of each group at the source's weights and the probe's head, where
    /// the strategy asked for it.
    pub sensitivity: Option<Vec<f64>>,
}

impl Facts<'_> {
    /// The user's learning rate, or else the strategy's.
    pub fn lr(&self, usual: Usual) -> f64 {
        let usual = if self.is_text { usual.texts } else { usual.pictures };
        self.settings.lr.unwrap_or(usual)
    }

    /// The same rate for every group and the head.
    pub fn even(&self) -> Vec<f64> {
        vec![1.0; self.groups.len() + 1]
    }

    /// One phase over all epochs.
    pub fn phase(&self, name: &str, learns: BTreeSet<String>, lr: Usual) -> Phase {
        Phase {
            name: name.into(),
            learns,
            low_rank: false,
            rates: self.even(),
            lr: self.lr(lr),
            epochs: self.epochs,
            objective: Objective::CrossEntropy,
        }
    }
}

impl Schedule {
    /// Whether pairs of samples learn.
    pub fn has_pairs(&self) -> bool {
        self.phases.iter().any(|phase| phase.objective == Objective::Pairs)
    }

    /// Whether the loss divides logits by the temperature of `fit::certainty`: a head that was fitted to
    /// convergence leaves no loss to learn from.
    pub fn softens(&self) -> bool {
        self.start == Start::Probe && !self.has_pairs()
    }

    /// Begins with the probe.
    pub fn from_probe(phases: Vec<Phase>) -> Self {
        Self { start: Start::Probe, phases, optimiser: ADAMW, reason: None, cheaper: Vec::new() }
    }
}

/// A strategy of the registry.
#[derive(Debug)]
pub struct Strategy {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for `--help`.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Whether [`Facts::sensitivity`] is wanted.
    pub wants_sensitivity: fn(&Finetune) -> bool,
    /// Plans.
    pub plan: fn(&Facts<'_>) -> Result<Schedule>,
}

/// For strategies that plan from the network's shape alone.
fn no(_: &Finetune) -> bool {
    false
}

/// All strategies, the simplest first.
pub fn all() -> &'static [Strategy] {
    &[
        probe::STRATEGY,
        lp_ft::STRATEGY,
        full::STRATEGY,
        last_k::STRATEGY,
        gradual::STRATEGY,
        discriminative::STRATEGY,
        surgical::STRATEGY,
        bitfit::STRATEGY,
        norm_tune::STRATEGY,
        lora::STRATEGY,
        setfit::STRATEGY,
        scratch::STRATEGY,
        auto::STRATEGY,
    ]
}

/// The strategy called `name`.
pub fn find(name: &str) -> Result<&'static Strategy> {
    all().iter().find(|strategy| strategy.name == name).ok_or_else(|| {
        let known: Vec<&str> = all().iter().map(|strategy| strategy.name).collect();
        TransferError::usage(
            format!("unknown method `{name}`"),
            format!("there are {}", known.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests;
