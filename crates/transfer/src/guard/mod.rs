//! The guard against negative transfer: was the source worth it, and if not, what is shipped instead?
//!
//! Beside what a plan asks for (the source's frozen features, or a network tuned from it), the guard fits
//! what needs no source on the same splits: raw pixels or words, and with [`Guard::Full`] also the same
//! network with random weights, frozen and trained from scratch. What is shipped is chosen on samples that
//! took no part in fitting ([`evidence`], [`choice`]), never on the test split. That one then judges: the
//! gap of Wang et al. 2019 (arXiv:1811.09751), the error with the source minus the error without it, by
//! paired bootstrap ([`gap`]). While a network learns, a run that is provably worse than the probe is
//! stopped ([`sequential`]).

pub mod choice;
pub mod document;
pub mod evidence;
pub mod gap;
pub mod sequential;

use serde::{Deserialize, Serialize};

use crate::{Result, TransferError};

/// How much is measured to guard against a source that hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// Nothing: what was asked for is shipped.
    Off,
    /// Raw pixels or words, with a head that costs a fraction of the source's.
    #[default]
    On,
    /// Also the same network with random weights, frozen and trained from scratch with the same data and
    /// budget, and raw pixels with a head that is chosen as carefully as the source's.
    Full,
}

impl Guard {
    /// The guard called `off`, `on` or `full`.
    ///
    /// # Errors
    /// Wrong usage for any other word.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "full" => Ok(Self::Full),
            other => Err(TransferError::usage(
                format!("unknown guard `{other}`"),
                "there are off, on and full",
            )),
        }
    }

    /// The word that a user types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Full => "full",
        }
    }
}
