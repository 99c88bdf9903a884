//! What a learner is given of another world.

use crate::policy::Policy;

/// Part of the training over which sources lose their say. Half of it was too much where a source knows little of the
/// new world: what it had to offer was learnt long before, and the rate that was left did not suffice to go beyond it.
const FADES: f64 = 0.1;

/// What sources still have to say at `progress`, from 1 to 0.
pub fn fading(progress: f64) -> f32 {
    (1.0 - progress / FADES).max(0.0) as f32
}

/// How fast each layer learns, as a share of the rate, until some part of the training is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Part of the steps, 1 for all of them.
    pub until: f64,
    /// Of each layer, that of the inputs first; 0 freezes.
    pub layers: Vec<f32>,
}

/// What is there when training begins. Everything is in the new world's names already.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The policy to begin with; drawn anew where `None`.
    pub policy: Option<Policy>,
    /// How fast the layers of what acts learn, in order of `until`; all alike where empty. A value function beside it
    /// learns as a whole.
    pub shares: Vec<Shares>,
    /// Policies to imitate, each as much as the others.
    pub teachers: Vec<Policy>,
    /// Weight of that at first; it falls to zero over the first tenth of the training.
    pub imitation: f32,
    /// A policy whose values shape the rewards: with `ppo` less and less over the same time; with `dqn`, whose memory
    /// mixes times, all along.
    pub potential: Option<Policy>,
}

impl Start {
    /// Shares of `layers` layers at `progress` from 0 to 1.
    pub fn shares_at(&self, layers: usize, progress: f64) -> Vec<f32> {
        let now = self.shares.iter().find(|shares| progress < shares.until);
        match now.or(self.shares.last()) {
            Some(shares) if shares.layers.len() == layers => shares.layers.clone(),
            _ => vec![1.0; layers],
        }
    }

    /// Weight of imitation at `progress` from 0 to 1.
    pub fn imitation_at(&self, progress: f64) -> f32 {
        if self.teachers.is_empty() { 0.0 } else { self.imitation * fading(progress) }
    }
}
