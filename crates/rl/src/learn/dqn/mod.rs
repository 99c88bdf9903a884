//! Deep Q-learning (Mnih et al. 2015, doi:10.1038/nature14236) with CleanRL's settings.
//!
//! One world is stepped; transitions go into a ring of memories, and every tenth step a sample of them
//! moves the network towards r + γ·max Q⁻(s′), where Q⁻ is a copy that is renewed now and then. An
//! episode that is cut at the limit goes on in that maximum; one that ends does not.

mod replay;

use offshoot_random::generator;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::start::Start;
use super::{Entry, Learner, PLACE, Snapshot, Task, array, lessons, log_softmax, step_all};
use crate::network::{Adam, Engine, Nonlinearity, Perceptron, uniform};
use crate::policy::{Acting, Form, Names, Policy, best};
use crate::world::{Lane, Spec, Worlds};
use crate::{Result, RlError};
use replay::Replay;

/// The registry line.
pub const ENTRY: Entry = Entry {
    name: "dqn",
    summary: "values of actions from remembered samples, for a choice of actions",
    paper: "Mnih et al. 2015, doi:10.1038/nature14236",
    begin: |task| Ok(Box::new(Dqn::begin(task)?)),
};

/// Everything that decides a training, beside the world and the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DqnSettings {
    /// Steps in the world.
    pub steps: u64,
    /// Learning rate.
    pub lr: f32,
    /// Transitions that are remembered.
    pub memory: usize,
    /// Discount γ.
    pub gamma: f32,
    /// Steps after which the copy is renewed.
    pub renew: u64,
    /// Transitions of a step of Adam.
    pub batch: usize,
    /// Share of random actions at first, and at last.
    pub explore: [f32; 2],
    /// Part of the steps over which that share falls.
    pub explored: f64,
    /// Steps before the first step of Adam.
    pub warm_up: u64,
    /// Steps between two steps of Adam.
    pub every: u64,
    /// Sizes of the hidden layers.
    pub hidden: Vec<usize>,
}

impl Default for DqnSettings {
    /// CleanRL's `dqn.py` (Huang et al. 2022, JMLR 23(274)).
    fn default() -> Self {
        Self {
            steps: 500_000,
            lr: 2.5e-4,
            memory: 10_000,
            gamma: 0.99,
            renew: 500,
            batch: 128,
            explore: [1.0, 0.05],
            explored: 0.5,
            warm_up: 10_000,
            every: 10,
            hidden: vec![120, 84],
        }
    }
}

/// Steps in one call of [`Learner::update`]: a divisor of what is usual elsewhere.
const CHUNK: u64 = 500;

/// A training with DQN.
pub struct Dqn {
    settings: DqnSettings,
    seed: u64,
    start: Start,
    worlds: Worlds,
    policy: Policy,
    copy: Perceptron,
    engines: [Engine; 2],
    adam: Adam,
    replay: Replay,
    steps: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    steps: u64,
    adam_steps: u64,
    replay: replay::Place,
    worlds: Vec<Lane>,
}

impl Dqn {
    /// Begins with the published settings.
    pub fn begin(task: &Task) -> Result<Self> {
        let mut settings = DqnSettings::default();
        if let Some(steps) = task.steps {
            settings.steps = steps;
            // A shorter training keeps the part of it that only looks around.
            let share = steps as f64 / DqnSettings::default().steps as f64;
            settings.warm_up = (settings.warm_up as f64 * share.min(1.0)) as u64;
        }
        Self::with(task, settings)
    }

    /// Begins with other settings.
    ///
    /// # Errors
    /// For continuous actions, settings that cannot be, and a start that does not fit the world.
    pub fn with(task: &Task, settings: DqnSettings) -> Result<Self> {
        if settings.batch == 0 || settings.memory < settings.batch || settings.every == 0 {
            return Err(RlError::Unusable(format!(
                "a memory of {} transitions cannot give minibatches of {} every {} steps",
                settings.memory, settings.batch, settings.every
            )));
        }
        let worlds = Worlds::new(&task.kind, &task.constants, 1, task.seed)?;
        let names = Names::of(worlds.spec());
        if names.continuous {
            return Err(RlError::Unusable(format!(
                "learner `dqn` chooses among actions, and `{}` takes numbers; `ppo` learns both",
                task.kind.name
            )));
        }
        let policy = match &task.start.policy {
            Some(policy) if policy.form == Form::ActionValues && policy.names == names => {
                policy.clone()
            }
            Some(_) => {
                return Err(RlError::Unusable(format!(
                    "learner `dqn` begins with action values for `{}`; learn the source with `--learner dqn`",
                    task.kind.name
                )));
            }
            None => fresh(worlds.spec(), &settings, task.seed)?,
        };
        let copy = policy.actor.clone();
        let engines = [Engine::new(&policy.actor)?, Engine::new(&copy)?];
        let adam = Adam::new(copy.values().len(), 1e-8);
        let replay = Replay::new(settings.memory, names.observation.len());
        let start = task.start.clone();
        Ok(Self {
            settings,
            seed: task.seed,
            start,
            worlds,
            policy,
            copy,
            engines,
            adam,
            replay,
            steps: 0,
        })
    }

    fn progress(&self) -> f64 {
        self.steps as f64 / self.settings.steps as f64
    }

    /// Share of random actions now.
    fn explore(&self) -> f32 {
        let [first, last] = self.settings.explore;
        // What begins with a policy has looked around already: it explores a tenth as much.
        let first = if self.start.policy.is_some() { 0.1 * first } else { first };
        let part = (self.progress() / self.settings.explored).min(1.0) as f32;
        (first + (last - first) * part).max(last.min(first))
    }

    fn learn(&mut self) -> Result<()> {
        let settings = &self.settings;
        let outputs = self.policy.actor.outputs();
        let mut draws = generator(self.seed, "replay", self.steps, 0);
        let rows: Vec<usize> =
            (0..settings.batch).map(|_| draws.random_range(0..self.replay.len())).collect();
        let drawn = self.replay.gather(&rows);
        let [online, copy] = &mut self.engines;
        let network = &self.policy.actor;
        let targets: Vec<f32> = copy
            .forward(rows.len(), &drawn.next)
            .chunks_exact(outputs)
            .zip(drawn.rewards.iter().zip(&drawn.terminated))
            .map(|(q, (reward, ended))| {
                let ahead = if *ended > 0.0 { 0.0 } else { q[best(q)] };
                reward + settings.gamma * ahead
            })
            .collect();
        let mut slopes = online.forward(rows.len(), &drawn.observations).to_vec();
        let each = slopes.chunks_exact_mut(outputs).zip(drawn.actions.iter().zip(&targets));
        for (row, (action, target)) in each {
            let error = row[*action as usize] - target;
            row.fill(0.0);
            row[*action as usize] = 2.0 * error / rows.len() as f32;
        }
        let progress = self.steps as f64 / settings.steps as f64;
        let imitation = self.start.imitation_at(progress);
        if imitation > 0.0 {
            // Towards the teachers' choices, as logits (Rusu et al. 2016, arXiv:1511.06295).
            let lessons = lessons(&self.start.teachers, &drawn.observations)?;
            let mut log_p = online.forward(rows.len(), &drawn.observations).to_vec();
            log_softmax(outputs, &mut log_p);
            for ((slope, log_p), lesson) in slopes.iter_mut().zip(&log_p).zip(&lessons) {
                *slope += imitation * (log_p.exp() - lesson) / rows.len() as f32;
            }
        }
        let shares = self.start.shares_at(network.layers().len(), progress);
        let first = shares.iter().position(|s| *s > 0.0).unwrap_or(shares.len());
        let mut slope = vec![0.0; network.values().len()];
        online.backward(network, &slopes, first, &mut slope);
        if slope.iter().any(|g| !g.is_finite()) {
            return Err(RlError::Diverged(format!(
                "step {}: a slope is not finite any more",
                self.steps
            )));
        }
        self.adam.step(&mut self.policy.actor, &slope, settings.lr, &shares, 1.0);
        self.engines[0].take(&self.policy.actor, true)
    }

    fn step(&mut self, potential: &mut Option<Acting<'_>>) -> Result<()> {
        let mut draws = generator(self.seed, "act", self.steps, 0);
        let before = self.worlds.observations().to_vec();
        let outputs = self.policy.actor.outputs();
        let explores = draws.random::<f32>() < self.explore();
        let action = match explores {
            true => draws.random_range(0..outputs),
            false => best(self.engines[0].forward(1, &before)),
        };
        let phi = potential.as_mut().map(|p| p.values(&before)[0]);
        step_all(&mut self.worlds, &[action as f32])?;
        let after = self.worlds.stepped()[0];
        let next = match after.finished {
            Some(_) => self.worlds.finals(),
            None => self.worlds.observations(),
        };
        let mut reward = after.reward as f32;
        if let (Some(potential), Some(phi)) = (potential, phi) {
            let ahead = if after.terminated { 0.0 } else { potential.values(next)[0] };
            reward += self.settings.gamma * ahead - phi;
        }
        self.replay.remember(&before, action, reward, after.terminated, next);
        self.steps += 1;
        let Self { settings, steps, .. } = self;
        if *steps > settings.warm_up && *steps >= settings.batch as u64 {
            if steps.is_multiple_of(settings.every) {
                self.learn()?;
            }
            if self.steps.is_multiple_of(self.settings.renew) {
                self.copy = self.policy.actor.clone();
                self.engines[1].take(&self.copy, false)?;
            }
        }
        Ok(())
    }
}

impl Learner for Dqn {
    fn update(&mut self) -> Result<()> {
        let shaping = self.start.potential.clone();
        let mut potential = shaping.as_ref().map(Acting::new).transpose()?;
        let until = (self.steps + CHUNK).min(self.settings.steps);
        while self.steps < until {
            self.step(&mut potential)?;
        }
        Ok(())
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn budget(&self) -> u64 {
        self.settings.steps
    }

    fn is_done(&self) -> bool {
        self.steps >= self.settings.steps
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let mut params = self.policy.params();
        params.insert("copy".into(), array(self.copy.values()));
        params.insert("adam.first".into(), array(&self.adam.first));
        params.insert("adam.second".into(), array(&self.adam.second));
        let place = self.replay.write(&mut params);
        let state = State {
            steps: self.steps,
            adam_steps: self.adam.steps,
            replay: place,
            worlds: self.worlds.state(),
        };
        Snapshot::of(params, &state)
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<()> {
        let state: State = snapshot.state()?;
        self.policy.take(&snapshot.params, PLACE)?;
        snapshot.fill("copy", self.copy.values_mut())?;
        snapshot.fill("adam.first", &mut self.adam.first)?;
        snapshot.fill("adam.second", &mut self.adam.second)?;
        self.adam.steps = state.adam_steps;
        self.replay.read(&snapshot.params, state.replay).map_err(Snapshot::refused)?;
        self.worlds.set_state(&state.worlds)?;
        self.steps = state.steps;
        self.engines[0].take(&self.policy.actor, true)?;
        self.engines[1].take(&self.copy, false)
    }
}

/// Action values drawn as PyTorch draws its layers.
pub(crate) fn fresh(spec: &Spec, settings: &DqnSettings, seed: u64) -> Result<Policy> {
    let names = Names::of(spec);
    let (inputs, outputs) = (names.observation.len(), names.actions.len());
    let mut actor = Perceptron::shaped(inputs, &settings.hidden, outputs, Nonlinearity::Relu)?;
    for layer in 0..actor.layers().len() {
        uniform(&mut actor, layer, &mut generator(seed, "layer", 2, layer as u64));
    }
    let form = Form::ActionValues;
    let (critic, log_std, moments) = (None, Vec::new(), None);
    Ok(Policy { names, form, actor, critic, log_std, moments, unit: 1.0 })
}
