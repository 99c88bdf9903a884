//! CartPole: a cart keeps a pole upright.

use offshoot_random::Generator;

use super::{
    Action, Actions, Constant, Constants, Dimension, Kind, Outcome, Spec, World, checked, choice,
    uniform,
};
use crate::Result;

pub const KIND: Kind = Kind {
    name: "cart-pole",
    summary: "push a cart left or right so that the pole on it stays upright",
    paper: "Barto, Sutton & Anderson 1983, doi:10.1109/TSMC.1983.6313077; Gymnasium CartPole-v1",
    constants: &[
        Constant::new("gravity", 9.8, (0.0, 100.0), "m/s²"),
        Constant::new("cart_mass", 1.0, (0.01, 100.0), "kg"),
        Constant::new("pole_mass", 0.1, (0.001, 100.0), "kg"),
        Constant::new("length", 0.5, (0.01, 20.0), "m, half of the pole's"),
        Constant::new("force", 10.0, (-1000.0, 1000.0), "N of a push; below 0, left is right"),
        Constant::new("seconds", 0.02, (0.0001, 0.2), "time of a step"),
        Constant::new("angle_limit", 12.0, (0.1, 90.0), "degrees at which the pole has fallen"),
        Constant::new(
            "position_limit",
            2.4,
            (0.1, 100.0),
            "m from the centre at which the track ends",
        ),
        Constant::new("start", 0.05, (0.0, 1.0), "each value of a first state lies within ± this"),
        Constant::new("limit", 500.0, (1.0, 1e6), "steps of an episode"),
    ],
    build: |constants| Ok(Box::new(CartPole::new(constants)?)),
};

struct CartPole {
    spec: Spec,
    gravity: f64,
    pole_mass: f64,
    total_mass: f64,
    length: f64,
    force: f64,
    seconds: f64,
    angle_limit: f64,
    position_limit: f64,
    start: f64,
    /// Position, velocity, angle from upright, angular velocity.
    state: [f64; 4],
}

impl CartPole {
    fn new(constants: &Constants) -> Result<Self> {
        let angle_limit = constants.get("angle_limit")? * std::f64::consts::PI / 180.0;
        let position_limit = constants.get("position_limit")?;
        let pole_mass = constants.get("pole_mass")?;
        Ok(Self {
            spec: Spec {
                name: KIND.name,
                // Twice the limits, so that what an episode ends with is within bounds too.
                observation: vec![
                    Dimension::within("position", 2.0 * position_limit as f32),
                    Dimension::within("velocity", f32::INFINITY),
                    Dimension::within("angle", 2.0 * angle_limit as f32),
                    Dimension::within("angular_velocity", f32::INFINITY),
                ],
                picture: None,
                actions: Actions::Discrete(vec!["left", "right"]),
                limit: constants.get("limit")? as u32,
                // 475 of the usual 500.
                threshold: Some(0.95 * constants.get("limit")?.trunc()),
            },
            gravity: constants.get("gravity")?,
            pole_mass,
            total_mass: pole_mass + constants.get("cart_mass")?,
            length: constants.get("length")?,
            force: constants.get("force")?,
            seconds: constants.get("seconds")?,
            angle_limit,
            position_limit,
            start: constants.get("start")?,
            state: [0.0; 4],
        })
    }
}

impl World for CartPole {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        self.state = std::array::from_fn(|_| uniform(draws, -self.start, self.start));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let [x, x_dot, theta, theta_dot] = self.state;
        let force = if choice(action, 2) == 1 { self.force } else { -self.force };
        let (sin, cos) = theta.sin_cos();
        // Florian 2007, "Correct equations for the dynamics of the cart-pole system", without friction.
        let pole = self.pole_mass * self.length;
        let push = (force + pole * (theta_dot * theta_dot) * sin) / self.total_mass;
        let theta_acc = (self.gravity * sin - cos * push)
            / (self.length * (4.0 / 3.0 - self.pole_mass * (cos * cos) / self.total_mass));
        let x_acc = push - pole * theta_acc * cos / self.total_mass;
        let t = self.seconds;
        self.state =
            [x + t * x_dot, x_dot + t * x_acc, theta + t * theta_dot, theta_dot + t * theta_acc];
        let [x, _, theta, _] = self.state;
        let terminated = x.abs() > self.position_limit || theta.abs() > self.angle_limit;
        Outcome { reward: 1.0, terminated }
    }

    fn observe(&self, observation: &mut [f32]) {
        for (seen, value) in observation.iter_mut().zip(self.state) {
            *seen = value as f32;
        }
    }

    fn state(&self) -> Vec<f64> {
        self.state.to_vec()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        self.state = checked(state)?;
        Ok(())
    }

    fn draw(&self, into: &mut String) {
        let [x, _, theta, _] = self.state;
        let x = 50.0 + 42.0 * x / self.position_limit;
        // Poles of 1 m are 16 units long; the longest are cut to what fits.
        let long = (32.0 * self.length).clamp(6.0, 40.0);
        let (tip_x, tip_y) = (x + long * theta.sin(), 46.0 - long * theta.cos());
        into.push_str(&format!(
            "<path class=\"grid\" d=\"M4 52H96\"/>\
             <rect class=\"baseline\" x=\"{:.1}\" y=\"46\" width=\"14\" height=\"6\" rx=\"1\"/>\
             <path class=\"c1 curve\" d=\"M{x:.1} 46L{tip_x:.1} {tip_y:.1}\"/>",
            x - 7.0
        ));
    }
}
