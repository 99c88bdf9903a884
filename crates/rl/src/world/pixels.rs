//! Pixels: balls fall, a paddle catches them, and all that is seen is a picture.
//!
//! Colours and light are constants, so that a target can look different while the game stays what it is.

use offshoot_random::Generator;

use super::{
    Action, Actions, Constant, Constants, Dimension, Kind, Outcome, Spec, World, chance, checked,
    choice, luck, refused_state,
};
use crate::{Result, RlError};

pub const KIND: Kind = Kind {
    name: "pixels",
    summary: "catch falling balls; what is seen is a picture of 3 × 28 × 28",
    paper: "Catch: after Mnih et al. 2014, arXiv:1406.6247, section 4.2",
    constants: &[
        Constant::new("cells", 7.0, (7.0, 14.0), "columns and rows: 7 or 14"),
        Constant::new("balls", 10.0, (1.0, 1000.0), "of an episode"),
        Constant::new("paddle", 1.0, (1.0, 5.0), "columns that the paddle covers"),
        Constant::new(
            "drift",
            0.0,
            (-2.0, 2.0),
            "columns that a ball moves aside a row; it bounces",
        ),
        Constant::new("reversed", 0.0, (0.0, 1.0), "1 where left is right"),
        Constant::new("ball_hue", 0.0, (0.0, 359.0), "degrees: 0 is red, 120 green, 240 blue"),
        Constant::new("paddle_hue", 210.0, (0.0, 359.0), "degrees"),
        Constant::new("light", 0.05, (0.0, 0.7), "of the background"),
        Constant::new("limit", 10_000.0, (1.0, 1e6), "steps of an episode"),
    ],
    build: |constants| Ok(Box::new(Pixels::new(constants)?)),
};

/// Height and width of the picture.
const SIDE: usize = 28;

struct Pixels {
    spec: Spec,
    cells: usize,
    balls: u32,
    width: usize,
    drift: isize,
    reversed: bool,
    ball_colour: [f32; 3],
    paddle_colour: [f32; 3],
    light: f32,
    /// The leftmost column of the paddle.
    paddle: usize,
    column: usize,
    row: usize,
    /// To the right (1) or to the left (−1) times the drift.
    heading: isize,
    ball: u32,
    /// Keys where balls begin.
    luck: f64,
}

impl Pixels {
    fn new(constants: &Constants) -> Result<Self> {
        let whole = |name| constants.get(name).map(f64::round);
        let cells = whole("cells")? as usize;
        if !SIDE.is_multiple_of(cells) {
            return Err(RlError::shape("constant `cells` of `pixels`", "7 or 14", cells));
        }
        let balls = whole("balls")? as u32;
        let bounds = ["red", "green", "blue"].map(|name| Dimension::new(name, 0.0, 1.0));
        Ok(Self {
            spec: Spec {
                name: KIND.name,
                observation: bounds
                    .into_iter()
                    .flat_map(|colour| std::iter::repeat_n(colour, SIDE * SIDE))
                    .collect(),
                picture: Some([3, SIDE, SIDE]),
                actions: Actions::Discrete(vec!["left", "stay", "right"]),
                limit: constants.get("limit")? as u32,
                threshold: Some(0.9 * f64::from(balls)),
            },
            cells,
            balls,
            width: whole("paddle")? as usize,
            drift: whole("drift")? as isize,
            reversed: constants.get("reversed")? >= 0.5,
            ball_colour: colour(constants.get("ball_hue")?),
            paddle_colour: colour(constants.get("paddle_hue")?),
            light: constants.get("light")? as f32,
            paddle: 0,
            column: 0,
            row: 0,
            heading: 1,
            ball: 0,
            luck: 0.0,
        })
    }

    /// Lets the next ball fall.
    fn drop_ball(&mut self) {
        self.row = 0;
        self.heading = 1;
        self.column = (chance(self.luck, self.ball) * self.cells as f64) as usize;
    }
}

/// Fills `width` cells of `side` pixels, from a column and a row on, in all three channels.
fn fill(
    picture: &mut [f32],
    side: usize,
    (column, row): (usize, usize),
    width: usize,
    colour: [f32; 3],
) {
    for (plane, value) in picture.chunks_exact_mut(SIDE * SIDE).zip(colour) {
        let lines = plane.chunks_exact_mut(SIDE).skip(row * side).take(side);
        lines.for_each(|line| line[column * side..(column + width) * side].fill(value));
    }
}

/// Red, green and blue of a bright hue.
fn colour(degrees: f64) -> [f32; 3] {
    // Each channel is full within 60° of its own hue and falls to nothing over the next 60°.
    [0.0, 120.0, 240.0].map(|own: f64| {
        let apart = (degrees - own).rem_euclid(360.0);
        let apart = apart.min(360.0 - apart);
        (0.1 + 0.85 * ((120.0 - apart) / 60.0).clamp(0.0, 1.0)) as f32
    })
}

impl World for Pixels {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        self.luck = luck(draws);
        self.ball = 0;
        self.paddle = (self.cells - self.width) / 2;
        self.drop_ball();
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let mut move_by = choice(action, 3) as isize - 1;
        if self.reversed {
            move_by = -move_by;
        }
        let last = self.cells - self.width;
        self.paddle = self.paddle.saturating_add_signed(move_by).min(last);
        self.row += 1;
        let far = self.cells as isize - 1;
        let mut column = self.column as isize + self.heading * self.drift;
        if !(0..=far).contains(&column) {
            column = if column < 0 { -column } else { 2 * far - column };
            self.heading = -self.heading;
        }
        self.column = column as usize;
        if self.row + 1 < self.cells {
            return Outcome { reward: 0.0, terminated: false };
        }
        let caught = (self.paddle..self.paddle + self.width).contains(&self.column);
        self.ball += 1;
        let terminated = self.ball >= self.balls;
        if !terminated {
            self.drop_ball();
        }
        Outcome { reward: if caught { 1.0 } else { -1.0 }, terminated }
    }

    fn observe(&self, observation: &mut [f32]) {
        let side = SIDE / self.cells;
        observation.fill(self.light);
        let last = self.cells - 1;
        fill(observation, side, (self.paddle, last), self.width, self.paddle_colour);
        fill(observation, side, (self.column, self.row), 1, self.ball_colour);
    }

    fn state(&self) -> Vec<f64> {
        let places = [self.paddle, self.column, self.row].map(|place| place as f64);
        [places.as_slice(), &[self.heading as f64, self.ball.into(), self.luck]].concat()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let [paddle, column, row, heading, ball, luck] = checked(state)?;
        let [paddle, column, row] = [paddle, column, row].map(|place| place as usize);
        if paddle + self.width > self.cells || column >= self.cells || row >= self.cells {
            return Err(refused_state("places within the picture", state));
        }
        (self.paddle, self.column, self.row) = (paddle, column, row);
        (self.heading, self.ball, self.luck) =
            (if heading < 0.0 { -1 } else { 1 }, ball as u32, luck);
        Ok(())
    }

    fn draw(&self, into: &mut String) {
        let side = 60.0 / self.cells as f64;
        let mut rect = |[r, g, b]: [f32; 3], (x, y): (f64, f64), (w, h): (f64, f64)| {
            let [r, g, b] = [r, g, b].map(|v| (255.0 * v).round() as u8);
            into.push_str(&format!(
                "<rect fill=\"#{r:02x}{g:02x}{b:02x}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\"/>"
            ));
        };
        rect([self.light; 3], (20.0, 0.0), (60.0, 60.0));
        let at = |column: usize, row: usize| (20.0 + side * column as f64, side * row as f64);
        rect(self.paddle_colour, at(self.paddle, self.cells - 1), (side * self.width as f64, side));
        rect(self.ball_colour, at(self.column, self.row), (side, side));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_random::generator;

    fn made(settings: &[(&str, f64)]) -> Pixels {
        let settings: Vec<_> = settings.iter().map(|(name, v)| ((*name).to_owned(), *v)).collect();
        Pixels::new(&Constants::of(&KIND, &settings).unwrap()).unwrap()
    }

    /// Walks below where the ball will be.
    fn play(mut world: Pixels, seed: u64) -> f64 {
        world.reset(&mut generator(seed, "world", 0, 0));
        let mut total = 0.0;
        loop {
            let aim = world.column.cmp(&world.paddle) as isize + 1;
            let outcome = world.step(Action::Discrete(aim as usize));
            total += outcome.reward;
            if outcome.terminated {
                return total;
            }
        }
    }

    #[test]
    fn who_follows_the_ball_catches_all_and_the_reversed_almost_none() {
        for seed in 0..20 {
            assert_eq!(play(made(&[]), seed), 10.0);
        }
        let reversed: f64 = (0..20).map(|seed| play(made(&[("reversed", 1.0)]), seed)).sum();
        assert!(reversed < -100.0, "{reversed}");
    }

    #[test]
    fn a_picture_shows_the_ball_and_the_paddle_in_their_colours() {
        let mut world = made(&[("ball_hue", 120.0), ("light", 0.5)]);
        world.set_state(&[2.0, 5.0, 3.0, 1.0, 0.0, 0.0]).unwrap();
        let mut seen = vec![0.0; 3 * SIDE * SIDE];
        world.observe(&mut seen);
        let at = |x: usize, y: usize| [0, 1, 2].map(|c| seen[c * SIDE * SIDE + y * SIDE + x]);
        assert_eq!(at(5 * 4 + 1, 3 * 4 + 2), colour(120.0));
        assert_eq!(at(2 * 4, 27), colour(210.0));
        assert_eq!(at(0, 0), [0.5; 3]);
        let [r, g, b] = colour(120.0);
        assert!(g > 0.9 && r < 0.2 && b < 0.2);
    }
}
