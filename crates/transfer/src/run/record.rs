//! `run.json`: what a run was made of and what came out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::adapt::document::AdaptReport;
use crate::digest::Sha;
use crate::documents::{Estimate, Figures, SCHEMA, TrainReport};
use crate::encoder::EncoderFacts;
use crate::{Phase, Result, TransferError, machine};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Begun; if no process works on it, it was killed and can be resumed.
    Running,
    /// Stopped by the user; can be resumed.
    Stopped,
    /// Ended by an error, which `log.txt` names.
    Failed,
    /// Everything is written.
    Complete,
}

/// What the data was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DataFacts {
    /// Shown to the user.
    pub name: String,
    /// sha256 of `data/manifest.csv`, which names every sample, its content and its split.
    pub manifest_sha256: String,
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Split → number of samples used.
    pub splits: BTreeMap<String, usize>,
    /// Samples that could not be read.
    pub unreadable: usize,
}

/// What the features came from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelFacts {
    /// As the user named it.
    pub name: String,
    /// Architecture.
    pub recipe: String,
    /// sha256 of the weights.
    pub weights_sha256: String,
    /// SPDX expression, where it is known.
    pub licence: Option<String>,
    /// Length of a feature vector.
    pub dim: usize,
    /// Everything about preprocessing that decides the features.
    pub preprocessing: String,
    /// In which the network computed: `f32`, `bf16x3` or `bf16`.
    #[serde(default = "f32")]
    pub precision: String,
    /// Height and width of pictures, where they are not what the weights were trained with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// sha256 of the weights that tuning began with, where the run tuned them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned_from_sha256: Option<String>,
    /// What there is to know of a text encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderFacts>,
    /// What stands side by side, where there are several sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartFacts>,
}

impl ModelFacts {
    /// Of everything that features follow from. What the network computes in is left out, and what it is called:
    /// another machine, or another folder, may go on.
    pub fn sha(&self) -> Result<Sha> {
        let bare =
            |facts: &Self| Self { name: String::new(), precision: String::new(), ..facts.clone() };
        let mut facts = bare(self);
        facts.parts.iter_mut().for_each(|part| part.model = bare(&part.model));
        let text = serde_json::to_string(&facts)
            .map_err(|e| TransferError::Internal(format!("facts of a source: {e}")))?;
        Ok(Sha::of_texts(&[&text]))
    }

    /// The architecture in a word, or those of several sources.
    pub fn architecture(&self) -> String {
        match self.parts.as_slice() {
            [] => self.recipe.clone(),
            parts => {
                parts.iter().map(|part| part.model.recipe.as_str()).collect::<Vec<_>>().join(" + ")
            }
        }
    }
}

/// One of several sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartFacts {
    /// As of a source by itself.
    pub model: ModelFacts,
    /// What its features are multiplied by.
    pub scale: f32,
}

/// What runs computed in before they could choose.
fn f32() -> String {
    crate::precision::F32.into()
}

/// Wall time of one phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhaseSeconds {
    /// Which.
    pub phase: Phase,
    /// Wall time.
    pub seconds: f64,
}

/// What the run really took, beside [`Estimate`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Peak resident memory of the process, bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Size of the run folder, bytes.
    pub disk_bytes: u64,
    /// Wall time.
    pub seconds: f64,
}

/// The whole of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`crate::documents::SCHEMA`].
    pub schema: u32,
    /// The run folder's name.
    pub name: String,
    /// How far it is.
    pub state: RunState,
    /// `train`, `demo`, `adapt` or `transfer-report`.
    pub command: String,
    /// UTC, RFC 3339.
    pub created: String,
    /// Version of this program.
    pub version: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Threads used; the results do not depend on them.
    pub threads: usize,
    /// Keys every random draw.
    pub seed: u64,
    /// The data.
    pub data: DataFacts,
    /// The source.
    pub model: ModelFacts,
    /// Why this source, where a ranking chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_chosen: Option<String>,
    /// sha256 of what the run was begun with, by what it is: who resumes it with something else is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub begun_with: BTreeMap<String, String>,
    /// Regularisation strength that cross-validation chose, where the head has one.
    pub lambda: Option<f64>,
    /// The temperature that logits are divided by.
    pub temperature: Option<f64>,
    /// Which samples the exported head was fitted on, in words.
    pub fitted_on: String,
    /// Wall times in order.
    pub phases: Vec<PhaseSeconds>,
    /// What was expected before the run began.
    pub estimate: Option<Estimate>,
    /// What it took.
    pub usage: Usage,
    /// Path inside the run folder → sha256. A file that differs was changed after the run.
    pub files: BTreeMap<String, String>,
    /// The document that the command printed.
    pub report: Option<TrainReport>,
    /// The same, of a run that adapts to a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptation: Option<AdaptReport>,
}

impl RunRecord {
    /// Whether a classifier can be loaded from the run.
    pub fn has_classifier(&self) -> bool {
        self.report.is_some() || self.adaptation.is_some()
    }

    /// How its model was transferred, and figures of what it was judged on, where there are any.
    pub fn outcome(&self) -> (Option<&str>, Option<&Figures>) {
        match (&self.report, &self.adaptation) {
            (Some(report), _) => (Some(&report.method), Some(&report.figures)),
            (None, Some(report)) => (Some(&report.method), report.target_figures.as_ref()),
            (None, None) => (None, None),
        }
    }

    /// Notes what a run was begun with. What it learnt from that is kept while it is unfinished, so it must not be
    /// another thing when the run is resumed.
    ///
    /// # Errors
    /// [`TransferError::Usage`] where it is.
    pub fn pin(&mut self, what: &str, sha: Sha) -> Result<()> {
        let now = sha.to_string();
        let then = self.begun_with.entry(what.into()).or_insert_with(|| now.clone());
        if *then == now {
            return Ok(());
        }
        Err(TransferError::usage(
            format!("{what} changed since run `{}` was begun", self.name),
            "put back what there was, or begin another run",
        ))
    }

    /// This record of a run that goes on, with what must stay of the earlier one.
    pub fn after(self, earlier: &Self) -> Self {
        let (created, begun_with) = (earlier.created.clone(), earlier.begun_with.clone());
        Self { created, begun_with, ..self }
    }

    /// Of a run that begins now.
    pub fn begun(
        name: String,
        command: &str,
        seed: u64,
        data: DataFacts,
        model: ModelFacts,
    ) -> Self {
        Self {
            schema: SCHEMA,
            name,
            state: RunState::Running,
            command: command.into(),
            created: machine::now(),
            version: env!("CARGO_PKG_VERSION").into(),
            platform: machine::platform(),
            threads: rayon::current_num_threads(),
            seed,
            data,
            model,
            model_chosen: None,
            begun_with: BTreeMap::new(),
            lambda: None,
            temperature: None,
            fitted_on: String::new(),
            phases: Vec::new(),
            estimate: None,
            usage: Usage::default(),
            files: BTreeMap::new(),
            report: None,
            adaptation: None,
        }
    }
}
