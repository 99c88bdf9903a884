//! Worlds to act in.
//!
//! [`WORLDS`] is the registry: one file a world, each with its paper and its constants. Dynamics, rewards and
//! ends of episodes are those of Gymnasium 1.4 where it has the world (see `tests/reference/gymnasium.py`).

mod acrobot;
mod cart_pole;
mod constants;
mod grid;
mod mountain_car;
mod mountain_car_continuous;
mod pendulum;
mod pixels;
mod worlds;

pub use constants::{Constant, Constants, parse_settings};
pub use worlds::{Batch, Finished, Lane, Stepped, Worlds};

use offshoot_random::Generator;

use crate::{Result, RlError};

/// All worlds in alphabetical order.
pub static WORLDS: &[Kind] = &[
    acrobot::KIND,
    cart_pole::KIND,
    grid::KIND,
    mountain_car::KIND,
    mountain_car_continuous::KIND,
    pendulum::KIND,
    pixels::KIND,
];

/// The world called `name`.
///
/// # Errors
/// There is none: the message lists those that exist.
pub fn find(name: &str) -> Result<&'static Kind> {
    let found = WORLDS.iter().find(|kind| kind.name == name);
    found.ok_or_else(|| RlError::unknown("world", name, WORLDS.iter().map(|kind| kind.name)))
}

/// A line of the registry, or a world of one's own.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The word that a user types.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// What can be set.
    pub constants: &'static [Constant],
    /// Makes one.
    pub build: fn(&Constants) -> Result<Box<dyn World>>,
}

impl Kind {
    /// A world with these constants and the others as they are by default.
    ///
    /// # Errors
    /// As [`Constants::of`], and what the world itself refuses.
    pub fn make(&self, settings: &[(String, f64)]) -> Result<Box<dyn World>> {
        (self.build)(&Constants::of(self, settings)?)
    }
}

/// One number of an observation or of a continuous action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dimension {
    /// By which worlds are matched. Unique in a world, unless it shows a picture.
    pub name: &'static str,
    /// Least value, infinite where there is none.
    pub low: f32,
    /// Greatest value, infinite where there is none.
    pub high: f32,
}

impl Dimension {
    /// A dimension between these bounds.
    pub const fn new(name: &'static str, low: f32, high: f32) -> Self {
        Self { name, low, high }
    }

    /// A dimension from `-most` to `most`.
    pub const fn within(name: &'static str, most: f32) -> Self {
        Self { name, low: -most, high: most }
    }
}

/// What can be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Actions {
    /// One of these, by its place.
    Discrete(Vec<&'static str>),
    /// A number for each dimension. What lies beyond the bounds is cut to them by the world.
    Continuous(Vec<Dimension>),
}

impl Actions {
    /// Outputs that a policy needs: one for each choice, or one for each dimension.
    pub fn len(&self) -> usize {
        match self {
            Self::Discrete(names) => names.len(),
            Self::Continuous(dimensions) => dimensions.len(),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a world is: names, limits, bounds. All that a report or a remapping needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The name of its kind.
    pub name: &'static str,
    /// What is seen.
    pub observation: Vec<Dimension>,
    /// Channels, height and width where the observation is a picture, in this order.
    pub picture: Option<[usize; 3]>,
    /// What can be done.
    pub actions: Actions,
    /// Steps after which an episode is cut: truncated, not terminated.
    pub limit: u32,
    /// Mean return at which the world counts as solved; `None` where nobody has said, or where constants that decide
    /// what returns can come to are not the usual ones.
    pub threshold: Option<f64>,
}

/// What is done in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action<'a> {
    /// The place of a choice. One that does not exist counts as the last.
    Discrete(usize),
    /// A number for each dimension.
    Continuous(&'a [f32]),
}

/// What a step leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// What it brings.
    pub reward: f64,
    /// Whether the episode ends here because of where it got, not because of its length.
    pub terminated: bool,
}

/// Something to act in.
///
/// A step follows from state and action alone: whatever is left to chance is drawn in
/// [`reset`](World::reset) and is part of the state. The limit of steps is not the world's business;
/// [`Worlds`] cuts episodes.
pub trait World: Send {
    /// What it is. The same as long as it lives.
    fn spec(&self) -> &Spec;

    /// Begins an episode: draws its first state.
    fn reset(&mut self, draws: &mut Generator);

    /// One step. After a terminated one the world waits for a reset.
    fn step(&mut self, action: Action<'_>) -> Outcome;

    /// Writes what is seen of the present state, as many numbers as the specification has dimensions.
    fn observe(&self, observation: &mut [f32]);

    /// The whole state: for tests against a reference, checkpoints and films.
    fn state(&self) -> Vec<f64>;

    /// Goes back to such a state.
    ///
    /// # Errors
    /// Another number of values than [`state`](World::state) gives, or values that are none.
    fn set_state(&mut self, state: &[f64]) -> Result<()>;

    /// Draws the present state as SVG shapes inside of 100 × 60 units; `plot.css` of the report styles them.
    fn draw(&self, into: &mut String);
}

/// The place of a discrete action, at most the last of `n`; of a continuous one, the first number rounded.
fn choice(action: Action<'_>, n: usize) -> usize {
    match action {
        Action::Discrete(place) => place.min(n - 1),
        Action::Continuous(values) => {
            (values.first().map_or(0.0, |v| v.round()) as usize).min(n - 1)
        }
    }
}

/// The first number of a continuous action; 0 where there is none.
fn pull(action: Action<'_>) -> f32 {
    match action {
        Action::Discrete(place) => place as f32,
        Action::Continuous(values) => values.first().copied().unwrap_or(0.0),
    }
}

/// A state of `N` finite numbers.
fn checked<const N: usize>(state: &[f64]) -> Result<[f64; N]> {
    let refused = || refused_state(&format!("{N} finite values"), state);
    let values: [f64; N] = state.try_into().map_err(|_| refused())?;
    if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(refused()) }
}

fn refused_state(expected: &str, state: &[f64]) -> RlError {
    RlError::shape("state of a world", expected, format!("{state:?}"))
}

/// A draw from `low..high`, or `low` where there is nothing between.
fn uniform(draws: &mut Generator, low: f64, high: f64) -> f64 {
    use rand::RngExt;
    if low < high { draws.random_range(low..high) } else { low }
}

/// What keys the chances of an episode: a part of the state, so that a step follows from it.
fn luck(draws: &mut Generator) -> f64 {
    use rand::RngExt;
    draws.random::<u32>().into()
}

/// The `n`-th draw of an episode, from 0 to below 1 (SplitMix64; Steele, Lea & Flood 2014).
fn chance(luck: f64, n: u32) -> f64 {
    let step = (u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut z = luck.to_bits().wrapping_add(step);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
