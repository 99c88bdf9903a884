//! Learners: from steps in a world to a policy.
//!
//! A registry line a learner ([`LEARNERS`]). A learner goes on by one update at a time, and a
//! [`Snapshot`] between two of them holds all that the next depends on, so training that was stopped
//! goes on to the same bits. Draws are keyed by (seed, purpose, update), and no sum depends on the
//! number of threads.

pub mod dqn;
mod evaluate;
pub mod ppo;
mod scale;
mod start;

use offshoot_weights::{Array, Params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::policy::{Acting, Policy};
use crate::world::{Actions, Batch, Constants, Kind, Spec, Worlds};
use crate::{Result, RlError};

pub use evaluate::{Judged, evaluate};
pub(crate) use ppo::log_softmax;
pub use scale::{Moments, RewardScale};
pub use start::{Shares, Start};

/// What is to be learnt, and where.
#[derive(Debug, Clone)]
pub struct Task {
    /// The world.
    pub kind: Kind,
    /// Its constants.
    pub constants: Constants,
    /// Keys every draw.
    pub seed: u64,
    /// Steps in the world; the learner's published number where `None`.
    pub steps: Option<u64>,
    /// What is there already.
    pub start: Start,
}

impl Task {
    /// What its world is.
    ///
    /// # Errors
    /// For constants that the world refuses.
    pub fn spec(&self) -> Result<Spec> {
        Ok((self.kind.build)(&self.constants)?.spec().clone())
    }
}

/// All that a learner depends on between two updates.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Networks, moments, memories.
    pub params: Params,
    /// Everything else.
    pub state: serde_json::Value,
}

/// What refusals of a snapshot begin with.
const PLACE: &str = "checkpoint";

impl Snapshot {
    fn of(params: Params, state: &impl Serialize) -> Result<Self> {
        let state = serde_json::to_value(state).map_err(|e| RlError::Internal(e.to_string()))?;
        Ok(Self { params, state })
    }

    fn state<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.state).map_err(|e| Self::refused(e.to_string()))
    }

    /// Fills a list of the learner's from the array called `key`.
    fn fill(&self, key: &str, to: &mut [f32]) -> Result<()> {
        let array = self.params.get(key).filter(|a| a.data.len() == to.len());
        let array = array.ok_or_else(|| Self::refused(format!("`{key}` does not fit")))?;
        to.copy_from_slice(&array.data);
        Ok(())
    }

    fn refused(detail: String) -> RlError {
        RlError::Refused(format!("{PLACE}: {detail}"))
    }
}

/// A list as an array of a snapshot.
fn array(data: &[f32]) -> Array {
    Array { shape: vec![data.len()], data: data.to_vec().into() }
}

/// Something that learns.
pub trait Learner: Send {
    /// Goes on by one update: steps in the world, then steps of the networks.
    ///
    /// # Errors
    /// [`RlError::Diverged`] where a number is not finite any more.
    fn update(&mut self) -> Result<()>;
    /// Steps in the world so far.
    fn steps(&self) -> u64;
    /// Steps in all.
    fn budget(&self) -> u64;
    /// Whether nothing is left to do.
    fn is_done(&self) -> bool;
    /// What was learnt so far.
    fn policy(&self) -> &Policy;
    /// All that the next update depends on.
    fn snapshot(&self) -> Result<Snapshot>;
    /// Goes back to a snapshot of the same task.
    ///
    /// # Errors
    /// For a snapshot of another task.
    fn restore(&mut self, snapshot: Snapshot) -> Result<()>;
}

/// One registry line a learner.
#[derive(Debug)]
pub struct Entry {
    /// The word that a user types.
    pub name: &'static str,
    /// In a line.
    pub summary: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// Begins a training.
    pub begin: fn(&Task) -> Result<Box<dyn Learner>>,
}

/// All learners.
pub const LEARNERS: &[Entry] = &[ppo::ENTRY, dqn::ENTRY];

/// The learner called `name`.
///
/// # Errors
/// Wrong usage for any other word.
pub fn find(name: &str) -> Result<&'static Entry> {
    let found = LEARNERS.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| RlError::unknown("learner", name, LEARNERS.iter().map(|e| e.name)))
}

/// Steps all worlds by actions as policies give them: an index each, or a row of numbers each.
pub(crate) fn step_all(worlds: &mut Worlds, actions: &[f32]) -> Result<()> {
    match worlds.spec().actions {
        Actions::Discrete(_) => {
            let places: Vec<usize> = actions.iter().map(|a| *a as usize).collect();
            worlds.step(Batch::Discrete(&places))?;
        }
        Actions::Continuous(_) => {
            worlds.step(Batch::Continuous(actions))?;
        }
    }
    Ok(())
}

/// What all teachers together say: the mean of their probabilities, or of their means.
pub(crate) fn lessons(teachers: &[Policy], observations: &[f32]) -> Result<Vec<f32>> {
    let mut mean: Vec<f32> = Vec::new();
    for teacher in teachers {
        let given = Acting::new(teacher)?.lessons(observations, 1.0);
        if mean.is_empty() {
            mean = vec![0.0; given.len()];
        }
        mean.iter_mut().zip(&given).for_each(|(m, g)| *m += g / teachers.len() as f32);
    }
    Ok(mean)
}
