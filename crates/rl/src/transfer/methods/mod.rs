//! Ways of reusing a policy: one file a method.
//!
//! A method turns policies of another world, already in the target's names, into a [`Start`]; the learner
//! does the rest. So a method works with every learner that can begin with what it leaves.

mod adapter;
mod distil;
mod frozen_trunk;
mod layer_wise;
mod shaping;
mod warm_start;

use offshoot_random::generator;

use super::remap::Matched;
use crate::learn::{Start, Task};
use crate::network::{Perceptron, orthogonal};
use crate::policy::{Form, Policy};
use crate::{Result, RlError};

/// One registry line a method.
#[derive(Debug)]
pub struct Method {
    /// The word that a user types.
    pub name: &'static str,
    /// In a line.
    pub summary: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// Whether it finds by itself which of the target's dimensions is which of the source's.
    pub maps: bool,
    /// What training begins with.
    pub start: fn(&Given<'_>) -> Result<Start>,
}

/// What a method has to work with.
#[derive(Debug)]
pub struct Given<'a> {
    /// The source that was chosen, in the target's names.
    pub source: &'a Policy,
    /// The same in its own names, and where each of the target's names is in them.
    pub original: (&'a Policy, &'a Matched),
    /// All sources in the target's names, the chosen one included.
    pub sources: &'a [Policy],
    /// What is to be learnt.
    pub task: &'a Task,
}

/// All methods.
pub const METHODS: &[Method] = &[
    warm_start::METHOD,
    frozen_trunk::METHOD,
    layer_wise::METHOD,
    adapter::METHOD,
    distil::METHOD,
    shaping::METHOD,
];

/// The method called `name`.
///
/// # Errors
/// Wrong usage for any other word.
pub fn find(name: &str) -> Result<&'static Method> {
    let found = METHODS.iter().find(|method| method.name == name);
    found.ok_or_else(|| {
        let known = METHODS.iter().map(|method| method.name);
        RlError::unknown("method", name, known.chain(["auto"]))
    })
}

/// Draws the last layers of `policy` anew, as a fresh one's are.
fn new_heads(policy: &mut Policy, seed: u64) {
    let gain = if policy.form == Form::ActionValues { 1.0 } else { 0.01 };
    let heads = [(0, Some(&mut policy.actor), gain), (1, policy.critic.as_mut(), 1.0)];
    for (which, network, gain) in heads {
        if let Some(network) = network {
            let last = network.layers().len() - 1;
            orthogonal(network, last, gain, &mut generator(seed, "new head", which, 0));
        }
    }
    policy.log_std.fill(0.0);
}

/// Layers of a policy's network.
fn depth(network: &Perceptron) -> usize {
    network.layers().len()
}
