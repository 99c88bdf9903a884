//! Alignment: terms of the loss that make a network see labelled samples of a source and unlabelled ones of a
//! target alike.
//!
//! One file a method, on top of any backbone and any strategy that tunes. A term sees the features and logits
//! of both halves of a batch; its gradient is by hand. Options are written in brackets: `dann(weight=0.3)`.

mod afn;
mod bsp;
mod cdan;
mod dan;
mod dann;
mod deep_coral;
mod deep_jdot;
mod jan;
mod mcc;
mod mcd;
mod mdd;
mod mmd;
mod perceptron;
mod tuned;

use std::fmt;
use std::str::FromStr;

use offshoot_data::wording::Choice;

use crate::regularize::{LossTerm, Step, asked, softmax};
use crate::{Result, TransferError};
pub use tuned::{Moment, Start, State, tune};

/// Which features are shown the opposite of the gradient, so that they learn to deceive the term's own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adversary {
    /// None: all make the term's value small.
    None,
    /// Those of both domains.
    Both,
    /// Those of the target.
    Target,
}

/// A term of the registry.
pub struct Term {
    /// The word that a user types.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Whether features work against it.
    pub adversary: Adversary,
    /// What counts as constant when its gradient is formed; empty where nothing does.
    pub held: &'static str,
    /// Its options; `weight` is how much it counts beside the labels' 1.
    pub choices: &'static [Choice],
    /// Makes it from the values of its options.
    pub make: fn(&[f64]) -> Box<dyn LossTerm>,
}

/// All terms in alphabetical order.
pub fn all() -> &'static [Term] {
    &[
        afn::TERM,
        bsp::TERM,
        cdan::TERM,
        dan::TERM,
        dann::TERM,
        deep_coral::TERM,
        deep_jdot::TERM,
        jan::TERM,
        mcc::TERM,
        mcd::TERM,
        mdd::TERM,
    ]
}

/// Terms as a user asked for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec(Vec<(&'static str, Vec<f64>)>);

impl FromStr for Spec {
    type Err = TransferError;
    fn from_str(text: &str) -> Result<Self> {
        let entries = all().iter().map(|term| (term.name, term.summary, term.choices));
        let hint = "for instance `dann` or `cdan,bsp(weight=0.001)`";
        match asked(text, "term of alignment", hint, entries)? {
            none if none.is_empty() => Err(TransferError::usage("no term of alignment", hint)),
            spec => Ok(Self(spec)),
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        f.write_str(&names.join(","))
    }
}

impl Spec {
    /// Makes what was asked for.
    pub(crate) fn make(&self) -> Vec<(&'static str, Box<dyn LossTerm>)> {
        let made = |(name, values): &(&'static str, Vec<f64>)| {
            let term = all().iter().find(|term| term.name == *name)?;
            Some((term.name, (term.make)(values)))
        };
        self.0.iter().filter_map(made).collect()
    }
}

/// The usual first option of a term.
const fn weight(default: f64) -> Choice {
    Choice { name: "weight", default, range: [0.0, 1e4] }
}

impl Step<'_> {
    /// Rows of the source, and rows of the target after them.
    fn domains(&self) -> [usize; 2] {
        let source = self.labels.len();
        [source, self.features.len() / self.dim - source]
    }

    /// Softmax of the logits of these rows.
    fn probabilities(&self, rows: std::ops::Range<usize>, temperature: f64) -> Vec<Vec<f64>> {
        let logits = &self.logits[rows.start * self.classes..rows.end * self.classes];
        logits.chunks_exact(self.classes).map(|row| softmax(row, temperature)).collect()
    }
}

/// The slope by logits, from that by their softmax `p` at a temperature, times `factor`, is added to `to`.
fn through_softmax(p: &[f64], slope: &[f64], factor: f64, to: &mut [f32]) {
    let mean: f64 = p.iter().zip(slope).map(|(p, s)| p * s).sum();
    for ((to, p), slope) in to.iter_mut().zip(p).zip(slope) {
        *to += (factor * p * (slope - mean)) as f32;
    }
}

/// `−Σ p·ln p`.
fn entropy(p: &[f64]) -> f64 {
    p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum()
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod training;
