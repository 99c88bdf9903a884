//! One update: batch, loss, gradients, optimiser.

use std::collections::{BTreeMap, BTreeSet};

use offshoot_nn::cpu::PlanOptions;
use offshoot_nn::cpu::train::CrossEntropy;
use offshoot_nn::{Block, Params};
use offshoot_random::generator;
use offshoot_stats::heads::Head;
use rand::RngExt;

use super::head::{LinearHead, dropout};
use super::inputs::{Inputs, Supply, View};
use super::learner::{Learner, Options};
use super::net::{Brought, Fixed};
use super::optimiser::{Optimiser, Rate};
use super::strategy::{Objective, Phase};
use super::{Setting, contrast};
use crate::Result;
use crate::regularize::{Draw, Regularizers, SourceFacts, Step};

/// Samples by which the sensitivity of groups is measured.
const SENSITIVITY_SAMPLES: usize = 64;

/// Tensors that begin at random would stay there at the low rates of a network that is nearly right.
const FRESH_LR: f64 = 1e-3;

/// A batch on its way.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Places among all samples.
    pub samples: &'a [usize],
    /// Places among the training samples.
    pub places: &'a [usize],
    /// Places of samples of a target, among all samples.
    pub target: &'a [usize],
    /// How they are looked at.
    pub view: View,
    /// Number of the update, which keys its draws.
    pub step: u64,
    /// Share of training that is done.
    pub progress: f64,
}

/// What an update came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Mean loss of the batch before the update, terms included.
    pub loss: f64,
    /// Value of each term.
    pub terms: BTreeMap<String, f64>,
    /// Right answers.
    pub right: usize,
    /// Global norm of the gradient.
    pub norm: f64,
}

impl Outcome {
    /// Whether every number is one.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }
}

/// A learner with what its loss terms compare it with.
pub struct Pupil {
    pub learner: Learner,
    /// The source's frozen part up to the stage that terms compare, and that stage.
    source: Option<(Fixed, String)>,
    /// The source's weights in the learner's order, where weights are pulled to them.
    origin: Option<BTreeMap<String, Vec<f32>>>,
    objective: Objective,
}

impl Setting<'_> {
    /// The learner of a phase, with the weights that `trained` holds.
    pub fn pupil(&self, phase: &Phase, inputs: &Inputs<'_>, trained: &Params) -> Result<Pupil> {
        let mut regularizers = self.regularize.make();
        let linear = LinearHead::of(self.job.probe);
        let dim = self.recipe.feature_dim;
        let features = match regularizers.terms.is_empty() {
            true => Vec::new(),
            false => self.job.extraction.gather(&self.train)?.rows().data().to_vec(),
        };
        let zeros = LinearHead::random(dim, self.classes, 0);
        let head = linear.as_ref().unwrap_or(&zeros);
        let classifier = self.recipe.head.as_ref().and_then(|own| {
            let get = |field| self.source_params()?.get(&format!("{}.{field}", own.key));
            Some((&get("weight")?.data[..], &get("bias")?.data[..]))
        });
        let facts = SourceFacts {
            classifier,
            features: &features,
            labels: &self.labels,
            dim,
            classes: self.classes,
            head: (&head.weight, &head.bias),
            last_map: self.last_map(),
            seed: self.job.plan.seed,
            fresh: (FRESH_LR / phase.lr.max(f64::MIN_POSITIVE)).clamp(1.0, 100.0),
        };
        if let Some(alignment) = self.job.alignment {
            regularizers.alignment = alignment.terms.make();
        }
        for (_, term) in regularizers.terms.iter_mut().chain(&mut regularizers.alignment) {
            term.start(&facts)?;
        }
        if let Some(teacher) = self.job.teacher {
            let term = teacher.term(&self.train);
            regularizers.terms.push((super::distill::NAME, Box::new(term)));
        }
        let taps = regularizers.stages();
        let boundary = self.groups.boundary(&phase.learns).map(str::to_string);
        let source = match taps.first() {
            None => None,
            Some(stage) => {
                let options = PlanOptions {
                    precision: self.precision,
                    from: boundary.filter(|_| inputs.are_activations()),
                    until: Some(stage.clone()),
                    ..PlanOptions::default()
                };
                Some((Fixed::new(self.recipe, &self.params, &options)?, stage.clone()))
            }
        };
        let options = Options {
            recipe: self.recipe,
            groups: &self.groups,
            phase,
            precision: self.precision,
            norm: self.norm,
            drop_path: self.settings.drop_path,
            low_rank: (self.settings.rank, self.settings.alpha),
            from_activations: inputs.are_activations(),
            taps,
            seed: self.job.plan.seed,
        };
        let mut learner = Learner::new(&options, &self.params, self.first_head()?)?;
        let origin = regularizers.pull.map(|_| learner.values());
        learner.regularizers = regularizers;
        let mut whole = self.whole(trained);
        let head = trained.iter().filter(|(key, _)| super::learner::HEAD.contains(&key.as_str()));
        whole.extend(head.map(|(key, array)| (key.clone(), array.clone())));
        learner.load(&whole)?;
        Ok(Pupil { learner, source, origin, objective: phase.objective })
    }

    /// The stage whose output is pooled to the features, and its channels.
    fn last_map(&self) -> Option<(String, usize)> {
        let [.., map, pool] = self.recipe.stages.as_slice() else { return None };
        let pooled = matches!(pool.blocks.as_slice(), [Block::GlobalAvgPool]);
        pooled.then(|| (map.name.to_string(), self.recipe.feature_dim))
    }

    /// The main loss.
    fn cross_entropy(&self) -> CrossEntropy {
        let weights = || super::judge::class_weights(&self.labels, self.classes);
        CrossEntropy {
            label_smoothing: self.settings.label_smoothing as f32,
            class_weights: self.job.plan.class_weights.then(weights),
        }
    }

    /// Forms the gradients of a batch, in parts where the settings ask for it.
    ///
    /// On a thread of the pool: another one would hand each of a thousand shared loops over and sleep until
    /// it is done.
    pub fn gradients(
        &self,
        pupil: &mut Pupil,
        inputs: &Inputs<'_>,
        batch: &Batch<'_>,
    ) -> Result<Outcome> {
        rayon::scope(|_| self.parts(pupil, inputs, batch))
    }

    fn parts(&self, pupil: &mut Pupil, inputs: &Inputs<'_>, batch: &Batch<'_>) -> Result<Outcome> {
        let parts = self.settings.accumulate.min(batch.samples.len()).max(1);
        let each = batch.samples.len().div_ceil(parts);
        let mut outcome = Outcome::default();
        let parted = batch.samples.chunks(each).zip(batch.places.chunks(each));
        for (number, (samples, places)) in parted.enumerate() {
            let of_target = |at: usize| at.min(batch.target.len());
            let first = number * each;
            let target = &batch.target[of_target(first)..of_target(first + samples.len())];
            let part = Batch { samples, places, target, ..*batch };
            let share = samples.len() as f64 / batch.samples.len() as f64;
            self.part(pupil, inputs, &part, number, first, share, &mut outcome)?;
            if parts > 1 {
                pupil.learner.accumulate(share as f32);
            }
        }
        Ok(outcome)
    }

    /// A part of the batch, which begins with its sample `first`.
    #[allow(clippy::too_many_arguments, reason = "one call, and all of it places the part")]
    fn part(
        &self,
        pupil: &mut Pupil,
        inputs: &Inputs<'_>,
        batch: &Batch<'_>,
        number: usize,
        first: usize,
        share: f64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let seed = self.job.plan.seed;
        let classes = self.classes;
        let learner = &mut pupil.learner;
        let mut input = inputs.batch(batch.samples, batch.view)?;
        let mut places = batch.places.to_vec();
        let mixing = &learner.regularizers.mixing;
        let mut targets = (!mixing.is_empty()).then(|| {
            let row = |&place: &usize| {
                let mut row = vec![0.0; classes];
                row[self.labels[place] as usize] = 1.0;
                row
            };
            places.iter().flat_map(row).collect::<Vec<f32>>()
        });
        if let Some(targets) = &mut targets {
            let draw = Draw { seed, step: batch.step, part: number as u64, n: places.len() };
            let mut draws = generator(seed, "which mixing", batch.step, number as u64);
            let which = draws.random_range(0..mixing.len());
            if let (Brought::Values(input), Some(sizes)) = (&mut input, inputs.sizes()) {
                mixing[which].mix(input, sizes, targets, draw);
            }
        }
        input.repeat(learner.regularizers.copies())?;
        for _ in 1..learner.regularizers.copies() {
            places.extend_from_within(..);
            if let Some(targets) = &mut targets {
                targets.extend_from_within(..);
            }
        }
        if !batch.target.is_empty() {
            input.append(&inputs.batch(batch.target, batch.view)?)?;
        }
        // Labelled samples come first.
        let labelled = places.len();
        let n = labelled + batch.target.len();
        let uniform = |branch: usize, sample: usize| -> f32 {
            let key = ((branch as u64) << 32) | (2 * first + sample) as u64;
            generator(seed, "stochastic depth", batch.step, key).random()
        };
        let drops: Option<&dyn Fn(usize, usize) -> f32> =
            if self.settings.drop_path > 0.0 { Some(&uniform) } else { None };
        let features = learner.forward(&input, n, drops)?;
        if pupil.objective == Objective::Pairs {
            return self.pairs(learner, &features, &places, share, outcome);
        }
        let mut seen = features.clone();
        let factors = (self.settings.dropout > 0.0).then(|| {
            dropout(&mut seen, self.settings.dropout, seed, (batch.step << 20) + first as u64)
        });
        let logits = learner.head.forward(&seen);
        let labels: Vec<u32> = places.iter().map(|&place| self.labels[place]).collect();
        let mut of_logits = vec![0.0; logits.len()];
        let main = self.cross_entropy();
        let share_of_logits = 1.0 / self.softness as f32;
        let own = labelled * classes;
        let soft: Vec<f32> = logits[..own].iter().map(|logit| share_of_logits * logit).collect();
        let mut loss = match &targets {
            Some(targets) => main.soft_loss(&soft, targets, classes, &mut of_logits[..own]),
            None => main.loss(&soft, &labels, &mut of_logits[..own]),
        };
        of_logits.iter_mut().for_each(|to| *to *= share_of_logits);
        let mut to_features = vec![0.0; seen.len()];
        let mut of_terms = vec![0.0; seen.len()];
        let mut stage = Vec::new();
        let mut to_stage = Vec::new();
        let mut then = Vec::new();
        if let Some((plan, name)) = &pupil.source {
            stage = learner.stage_output(name, n)?;
            to_stage.resize(stage.len(), 0.0);
            then = plan.run(&input, n)?;
        }
        let dim = self.recipe.feature_dim;
        let mut of_head = vec![0.0; logits.len()];
        let Regularizers { terms, alignment, .. } = &mut learner.regularizers;
        let alignment = alignment.iter_mut().filter(|_| labelled < n).map(|term| (term, n));
        for ((name, term), rows) in terms.iter_mut().map(|term| (term, labelled)).chain(alignment) {
            let of_stage = stage.len() / n * rows;
            let value = term.add(&mut Step {
                places: &places,
                labels: &labels,
                progress: batch.progress,
                dim,
                features: &features[..rows * dim],
                classes,
                logits: &logits[..rows * classes],
                stage: [&stage[..of_stage], &then[..of_stage]],
                to_features: &mut of_terms[..rows * dim],
                to_logits: &mut of_logits[..rows * classes],
                to_head: &mut of_head[..rows * classes],
                to_stage: &mut to_stage[..of_stage],
            });
            *outcome.terms.entry((*name).into()).or_default() += share * value;
            loss += value;
        }
        learner.head.backward(&seen, &of_logits, &of_head, &mut to_features);
        if let Some(factors) = factors {
            to_features.iter_mut().zip(factors).for_each(|(to, factor)| *to *= factor);
        }
        to_features.iter_mut().zip(of_terms).for_each(|(to, term)| *to += term);
        match &pupil.source {
            Some((_, name)) => learner.backward(&to_features, &[(name, &to_stage)])?,
            None => learner.backward(&to_features, &[])?,
        }
        outcome.loss += share * loss;
        outcome.right += right(&logits, classes, &labels[..batch.samples.len()]);
        Ok(())
    }

    /// The gradients of the contrastive loss. The head, which was fitted before this epoch, only counts
    /// right answers.
    fn pairs(
        &self,
        learner: &mut Learner,
        features: &[f32],
        places: &[usize],
        share: f64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let labels: Vec<u32> = places.iter().map(|&place| self.labels[place]).collect();
        let mut to = vec![0.0; features.len()];
        outcome.loss +=
            share * contrast::pairs(features, self.recipe.feature_dim, &labels, &mut to);
        outcome.right += right(&learner.head.forward(features), self.classes, &labels);
        learner.backward(&to, &[])
    }

    /// One update with the rates of `phase`, scaled by `factor`; returns the gradient's global norm.
    pub fn update(
        &self,
        pupil: &mut Pupil,
        optimiser: &mut Optimiser,
        phase: &Phase,
        factor: f64,
        momentum: f64,
    ) -> f64 {
        let lr = |group: usize| phase.lr * factor * phase.rates.get(group).copied().unwrap_or(1.0);
        let pull = pupil.learner.regularizers.pull;
        let rate = |group: usize, decays: bool| {
            let decay = match pull {
                _ if !decays => 0.0,
                Some([_, beta]) if group == self.groups.len() => beta,
                // What is pulled to the source does not decay to zero.
                Some(_) => 0.0,
                None => self.settings.weight_decay,
            };
            Rate { lr: lr(group), decay, momentum, scale: 1.0 }
        };
        rayon::scope(|_| {
            let norm = pupil.learner.update(optimiser, rate, self.settings.clip);
            if let (Some([alpha, _]), Some(origin)) = (pull, &pupil.origin)
                && norm.is_finite()
            {
                pupil.learner.pull(origin, |group| alpha * lr(group));
            }
            norm
        })
    }
}

impl LinearHead {
    /// Of a fitted head, where it is linear.
    fn of(head: &Head) -> Option<Self> {
        match head {
            Head::Linear(linear) => Some(Self::from_linear(linear)),
            _ => None,
        }
    }
}

/// How many rows of `logits` are largest at their label.
fn right(logits: &[f32], classes: usize, labels: &[u32]) -> usize {
    let rows = logits.chunks_exact(classes).zip(labels);
    rows.filter(|(row, label)| best(row) == **label as usize).count()
}

/// The largest value's place; the first of equal ones.
fn best(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = i;
        }
    }
    best
}

/// `‖gradient‖ / ‖weights‖` of each group at the source's weights with the probe's head.
pub fn sensitivity(setting: &Setting<'_>, supply: &Supply<'_>) -> Result<Vec<f64>> {
    let learns: BTreeSet<String> = setting.groups.keys(|_| true);
    let rates = vec![1.0; setting.groups.len() + 1];
    let phase = Phase {
        name: String::new(),
        learns,
        low_rank: false,
        rates,
        lr: 0.0,
        epochs: 1,
        objective: Objective::CrossEntropy,
    };
    let inputs = Inputs::new(supply, None, setting.train.len())?;
    let head = super::learner::head_params(&setting.first_head()?);
    let mut pupil = setting.pupil(&phase, &inputs, &head)?;
    let seed = setting.job.plan.seed;
    let order = offshoot_random::permutation(setting.train.len(), seed, "sensitivity", 0);
    let places: Vec<usize> = order.into_iter().take(SENSITIVITY_SAMPLES).collect();
    let samples: Vec<usize> = places.iter().map(|&place| setting.train[place]).collect();
    let (target, view) = ([].as_slice(), View::Plain);
    let batch = Batch { samples: &samples, places: &places, target, view, step: 0, progress: 0.0 };
    setting.gradients(&mut pupil, &inputs, &batch)?;
    Ok(pupil.learner.sensitivity())
}
