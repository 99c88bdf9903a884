//! MountainCar: an engine that is too weak for the hill, so a car has to swing.

use offshoot_random::Generator;

use super::{
    Action, Actions, Constant, Constants, Dimension, Kind, Outcome, Spec, World, checked, choice,
    uniform,
};
use crate::{Result, RlError};

pub const KIND: Kind = Kind {
    name: "mountain-car",
    summary: "swing a weak car up a hill as soon as possible; pushes left, none or right",
    paper: "Moore 1990, Cambridge UCAM-CL-TR-209; Gymnasium MountainCar-v0",
    constants: &[
        Constant::new("force", 0.001, (-1.0, 1.0), "of a push, a step²; below 0, left is right"),
        GRAVITY,
        MAX_SPEED,
        MIN_POSITION,
        MAX_POSITION,
        Constant::new("goal_position", 0.5, (-0.3, 3.0), "where the flag stands"),
        GOAL_VELOCITY,
        START,
        Constant::new("limit", 200.0, (1.0, 1e6), "steps of an episode"),
    ],
    build: |constants| Ok(Box::new(MountainCar::new(constants)?)),
};

pub(super) const GRAVITY: Constant =
    Constant::new("gravity", 0.0025, (0.0, 1.0), "along the slope, a step²");
pub(super) const MAX_SPEED: Constant =
    Constant::new("max_speed", 0.07, (0.0001, 1.0), "greatest way of a step");
pub(super) const MIN_POSITION: Constant =
    Constant::new("min_position", -1.2, (-3.0, -0.7), "where the wall stands on the left");
pub(super) const MAX_POSITION: Constant =
    Constant::new("max_position", 0.6, (-0.3, 3.0), "where the track ends on the right");
pub(super) const GOAL_VELOCITY: Constant =
    Constant::new("goal_velocity", 0.0, (-1.0, 1.0), "least speed at which the flag counts");
pub(super) const START: Constant =
    Constant::new("start", -0.5, (-0.6, -0.4), "middle of first positions, which lie within ± 0.1");

/// Where a car may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Track {
    pub min_position: f64,
    pub max_position: f64,
    pub max_speed: f64,
    pub goal_position: f64,
    pub goal_velocity: f64,
    pub start: f64,
}

impl Track {
    pub(super) fn new(constants: &Constants) -> Result<Self> {
        let track = Self {
            min_position: constants.get("min_position")?,
            max_position: constants.get("max_position")?,
            max_speed: constants.get("max_speed")?,
            goal_position: constants.get("goal_position")?,
            goal_velocity: constants.get("goal_velocity")?,
            start: constants.get("start")?,
        };
        if track.goal_position > track.max_position {
            return Err(RlError::Unusable(format!(
                "`goal_position` {} lies beyond `max_position` {}: the flag could never be reached",
                track.goal_position, track.max_position
            )));
        }
        Ok(track)
    }

    pub(super) fn observation(&self) -> Vec<Dimension> {
        vec![
            Dimension::new("position", self.min_position as f32, self.max_position as f32),
            Dimension::within("velocity", self.max_speed as f32),
        ]
    }

    pub(super) fn first(&self, draws: &mut Generator) -> f64 {
        uniform(draws, self.start - 0.1, self.start + 0.1)
    }

    /// The valley, the flag and the car.
    pub(super) fn draw(&self, position: f64, into: &mut String) {
        let x =
            |p: f64| 4.0 + 92.0 * (p - self.min_position) / (self.max_position - self.min_position);
        let y = |p: f64| 50.0 - 20.0 * ((3.0 * p).sin() + 1.0);
        let ground: Vec<String> = (0..=46)
            .map(|i| {
                let share = f64::from(i) / 46.0;
                let p = self.min_position + share * (self.max_position - self.min_position);
                format!("{:.1} {:.1}", x(p), y(p) + 3.0)
            })
            .collect();
        let (flag_x, flag_y) = (x(self.goal_position), y(self.goal_position) + 3.0);
        into.push_str(&format!(
            "<path class=\"before line\" d=\"M{}\"/>\
             <path class=\"whisker\" d=\"M{flag_x:.1} {flag_y:.1}v-9\"/>\
             <path class=\"hit\" d=\"M{flag_x:.1} {:.1}l-6 2.5l6 2.5z\"/>\
             <circle class=\"c1\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
            ground.join("L"),
            flag_y - 9.0,
            x(position),
            y(position)
        ));
    }
}

struct MountainCar {
    spec: Spec,
    track: Track,
    force: f64,
    gravity: f64,
    position: f64,
    velocity: f64,
}

impl MountainCar {
    fn new(constants: &Constants) -> Result<Self> {
        let track = Track::new(constants)?;
        Ok(Self {
            spec: Spec {
                name: KIND.name,
                observation: track.observation(),
                picture: None,
                actions: Actions::Discrete(vec!["left", "none", "right"]),
                limit: constants.get("limit")? as u32,
                threshold: constants.are_usual(&KIND, &["limit"]).then_some(-110.0),
            },
            track,
            force: constants.get("force")?,
            gravity: constants.get("gravity")?,
            position: 0.0,
            velocity: 0.0,
        })
    }
}

impl World for MountainCar {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        (self.position, self.velocity) = (self.track.first(draws), 0.0);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let track = &self.track;
        let push = choice(action, 3) as f64 - 1.0;
        let change = push * self.force - (3.0 * self.position).cos() * self.gravity;
        let velocity = (self.velocity + change).clamp(-track.max_speed, track.max_speed);
        let position = (self.position + velocity).clamp(track.min_position, track.max_position);
        let hits_the_wall = position == track.min_position && velocity < 0.0;
        (self.position, self.velocity) = (position, if hits_the_wall { 0.0 } else { velocity });
        let terminated = position >= track.goal_position && self.velocity >= track.goal_velocity;
        Outcome { reward: -1.0, terminated }
    }

    fn observe(&self, observation: &mut [f32]) {
        for (seen, value) in observation.iter_mut().zip([self.position, self.velocity]) {
            *seen = value as f32;
        }
    }

    fn state(&self) -> Vec<f64> {
        vec![self.position, self.velocity]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        [self.position, self.velocity] = checked(state)?;
        Ok(())
    }

    fn draw(&self, into: &mut String) {
        self.track.draw(self.position, into);
    }
}
