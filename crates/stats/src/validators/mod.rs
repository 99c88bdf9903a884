//! How good an adapted model is, asked without labels of the target.
//!
//! [`all`] is the registry. More is better for every validator, and values are compared only between models that
//! answer the same rows ([`Evidence`]). None of them can be trusted alone: entropy and soft neighbourhood density
//! are largest where every answer is the same. So collapse has to be looked for first, and several have to be asked.

mod bnm;
mod circular;
mod class_cluster;
mod clusters;
mod dev;
mod devn;
mod distance;
mod entropy;
mod evidence;
mod infomax;
mod inputs;
mod iwv;
mod joint;
mod likelihood;
mod mutual_information;
mod ratio;
mod snd;

pub use evidence::Evidence;
pub use inputs::Inputs;
pub use ratio::density_ratio;

use crate::{Result, StatsError};

/// A validator of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Validator {
    /// The word that a user reads and the key in JSON.
    pub name: &'static str,
    /// One line for a list.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    score: fn(&Evidence<'_>) -> Result<f64>,
}

impl Validator {
    /// The score of a model; more is better.
    ///
    /// # Errors
    /// Decompositions that do not converge, and a score that is not finite.
    pub fn of(&self, evidence: &Evidence<'_>) -> Result<f64> {
        let value = (self.score)(evidence)?;
        if value.is_finite() {
            return Ok(value);
        }
        Err(StatsError::Unusable(format!("`{}` is {value} of these answers", self.name)))
    }
}

/// All validators in alphabetical order.
pub fn all() -> &'static [Validator] {
    &[
        bnm::VALIDATOR,
        circular::VALIDATOR,
        class_cluster::VALIDATOR,
        dev::VALIDATOR,
        devn::VALIDATOR,
        distance::VALIDATOR,
        entropy::VALIDATOR,
        infomax::VALIDATOR,
        iwv::VALIDATOR,
        joint::VALIDATOR,
        likelihood::VALIDATOR,
        snd::VALIDATOR,
    ]
}

/// The validator called `name`.
pub fn find(name: &str) -> Option<&'static Validator> {
    all().iter().find(|validator| validator.name == name)
}
