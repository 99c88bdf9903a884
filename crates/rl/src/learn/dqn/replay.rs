//! A ring of remembered transitions.

use offshoot_weights::{Array, Params};
use serde::{Deserialize, Serialize};

/// Transitions, the oldest of which is forgotten first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Replay {
    most: usize,
    place: Place,
    /// `[most, observation]`, and what followed.
    observations: Vec<f32>,
    next: Vec<f32>,
    /// `[most]` each.
    actions: Vec<f32>,
    rewards: Vec<f32>,
    terminated: Vec<f32>,
}

/// How full the ring is and where it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    len: usize,
    head: usize,
}

/// Transitions side by side.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub observations: Vec<f32>,
    pub next: Vec<f32>,
    pub actions: Vec<f32>,
    pub rewards: Vec<f32>,
    pub terminated: Vec<f32>,
}

impl Replay {
    /// An empty ring of `most` transitions with observations of `width` values.
    pub fn new(most: usize, width: usize) -> Self {
        let (wide, thin) = (vec![0.0; most * width], vec![0.0; most]);
        Self {
            most,
            place: Place::default(),
            observations: wide.clone(),
            next: wide,
            actions: thin.clone(),
            rewards: thin.clone(),
            terminated: thin,
        }
    }

    pub fn len(&self) -> usize {
        self.place.len
    }

    pub fn remember(
        &mut self,
        observation: &[f32],
        action: usize,
        reward: f32,
        terminated: bool,
        next: &[f32],
    ) {
        let (at, width) = (self.place.head, observation.len());
        self.observations[at * width..(at + 1) * width].copy_from_slice(observation);
        self.next[at * width..(at + 1) * width].copy_from_slice(next);
        self.actions[at] = action as f32;
        self.rewards[at] = reward;
        self.terminated[at] = if terminated { 1.0 } else { 0.0 };
        self.place.head = (at + 1) % self.most;
        self.place.len = (self.place.len + 1).min(self.most);
    }

    pub fn gather(&self, rows: &[usize]) -> Drawn {
        let width = self.observations.len() / self.most;
        let mut drawn = Drawn::default();
        for &row in rows {
            let span = row * width..(row + 1) * width;
            drawn.observations.extend_from_slice(&self.observations[span.clone()]);
            drawn.next.extend_from_slice(&self.next[span]);
            drawn.actions.push(self.actions[row]);
            drawn.rewards.push(self.rewards[row]);
            drawn.terminated.push(self.terminated[row]);
        }
        drawn
    }

    fn lists(&mut self) -> [(&'static str, &mut Vec<f32>); 5] {
        [
            ("replay.observations", &mut self.observations),
            ("replay.next", &mut self.next),
            ("replay.actions", &mut self.actions),
            ("replay.rewards", &mut self.rewards),
            ("replay.terminated", &mut self.terminated),
        ]
    }

    /// Adds what is remembered to `params`.
    pub fn write(&self, params: &mut Params) -> Place {
        for (key, list) in self.clone().lists() {
            let data = std::mem::take(list);
            params.insert(key.into(), Array { shape: vec![data.len()], data: data.into() });
        }
        self.place
    }

    /// Takes back what [`Self::write`] wrote.
    pub fn read(&mut self, params: &Params, place: Place) -> Result<(), String> {
        if place.len > self.most || place.head >= self.most {
            return Err(format!("a memory of {} of {} transitions", place.len, self.most));
        }
        for (key, list) in self.lists() {
            match params.get(key).filter(|array| array.data.len() == list.len()) {
                Some(array) => list.copy_from_slice(&array.data),
                None => return Err(format!("`{key}` does not fit")),
            }
        }
        self.place = place;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut replay = Replay::new(3, 2);
        for i in 0..4 {
            let seen = [i as f32, 0.5];
            replay.remember(&seen, i, 10.0 * i as f32, i == 3, &[i as f32 + 1.0, 0.5]);
        }
        assert_eq!(replay.len(), 3);
        let drawn = replay.gather(&[0, 1, 2]);
        assert_eq!(drawn.actions, [3.0, 1.0, 2.0]);
        assert_eq!(drawn.terminated, [1.0, 0.0, 0.0]);
        assert_eq!(drawn.next, [4.0, 0.5, 2.0, 0.5, 3.0, 0.5]);
    }

    #[test]
    fn a_memory_comes_back_as_it_was() {
        let mut replay = Replay::new(4, 1);
        (0..6).for_each(|i| replay.remember(&[i as f32], 0, 1.0, false, &[0.0]));
        let mut params = Params::new();
        let place = replay.write(&mut params);
        let mut other = Replay::new(4, 1);
        other.read(&params, place).unwrap();
        assert_eq!(other, replay);
        assert!(Replay::new(5, 1).read(&params, place).is_err());
    }
}
