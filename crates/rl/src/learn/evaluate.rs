//! What a policy is worth: returns of whole episodes that nothing is learnt from.

use offshoot_random::generator;
use rand::RngExt;

use super::step_all;
use crate::Result;
use crate::policy::{Acting, Policy};
use crate::world::{Constants, Kind, Worlds};

/// Returns of episodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Sum of the rewards of each episode.
    pub returns: Vec<f64>,
}

impl Judged {
    /// Mean return.
    pub fn mean(&self) -> f64 {
        self.returns.iter().sum::<f64>() / self.returns.len().max(1) as f64
    }
}

/// Lets `policy` act as well as it can in `episodes` episodes, side by side.
///
/// Their first states are drawn by (seed, "evaluation", number): the same for every policy, so that
/// differences between policies are paired, and others than those of any training.
///
/// # Errors
/// For constants that the world refuses, or a policy of another world.
pub fn evaluate(
    policy: &Policy,
    kind: &Kind,
    constants: &Constants,
    episodes: usize,
    (seed, number): (u64, u64),
) -> Result<Judged> {
    let key = generator(seed, "evaluation", number, 0).random::<u64>();
    let mut worlds = Worlds::new(kind, constants, episodes, key)?;
    policy.fits(worlds.spec())?;
    let mut acting = Acting::new(policy)?;
    let mut returns = vec![None; episodes];
    let mut actions = Vec::new();
    while returns.iter().any(Option::is_none) {
        acting.greedy(worlds.observations(), &mut actions);
        step_all(&mut worlds, &actions)?;
        for (total, stepped) in returns.iter_mut().zip(worlds.stepped()) {
            // Only the first episode of each counts: many short ones would outweigh the long.
            if let (None, Some(finished)) = (&total, stepped.finished) {
                *total = Some(finished.total);
            }
        }
    }
    Ok(Judged { returns: returns.into_iter().flatten().collect() })
}
