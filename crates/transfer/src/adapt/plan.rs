//! What a user asks of `adapt`, as data; also `plan.toml` of its folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::method::{AUTO, check_method, tunes};
use crate::plan::{Method, TrainPlan};
use crate::train::{absolute, check_plan};
use crate::{Result, TransferError, source_free};

/// Share of the source's samples on which the choice is made, where the data names no validation split.
pub const VAL: f64 = 0.2;
/// Share of the source's samples that only say how right the classifier is at home.
pub const TEST: f64 = 0.1;

/// Of [`AdaptPlan::require`]: by how much accuracy must exceed that of the source's classifier.
pub const GAIN: &str = "gain";
/// Of [`AdaptPlan::require`]: what is shipped is not worse than the source's classifier, beyond chance.
pub const NO_HARM: &str = crate::train::evaluate::NO_HARM;
const HIGHER: [&str; 3] = ["accuracy", "macro_f1", GAIN];
const LOWER: [&str; 2] = ["log_loss", "ece"];

/// Which classes the target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Classes {
    /// Those of the source.
    #[default]
    Same,
    /// Some of the source's: those that the source's classifier hardly answers are left out of the adaptation.
    Partial,
    /// Those of the source and others: answers that are too unsure are of no known class.
    Open,
}

impl Classes {
    /// The words that a user types.
    pub const NAMES: [&'static str; 3] = ["same", "partial", "open"];

    /// By its word.
    pub fn find(name: &str) -> Option<Self> {
        [Self::Same, Self::Partial, Self::Open].into_iter().find(|one| one.name() == name)
    }

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Partial => "partial",
            Self::Open => "open",
        }
    }
}

/// `offshoot adapt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptPlan {
    /// A finished run whose network and data are the source; `None` where [`TrainPlan::data`] of `training` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_run: Option<PathBuf>,
    /// Data of the target; `None` where the source's own data holds it as a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
    /// The domain of the source's data that is the target; all others are the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_domain: Option<String>,
    /// `auto`, or the name of a method.
    pub method: String,
    /// Which classes the target has.
    #[serde(default)]
    pub classes: Classes,
    /// Share of the target's samples that are of no class of the source, where that is roughly known and they may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_share: Option<f64>,
    /// Seconds after which no further candidate is begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// Lowest acceptable figures on the target's labels by name (`accuracy`, `macro_f1`, `gain`), or highest
    /// (`log_loss`, `ece`), or `no-harm`.
    #[serde(default)]
    pub require: BTreeMap<String, f64>,
    /// The source's data and network, and how networks are tuned.
    pub training: TrainPlan,
}

impl AdaptPlan {
    /// Refuses a plan that cannot be carried out, before any work.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn check(&self) -> Result<()> {
        check_plan(&self.training)?;
        check_method(&self.method)?;
        self.check_tuning()?;
        self.check_unknown()?;
        match (&self.target, &self.target_domain) {
            (None, None) => Err(TransferError::usage(
                "no target: neither `--target` nor `--target-domain` is given",
                "`--target DATA`, or `--target-domain NAME` where the data names domains",
            )),
            (Some(_), Some(_)) => Err(TransferError::usage(
                "both `--target` and `--target-domain` are given",
                "`--target DATA` for data of its own, `--target-domain NAME` for a domain of the source's data",
            )),
            _ if self.source_run.is_some() && self.target_domain.is_some() => {
                Err(TransferError::usage(
                    "`--target-domain` takes a domain of the source's data, and the source is a run",
                    "name the data itself, or `--target DATA`",
                ))
            }
            _ => self.check_required(),
        }
    }

    /// Refuses a way of tuning where no network would be tuned, and passes and rates where nothing would learn.
    fn check_tuning(&self) -> Result<()> {
        let tuned = tunes(&self.method) || (self.is_auto() && self.time.is_some());
        let given = &self.training.finetune;
        let flags = [("--epochs", given.epochs.is_some()), ("--lr", given.lr.is_some())];
        if let Some((flag, _)) = flags.iter().find(|(_, given)| *given && !tuned) {
            return Err(TransferError::usage(
                format!("`{flag}` is given, and `--method {}` tunes no network", self.method),
                "`--method dann`, `shot` and their like tune it, and `auto` does within `--time`",
            ));
        }
        if self.training.method == Method::PROBE {
            return Ok(());
        }
        let named = format!("`--tuning {}` has nothing to tune", self.training.method.name());
        let aligned = tunes(&self.method) && source_free::find(&self.method).is_none();
        match (self.is_auto(), aligned, self.time) {
            (false, true, _) | (true, _, Some(_)) => Ok(()),
            (true, _, None) => Err(TransferError::usage(
                format!("{named}: `auto` tunes networks within a time only"),
                "`--time 5m`, or a term of alignment such as `--method dann`",
            )),
            (false, false, _) => Err(TransferError::usage(
                format!("{named}: `{}` does not learn from the source's samples", self.method),
                "a term of alignment such as `--method dann` tunes the network",
            )),
        }
    }

    fn check_unknown(&self) -> Result<()> {
        match self.unknown_share {
            Some(_) if self.classes != Classes::Open => Err(TransferError::usage(
                "`--unknown-share` is given, but no sample may be of an unknown class",
                "`--classes open` says that the target has classes that the source does not have",
            )),
            Some(share) if !(0.0..1.0).contains(&share) => Err(TransferError::usage(
                format!("`--unknown-share` is a share from 0 up to 1, got `{share}`"),
                "`--unknown-share 0.1` for about a tenth of the target's samples",
            )),
            _ => Ok(()),
        }
    }

    fn check_required(&self) -> Result<()> {
        let known = [&HIGHER[..], &LOWER, &[NO_HARM]].concat();
        match self.require.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(name) => Err(TransferError::usage(
                format!("unknown metric `{name}`"),
                format!("there are {}", known.join(", ")),
            )),
        }
    }

    /// Whether a figure meets what is required of it.
    pub(super) fn meets(metric: &str, reached: f64, required: f64) -> bool {
        if LOWER.contains(&metric) { reached <= required } else { reached >= required }
    }

    /// Whether the method is left to the choice.
    pub fn is_auto(&self) -> bool {
        self.method == AUTO
    }

    /// The plan as it is kept: whoever resumes it elsewhere finds what it names.
    pub(super) fn resumable(&self, name: String) -> Self {
        let mut plan = self.clone();
        plan.training.name = Some(name);
        plan.training.begun_in = std::env::current_dir().ok();
        plan.training.data = absolute(&plan.training.data);
        plan.source_run = plan.source_run.as_deref().map(absolute);
        plan.target = plan.target.as_deref().map(absolute);
        plan
    }
}
