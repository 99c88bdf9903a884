//! Acrobot: two links that hang from a bar; only the joint between them has a motor.

use std::f64::consts::PI;

use offshoot_random::Generator;

use super::{
    Action, Actions, Constant, Constants, Dimension, Kind, Outcome, Spec, World, checked, choice,
    uniform,
};
use crate::Result;

pub const KIND: Kind = Kind {
    name: "acrobot",
    summary: "swing the free end of two links above a line; torque only between them",
    paper: "Sutton 1996 (NIPS 8), dynamics of Sutton & Barto's book; Gymnasium Acrobot-v1",
    constants: &[
        Constant::new("gravity", 9.8, (0.0, 100.0), "m/s²"),
        Constant::new("length_1", 1.0, (0.1, 10.0), "m, first link"),
        Constant::new("mass_1", 1.0, (0.05, 50.0), "kg, first link"),
        Constant::new("mass_2", 1.0, (0.05, 50.0), "kg, second link"),
        Constant::new("centre_1", 0.5, (0.01, 10.0), "m, where the first link's mass is"),
        Constant::new("centre_2", 0.5, (0.01, 10.0), "m, where the second link's mass is"),
        Constant::new("inertia", 1.0, (0.05, 50.0), "kg·m², of each link"),
        Constant::new("torque", 1.0, (-100.0, 100.0), "N·m; below 0, left is right"),
        Constant::new("max_velocity_1", 4.0 * PI, (0.1, 100.0), "rad/s, first joint"),
        Constant::new("max_velocity_2", 9.0 * PI, (0.1, 100.0), "rad/s, second joint"),
        Constant::new("seconds", 0.2, (0.001, 0.5), "time of a step"),
        Constant::new(
            "height",
            1.0,
            (-1.5, 1.9),
            "of the line above the bar, with links of length 1",
        ),
        Constant::new("start", 0.1, (0.0, 1.0), "each value of a first state lies within ± this"),
        Constant::new("limit", 500.0, (1.0, 1e6), "steps of an episode"),
    ],
    build: |constants| Ok(Box::new(Acrobot::new(constants)?)),
};

struct Acrobot {
    spec: Spec,
    links: Links,
    torque: f64,
    most: [f64; 2],
    seconds: f64,
    height: f64,
    start: f64,
    /// Angle of the first link from hanging, of the second from the first, and their velocities.
    state: [f64; 4],
}

/// What the equations of motion know.
struct Links {
    gravity: f64,
    l1: f64,
    m1: f64,
    m2: f64,
    lc1: f64,
    lc2: f64,
    inertia: f64,
}

impl Links {
    /// Velocities and accelerations in a state under a torque (Sutton & Barto, section 11.3 of the first
    /// edition).
    fn slope(&self, [theta1, theta2, dtheta1, dtheta2]: [f64; 4], torque: f64) -> [f64; 4] {
        let Self { gravity: g, l1, m1, m2, lc1, lc2, inertia } = *self;
        let (sin2, cos2) = theta2.sin_cos();
        let d1 =
            m1 * lc1 * lc1 + m2 * (l1 * l1 + lc2 * lc2 + 2.0 * l1 * lc2 * cos2) + 2.0 * inertia;
        let d2 = m2 * (lc2 * lc2 + l1 * lc2 * cos2) + inertia;
        let phi2 = m2 * lc2 * g * (theta1 + theta2 - PI / 2.0).cos();
        let phi1 = -m2 * l1 * lc2 * dtheta2 * dtheta2 * sin2
            - 2.0 * m2 * l1 * lc2 * dtheta2 * dtheta1 * sin2
            + (m1 * lc1 + m2 * l1) * g * (theta1 - PI / 2.0).cos()
            + phi2;
        let ddtheta2 = (torque + d2 / d1 * phi1 - m2 * l1 * lc2 * dtheta1 * dtheta1 * sin2 - phi2)
            / (m2 * lc2 * lc2 + inertia - d2 * d2 / d1);
        [dtheta1, dtheta2, -(d2 * ddtheta2 + phi1) / d1, ddtheta2]
    }

    /// A step of Runge and Kutta's fourth order.
    fn after(&self, state: [f64; 4], torque: f64, t: f64) -> [f64; 4] {
        let along = |k: &[f64; 4], t: f64| std::array::from_fn(|i| state[i] + t * k[i]);
        let k1 = self.slope(state, torque);
        let k2 = self.slope(along(&k1, t / 2.0), torque);
        let k3 = self.slope(along(&k2, t / 2.0), torque);
        let k4 = self.slope(along(&k3, t), torque);
        std::array::from_fn(|i| state[i] + t / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
    }
}

impl Acrobot {
    fn new(constants: &Constants) -> Result<Self> {
        let most = [constants.get("max_velocity_1")?, constants.get("max_velocity_2")?];
        Ok(Self {
            spec: Spec {
                name: KIND.name,
                observation: vec![
                    Dimension::within("cos_1", 1.0),
                    Dimension::within("sin_1", 1.0),
                    Dimension::within("cos_2", 1.0),
                    Dimension::within("sin_2", 1.0),
                    Dimension::within("angular_velocity_1", most[0] as f32),
                    Dimension::within("angular_velocity_2", most[1] as f32),
                ],
                picture: None,
                actions: Actions::Discrete(vec!["left", "none", "right"]),
                limit: constants.get("limit")? as u32,
                threshold: constants.are_usual(&KIND, &["limit"]).then_some(-100.0),
            },
            links: Links {
                gravity: constants.get("gravity")?,
                l1: constants.get("length_1")?,
                m1: constants.get("mass_1")?,
                m2: constants.get("mass_2")?,
                lc1: constants.get("centre_1")?,
                lc2: constants.get("centre_2")?,
                inertia: constants.get("inertia")?,
            },
            torque: constants.get("torque")?,
            most,
            seconds: constants.get("seconds")?,
            height: constants.get("height")?,
            start: constants.get("start")?,
            state: [0.0; 4],
        })
    }
}

/// An angle between −π and π.
fn wrapped(angle: f64) -> f64 {
    if angle.abs() <= PI { angle } else { (angle + PI).rem_euclid(2.0 * PI) - PI }
}

impl World for Acrobot {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        // Gymnasium's first states are single precision.
        self.state =
            std::array::from_fn(|_| f64::from(uniform(draws, -self.start, self.start) as f32));
        for (velocity, most) in self.state[2..].iter_mut().zip(self.most) {
            *velocity = velocity.clamp(-most, most);
        }
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let torque = self.torque * (choice(action, 3) as f64 - 1.0);
        let [theta1, theta2, dtheta1, dtheta2] = self.links.after(self.state, torque, self.seconds);
        let [most1, most2] = self.most;
        self.state = [
            wrapped(theta1),
            wrapped(theta2),
            dtheta1.clamp(-most1, most1),
            dtheta2.clamp(-most2, most2),
        ];
        let [theta1, theta2, ..] = self.state;
        let terminated = -theta1.cos() - (theta1 + theta2).cos() > self.height;
        Outcome { reward: if terminated { 0.0 } else { -1.0 }, terminated }
    }

    fn observe(&self, observation: &mut [f32]) {
        let [theta1, theta2, dtheta1, dtheta2] = self.state;
        let ((sin1, cos1), (sin2, cos2)) = (theta1.sin_cos(), theta2.sin_cos());
        let values = [cos1, sin1, cos2, sin2, dtheta1, dtheta2];
        for (seen, value) in observation.iter_mut().zip(values) {
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
        let [theta1, theta2, ..] = self.state;
        let long = 14.0;
        let (x1, y1) = (50.0 + long * theta1.sin(), 30.0 + long * theta1.cos());
        let both = theta1 + theta2;
        let (x2, y2) = (x1 + long * both.sin(), y1 + long * both.cos());
        into.push_str(&format!(
            "<path class=\"ideal\" d=\"M18 {:.1}H82\"/>\
             <path class=\"c0 curve\" d=\"M50 30L{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>\
             <circle class=\"c1\" cx=\"{x1:.1}\" cy=\"{y1:.1}\" r=\"1.8\"/>\
             <circle class=\"ink\" cx=\"50\" cy=\"30\" r=\"1.8\"/>",
            30.0 - long * self.height
        ));
    }
}
