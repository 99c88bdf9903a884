//! Many worlds of a kind, stepped together.

use offshoot_random::generator;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Action, Actions, Constants, Kind, Spec, World};
use crate::{Result, RlError};

/// From so many numbers seen in a step, of all worlds together, threads save more time than they take.
const PARALLEL_FROM: usize = 16_384;

/// What all worlds do in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Batch<'a> {
    /// The place of each world's choice, `[n]`.
    Discrete(&'a [usize]),
    /// `[n, dimensions]`, row by row.
    Continuous(&'a [f32]),
}

/// What a step led one world to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stepped {
    /// What it brought.
    pub reward: f64,
    /// The episode ended because of where it got: nothing follows.
    pub terminated: bool,
    /// The episode was cut at its limit: the value of what would follow counts.
    pub truncated: bool,
    /// The episode as a whole, where it ended. A new one has begun.
    pub finished: Option<Finished>,
}

/// An episode that ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finished {
    /// The sum of its rewards.
    pub total: f64,
    /// Its steps.
    pub length: u32,
}

/// Where one of the worlds stands: what a checkpoint keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// The number of its episode, from 0.
    pub episode: u64,
    /// Steps of the episode so far.
    pub length: u32,
    /// Rewards of the episode so far.
    pub total: f64,
    /// The world's own state.
    pub state: Vec<f64>,
}

struct Running {
    world: Box<dyn World>,
    episode: u64,
    length: u32,
    total: f64,
}

/// `n` worlds of a kind with the same constants. A world whose episode ends begins the next one at once.
///
/// The first state of an episode is drawn by the key (seed, "world", episode, index of the world), so the
/// course of a world depends neither on the other worlds nor on the number of threads.
pub struct Worlds {
    spec: Spec,
    seed: u64,
    running: Vec<Running>,
    observations: Vec<f32>,
    finals: Vec<f32>,
    stepped: Vec<Stepped>,
}

impl Worlds {
    /// `n` worlds at the beginning of their first episodes.
    ///
    /// # Errors
    /// No world, or constants that the world refuses.
    pub fn new(kind: &Kind, constants: &Constants, n: usize, seed: u64) -> Result<Self> {
        let make = |_| {
            let world = (kind.build)(constants)?;
            Ok(Running { world, episode: 0, length: 0, total: 0.0 })
        };
        let mut running = (0..n).map(make).collect::<Result<Vec<_>>>()?;
        let Some(first) = running.first() else {
            return Err(RlError::shape("number of worlds", "1 or more", 0));
        };
        let spec = first.world.spec().clone();
        let seen = spec.observation.len();
        let mut observations = vec![0.0; n * seen];
        for (i, (one, observation)) in
            running.iter_mut().zip(observations.chunks_exact_mut(seen)).enumerate()
        {
            one.world.reset(&mut generator(seed, "world", 0, i as u64));
            one.world.observe(observation);
        }
        let finals = observations.clone();
        Ok(Self { spec, seed, running, observations, finals, stepped: vec![Stepped::default(); n] })
    }

    /// What each of them is.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// What is seen now, `[n, dimensions]`: after an end, the beginning of the next episode.
    pub fn observations(&self) -> &[f32] {
        &self.observations
    }

    /// What was seen last, `[n, dimensions]`: the row of a world whose episode ended in the last step is what
    /// it ended with. Rows of the others are of no meaning.
    pub fn finals(&self) -> &[f32] {
        &self.finals
    }

    /// What the last step led to.
    pub fn stepped(&self) -> &[Stepped] {
        &self.stepped
    }

    /// A step of all worlds.
    ///
    /// # Errors
    /// Actions of another form or number than the worlds take, or such as are no numbers.
    pub fn step(&mut self, actions: Batch<'_>) -> Result<&[Stepped]> {
        self.check(actions)?;
        let seen = self.spec.observation.len();
        let parallel = self.running.len() > 1 && self.observations.len() >= PARALLEL_FROM;
        let (limit, seed) = (self.spec.limit, self.seed);
        let width = self.spec.actions.len();
        let action = |i: usize| match actions {
            Batch::Discrete(places) => Action::Discrete(places[i]),
            Batch::Continuous(values) => Action::Continuous(&values[i * width..(i + 1) * width]),
        };
        let one = |i: usize,
                   one: &mut Running,
                   stepped: &mut Stepped,
                   observation: &mut [f32],
                   last: &mut [f32]| {
            let outcome = one.world.step(action(i));
            one.length += 1;
            one.total += outcome.reward;
            let truncated = !outcome.terminated && one.length >= limit;
            let ended = outcome.terminated || truncated;
            *stepped = Stepped {
                reward: outcome.reward,
                terminated: outcome.terminated,
                truncated,
                finished: ended.then_some(Finished { total: one.total, length: one.length }),
            };
            if ended {
                one.world.observe(last);
                (one.episode, one.length, one.total) = (one.episode + 1, 0, 0.0);
                one.world.reset(&mut generator(seed, "world", one.episode, i as u64));
            }
            one.world.observe(observation);
        };
        if parallel {
            self.running
                .par_iter_mut()
                .zip(&mut self.stepped)
                .zip(self.observations.par_chunks_exact_mut(seen))
                .zip(self.finals.par_chunks_exact_mut(seen))
                .with_min_len((PARALLEL_FROM / seen / 2).max(1))
                .enumerate()
                .for_each(|(i, (((r, s), o), f))| one(i, r, s, o, f));
        } else {
            self.running
                .iter_mut()
                .zip(&mut self.stepped)
                .zip(self.observations.chunks_exact_mut(seen))
                .zip(self.finals.chunks_exact_mut(seen))
                .enumerate()
                .for_each(|(i, (((r, s), o), f))| one(i, r, s, o, f));
        }
        Ok(&self.stepped)
    }

    fn check(&self, actions: Batch<'_>) -> Result<()> {
        let n = self.running.len();
        match (actions, &self.spec.actions) {
            (Batch::Discrete(places), Actions::Discrete(names)) => {
                if places.len() != n {
                    return Err(RlError::shape("actions", n, places.len()));
                }
                match places.iter().find(|&&place| place >= names.len()) {
                    Some(place) => {
                        Err(RlError::shape("action", format!("below {}", names.len()), place))
                    }
                    None => Ok(()),
                }
            }
            (Batch::Continuous(values), Actions::Continuous(dimensions)) => {
                let expected = n * dimensions.len();
                if values.len() != expected {
                    return Err(RlError::shape("actions", expected, values.len()));
                }
                match values.iter().find(|v| !v.is_finite()) {
                    Some(value) => Err(RlError::shape("action", "a finite value", value)),
                    None => Ok(()),
                }
            }
            (Batch::Discrete(_), Actions::Continuous(_)) => {
                Err(RlError::shape("actions", "continuous ones", "choices"))
            }
            (Batch::Continuous(_), Actions::Discrete(_)) => {
                Err(RlError::shape("actions", "choices", "continuous ones"))
            }
        }
    }

    /// Where all worlds stand.
    pub fn state(&self) -> Vec<Lane> {
        let lane = |one: &Running| Lane {
            episode: one.episode,
            length: one.length,
            total: one.total,
            state: one.world.state(),
        };
        self.running.iter().map(lane).collect()
    }

    /// Goes back to where they stood. With the same seed, everything that follows is the same to the bit.
    ///
    /// # Errors
    /// Another number of worlds, or a state that is not one of theirs; the worlds are then not to be used.
    pub fn set_state(&mut self, lanes: &[Lane]) -> Result<()> {
        if lanes.len() != self.running.len() {
            return Err(RlError::shape("states of worlds", self.running.len(), lanes.len()));
        }
        let seen = self.spec.observation.len();
        let rows = self.observations.chunks_exact_mut(seen);
        for ((one, lane), observation) in self.running.iter_mut().zip(lanes).zip(rows) {
            one.world.set_state(&lane.state)?;
            one.world.observe(observation);
            (one.episode, one.length, one.total) = (lane.episode, lane.length, lane.total);
        }
        Ok(())
    }
}
