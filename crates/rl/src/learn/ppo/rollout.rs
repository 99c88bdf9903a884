//! Steps in the worlds, and what they are worth.

use offshoot_random::generator;

use super::Ppo;
use super::advantage::advantages;
use super::loss::{log_density, log_softmax};
use crate::Result;
use crate::draw::{categorical, normal};
use crate::learn::start::fading;
use crate::learn::step_all;
use crate::policy::{Acting, Form};

/// Samples of one update, `[horizon, worlds, …]`.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    /// As the network sees them.
    pub observations: Vec<f32>,
    /// As the world gave them; empty where nobody asks.
    pub seen: Vec<f32>,
    /// An index, or numbers as they were drawn, before the world clips them.
    pub actions: Vec<f32>,
    /// Log-probabilities of the actions.
    pub log_p: Vec<f32>,
    /// Of the states.
    pub values: Vec<f32>,
    /// Of the actions.
    pub advantages: Vec<f32>,
}

impl Ppo {
    /// Steps every world `horizon` times.
    pub(super) fn roll_out(&mut self) -> Result<Rollout> {
        let (worlds, horizon) = (self.settings.worlds, self.settings.horizon);
        let samples = worlds * horizon;
        let width = self.policy.actor.inputs();
        let mut draws = generator(self.seed, "act", self.updates, 0);
        let mut rollout = Rollout::default();
        // A potential may change with time, as long as each state is asked at its own (Devlin & Kudenko 2012). Here
        // all states of a roll-out have the weight of its beginning.
        let weight = fading(self.progress());
        let mut potential = match &self.start.potential {
            Some(policy) if weight > 0.0 => Some(Acting::new(policy)?),
            _ => None,
        };
        let keeps_seen = !self.start.teachers.is_empty();
        let (mut rewards, mut next) = (Vec::with_capacity(samples), vec![0.0f32; samples]);
        let mut ended = Vec::with_capacity(samples);
        // Observations whose values are asked for at the end: of episodes that were cut.
        let (mut cut, mut cut_at) = (Vec::new(), Vec::new());
        let mut observations = Vec::new();
        for step in 0..horizon {
            observations.clear();
            observations.extend_from_slice(self.worlds.observations());
            if keeps_seen {
                rollout.seen.extend_from_slice(&observations);
            }
            let before = potential.as_mut().map(|p| p.values(&observations));
            if let Some(moments) = &mut self.policy.moments {
                moments.take(&observations);
                moments.normalise(&mut observations);
            }
            let [actor, critic] = &mut self.engines;
            let (outputs, values) =
                (actor.forward(worlds, &observations), critic.forward(worlds, &observations));
            let first = rollout.actions.len();
            match self.policy.form {
                Form::Gaussian => {
                    let log_std = &self.policy.log_std;
                    for mean in outputs.chunks_exact(log_std.len()) {
                        let drawn: Vec<f32> = mean
                            .iter()
                            .zip(log_std)
                            .map(|(m, log)| m + log.exp() * normal(&mut draws) as f32)
                            .collect();
                        rollout.log_p.push(log_density(&drawn, mean, log_std));
                        rollout.actions.extend_from_slice(&drawn);
                    }
                }
                _ => {
                    let count = self.policy.actor.outputs();
                    let mut logits = outputs.to_vec();
                    log_softmax(count, &mut logits);
                    for row in logits.chunks_exact(count) {
                        let action = categorical(row, &mut draws);
                        rollout.log_p.push(row[action]);
                        rollout.actions.push(action as f32);
                    }
                }
            }
            rollout.observations.extend_from_slice(&observations);
            rollout.values.extend_from_slice(values);
            step_all(&mut self.worlds, &rollout.actions[first..])?;
            let stepped = self.worlds.stepped();
            let last = |world: usize| &self.worlds.finals()[world * width..(world + 1) * width];
            let mut reward: Vec<f32> = stepped.iter().map(|s| s.reward as f32).collect();
            let over: Vec<bool> = stepped.iter().map(|s| s.finished.is_some()).collect();
            let at = step * worlds;
            let mut finals = Vec::new();
            for (world, stepped) in stepped.iter().enumerate() {
                if stepped.truncated {
                    cut.extend_from_slice(last(world));
                    cut_at.push(at + world);
                }
                if over[world] {
                    finals.push((world, stepped.terminated, last(world).to_vec()));
                }
            }
            if let (Some(potential), Some(before)) = (&mut potential, before) {
                // F = γ·Φ(s′) − Φ(s), which leaves the best policies as they are (Ng et al. 1999); an
                // end has no potential.
                let mut after = potential.values(self.worlds.observations());
                for (world, terminated, last) in finals {
                    after[world] = if terminated { 0.0 } else { potential.values(&last)[0] };
                }
                for (reward, (after, before)) in reward.iter_mut().zip(after.iter().zip(before)) {
                    *reward += weight * (self.settings.gamma * after - before);
                }
            }
            if let Some(scale) = &mut self.rewards {
                scale.scale(&mut reward, &over);
            }
            rewards.extend_from_slice(&reward);
            ended.extend_from_slice(&over);
        }
        // What follows a step is the next one's state, but over an end.
        for at in 0..samples - worlds {
            if !ended[at] {
                next[at] = rollout.values[at + worlds];
            }
        }
        let mut rest = self.worlds.observations().to_vec();
        rest.extend_from_slice(&cut);
        if let Some(moments) = &self.policy.moments {
            moments.normalise(&mut rest);
        }
        let values = self.engines[1].forward(rest.len() / width, &rest);
        for (at, value) in (samples - worlds..samples).zip(values) {
            if !ended[at] {
                next[at] = *value;
            }
        }
        for (at, value) in cut_at.iter().zip(&values[worlds..]) {
            next[*at] = *value;
        }
        let known = [&rewards[..], &rollout.values[..], &next[..]];
        rollout.advantages =
            advantages(worlds, known, &ended, self.settings.gamma, self.settings.lambda);
        Ok(rollout)
    }
}
