//! Which source to transfer from: scores of a source's features on labelled samples of the target, without
//! training the network.
//!
//! [`all`] is the registry. More is better for every score. A score compares sources on the *same* samples; its
//! value means little by itself. No score depends on the order of the samples, on what the classes are called, or
//! on the number of threads.

mod evidence;
mod gbc;
mod hscore;
mod knn;
mod leep;
mod logme;
mod loo;
mod mixture;
mod nce;
mod nleep;
mod parc;
mod probe;
mod spectrum;
mod standing;
mod transrate;

pub use evidence::Evidence;
pub use standing::{Contender, intervals, places};

use crate::{Result, StatsError};

/// A score of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// The word that a user types and the key in JSON.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Whether it reads the answers of the source's own classifier.
    pub needs_source: bool,
    compute: fn(&Evidence<'_>) -> Result<f64>,
}

impl Score {
    /// The score of a source; more is better.
    ///
    /// # Errors
    /// Answers of the source's classifier that are needed and missing, and numbers that leave the range of `f64`.
    pub fn of(&self, evidence: &Evidence<'_>) -> Result<f64> {
        if self.needs_source && evidence.source().is_none() {
            return Err(StatsError::Unusable(format!(
                "`{}` needs the source's own classifier, and there is none",
                self.name
            )));
        }
        let value = (self.compute)(evidence)?;
        if value.is_finite() {
            return Ok(value);
        }
        Err(StatsError::Unusable(format!("`{}` is {value} on these features", self.name)))
    }
}

/// All scores in alphabetical order.
pub fn all() -> &'static [Score] {
    &[
        gbc::SCORE,
        hscore::SCORE,
        knn::SCORE,
        leep::SCORE,
        logme::SCORE,
        loo::SCORE,
        nce::SCORE,
        nleep::SCORE,
        parc::SCORE,
        probe::SCORE,
        transrate::SCORE,
    ]
}

/// The score called `name`.
pub fn find(name: &str) -> Option<&'static Score> {
    all().iter().find(|score| score.name == name)
}
