//! An episode as a strip of pictures.

use offshoot_random::Generator;
use offshoot_transfer::report::svg::Drawing;
use offshoot_transfer::report::words;

use crate::world::{Action, Actions, World};

/// A frame is drawn at this many pixels a unit of [`World::draw`].
const SCALE: f64 = 1.45;
const WIDTH: f64 = 100.0 * SCALE;
const HEIGHT: f64 = 60.0 * SCALE;
const GAP: f64 = 10.0;
const CAPTION: f64 = 20.0;
/// Frames in a line.
const COLUMNS: usize = 6;

/// Pictures of one episode, from its first state to its last.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    frames: Vec<Frame>,
    /// The sum of its rewards.
    pub total: f64,
    /// Its steps.
    pub length: u32,
    /// Whether it ended by itself, not at the limit of steps.
    pub terminated: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Frame {
    step: u32,
    shapes: String,
}

impl Film {
    /// Plays an episode and keeps `frames` of its states, at least two, evenly spaced: the first and the last
    /// among them.
    ///
    /// `act` sees an observation and puts an action into the vector: one number for each dimension, or the
    /// place of a choice as the only number.
    pub fn shoot(
        world: &mut dyn World,
        draws: &mut Generator,
        frames: usize,
        mut act: impl FnMut(&[f32], &mut Vec<f32>),
    ) -> Self {
        let spec = world.spec().clone();
        let mut observation = vec![0.0; spec.observation.len()];
        let mut action = Vec::new();
        let mut total = 0.0;
        let mut terminated = false;
        world.reset(draws);
        let mut states = vec![world.state()];
        while states.len() <= spec.limit as usize && !terminated {
            world.observe(&mut observation);
            action.clear();
            act(&observation, &mut action);
            let outcome = world.step(match &spec.actions {
                Actions::Discrete(_) => {
                    Action::Discrete(action.first().map_or(0, |place| place.round() as usize))
                }
                Actions::Continuous(_) => Action::Continuous(&action),
            });
            total += outcome.reward;
            terminated = outcome.terminated;
            states.push(world.state());
        }
        let last = states.len() - 1;
        let frames = frames.clamp(2, last + 1);
        let frames = (0..frames).filter_map(|i| {
            let step = (i * last + (frames - 1) / 2) / (frames - 1);
            // It gave this state itself.
            world.set_state(&states[step]).ok()?;
            let mut shapes = String::new();
            world.draw(&mut shapes);
            Some(Frame { step: step as u32, shapes })
        });
        Self { frames: frames.collect(), total, length: last as u32, terminated }
    }

    /// The frames side by side, in lines of six, each with its step below.
    pub fn strip(&self, name: &str, title: &str) -> Drawing {
        let lines = self.frames.len().div_ceil(COLUMNS);
        let columns = self.frames.len().min(COLUMNS) as f64;
        let size = (
            columns * (WIDTH + GAP) - GAP + 2.0,
            lines as f64 * (HEIGHT + CAPTION + GAP) - GAP + 2.0,
        );
        let end = if self.terminated { "ends by itself" } else { "is cut at the limit" };
        let told = format!(
            "{} of an episode that {end} after {}.",
            words::counted(self.frames.len(), "picture", "pictures"),
            words::counted(self.length as usize, "step", "steps"),
        );
        let mut strip = Drawing::new(name.to_owned(), size, title, &told);
        for (i, frame) in self.frames.iter().enumerate() {
            let x = 1.0 + (i % COLUMNS) as f64 * (WIDTH + GAP);
            let y = 1.0 + (i / COLUMNS) as f64 * (HEIGHT + CAPTION + GAP);
            strip.rect("frame", (x, y), (WIDTH, HEIGHT), "");
            strip.shapes((x, y), SCALE, &frame.shapes);
            let caption = format!("step {}", words::count(frame.step as usize));
            strip.text("axis middle", (x + WIDTH / 2.0, y + HEIGHT + 14.0), caption);
        }
        strip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::WORLDS;
    use offshoot_random::generator;

    #[test]
    fn a_film_begins_at_the_first_step_and_ends_at_the_last() {
        for kind in WORLDS {
            let mut world = kind.make(&[("limit".into(), 40.0)]).unwrap();
            let width = world.spec().actions.len();
            let mut play = |frames| {
                let mut draws = generator(0, "film", 0, 0);
                Film::shoot(world.as_mut(), &mut draws, frames, |_, action| {
                    action.extend(std::iter::repeat_n(1.0, width));
                })
            };
            let film = play(7);
            assert_eq!(film, play(7), "{}", kind.name);
            assert_eq!(film.frames.len(), 7.min(film.length as usize + 1), "{}", kind.name);
            assert_eq!(film.frames[0].step, 0);
            assert_eq!(film.frames.last().unwrap().step, film.length);
            assert!(film.terminated || film.length == 40);
            assert!(film.frames.windows(2).all(|pair| pair[0].step < pair[1].step));
            let svg = film.strip("film", "<b>").standalone();
            assert_eq!(svg.matches("<g ").count(), film.frames.len());
            assert!(!svg.contains("<b>"));
        }
    }
}
