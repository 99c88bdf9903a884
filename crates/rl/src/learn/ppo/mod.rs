//! Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), in the details that matter
//! (Huang et al. 2022, "The 37 implementation details of proximal policy optimization").
//!
//! An update steps all worlds `horizon` times, estimates advantages, and passes a few times over the
//! samples in minibatches, whose advantages are normalised. An episode that is cut at the limit goes on
//! in the value of its final observation; one that ends has none.

mod advantage;
mod loss;
#[cfg(test)]
mod reference;
mod rollout;
mod settings;

use offshoot_random::{generator, permutation};
use serde::{Deserialize, Serialize};

use super::start::Start;
use super::{Entry, Learner, Moments, PLACE, RewardScale, Snapshot, Task, array, lessons};
use crate::network::{Adam, Engine, Nonlinearity, Perceptron, clip, orthogonal};
use crate::policy::{Form, Names, Policy};
use crate::world::{Lane, Spec, Worlds};
use crate::{Result, RlError};

pub use loss::Losses;
pub(crate) use loss::log_softmax;
use rollout::Rollout;
pub use settings::PpoSettings;

/// The registry line.
pub const ENTRY: Entry = Entry {
    name: "ppo",
    summary: "policy gradient on fresh samples, for any actions",
    paper: "Schulman et al. 2017, arXiv:1707.06347",
    begin: |task| Ok(Box::new(Ppo::begin(task)?)),
};

/// As CleanRL; PyTorch's own is 1e-8.
const ADAM_EPS: f32 = 1e-5;

/// A training with PPO.
pub struct Ppo {
    settings: PpoSettings,
    seed: u64,
    start: Start,
    worlds: Worlds,
    policy: Policy,
    critic: Perceptron,
    engines: [Engine; 2],
    adams: [Adam; 3],
    rewards: Option<RewardScale>,
    /// Updates so far.
    updates: u64,
    losses: Losses,
}

/// What a snapshot holds beside arrays.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    updates: u64,
    adam_steps: u64,
    moments: Option<Moments>,
    rewards: Option<RewardScale>,
    unit: f64,
    worlds: Vec<Lane>,
}

impl Ppo {
    /// Begins with the published settings of the task's world.
    pub fn begin(task: &Task) -> Result<Self> {
        let spec = task.spec()?;
        let mut settings = PpoSettings::published(&spec);
        if let Some(steps) = task.steps {
            settings.steps = steps;
        }
        Self::with(task, settings)
    }

    /// Begins with other settings.
    ///
    /// # Errors
    /// For settings that cannot be, and for a start that does not fit the world.
    pub fn with(task: &Task, settings: PpoSettings) -> Result<Self> {
        let batch = settings.batch();
        if batch == 0 || settings.minibatches == 0 || batch < settings.minibatches {
            return Err(RlError::Unusable(format!(
                "{} worlds × {} steps cannot be cut into {} minibatches",
                settings.worlds, settings.horizon, settings.minibatches
            )));
        }
        let worlds = Worlds::new(&task.kind, &task.constants, settings.worlds, task.seed)?;
        let policy = match &task.start.policy {
            Some(policy) => inherited(policy, worlds.spec(), &settings, task.seed)?,
            None => fresh(worlds.spec(), &settings, task.seed)?,
        };
        let mut policy = policy;
        let Some(critic) = policy.critic.take() else {
            return Err(RlError::Internal("a policy without a value function".into()));
        };
        let engines = [Engine::new(&policy.actor)?, Engine::new(&critic)?];
        let adams = [policy.actor.values().len(), critic.values().len(), policy.log_std.len()]
            .map(|len| Adam::new(len, ADAM_EPS));
        let rewards = settings
            .normalise
            .then(|| RewardScale::new(settings.worlds, f64::from(settings.gamma)));
        let mut ppo = Self {
            seed: task.seed,
            start: task.start.clone(),
            worlds,
            policy,
            critic,
            engines,
            adams,
            rewards,
            updates: 0,
            losses: Losses::default(),
            settings,
        };
        ppo.show();
        Ok(ppo)
    }

    /// What the last update's loss was.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Makes the policy whole again, for whoever looks at it.
    fn show(&mut self) {
        self.policy.critic = Some(self.critic.clone());
        if let Some(rewards) = &self.rewards {
            self.policy.unit = rewards.unit();
        }
    }

    fn progress(&self) -> f64 {
        self.updates as f64 / self.settings.updates() as f64
    }

    fn learn(&mut self, rollout: &Rollout) -> Result<()> {
        let settings = self.settings.clone();
        let progress = self.progress();
        let lr = if settings.anneal { settings.lr * (1.0 - progress as f32) } else { settings.lr };
        let shares = [
            self.start.shares_at(self.policy.actor.layers().len(), progress),
            // What states are worth is another thing in another world: held fast, values that are wrong by a bias
            // pulled a policy that had solved it away again.
            vec![1.0; self.critic.layers().len()],
        ];
        let imitation = self.start.imitation_at(progress);
        let lessons = match imitation > 0.0 {
            true => Some(lessons(&self.start.teachers, &rollout.seen)?),
            false => None,
        };
        let batch = settings.batch();
        let mut part = Minibatch::default();
        let mut slopes = [
            vec![0.0; self.policy.actor.values().len()],
            vec![0.0; self.critic.values().len()],
            vec![0.0; self.policy.log_std.len()],
        ];
        for epoch in 0..settings.epochs as u64 {
            let number = self.updates * settings.epochs as u64 + epoch;
            let order = permutation(batch, self.seed, "minibatch", number);
            for rows in order.chunks(batch.div_ceil(settings.minibatches)) {
                part.gather(rollout, lessons.as_deref(), rows);
                self.losses =
                    self.step(&mut part, &settings, imitation, &shares, lr, &mut slopes)?;
            }
        }
        Ok(())
    }

    /// One step of Adam on a minibatch.
    fn step(
        &mut self,
        part: &mut Minibatch,
        settings: &PpoSettings,
        imitation: f32,
        shares: &[Vec<f32>; 2],
        lr: f32,
        [by_actor, by_critic, by_log_std]: &mut [Vec<f32>; 3],
    ) -> Result<Losses> {
        let [actor, critic] = &mut self.engines;
        let (policy, values) = (&self.policy, &self.critic);
        let first = |shares: &[f32]| shares.iter().position(|s| *s > 0.0).unwrap_or(shares.len());
        let part = &*part;
        // One after the other: at these sizes a thread is woken for longer than it would work, and seeds
        // keep all cores busy.
        let mut out = actor.forward(part.rows, &part.observations).to_vec();
        let mut losses = part.policy_loss(settings, policy, imitation, &mut out, by_log_std);
        actor.backward(&policy.actor, &out, first(&shares[0]), by_actor);
        let mut out = critic.forward(part.rows, &part.observations).to_vec();
        losses.value = loss::values(settings, &part.values, &part.returns, &mut out);
        out.iter_mut().for_each(|slope| *slope *= settings.value);
        critic.backward(values, &out, first(&shares[1]), by_critic);
        let learns = |network: &Perceptron, shares: &[f32]| match first(shares) {
            layer if layer < shares.len() => network.span(layer).start,
            _ => network.values().len(),
        };
        let scale = clip(
            [
                &by_actor[learns(&policy.actor, &shares[0])..],
                &by_critic[learns(values, &shares[1])..],
                &by_log_std[..],
            ],
            settings.max_norm,
        );
        if !scale.is_finite() {
            return Err(RlError::Diverged(format!(
                "update {}: a slope is not finite any more",
                self.updates
            )));
        }
        let [adam_actor, adam_critic, adam_log_std] = &mut self.adams;
        adam_actor.step(&mut self.policy.actor, by_actor, lr, &shares[0], scale);
        adam_critic.step(&mut self.critic, by_critic, lr, &shares[1], scale);
        adam_log_std.step_values(&mut self.policy.log_std, by_log_std, lr, scale);
        actor.take(&self.policy.actor, true)?;
        critic.take(&self.critic, true)?;
        Ok(losses)
    }
}

impl Learner for Ppo {
    fn update(&mut self) -> Result<()> {
        let rollout = self.roll_out()?;
        self.learn(&rollout)?;
        self.updates += 1;
        self.show();
        Ok(())
    }

    fn steps(&self) -> u64 {
        self.updates * self.settings.batch() as u64
    }

    fn budget(&self) -> u64 {
        self.settings.updates() * self.settings.batch() as u64
    }

    fn is_done(&self) -> bool {
        self.updates >= self.settings.updates()
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let mut params = self.policy.params();
        for (name, adam) in ["actor", "critic", "log_std"].into_iter().zip(&self.adams) {
            params.insert(format!("adam.{name}.first"), array(&adam.first));
            params.insert(format!("adam.{name}.second"), array(&adam.second));
        }
        let state = State {
            updates: self.updates,
            adam_steps: self.adams[0].steps,
            moments: self.policy.moments.clone(),
            rewards: self.rewards.clone(),
            unit: self.policy.unit,
            worlds: self.worlds.state(),
        };
        Snapshot::of(params, &state)
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<()> {
        let state: State = snapshot.state()?;
        self.policy.take(&snapshot.params, PLACE)?;
        if let Some(critic) = &self.policy.critic {
            self.critic = critic.clone();
        }
        for (name, adam) in ["actor", "critic", "log_std"].into_iter().zip(&mut self.adams) {
            for (which, to) in [("first", &mut adam.first), ("second", &mut adam.second)] {
                snapshot.fill(&format!("adam.{name}.{which}"), to)?;
            }
            adam.steps = state.adam_steps;
        }
        self.worlds.set_state(&state.worlds)?;
        self.updates = state.updates;
        self.rewards = state.rewards;
        self.policy.moments = state.moments;
        self.policy.unit = state.unit;
        self.engines[0].take(&self.policy.actor, true)?;
        self.engines[1].take(&self.critic, true)
    }
}

/// A policy drawn anew: orthogonal layers of gain √2, 0.01 before actions, 1 before values.
pub(crate) fn fresh(spec: &Spec, settings: &PpoSettings, seed: u64) -> Result<Policy> {
    let names = Names::of(spec);
    let inputs = names.observation.len();
    let outputs = names.actions.len();
    let shaped =
        |outputs| Perceptron::shaped(inputs, &settings.hidden, outputs, Nonlinearity::Tanh);
    let (mut actor, mut critic) = (shaped(outputs)?, shaped(1)?);
    for (which, network, last) in [(0, &mut actor, 0.01), (1, &mut critic, 1.0)] {
        let count = network.layers().len();
        for layer in 0..count {
            let mut draws = generator(seed, "layer", which, layer as u64);
            let gain = if layer + 1 == count { last } else { 2.0f32.sqrt() };
            orthogonal(network, layer, gain, &mut draws);
        }
    }
    let form = if names.continuous { Form::Gaussian } else { Form::Categorical };
    let log_std = if names.continuous { vec![0.0; outputs] } else { Vec::new() };
    let moments = settings.normalise.then(|| Moments::new(inputs));
    Ok(Policy { names, form, actor, critic: Some(critic), log_std, moments, unit: 1.0 })
}

/// A policy of another world, checked, with all that this learner needs.
fn inherited(policy: &Policy, spec: &Spec, settings: &PpoSettings, seed: u64) -> Result<Policy> {
    policy.fits(spec)?;
    if policy.form == Form::ActionValues {
        return Err(RlError::Unusable(
            "learner `ppo` cannot begin with action values; learn with `dqn`, or imitate them"
                .into(),
        ));
    }
    let mut policy = policy.clone();
    if policy.critic.is_none() {
        policy.critic = fresh(spec, settings, seed)?.critic;
    }
    if settings.normalise && policy.moments.is_none() {
        policy.moments = Some(Moments::new(spec.observation.len()));
    }
    Ok(policy)
}

/// Rows of a roll-out, side by side.
#[derive(Debug, Default)]
struct Minibatch {
    rows: usize,
    observations: Vec<f32>,
    actions: Vec<f32>,
    log_p: Vec<f32>,
    advantages: Vec<f32>,
    values: Vec<f32>,
    returns: Vec<f32>,
    lessons: Option<Vec<f32>>,
}

impl Minibatch {
    fn gather(&mut self, from: &Rollout, lessons: Option<&[f32]>, rows: &[usize]) {
        fn pick(from: &[f32], of: usize, rows: &[usize], to: &mut Vec<f32>) {
            let width = from.len() / of;
            to.clear();
            rows.iter().for_each(|&r| to.extend_from_slice(&from[r * width..(r + 1) * width]));
        }
        let of = from.log_p.len();
        self.rows = rows.len();
        pick(&from.observations, of, rows, &mut self.observations);
        pick(&from.actions, of, rows, &mut self.actions);
        pick(&from.log_p, of, rows, &mut self.log_p);
        pick(&from.advantages, of, rows, &mut self.advantages);
        pick(&from.values, of, rows, &mut self.values);
        self.returns = self.advantages.iter().zip(&self.values).map(|(a, v)| a + v).collect();
        standardise(&mut self.advantages);
        self.lessons = lessons.map(|lessons| {
            let mut picked = Vec::new();
            pick(lessons, of, rows, &mut picked);
            picked
        });
    }

    fn policy_loss(
        &self,
        settings: &PpoSettings,
        policy: &Policy,
        imitation: f32,
        outputs: &mut [f32],
        by_log_std: &mut [f32],
    ) -> Losses {
        let samples = loss::Samples { log_p: &self.log_p, advantages: &self.advantages };
        let towards = self.lessons.as_deref().map(|lessons| (lessons, imitation));
        match policy.form {
            Form::Gaussian => loss::normal(
                settings,
                &policy.log_std,
                &self.actions,
                &samples,
                towards,
                outputs,
                by_log_std,
            ),
            _ => {
                let actions = policy.actor.outputs();
                loss::categorical(settings, actions, &self.actions, &samples, towards, outputs)
            }
        }
    }
}

/// Mean 0 and standard deviation 1, as of a sample.
fn standardise(values: &mut [f32]) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
    let deviation = (squares / (n - 1.0).max(1.0)).sqrt() + 1e-8;
    values.iter_mut().for_each(|v| *v = ((f64::from(*v) - mean) / deviation) as f32);
}
