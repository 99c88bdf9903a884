//! Grid: four rooms with doors between them, and a place to get to.

use offshoot_random::Generator;

use super::{
    Action, Actions, Constant, Constants, Dimension, Kind, Outcome, Spec, World, chance, checked,
    choice, luck, refused_state,
};
use crate::{Result, RlError};

pub const KIND: Kind = Kind {
    name: "grid",
    summary: "walk through four rooms to a place, up, right, down or left",
    paper: "after Sutton, Precup & Singh 1999, doi:10.1016/S0004-3702(99)00052-1",
    constants: &[
        Constant::new("size", 11.0, (5.0, 31.0), "columns and rows"),
        Constant::new("walls", 1.0, (0.0, 1.0), "1 for four rooms, 0 for one"),
        Constant::new("goal_column", 9.0, (0.0, 30.0), "from the left, from 0"),
        Constant::new("goal_row", 1.0, (0.0, 30.0), "from the top, from 0"),
        Constant::new("slip", 0.0, (0.0, 1.0), "share of steps that go aside of where they should"),
        Constant::new("reversed", 0.0, (0.0, 1.0), "1 where left is right and up is down"),
        Constant::new("step_reward", -0.01, (-10.0, 10.0), "of every step"),
        Constant::new("goal_reward", 1.0, (-1000.0, 1000.0), "of getting there, besides"),
        Constant::new("limit", 200.0, (1.0, 1e6), "steps of an episode"),
    ],
    build: |constants| Ok(Box::new(Grid::new(constants)?)),
};

/// Up, right, down, left, as steps of columns and rows.
const DIRECTIONS: [(isize, isize); 4] = [(0, -1), (1, 0), (0, 1), (-1, 0)];

struct Grid {
    spec: Spec,
    size: usize,
    walls: bool,
    goal: (usize, usize),
    slip: f64,
    reversed: bool,
    step_reward: f64,
    goal_reward: f64,
    at: (usize, usize),
    /// Keys what is left to chance in this episode.
    luck: f64,
    steps: u32,
}

impl Grid {
    fn new(constants: &Constants) -> Result<Self> {
        let whole = |name| constants.get(name).map(|v| v.round() as usize);
        let grid = Self {
            spec: Spec {
                name: KIND.name,
                observation: vec![
                    Dimension::new("column", 0.0, 1.0),
                    Dimension::new("row", 0.0, 1.0),
                    Dimension::within("goal_right", 1.0),
                    Dimension::within("goal_down", 1.0),
                    Dimension::new("wall_up", 0.0, 1.0),
                    Dimension::new("wall_right", 0.0, 1.0),
                    Dimension::new("wall_down", 0.0, 1.0),
                    Dimension::new("wall_left", 0.0, 1.0),
                ],
                picture: None,
                actions: Actions::Discrete(vec!["up", "right", "down", "left"]),
                limit: constants.get("limit")? as u32,
                threshold: constants
                    .are_usual(&KIND, &["limit", "goal_reward", "step_reward"])
                    .then_some(0.85),
            },
            size: whole("size")?,
            walls: constants.get("walls")? >= 0.5,
            goal: (whole("goal_column")?, whole("goal_row")?),
            slip: constants.get("slip")?,
            reversed: constants.get("reversed")? >= 0.5,
            step_reward: constants.get("step_reward")?,
            goal_reward: constants.get("goal_reward")?,
            at: (0, 0),
            luck: 0.0,
            steps: 0,
        };
        if !grid.is_free(grid.goal) {
            return Err(RlError::Unusable(format!(
                "`goal_column` {} and `goal_row` {} are in a wall or outside of {} by {}",
                grid.goal.0, grid.goal.1, grid.size, grid.size
            )));
        }
        Ok(grid)
    }

    /// Whether one can stand there. Each of the four walls has its door halfway.
    fn is_free(&self, (column, row): (usize, usize)) -> bool {
        let middle = self.size / 2;
        let is_door = |along: usize| {
            along == middle / 2 || along == middle + 1 + (self.size - middle - 1) / 2
        };
        let wall =
            self.walls && (column == middle && !is_door(row) || row == middle && !is_door(column));
        column < self.size && row < self.size && !wall
    }

    /// The place beside `at`, where one can stand there.
    fn beside(&self, at: (usize, usize), direction: usize) -> Option<(usize, usize)> {
        let (right, down) = DIRECTIONS[direction];
        let place = (at.0.checked_add_signed(right)?, at.1.checked_add_signed(down)?);
        self.is_free(place).then_some(place)
    }
}

impl World for Grid {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, draws: &mut Generator) {
        use rand::RngExt;
        (self.luck, self.steps) = (luck(draws), 0);
        loop {
            self.at = (draws.random_range(0..self.size), draws.random_range(0..self.size));
            if self.is_free(self.at) && self.at != self.goal {
                break;
            }
        }
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let mut direction = choice(action, 4);
        if self.reversed {
            direction = (direction + 2) % 4;
        }
        let drawn = chance(self.luck, self.steps);
        if drawn < self.slip {
            direction = (direction + if drawn < self.slip / 2.0 { 1 } else { 3 }) % 4;
        }
        self.steps += 1;
        self.at = self.beside(self.at, direction).unwrap_or(self.at);
        let terminated = self.at == self.goal;
        let reward = self.step_reward + if terminated { self.goal_reward } else { 0.0 };
        Outcome { reward, terminated }
    }

    fn observe(&self, observation: &mut [f32]) {
        let most = (self.size - 1) as f32;
        let share = |place: usize| place as f32 / most;
        let ahead = |goal: usize, at: usize| (goal as f32 - at as f32) / most;
        let wall = |direction| f32::from(u8::from(self.beside(self.at, direction).is_none()));
        let values = [
            share(self.at.0),
            share(self.at.1),
            ahead(self.goal.0, self.at.0),
            ahead(self.goal.1, self.at.1),
            wall(0),
            wall(1),
            wall(2),
            wall(3),
        ];
        for (seen, value) in observation.iter_mut().zip(values) {
            *seen = value;
        }
    }

    fn state(&self) -> Vec<f64> {
        vec![self.at.0 as f64, self.at.1 as f64, self.luck, self.steps.into()]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let [column, row, luck, steps] = checked(state)?;
        let at = (column as usize, row as usize);
        if !self.is_free(at) {
            return Err(refused_state("a place that is no wall", state));
        }
        (self.at, self.luck, self.steps) = (at, luck, steps as u32);
        Ok(())
    }

    fn draw(&self, into: &mut String) {
        let cell = 58.0 / self.size as f64;
        let (left, top) = (50.0 - 29.0, 1.0);
        let place =
            |(column, row): (usize, usize)| (left + cell * column as f64, top + cell * row as f64);
        into.push_str("<rect class=\"frame\" x=\"21\" y=\"1\" width=\"58\" height=\"58\"/>");
        for row in 0..self.size {
            for column in (0..self.size).filter(|&column| !self.is_free((column, row))) {
                let (x, y) = place((column, row));
                into.push_str(&format!(
                    "<rect class=\"baseline\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{cell:.2}\" height=\"{cell:.2}\"/>"
                ));
            }
        }
        let (x, y) = place(self.goal);
        into.push_str(&format!(
            "<rect class=\"hit\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{cell:.2}\" height=\"{cell:.2}\"/>"
        ));
        let (x, y) = place(self.at);
        into.push_str(&format!(
            "<circle class=\"c1\" cx=\"{:.2}\" cy=\"{:.2}\" r=\"{:.2}\"/>",
            x + cell / 2.0,
            y + cell / 2.0,
            0.38 * cell
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Steps from every place to the goal, by breadth first.
    fn ways(grid: &Grid) -> Vec<u32> {
        let n = grid.size;
        let mut ways = vec![u32::MAX; n * n];
        let mut queue = VecDeque::from([grid.goal]);
        ways[grid.goal.1 * n + grid.goal.0] = 0;
        while let Some(at) = queue.pop_front() {
            for next in (0..4).filter_map(|d| grid.beside(at, d)) {
                if ways[next.1 * n + next.0] == u32::MAX {
                    ways[next.1 * n + next.0] = ways[at.1 * n + at.0] + 1;
                    queue.push_back(next);
                }
            }
        }
        ways
    }

    #[test]
    fn every_room_can_be_left() {
        for size in 5..=31 {
            let settings = [("size".to_owned(), f64::from(size)), ("goal_column".into(), 0.0)];
            let grid = Grid::new(&Constants::of(&KIND, &settings).unwrap()).unwrap();
            let reached = ways(&grid).into_iter().filter(|&w| w < u32::MAX).count();
            let n = grid.size;
            let free = (0..n * n).filter(|i| grid.is_free((i % n, i / n))).count();
            assert_eq!(reached, free, "size {size}");
        }
    }

    #[test]
    fn the_threshold_can_be_reached_by_the_best_policy_and_not_by_chance() {
        let grid = Grid::new(&Constants::of(&KIND, &[]).unwrap()).unwrap();
        let ways: Vec<u32> =
            ways(&grid).into_iter().filter(|w| (1..u32::MAX).contains(w)).collect();
        let best = 1.0 - 0.01 * f64::from(ways.iter().sum::<u32>()) / ways.len() as f64;
        println!("the best policy's mean return is {best:.3}");
        assert!(best > 0.85 && best < 0.95, "{best}");
    }

    #[test]
    fn slips_come_as_often_as_stated_and_go_aside() {
        let settings = [("slip".to_owned(), 0.3), ("walls".into(), 0.0), ("size".into(), 31.0)];
        let mut grid = Grid::new(&Constants::of(&KIND, &settings).unwrap()).unwrap();
        let mut aside = 0;
        for episode in 0..4000 {
            grid.set_state(&[15.0, 15.0, f64::from(episode * 7919), 0.0]).unwrap();
            grid.step(Action::Discrete(1));
            assert_ne!(grid.at, (14, 15), "never backwards");
            aside += u32::from(grid.at.1 != 15);
        }
        let share = f64::from(aside) / 4000.0;
        assert!((share - 0.3).abs() < 0.03, "{share}");
    }
}
