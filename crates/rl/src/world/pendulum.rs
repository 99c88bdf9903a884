//! Pendulum: swing it up and keep it there, with a motor that is too weak to lift it at once.

use std::f64::consts::PI;

use offshoot_random::Generator;

use super::{
    Action, Actions, Constant, Constants, Dimension, Kind, Outcome, Spec, World, checked, pull,
    uniform,
};
use crate::Result;

pub const KIND: Kind = Kind {
    name: "pendulum",
    summary: "swing a pendulum up and hold it upright with little torque",
    paper: "Gymnasium Pendulum-v1; after Atkeson & Schaal 1997 (ICML), robot learning from demonstration",
    constants: &[
        Constant::new("gravity", 10.0, (0.0, 100.0), "m/s²"),
        Constant::new("mass", 1.0, (0.01, 100.0), "kg"),
        Constant::new("length", 1.0, (0.1, 10.0), "m"),
        Constant::new("max_torque", 2.0, (0.01, 100.0), "N·m, beyond which actions are cut"),
        Constant::new(
            "gear",
            1.0,
            (-10.0, 10.0),
            "torque of an action of 1; below 0, left is right",
        ),
        Constant::new("max_speed", 8.0, (0.1, 100.0), "rad/s"),
        Constant::new("seconds", 0.05, (0.0001, 0.2), "time of a step"),
        Constant::new(
            "start_angle",
            180.0,
            (0.0, 180.0),
            "degrees from upright, at most, at the start",
        ),
        Constant::new("start_speed", 1.0, (0.0, 100.0), "rad/s, at most, at the start"),
        Constant::new("limit", 200.0, (1.0, 1e6), "steps of an episode"),
    ],
    build: |constants| Ok(Box::new(Pendulum::new(constants)?)),
};

struct Pendulum {
    spec: Spec,
    gravity: f64,
    mass: f64,
    length: f64,
    max_torque: f32,
    gear: f64,
    max_speed: f64,
    seconds: f64,
    start: [f64; 2],
    /// From upright, not wrapped.
    angle: f64,
    speed: f64,
}

impl Pendulum {
    fn new(constants: &Constants) -> Result<Self> {
        let max_torque = constants.get("max_torque")? as f32;
        let max_speed = constants.get("max_speed")?;
        let start_angle = constants.get("start_angle")? * PI / 180.0;
        Ok(Self {
            spec: Spec {
                name: KIND.name,
                observation: vec![
                    Dimension::within("cos", 1.0),
                    Dimension::within("sin", 1.0),
                    Dimension::within("angular_velocity", max_speed as f32),
                ],
                picture: None,
                actions: Actions::Continuous(vec![Dimension::within("torque", max_torque)]),
                limit: constants.get("limit")? as u32,
                threshold: None,
            },
            gravity: constants.get("gravity")?,
            mass: constants.get("mass")?,
            length: constants.get("length")?,
            max_torque,
            gear: constants.get("gear")?,
            max_speed,
            seconds: constants.get("seconds")?,
            start: [start_angle, constants.get("start_speed")?.min(max_speed)],
            angle: 0.0,
            speed: 0.0,
        })
    }
}

impl World for Pendulum {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        [self.angle, self.speed] = self.start.map(|most| uniform(draws, -most, most));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        // Actions are single precision, and so is in Gymnasium what only they make.
        let u = pull(action).clamp(-self.max_torque, self.max_torque);
        let from_upright = (self.angle + PI).rem_euclid(2.0 * PI) - PI;
        let cost = from_upright.powi(2) + 0.1 * self.speed.powi(2) + f64::from(0.001 * (u * u));
        let falls = 3.0 * self.gravity / (2.0 * self.length) * self.angle.sin();
        let driven = (3.0 * self.gear / (self.mass * self.length.powi(2))) as f32 * u;
        let speed = self.speed + (falls + f64::from(driven)) * self.seconds;
        self.speed = speed.clamp(-self.max_speed, self.max_speed);
        self.angle += self.speed * self.seconds;
        Outcome { reward: -cost, terminated: false }
    }

    fn observe(&self, observation: &mut [f32]) {
        let (sin, cos) = self.angle.sin_cos();
        for (seen, value) in observation.iter_mut().zip([cos, sin, self.speed]) {
            *seen = value as f32;
        }
    }

    fn state(&self) -> Vec<f64> {
        vec![self.angle, self.speed]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        [self.angle, self.speed] = checked(state)?;
        Ok(())
    }

    fn draw(&self, into: &mut String) {
        let (sin, cos) = self.angle.sin_cos();
        let (x, y) = (50.0 - 24.0 * sin, 30.0 - 24.0 * cos);
        into.push_str(&format!(
            "<path class=\"ideal\" d=\"M50 30V3\"/>\
             <path class=\"c3 curve\" d=\"M50 30L{x:.1} {y:.1}\"/>\
             <circle class=\"c3\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>\
             <circle class=\"ink\" cx=\"50\" cy=\"30\" r=\"1.6\"/>"
        ));
    }
}
