//! A network that learns from samples without labels. Its head stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_data::augment::Pipeline;
use offshoot_nn::cpu::PlanOptions;
use offshoot_nn::cpu::train::NormMode;
use offshoot_nn::{Params, Recipe, Role};
use offshoot_stats::Probabilities;

use super::Course;
use crate::align::State;
use crate::fit::groups::Groups;
use crate::fit::head::LinearHead;
use crate::fit::net::{Brought, Fixed, Net, Options};
use crate::fit::optimiser::{Optimiser, Rate};
use crate::{Result, TransferError, precision};

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learns {
    /// Scales and shifts of norms.
    Norms,
    /// All of the network.
    Everything,
}

/// What a batch was answered.
pub struct Answer {
    /// `[n, dim]`.
    pub features: Vec<f32>,
    /// `[n, classes]`.
    pub logits: Vec<f32>,
}

/// A network that learns.
pub struct Pupil<'a> {
    recipe: &'a Recipe,
    before: &'a Params,
    net: Net,
    head: LinearHead,
    optimiser: Optimiser,
    updates: u64,
}

impl<'a> Pupil<'a> {
    /// The network of `course`, whose norms go by the statistics of each batch.
    pub fn new(course: &Course<'a>, learns: Learns, optimiser: &str) -> Result<Self> {
        let Some((recipe, before)) = &course.source.network else {
            return Err(TransferError::usage(
                format!("`{}` has no network that could adapt", course.source.name),
                "methods on features adapt it: `--method coral`",
            ));
        };
        let groups = Groups::new(recipe);
        let keys = match learns {
            Learns::Norms => groups.keys_of(&[Role::NormWeight, Role::NormBias]),
            Learns::Everything => groups.keys(|_| true),
        };
        if keys.is_empty() {
            return Err(TransferError::usage(
                format!("`{}` has no norms that could adapt", course.source.name),
                "`--method shot` changes all of a network",
            ));
        }
        Ok(Self {
            recipe,
            before,
            net: built(course, recipe, before, &keys)?,
            head: course.head(),
            optimiser: Optimiser::new(optimiser),
            updates: 0,
        })
    }

    /// Whether statistics of norms follow the batches.
    pub fn has_statistics(&self) -> bool {
        self.net.moves_statistics()
    }

    /// Answers the samples at `places`; norms go by this batch.
    pub fn answer(&mut self, course: &Course<'_>, places: &[usize]) -> Result<Answer> {
        self.answer_to(&course.target.batch(places)?, places.len())
    }

    /// Answers changed pictures of the samples at `places`; `view` keys the draws.
    pub fn answer_view(
        &mut self,
        course: &Course<'_>,
        places: &[usize],
        pipeline: &Pipeline,
        view: u64,
    ) -> Result<Answer> {
        let seed = course.settings.seed;
        self.answer_to(&course.target.viewed(places, pipeline, seed, view)?, places.len())
    }

    fn answer_to(&mut self, input: &Brought, n: usize) -> Result<Answer> {
        // On a thread of the pool, as in training.
        let features = rayon::scope(|_| self.net.forward(input, n, None))?;
        let logits = self.head.forward(&features);
        Ok(Answer { features, logits })
    }

    /// One update along `of_logits`, the slope of a loss by the logits of the last answer. Returns the gradient's
    /// norm; where that is not finite, nothing changes.
    pub fn learn(&mut self, answer: &Answer, of_logits: &[f32], lr: f64) -> Result<f64> {
        let mut to_features = vec![0.0; answer.features.len()];
        // The head's own gradients are formed, too, and left alone.
        let alone = vec![0.0; of_logits.len()];
        self.head.backward(&answer.features, of_logits, &alone, &mut to_features);
        rayon::scope(|_| {
            self.net.backward(&to_features, &[])?;
            let squares: f64 =
                self.net.learned().map(|t| crate::fit::learner::squares(t.gradient)).sum();
            let norm = squares.sqrt();
            if norm.is_finite() {
                // One batch that the network finds strange must not undo what the others taught it.
                let scale = if norm > CLIP { CLIP / norm } else { 1.0 };
                let rate = Rate { lr, decay: 0.0, momentum: 0.9, scale };
                for tensor in self.net.learned() {
                    self.optimiser.update(&tensor.keys[0], rate, tensor.value, tensor.gradient);
                }
                self.updates += 1;
            }
            Ok(norm)
        })
    }

    /// As it was before the first update, with an optimiser that has seen nothing.
    pub fn reset(&mut self, optimiser: &str) -> Result<()> {
        self.optimiser = Optimiser::new(optimiser);
        self.net.load(self.before)
    }

    /// Takes the norms' statistics of all target samples anew, beside what is left of the source's.
    /// Returns the answers to each batch in the meantime.
    pub fn settle(&mut self, course: &Course<'_>, batches: &[Vec<usize>]) -> Result<Vec<Answer>> {
        self.settle_beside(course.prior(), course, batches)
    }

    /// The same with what the source's statistics count for, in samples.
    pub fn settle_beside(
        &mut self,
        prior: f64,
        course: &Course<'_>,
        batches: &[Vec<usize>],
    ) -> Result<Vec<Answer>> {
        let learned = self.net.trained();
        let statistics = self.before.iter().filter(|(key, _)| is_statistic(key));
        let mut params = learned.clone();
        params.extend(statistics.map(|(key, array)| (key.clone(), array.clone())));
        self.net.load(&params)?;
        let mut seen = prior;
        let mut answers = Vec::with_capacity(batches.len());
        for batch in batches {
            let n = batch.len() as f64;
            seen += n;
            self.net.set_norm_momentum(n / seen);
            answers.push(self.answer(course, batch)?);
        }
        Ok(answers)
    }

    /// What it has become.
    pub fn state(&self) -> State {
        let mut params = self.before.clone();
        params.extend(self.net.trained());
        State {
            params,
            head: self.head.to_linear(),
            updates: self.updates,
            facts: BTreeMap::new(),
            course: Vec::new(),
        }
    }

    /// Features and logits of all samples, each by itself, as a finished run gives them.
    pub fn alone(&self, course: &Course<'_>) -> Result<Answer> {
        alone(course, self.recipe, &self.state().params, &self.head)
    }
}

/// Global norm beyond which a gradient is scaled down.
const CLIP: f64 = 1.0;

fn is_statistic(key: &str) -> bool {
    key.ends_with(".running_mean") || key.ends_with(".running_var")
}

fn built(
    course: &Course<'_>,
    recipe: &Recipe,
    params: &Params,
    learns: &BTreeSet<String>,
) -> Result<Net> {
    let groups = Groups::new(recipe);
    let options = Options {
        precision: precision::of_network(&course.source.facts.precision),
        frozen_until: groups.boundary(learns).map(str::to_string),
        from_activations: false,
        learns,
        norm: NormMode::Batch,
        drop_path: 0.0,
        taps: Vec::new(),
    };
    Net::new(recipe, params, &options)
}

/// Features and logits of all target samples by a network that does not learn.
pub fn alone(
    course: &Course<'_>,
    recipe: &Recipe,
    params: &Params,
    head: &LinearHead,
) -> Result<Answer> {
    let options = PlanOptions {
        precision: precision::of_network(&course.source.facts.precision),
        ..PlanOptions::default()
    };
    let network = Fixed::new(recipe, params, &options)?;
    let mut features = Vec::new();
    let all: Vec<usize> = (0..course.target.len()).collect();
    for places in all.chunks(64) {
        features.extend(network.run(&course.target.batch(places)?, places.len())?);
    }
    let logits = head.forward(&features);
    Ok(Answer { features, logits })
}

/// The source's own answers, before anything.
pub fn before(course: &Course<'_>) -> Result<Answer> {
    let Some((recipe, params)) = &course.source.network else {
        return Err(TransferError::Internal("a source without network adapts".into()));
    };
    alone(course, recipe, params, &course.head())
}

/// The class of each row with the largest logit.
pub fn answers(logits: &[f32], classes: usize) -> Result<Vec<u32>> {
    let logits = logits.iter().map(|&l| f64::from(l)).collect();
    let rows = Probabilities::softmax(classes, logits)
        .ok_or_else(|| TransferError::Internal("logits do not form rows".into()))?;
    Ok((0..rows.n()).map(|i| rows.predicted(i)).collect())
}
