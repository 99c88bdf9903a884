//! Regularisers: what keeps a network that has few labels from learning them by heart.
//!
//! One file a method. A regulariser is a term of the loss, with its gradient by hand; or mixes samples
//! before they enter; or pulls weights. Options are written in brackets: `bss(k=1,eta=0.001)`.

pub(crate) mod bss;
mod co_tuning;
mod cutmix;
mod delta;
mod l2_sp;
mod lwf;
mod mixup;
mod r_drop;

use std::fmt;
use std::str::FromStr;

use offshoot_data::wording::{self, Choice};
use offshoot_nn::Params;

use crate::{Result, TransferError};

/// What a loss term sees of one part of a batch. Gradients are added to, never overwritten.
///
/// A regulariser sees labelled samples alone. A term of alignment ([`crate::align`]) sees samples of the
/// target after them: rows that have no place and no label.
pub struct Step<'a> {
    /// Places of the labelled samples among the training samples; copies of the batch follow each other.
    pub places: &'a [usize],
    /// Their labels.
    pub labels: &'a [u32],
    /// How far training is, from 0 to 1.
    pub progress: f64,
    /// Values of a feature row.
    pub dim: usize,
    /// `[n, dim]`, before dropout.
    pub features: &'a [f32],
    /// Classes.
    pub classes: usize,
    /// `[n, classes]`.
    pub logits: &'a [f32],
    /// What the term's stage gave now, and what the frozen source gives there; empty for terms
    /// without a stage.
    pub stage: [&'a [f32]; 2],
    /// Gradient of the loss with respect to the features.
    pub to_features: &'a mut [f32],
    /// With respect to the logits.
    pub to_logits: &'a mut [f32],
    /// What the head alone learns from in the logits, beyond `to_logits`: what lies below it does not see it.
    pub to_head: &'a mut [f32],
    /// With respect to what the stage gave.
    pub to_stage: &'a mut [f32],
}

/// What a loss term may know of the source before the first step.
pub struct SourceFacts<'a> {
    /// The source's own classifier: weight `[source classes, dim]` and bias.
    pub classifier: Option<(&'a [f32], &'a [f32])>,
    /// Features of the training samples, `[n, dim]`, as the source computes them.
    pub features: &'a [f32],
    /// Their labels.
    pub labels: &'a [u32],
    /// Values of a feature row.
    pub dim: usize,
    /// Classes.
    pub classes: usize,
    /// The head that was fitted on these features: weight `[classes, dim]` and bias.
    pub head: (&'a [f32], &'a [f32]),
    /// The stage whose output is pooled to the features, and its channels.
    pub last_map: Option<(String, usize)>,
    /// Keys random draws.
    pub seed: u64,
    /// The learning rate of tensors that begin at random, as a multiple of the head's.
    pub fresh: f64,
}

/// A tensor of a loss term that learns with the network.
pub struct Own<'a> {
    /// Unique among the terms.
    pub key: &'static str,
    /// Current values.
    pub value: &'a mut Vec<f32>,
    /// Gradient of the last step.
    pub gradient: &'a [f32],
    /// Whether weight decay is usual.
    pub decays: bool,
    /// Its learning rate as a multiple of the head's.
    pub rate: f64,
}

/// A term of the loss.
pub trait LossTerm: Send {
    /// Looks at the source, once before the first step.
    ///
    /// # Errors
    /// Where the source lacks what the term needs.
    fn start(&mut self, source: &SourceFacts<'_>) -> Result<()>;
    /// The stage whose output it compares with the source's, after `start`.
    fn stage(&self) -> Option<String> {
        None
    }
    /// How often each sample is in the batch.
    fn copies(&self) -> usize {
        1
    }
    /// The term's value for this part of the batch; adds its gradient.
    fn add(&mut self, step: &mut Step<'_>) -> f64;
    /// Its own tensors.
    fn own(&mut self) -> Vec<Own<'_>> {
        Vec::new()
    }
}

/// Mixes the samples of a batch: inputs `[n, height, width, channels]` and targets `[n, classes]`.
pub trait Mixing: Send + Sync {
    /// Mixes in place. Each sample keeps at least half of its own target, so that terms which know
    /// one label a sample know the one that counts most. The draws follow from `draw` alone.
    fn mix(&self, input: &mut [f32], sizes: [usize; 3], targets: &mut [f32], draw: Draw);
}

/// What keys a batch's draws.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// Of the run.
    pub seed: u64,
    /// Number of the update.
    pub step: u64,
    /// Number of the part of the batch.
    pub part: u64,
    /// Samples in it.
    pub n: usize,
}

/// What a regulariser is.
pub enum Kind {
    /// A term of the loss.
    Term(Box<dyn LossTerm>),
    /// Mixes samples.
    Mixing(Box<dyn Mixing>),
    /// Pulls weights to where they began: strengths for the network and the head.
    Pull([f64; 2]),
}

/// A regulariser of the registry.
pub struct Regularizer {
    /// The word that a user types.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Its options.
    pub choices: &'static [Choice],
    /// Makes it from the values of its options.
    pub make: fn(&[f64]) -> Kind,
}

/// All regularisers in alphabetical order.
pub fn all() -> &'static [Regularizer] {
    &[
        bss::REGULARIZER,
        co_tuning::REGULARIZER,
        cutmix::REGULARIZER,
        delta::REGULARIZER,
        l2_sp::REGULARIZER,
        lwf::REGULARIZER,
        mixup::REGULARIZER,
        r_drop::REGULARIZER,
    ]
}

/// Regularisers as a user asked for them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec(Vec<(&'static str, Vec<f64>)>);

/// What a user types of an entry, one line about it, and its options.
type Entry = (&'static str, &'static str, &'static [Choice]);

/// Entries of a registry that a user asked for in a list such as `l2-sp,mixup(alpha=0.2)`, each with the values
/// of its options. `what` says what they are, `hint` how to write them.
pub(crate) fn asked(
    text: &str,
    what: &str,
    hint: &str,
    entries: impl Iterator<Item = Entry> + Clone,
) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let calls = wording::calls(text).map_err(|e| TransferError::usage(e, hint))?;
    let mut spec: Vec<(&'static str, Vec<f64>)> = Vec::new();
    for call in calls {
        let found = entries.clone().find(|(name, ..)| *name == call.name);
        let (name, summary, choices) = found.ok_or_else(|| {
            let known: Vec<&str> = entries.clone().map(|(name, ..)| name).collect();
            TransferError::usage(
                format!("unknown {what} `{}`", call.name),
                format!("there are {}", known.join(", ")),
            )
        })?;
        let values = call.values(choices).map_err(|e| TransferError::usage(e, summary))?;
        if spec.iter().any(|(other, _)| *other == name) {
            return Err(TransferError::usage(
                format!("{what} `{name}` is asked for twice"),
                "each can be given once",
            ));
        }
        spec.push((name, values));
    }
    Ok(spec)
}

impl FromStr for Spec {
    type Err = TransferError;
    fn from_str(text: &str) -> Result<Self> {
        let entries = all().iter().map(|entry| (entry.name, entry.summary, entry.choices));
        asked(text, "regulariser", "for instance `l2-sp,mixup(alpha=0.2)`", entries).map(Self)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        f.write_str(if names.is_empty() { "none".into() } else { names.join(",") }.as_str())
    }
}

/// Regularisers at work.
#[derive(Default)]
pub struct Regularizers {
    /// Terms of the loss with their names.
    pub terms: Vec<(&'static str, Box<dyn LossTerm>)>,
    /// Terms that align labelled samples with those of a target.
    pub alignment: Vec<(&'static str, Box<dyn LossTerm>)>,
    /// Mixing of samples: one is drawn for each batch where there are several.
    pub mixing: Vec<Box<dyn Mixing>>,
    /// Strengths with which the network's weights and the head's are pulled.
    pub pull: Option<[f64; 2]>,
}

impl Spec {
    /// Whether this one was asked for.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| *own == name)
    }

    /// Makes what was asked for.
    pub fn make(&self) -> Regularizers {
        let mut made = Regularizers::default();
        for (name, values) in &self.0 {
            let Some(entry) = all().iter().find(|entry| entry.name == *name) else { continue };
            match (entry.make)(values) {
                Kind::Term(term) => made.terms.push((entry.name, term)),
                Kind::Mixing(mixing) => made.mixing.push(mixing),
                Kind::Pull(strength) => made.pull = Some(strength),
            }
        }
        made
    }
}

impl Regularizers {
    /// How often each sample is in the batch.
    pub fn copies(&self) -> usize {
        self.terms.iter().map(|(_, term)| term.copies()).max().unwrap_or(1)
    }

    /// Stages that terms compare, each once.
    pub fn stages(&self) -> Vec<String> {
        let mut stages: Vec<String> = self.terms.iter().filter_map(|(_, t)| t.stage()).collect();
        stages.sort();
        stages.dedup();
        stages
    }

    /// The terms' own tensors.
    pub fn own(&mut self) -> impl Iterator<Item = Own<'_>> {
        self.terms.iter_mut().chain(&mut self.alignment).flat_map(|(_, term)| term.own())
    }

    /// The terms' own tensors, for a checkpoint.
    pub fn state(&mut self) -> Params {
        let own = self.own();
        let array = |own: Own<'_>| {
            let data = own.value.clone();
            (own.key.to_string(), offshoot_nn::Array { shape: vec![data.len()], data: data.into() })
        };
        own.map(array).collect()
    }

    /// Takes over [`Regularizers::state`].
    ///
    /// # Errors
    /// Where a tensor is missing or has another size.
    pub fn restore(&mut self, state: &Params) -> Result<()> {
        for own in self.own() {
            let found = state.get(own.key).filter(|array| array.data.len() == own.value.len());
            let found = found.ok_or_else(|| {
                TransferError::ModelRefused(format!("a checkpoint without a fitting `{}`", own.key))
            })?;
            own.value.copy_from_slice(&found.data);
        }
        Ok(())
    }
}

/// Softmax of a row at a temperature.
pub(crate) fn softmax(row: &[f32], temperature: f64) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> =
        row.iter().map(|&v| (f64::from(v - largest) / temperature).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

/// `T²·KL(teacher ‖ softmax(logits/T))`, which keeps the size of its gradients at every temperature T (Hinton et
/// al. 2015, section 2.1), and its slope by each logit.
pub(crate) fn divergence(
    teacher: &[f64],
    logits: &[f32],
    temperature: f64,
    mut slope: impl FnMut(usize, f64),
) -> f64 {
    let mut loss = 0.0;
    for (class, (t, s)) in teacher.iter().zip(softmax(logits, temperature)).enumerate() {
        if *t > 0.0 {
            loss += t * (t / s.max(f64::MIN_POSITIVE)).ln();
        }
        slope(class, temperature * (s - t));
    }
    temperature * temperature * loss
}

/// `W·row + b` of a classifier `[classes, dim]`, summed in double precision.
pub fn classify(weight: &[f32], bias: &[f32], row: &[f32]) -> Vec<f32> {
    let rows = weight.chunks_exact(row.len().max(1)).zip(bias);
    rows.map(|(w, b)| (dot(w, row) + f64::from(*b)) as f32).collect()
}

/// Eight sums side by side, added in order: quick, and the same bits everywhere.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0f64; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(*a) * f64::from(*b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) * f64::from(*b));
    rest.fold(sums.iter().sum(), |sum, product| sum + product)
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
