//! A world of one's own: a room that is heated, with its physics settable by name like that of any other.
//!
//!     cargo run --release -p offshoot-rl --example own_world
//!
//! What implements `World` can be stepped many at a time, learnt in, transferred from and filmed.

use offshoot_random::Generator;
use offshoot_rl::Result;
use offshoot_rl::film::Film;
use offshoot_rl::world::{
    Action, Actions, Batch, Constant, Constants, Dimension, Kind, Outcome, Spec, World, Worlds,
    parse_settings,
};
use rand::RngExt;

/// What the registry would hold, were it one of ours.
static ROOM: Kind = Kind {
    name: "room",
    summary: "keep a room at 21 °C without wasting heat",
    paper: "an example",
    constants: &[
        Constant::new("outside", 5.0, (-40.0, 40.0), "°C"),
        Constant::new("leak", 0.02, (0.0, 1.0), "share of the difference that is lost in a step"),
        Constant::new("heat", 0.6, (0.0, 10.0), "°C that the heater adds in a step"),
        Constant::new("limit", 288.0, (1.0, 1e6), "steps of five minutes: a day"),
    ],
    build: |constants| Ok(Box::new(Room::new(constants)?)),
};

struct Room {
    spec: Spec,
    outside: f64,
    leak: f64,
    heat: f64,
    inside: f64,
}

impl Room {
    fn new(constants: &Constants) -> Result<Self> {
        Ok(Self {
            spec: Spec {
                name: ROOM.name,
                observation: vec![
                    Dimension::new("inside", -50.0, 600.0),
                    Dimension::new("outside", -40.0, 40.0),
                ],
                picture: None,
                actions: Actions::Discrete(vec!["off", "on"]),
                limit: constants.get("limit")? as u32,
                threshold: Some(-200.0),
            },
            outside: constants.get("outside")?,
            leak: constants.get("leak")?,
            heat: constants.get("heat")?,
            inside: 0.0,
        })
    }
}

impl World for Room {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        self.inside = draws.random_range(10.0..25.0);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let on = action == Action::Discrete(1);
        self.inside += self.leak * (self.outside - self.inside) + if on { self.heat } else { 0.0 };
        let discomfort = (self.inside - 21.0).abs();
        let cost = if on { 0.1 } else { 0.0 };
        Outcome { reward: -discomfort - cost, terminated: false }
    }

    fn observe(&self, observation: &mut [f32]) {
        observation.copy_from_slice(&[self.inside as f32, self.outside as f32]);
    }

    fn state(&self) -> Vec<f64> {
        vec![self.inside]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let [inside] = state else {
            return Err(offshoot_rl::RlError::shape("state of `room`", 1, state.len()));
        };
        self.inside = *inside;
        Ok(())
    }

    fn draw(&self, into: &mut String) {
        let height = self.inside.clamp(0.0, 40.0);
        into.push_str(&format!(
            "<rect class=\"frame\" x=\"44\" y=\"8\" width=\"12\" height=\"44\"/>\
             <rect class=\"miss\" x=\"45\" y=\"{:.1}\" width=\"10\" height=\"{height:.1}\"/>",
            51.0 - height
        ));
    }
}

/// On below 21 °C.
fn thermostat(inside: f32) -> usize {
    usize::from(inside < 21.0)
}

fn main() -> Result<()> {
    for settings in [vec![], vec!["outside=-5", "leak=0.015"]] {
        let constants = Constants::of(&ROOM, &parse_settings(&settings)?)?;
        let mut worlds = Worlds::new(&ROOM, &constants, 100, 0)?;
        let mut returns = Vec::new();
        while returns.len() < 100 {
            let actions: Vec<usize> =
                worlds.observations().chunks(2).map(|seen| thermostat(seen[0])).collect();
            let stepped = worlds.step(Batch::Discrete(&actions))?;
            returns.extend(stepped.iter().filter_map(|s| s.finished).map(|f| f.total));
        }
        let mean = returns.iter().sum::<f64>() / returns.len() as f64;
        println!("a thermostat, {settings:?}: mean return {mean:.1} over {} days", returns.len());
    }

    let mut room = ROOM.make(&[])?;
    let mut draws = offshoot_random::generator(0, "film", 0, 0);
    let film = Film::shoot(room.as_mut(), &mut draws, 6, |seen, action| {
        action.push(thermostat(seen[0]) as f32);
    });
    let strip = film.strip("room", "A day of the room").standalone();
    println!("a film of {} steps is {} bytes of SVG", film.length, strip.len());

    let refused = ROOM.make(&[("humidity".into(), 0.5)]).err();
    println!("refused: {}", refused.map(|e| e.to_string()).unwrap_or_default());
    Ok(())
}
