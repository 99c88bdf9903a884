//! Acting.

use offshoot_random::Generator;

use super::{Form, Policy};
use crate::Result;
use crate::draw::{categorical, normal};
use crate::learn::log_softmax;
use crate::network::Engine;

/// A policy at work: packed networks and what they need.
#[derive(Debug)]
pub struct Acting<'a> {
    policy: &'a Policy,
    actor: Engine,
    critic: Option<Engine>,
    rows: Vec<f32>,
}

impl<'a> Acting<'a> {
    /// Readies `policy`.
    pub fn new(policy: &'a Policy) -> Result<Self> {
        let actor = Engine::new(&policy.actor)?;
        let critic = policy.critic.as_ref().map(Engine::new).transpose()?;
        Ok(Self { policy, actor, critic, rows: Vec::new() })
    }

    /// Logits, means or action values `[rows, outputs]` for observations as the world gives them.
    pub fn outputs(&mut self, observations: &[f32]) -> &[f32] {
        let rows = self.take(observations);
        self.actor.forward(rows, &self.rows)
    }

    /// Discounted returns of the observations `[rows]`, in the world's own rewards.
    pub fn values(&mut self, observations: &[f32]) -> Vec<f32> {
        let rows = self.take(observations);
        let unit = self.policy.unit as f32;
        match &mut self.critic {
            Some(critic) => critic.forward(rows, &self.rows).iter().map(|v| v * unit).collect(),
            None => {
                let outputs = self.policy.actor.outputs();
                let values = self.actor.forward(rows, &self.rows).chunks_exact(outputs);
                values.map(|q| unit * q.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect()
            }
        }
    }

    /// Probabilities of actions, or means of normal ones, `[rows, outputs]`: what a student is taught.
    /// Action values become probabilities at `temperature` times their spread over the actions.
    pub fn lessons(&mut self, observations: &[f32], temperature: f32) -> Vec<f32> {
        let form = self.policy.form;
        let outputs = self.policy.actor.outputs();
        let mut lessons = self.outputs(observations).to_vec();
        if form == Form::ActionValues {
            for row in lessons.chunks_exact_mut(outputs) {
                let mean = row.iter().sum::<f32>() / outputs as f32;
                let spread = row.iter().map(|q| (q - mean).abs()).sum::<f32>() / outputs as f32;
                let unit = temperature * spread.max(1e-6);
                row.iter_mut().for_each(|q| *q = (*q - mean) / unit);
            }
        }
        if form != Form::Gaussian {
            log_softmax(outputs, &mut lessons);
            lessons.iter_mut().for_each(|l| *l = l.exp());
        }
        lessons
    }

    /// The best actions for `observations` by the policy itself: an index a row, or a row of numbers.
    pub fn greedy(&mut self, observations: &[f32], into: &mut Vec<f32>) {
        into.clear();
        let (form, outputs) = (self.policy.form, self.policy.actor.outputs());
        let given = self.outputs(observations);
        match form {
            Form::Gaussian => into.extend_from_slice(given),
            _ => into.extend(given.chunks_exact(outputs).map(|row| best(row) as f32)),
        }
    }

    /// Actions drawn from the policy; those of action values are the best ones but for a share `explore`.
    pub fn drawn(
        &mut self,
        observations: &[f32],
        explore: f32,
        draws: &mut Generator,
        into: &mut Vec<f32>,
    ) {
        use rand::RngExt;
        into.clear();
        let outputs = self.policy.actor.outputs();
        let policy = self.policy;
        let mut given = self.outputs(observations).to_vec();
        match policy.form {
            Form::Gaussian => {
                for row in given.chunks_exact(outputs) {
                    for (mean, log) in row.iter().zip(&policy.log_std) {
                        into.push(mean + log.exp() * normal(draws) as f32);
                    }
                }
            }
            Form::Categorical => {
                log_softmax(outputs, &mut given);
                for row in given.chunks_exact(outputs) {
                    into.push(categorical(row, draws) as f32);
                }
            }
            Form::ActionValues => {
                for row in given.chunks_exact(outputs) {
                    let any = draws.random_range(0..outputs);
                    let explores = draws.random::<f32>() < explore;
                    into.push(if explores { any } else { best(row) } as f32);
                }
            }
        }
    }

    /// Puts observations, normalised where the policy wants it, into `rows`; how many there are.
    fn take(&mut self, observations: &[f32]) -> usize {
        self.rows.clear();
        self.rows.extend_from_slice(observations);
        if let Some(moments) = &self.policy.moments {
            moments.normalise(&mut self.rows);
        }
        observations.len() / self.policy.actor.inputs()
    }
}

/// The first of the largest.
pub(crate) fn best(row: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}
