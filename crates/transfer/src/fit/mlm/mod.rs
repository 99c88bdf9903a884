//! Adaptive pre-training: an encoder goes on guessing hidden words, on unlabelled texts of the target
//! (Gururangan et al. 2020, arXiv:2004.10964), before anything is learned from labels.
//!
//! The head of the checkpoint decodes where it has one; else the table of words alone does. A part of the
//! texts is held out, with tokens hidden once and for all: the weights that guess them best are kept, and
//! where two epochs make it no better, training ends. Draws are keyed, and checkpoints are those of
//! fine-tuning: a run that was stopped and resumed ends with the same bits.

mod masking;

use std::path::{Path, PathBuf};
use std::time::Instant;

use offshoot_data::{Input, Sample};
use offshoot_nn::cpu::{
    Learned, MASKED_HEAD, MaskedGradients, MaskedHead, TextTrainer, TrainOptions,
};
use offshoot_nn::{Params, Recipe, Role};
use offshoot_tokens::Encoded;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Best, Checkpoint, State, Writing};
use super::judge::Judgement;
use super::learner::squares;
use super::optimiser::{Optimiser, Rate};
use super::schedule::Schedule;
use crate::documents::Adapted;
use crate::encoder::{EncoderFacts, TABLE};
use crate::inputs::Ready;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, precision};
use masking::{Hidden, Masking};

/// Epochs without a lower held-out loss after which training ends.
const PATIENCE: usize = 2;
/// One of so many texts is held out.
const HELD_OUT: usize = 20;
/// Held-out texts at most.
const MOST_HELD_OUT: usize = 1_000;
/// Fewer texts teach nothing that could be judged.
const FEWEST: usize = 8;
const WEIGHT_DECAY: f64 = 0.01;
const CLIP: f64 = 1.0;
const WARMUP: f64 = 0.06;

/// What is adapted to, and how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptMlm {
    /// Unlabelled texts: any table or folder of texts, or a text file with one a line.
    pub texts: PathBuf,
    /// Passes over them at most.
    pub epochs: usize,
    /// Highest learning rate.
    pub lr: f64,
    /// Texts an update.
    pub batch: usize,
}

impl Default for AdaptMlm {
    fn default() -> Self {
        Self { texts: PathBuf::new(), epochs: 3, lr: 5e-5, batch: 32 }
    }
}

impl AdaptMlm {
    /// Refuses settings that make no sense, before any work.
    pub fn check(&self) -> Result<()> {
        let fine = self.epochs > 0 && self.batch > 0 && self.lr > 0.0 && self.lr < 1.0;
        if fine {
            return Ok(());
        }
        Err(TransferError::usage(
            format!("{} epochs at rate {} of {} texts", self.epochs, self.lr, self.batch),
            "--mlm-epochs is a number from 1, --mlm-lr lies between 0 and 1: 5e-5 is usual",
        ))
    }
}

/// What stays the same while an encoder adapts.
struct Course<'a> {
    settings: &'a AdaptMlm,
    place: PathBuf,
    every: f64,
    seed: u64,
    masking: Masking,
    train: Vec<Encoded>,
    held_out: Vec<Hidden>,
    guesses: usize,
    features: usize,
}

/// An encoder and its head, while both learn.
struct Learner {
    trainer: TextTrainer,
    head: MaskedHead,
    /// Key of the table of words.
    table: String,
}

/// Where a run adapts.
pub struct Job<'a> {
    /// What to do.
    pub settings: &'a AdaptMlm,
    /// The run folder.
    pub run: &'a Path,
    /// Seconds between checkpoints.
    pub checkpoint_every: f64,
    /// Keys every draw.
    pub seed: u64,
}

/// Weights of the source's network after it went on guessing hidden words of `texts`; and what came of it.
///
/// # Errors
/// Wrong usage for a source that is no encoder or has no mask; bad data for too few texts;
/// [`TransferError::Stopped`] when the observer asks for it, after a checkpoint is on disk;
/// [`TransferError::Diverged`] where the loss left all bounds.
pub fn adapt(
    job: &Job<'_>,
    source: &Source,
    texts: &[Sample],
    watch: &mut Watch<'_>,
) -> Result<(Params, Adapted)> {
    let encoder = source.texts().filter(|(facts, _)| facts.family != TABLE);
    let (Some((recipe, params)), Some((facts, reader))) = (&source.network, encoder) else {
        return Err(TransferError::usage(
            format!(
                "`{}` is no text encoder with layers, which could guess hidden words",
                source.name
            ),
            "--adapt-mlm takes sources of the BERT family",
        ));
    };
    let masking = Masking::new(reader.tokenizer(), facts.vocabulary)?;
    let encoded: Vec<Encoded> =
        texts.par_iter().filter_map(|sample| encoded(source, &sample.input)).collect();
    if encoded.len() < FEWEST {
        return Err(TransferError::BadData(format!(
            "{}: {} texts to adapt to, at least {FEWEST} are expected",
            job.settings.texts.display(),
            encoded.len()
        )));
    }
    let mut course = Course {
        settings: job.settings,
        place: Checkpoint::inside(job.run, "mlm"),
        every: job.checkpoint_every,
        seed: job.seed,
        masking,
        train: Vec::new(),
        held_out: Vec::new(),
        guesses: 0,
        features: facts.features,
    };
    course.split(encoded)?;
    let mut learner = Learner::new(source, recipe, params, &facts)?;
    let (best, state) = course.run(&mut learner, watch)?;
    let mut whole = params.clone();
    whole.extend(best);
    let judged = |best: Option<Judgement>| best.map_or(f64::NAN, |judged| judged.loss);
    let adapted = Adapted {
        texts: course.train.len() + course.held_out.iter().map(|h| h.batch.len()).sum::<usize>(),
        guesses: course.guesses,
        updates: state.step,
        epochs: state.epochs,
        loss_before: judged(state.first),
        loss_after: judged(state.best.map(|best| best.judged)),
        ended: state.ended.unwrap_or_default(),
        worth: None,
    };
    watch.note(&format!(
        "hidden words: held-out loss {:.3} before and {:.3} after {} updates; {}",
        adapted.loss_before, adapted.loss_after, adapted.updates, adapted.ended
    ))?;
    Ok((whole, adapted))
}

/// A text's tokens; `None` for one that cannot be read or is empty.
fn encoded(source: &Source, input: &Input) -> Option<Encoded> {
    match source.inputs.prepare(input) {
        Ok(Ready::Tokens(tokens)) if tokens.ids.len() > 2 => Some(tokens),
        _ => None,
    }
}

impl Learner {
    fn new(
        source: &Source,
        recipe: &Recipe,
        params: &Params,
        facts: &EncoderFacts,
    ) -> Result<Self> {
        // What follows the pool has no say in guessing words.
        let until = recipe.stages.iter().take_while(|stage| stage.name != "pool");
        let learns = until.flat_map(|stage| recipe.stage_parameters(stage.name)).map(|p| p.key);
        let precision = precision::of_network(&source.facts.precision);
        let options =
            TrainOptions { precision, learns: Some(learns.collect()), ..TrainOptions::default() };
        let trainer = TextTrainer::new(recipe, params, &options)?;
        let head: Params = MASKED_HEAD
            .iter()
            .filter_map(|key| Some(((*key).to_string(), params.get(*key)?.clone())))
            .collect();
        let eps = if facts.family == "roberta" { 1e-5 } else { 1e-12 };
        let sizes = [facts.vocabulary, facts.features];
        let head = MaskedHead::new(&head, sizes, eps, None, precision)?;
        let table = trainer.table().map(|(key, _)| key.to_owned());
        let table = table.ok_or_else(|| {
            TransferError::Internal("an encoder that learns without its table".into())
        })?;
        Ok(Self { trainer, head, table })
    }

    /// Mean loss over the hidden tokens, and their gradients where `learn`.
    fn loss(&mut self, hidden: &Hidden, features: usize, learn: bool) -> Result<f64> {
        let all = self.trainer.forward_tokens(&hidden.batch)?;
        let mut rows = Vec::with_capacity(hidden.places.len() * features);
        for at in &hidden.places {
            rows.extend_from_slice(&all[at * features..][..features]);
        }
        let tokens = all.len();
        let Some((_, table)) = self.trainer.table() else { return Ok(0.0) };
        if !learn {
            return Ok(self.head.loss(table, &rows, &hidden.targets, None)?);
        }
        let (mut to_rows, mut to_table) = (vec![0.0; rows.len()], vec![0.0; table.len()]);
        let gradients = MaskedGradients { rows: &mut to_rows, table: &mut to_table };
        let loss = self.head.loss(table, &rows, &hidden.targets, Some(gradients))?;
        let mut to_tokens = vec![0.0; tokens];
        for (at, row) in hidden.places.iter().zip(to_rows.chunks_exact(features)) {
            to_tokens[at * features..][..features].copy_from_slice(row);
        }
        self.trainer.backward_tokens(&hidden.batch, &to_tokens)?;
        self.trainer.add_to_gradient(&self.table, &to_table)?;
        Ok(loss)
    }

    fn learned(&mut self) -> impl Iterator<Item = Learned<'_>> {
        self.trainer.learned().chain(self.head.learned())
    }

    /// One update; returns the gradient's global norm. Where that is not finite, nothing has changed.
    fn update(&mut self, optimiser: &mut Optimiser, lr: f64) -> f64 {
        let norm = self.learned().map(|tensor| squares(tensor.gradient)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return norm;
        }
        let scale = if norm > CLIP { CLIP / norm } else { 1.0 };
        for tensor in self.learned() {
            let decay = if tensor.role == Role::Weight { WEIGHT_DECAY } else { 0.0 };
            let rate = Rate { lr, decay, momentum: 0.9, scale };
            optimiser.update(&tensor.keys[0], rate, tensor.value, tensor.gradient);
        }
        norm
    }

    fn params(&self) -> Params {
        let mut params = self.trainer.params();
        params.extend(self.head.params());
        params
    }

    fn load(&mut self, params: &Params) -> Result<()> {
        self.trainer.load(params)?;
        Ok(self.head.load(params)?)
    }
}

impl Course<'_> {
    /// Holds texts out and hides their tokens.
    fn split(&mut self, texts: Vec<Encoded>) -> Result<()> {
        let n = texts.len();
        let held = n.div_ceil(HELD_OUT).min(MOST_HELD_OUT);
        let held = offshoot_random::some(n, held, self.seed, "mlm held out", 0);
        let mut out = Vec::new();
        for (number, text) in texts.into_iter().enumerate() {
            if held.binary_search(&number).is_ok() {
                out.push(text);
            } else {
                self.train.push(text);
            }
        }
        for (first, texts) in out.chunks(self.settings.batch).enumerate() {
            let first = first * self.settings.batch;
            let numbered = texts.iter().enumerate().map(|(i, text)| (first + i, text));
            self.held_out.push(self.masking.hide(numbered, self.seed, "mlm held out", 1)?);
        }
        self.guesses = self.held_out.iter().map(|hidden| hidden.targets.len()).sum();
        if self.guesses == 0 {
            return Err(TransferError::BadData("no token of the held-out texts is hidden".into()));
        }
        Ok(())
    }

    /// Mean loss over the hidden tokens of all texts that are held out.
    fn judge(&self, learner: &mut Learner) -> Result<Judgement> {
        let mut sum = 0.0;
        for hidden in self.held_out.iter().filter(|hidden| !hidden.targets.is_empty()) {
            sum += hidden.targets.len() as f64 * learner.loss(hidden, self.features, false)?;
        }
        let loss = sum / self.guesses as f64;
        Ok(Judgement { metric: -loss, loss, temperature: 1.0, calibrated: loss })
    }

    /// Trains from the latest checkpoint, where there is one; returns the best weights.
    fn run(&self, learner: &mut Learner, watch: &mut Watch<'_>) -> Result<(Params, State)> {
        let mut optimiser = Optimiser::new("adamw");
        let mut state = State { lr_scale: 1.0, ..State::default() };
        let mut best = learner.params();
        let (checkpoint, refused) = Checkpoint::latest(&self.place)?;
        for detail in refused {
            watch.warn(format!("a checkpoint is not used: {detail}"))?;
        }
        if let Some(checkpoint) = checkpoint {
            watch.note(&format!("going on after update {}", checkpoint.state.step))?;
            state = checkpoint.state;
            best = checkpoint.best;
            if state.ended.is_some() {
                return Ok((best, state));
            }
            learner.load(&checkpoint.model)?;
            optimiser.restore(checkpoint.optimiser)?;
        } else {
            let judged = self.judge(learner)?;
            state.first = Some(judged);
            state.best = Some(Best { judged, step: 0, epoch: 0 });
        }
        let updates = self.train.len().div_ceil(self.settings.batch);
        let steps = updates * self.settings.epochs;
        let schedule = Schedule { name: "cosine", warmup: WARMUP, steps };
        let mut saved = Instant::now();
        while state.epoch < self.settings.epochs && state.stale < PATIENCE {
            let epoch = state.epoch as u64;
            let order =
                offshoot_random::permutation(self.train.len(), self.seed, "mlm order", epoch);
            while let Some(texts) = order.chunks(self.settings.batch).nth(state.batch) {
                let numbered = texts.iter().map(|&i| (i, &self.train[i]));
                let hidden = self.masking.hide(numbered, self.seed, "mlm hidden", epoch)?;
                if !hidden.targets.is_empty() {
                    let loss = learner.loss(&hidden, self.features, true)?;
                    let lr = self.settings.lr * schedule.factor(state.step as usize);
                    let norm = learner.update(&mut optimiser, lr);
                    if !loss.is_finite() || !norm.is_finite() {
                        return Err(TransferError::Diverged(format!(
                            "guessing hidden words diverged at update {}; a lower --mlm-lr may help",
                            state.step + 1
                        )));
                    }
                }
                state.step += 1;
                state.batch += 1;
                let told = watch.progress(Phase::Adapt, state.step as usize, steps, 0);
                if told.is_err() || saved.elapsed().as_secs_f64() >= self.every {
                    self.save(&state, &learner.params(), &optimiser.state(), &best)?;
                    saved = Instant::now();
                }
                told?;
            }
            state.batch = 0;
            state.epoch += 1;
            state.epochs += 1;
            let judged = self.judge(learner)?;
            watch.note(&format!("epoch {}: held-out loss {:.4}", state.epoch, judged.loss))?;
            if state.best.is_none_or(|best| judged.loss < best.judged.loss) {
                state.best = Some(Best { judged, step: state.step, epoch: state.epochs });
                state.stale = 0;
                best = learner.params();
            } else {
                state.stale += 1;
            }
        }
        state.ended = Some(match state.stale {
            PATIENCE => format!("{PATIENCE} epochs made it no better"),
            _ => "all epochs are done".into(),
        });
        // What follows may be stopped, and this need not be repeated.
        self.save(&state, &Params::new(), &Params::new(), &best)?;
        Ok((best, state))
    }

    fn save(&self, state: &State, model: &Params, optimiser: &Params, best: &Params) -> Result<()> {
        let mut writing = Writing::begin(&self.place)?;
        for (part, params) in [("model", model), ("optimizer", optimiser), ("best", best)] {
            writing.part(part, params)?;
        }
        writing.finish(state, &crate::monitor::History::default())
    }
}
