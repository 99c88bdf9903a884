//! MountainCarContinuous: the same hill, with pushes of any strength that cost what they spend.

use offshoot_random::Generator;

use super::mountain_car::{
    GOAL_VELOCITY, GRAVITY, MAX_POSITION, MAX_SPEED, MIN_POSITION, START, Track,
};
use super::{
    Action, Actions, Constant, Constants, Dimension, Kind, Outcome, Spec, World, checked, pull,
};
use crate::Result;

pub const KIND: Kind = Kind {
    name: "mountain-car-continuous",
    summary: "swing a weak car up a hill with little force; pushes of any strength",
    paper: "Moore 1990, Cambridge UCAM-CL-TR-209; Gymnasium MountainCarContinuous-v0",
    constants: &[
        Constant::new(
            "power",
            0.0015,
            (-1.0, 1.0),
            "of a full push, a step²; below 0, left is right",
        ),
        GRAVITY,
        MAX_SPEED,
        MIN_POSITION,
        MAX_POSITION,
        Constant::new("goal_position", 0.45, (-0.3, 3.0), "where the flag stands"),
        GOAL_VELOCITY,
        START,
        Constant::new("limit", 999.0, (1.0, 1e6), "steps of an episode"),
    ],
    build: |constants| Ok(Box::new(MountainCarContinuous::new(constants)?)),
};

/// Gymnasium keeps this world's state in single precision, so this does too.
struct MountainCarContinuous {
    spec: Spec,
    track: Track,
    power: f64,
    gravity: f64,
    position: f32,
    velocity: f32,
}

impl MountainCarContinuous {
    fn new(constants: &Constants) -> Result<Self> {
        let track = Track::new(constants)?;
        Ok(Self {
            spec: Spec {
                name: KIND.name,
                observation: track.observation(),
                picture: None,
                actions: Actions::Continuous(vec![Dimension::within("push", 1.0)]),
                limit: constants.get("limit")? as u32,
                threshold: constants.are_usual(&KIND, &["limit"]).then_some(90.0),
            },
            track,
            power: constants.get("power")?,
            gravity: constants.get("gravity")?,
            position: 0.0,
            velocity: 0.0,
        })
    }
}

impl World for MountainCarContinuous {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        (self.position, self.velocity) = (self.track.first(draws) as f32, 0.0);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let track = &self.track;
        let action = pull(action);
        let slope = self.gravity * f64::from(3.0 * self.position).cos();
        // A push that is cut is a bound, which Python holds in double precision.
        let change = if (-1.0..=1.0).contains(&action) {
            action * self.power as f32 - slope as f32
        } else {
            (self.power.copysign(self.power * f64::from(action)) - slope) as f32
        };
        let most = track.max_speed as f32;
        let velocity = (self.velocity + change).clamp(-most, most);
        let [left, right] = [track.min_position as f32, track.max_position as f32];
        let position = (self.position + velocity).clamp(left, right);
        let hits_the_wall = position == left && velocity < 0.0;
        (self.position, self.velocity) = (position, if hits_the_wall { 0.0 } else { velocity });
        let terminated =
            position >= track.goal_position as f32 && self.velocity >= track.goal_velocity as f32;
        // What is asked for is paid for, even where it is more than the engine gives.
        let cost = 0.1 * f64::from(action).powi(2);
        Outcome { reward: if terminated { 100.0 } else { 0.0 } - cost, terminated }
    }

    fn observe(&self, observation: &mut [f32]) {
        for (seen, value) in observation.iter_mut().zip([self.position, self.velocity]) {
            *seen = value;
        }
    }

    fn state(&self) -> Vec<f64> {
        vec![self.position.into(), self.velocity.into()]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        [self.position, self.velocity] = checked::<2>(state)?.map(|v| v as f32);
        Ok(())
    }

    fn draw(&self, into: &mut String) {
        self.track.draw(self.position.into(), into);
    }
}
