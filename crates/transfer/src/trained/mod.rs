//! A trained classifier: head, temperature, and how far from the training data an input is.
//!
//! What is evaluated is what is exported: a linear head is rounded to the `f32` values that
//! `export/model.safetensors` holds before anything is measured with it. Heads of other forms are
//! written as `export/head.json`.

mod selftest;

use std::collections::BTreeMap;
use std::path::Path;

use offshoot_nn::{Array, InputSpec, Interpolation, Params};
use offshoot_stats::adaptation::Unknown;
use offshoot_stats::calibrate;
use offshoot_stats::heads::{Head, Linear};
use offshoot_stats::{Probabilities, Rows};
use offshoot_weights::Precision;
use serde::{Deserialize, Serialize};

use crate::documents::SCHEMA;
use crate::inputs::Inputs;
use crate::run::RunFolder;
use crate::run::record::{ModelFacts, RunState};
use crate::source::{self, Source};
use crate::trust::{Stored, Trust};
use crate::{Result, TransferError, durable};
pub use selftest::SelfTest;

/// Backbones up to this size are carried in the run folder.
const CARRIED_BYTES: u64 = 64 << 20;
const CONFIG: &str = "export/config.json";
const MODEL: &str = "export/model.safetensors";
const HEAD: &str = "export/head.json";
/// Inside `export/`.
const CARRIED: &str = "backbone.safetensors";
/// Inside `export/`.
const PREPROCESSOR: &str = "preprocessor_config.json";
const SELFTEST: &str = "export/selftest.json";

/// A head on raw features, ready to use.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// A label is an index into them.
    pub classes: Vec<String>,
    /// Length of a feature row.
    pub dim: usize,
    /// From features to probabilities.
    pub head: Head,
    /// Logits are divided by it.
    pub temperature: f64,
    /// Prediction sets, and how far is far; absent where nobody will ask.
    pub trust: Option<Trust>,
    /// Which calibrated answers are of no known class; absent where every sample has one.
    pub unknown: Option<Unknown>,
}

/// `export/config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Config {
    schema: u32,
    model_type: String,
    head: String,
    seed: u64,
    backbone: ModelFacts,
    /// The file with the backbone's weights, where the run carries them.
    backbone_file: Option<String>,
    id2label: BTreeMap<String, String>,
    label2id: BTreeMap<String, u32>,
    temperature: f64,
    /// Prediction sets and the unfamiliar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<Stored>,
    /// Which answers are of no known class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<Unknown>,
    /// Distances above it are unfamiliar, in runs from before there were sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unfamiliar_above: Option<f32>,
}

/// `export/preprocessor_config.json`, in the words of Hugging Face image processors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preprocessor {
    do_resize: bool,
    size: BTreeMap<&'static str, usize>,
    /// Pillow's number of the filter: 2 bilinear, 3 bicubic.
    resample: u32,
    crop_pct: Option<f32>,
    do_rescale: bool,
    rescale_factor: f64,
    do_normalize: bool,
    image_mean: Vec<f32>,
    image_std: Vec<f32>,
    num_channels: usize,
}

impl Preprocessor {
    /// Of a network's input.
    pub fn new(spec: &InputSpec) -> Self {
        Self {
            do_resize: true,
            size: BTreeMap::from([("height", spec.size), ("width", spec.size)]),
            resample: match spec.interpolation {
                Interpolation::Bilinear => 2,
                Interpolation::Bicubic => 3,
            },
            crop_pct: spec.crop_fraction,
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: spec.mean.clone(),
            image_std: spec.std.clone(),
            num_channels: spec.channels.count(),
        }
    }

    /// The filter's name.
    pub fn filter(&self) -> &'static str {
        if self.resample == 2 { "bilinear" } else { "bicubic" }
    }
}

impl Trained {
    /// Calibrated probabilities, `[n, classes]`.
    pub fn probabilities(&self, rows: Rows<'_>) -> Result<Probabilities> {
        Ok(calibrate::soften(&self.head.predict(rows)?, self.temperature))
    }

    /// Writes `export/`.
    pub fn save(&self, folder: &RunFolder, source: &Source, head: &str, seed: u64) -> Result<()> {
        let carried = save_source(source, &folder.file("export"))?;
        let names = || self.classes.iter().enumerate();
        let (stored, mut params) = match &self.trust {
            Some(trust) => {
                let (stored, params) = trust.store(self.dim);
                (Some(stored), params)
            }
            None => (None, Params::new()),
        };
        folder.write_json(
            CONFIG,
            &Config {
                schema: SCHEMA,
                model_type: "offshoot-probe".into(),
                head: head.into(),
                seed,
                backbone: source.facts.clone(),
                backbone_file: carried.then(|| CARRIED.into()),
                id2label: names().map(|(i, name)| (i.to_string(), name.clone())).collect(),
                label2id: names().map(|(i, name)| (name.clone(), i as u32)).collect(),
                temperature: self.temperature,
                trust: stored,
                unknown: self.unknown,
                unfamiliar_above: None,
            },
        )?;
        let array = |rows: usize, data: &[f32]| Array {
            shape: if rows == 0 { vec![data.len()] } else { vec![rows, data.len() / rows] },
            data: data.to_vec().into(),
        };
        match &self.head {
            Head::Linear(linear) => {
                let narrow =
                    |values: &[f64]| -> Vec<f32> { values.iter().map(|&v| v as f32).collect() };
                let weight = array(self.classes.len(), &narrow(&linear.weight));
                params.insert("head.weight".into(), weight);
                params.insert("head.bias".into(), array(0, &narrow(&linear.bias)));
            }
            other => folder.write_json(HEAD, other)?,
        }
        let metadata = BTreeMap::from([
            ("format".to_string(), "pt".to_string()),
            ("backbone_sha256".to_string(), source.facts.weights_sha256.clone()),
        ]);
        durable::write_params(&folder.file(MODEL), &params, &metadata, Precision::F32)?;
        folder.write_json(SELFTEST, &SelfTest::record(self, source)?)
    }

    /// Reads `export/`, refuses files that are not what the run wrote, and opens the source. The
    /// self-test must give what it gave when the run was written.
    pub fn load(
        folder: &RunFolder,
        record: &crate::run::record::RunRecord,
    ) -> Result<(Self, Source)> {
        if !record.has_classifier() && record.state == RunState::Complete {
            return Err(TransferError::usage(
                format!("run `{}` is of `{}` and holds no classifier", record.name, record.command),
                "`offshoot train DATA` makes one that does",
            ));
        }
        if !record.has_classifier() {
            return Err(TransferError::usage(
                format!("run `{}` is not complete", record.name),
                format!("`offshoot runs resume {}` goes on with it", record.name),
            ));
        }
        folder.verify(record, "export/")?;
        let path = folder.file(CONFIG);
        let text = std::fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
        let refused =
            |detail: String| TransferError::ModelRefused(format!("{}: {detail}", path.display()));
        let config: Config = serde_json::from_slice(&text).map_err(|e| refused(e.to_string()))?;
        let classes: Option<Vec<String>> = (0..config.id2label.len())
            .map(|i| config.id2label.get(&i.to_string()).cloned())
            .collect();
        let classes = classes.ok_or_else(|| refused("`id2label` has gaps".into()))?;
        let dim = config.backbone.dim;
        let mut params = offshoot_weights::read(&folder.file(MODEL))?.params;
        let mut take = |name: &str, length: Option<usize>| {
            let array = params.remove(name).filter(|a| length.is_none_or(|n| a.data.len() == n));
            array.map(|a| a.data.into_vec()).ok_or_else(|| {
                TransferError::ModelRefused(format!(
                    "{}: no fitting `{name}`",
                    folder.file(MODEL).display()
                ))
            })
        };
        let head = folder.file(HEAD);
        let head = if head.exists() {
            let text = std::fs::read(&head).map_err(|e| TransferError::io(&head, e))?;
            serde_json::from_slice(&text)
                .map_err(|e| TransferError::ModelRefused(format!("{}: {e}", head.display())))?
        } else {
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
            Head::Linear(Linear {
                d: dim,
                weight: wide(take("head.weight", classes.len().checked_mul(dim))?),
                bias: wide(take("head.bias", Some(classes.len()))?),
            })
        };
        if head.d() != dim || head.n_classes() != classes.len() {
            return Err(refused("its head has another number of features or classes".into()));
        }
        let take = |name: &str| take(name, None).ok();
        let trust = match (config.trust, config.unfamiliar_above) {
            (Some(stored), _) => stored.open(dim, classes.len(), take).map(Some),
            (None, Some(threshold)) => Stored::before_sets(dim, threshold, take).map(Some),
            (None, None) => Some(None),
        };
        let trust = trust.ok_or_else(|| refused("`trust` and its arrays do not fit".into()))?;
        let (temperature, unknown) = (config.temperature, config.unknown);
        let trained = Self { dim, head, temperature, trust, unknown, classes };
        let carried = folder.file("export").join(CARRIED);
        let source = source::reopen(&config.backbone, config.seed, &carried)?;
        SelfTest::read(&folder.file(SELFTEST))?.check(
            &trained,
            &source,
            &config.backbone.precision,
        )?;
        Ok((trained, source))
    }
}

/// Writes what a source needs besides the program, into the folder `export`: its weights where nobody else has
/// them, and how samples become its input. Each of several sources has a folder of its own. Returns whether the
/// weights of one source are there.
fn save_source(source: &Source, export: &Path) -> Result<bool> {
    durable::create_dir(export)?;
    match &source.inputs {
        Inputs::Pictures(pictures) => {
            let preprocessor = Preprocessor::new(pictures.spec());
            durable::write_json(&export.join(PREPROCESSOR), &preprocessor)?;
        }
        Inputs::Texts(texts) => {
            let json = texts.tokenizer().json();
            durable::write(&export.join(source::TOKENIZER), json.as_bytes())?;
        }
        Inputs::Several(_) => {
            for (i, part) in source.parts.iter().enumerate() {
                save_source(&part.source, &source::part_folder(export, i))?;
            }
            return Ok(false);
        }
    }
    // Tuned weights are nowhere else.
    let tuned = source.facts.tuned_from_sha256.is_some();
    let found = [source::DEFAULT, source::WORDS].contains(&source.name.as_str())
        || source.name.starts_with("random:");
    let limit = if tuned { u64::MAX } else { CARRIED_BYTES };
    Ok((tuned || !found) && source::carry(source, &export.join(CARRIED), limit)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_a_softmax_at_the_temperature() {
        let trained = Trained {
            classes: vec!["a".into(), "b".into()],
            dim: 1,
            head: Head::Linear(Linear { d: 1, weight: vec![2.0, 0.0], bias: vec![0.0, 1.0] }),
            temperature: 2.0,
            trust: None,
            unknown: None,
        };
        // Logits (2, 1), halved: odds e^0.5.
        let p = trained.probabilities(Rows::new(1, 1, &[1.0]).unwrap()).unwrap();
        let p = p.row(0);
        assert!((p[0] / p[1] - 0.5f64.exp()).abs() < 1e-12 && (p[0] + p[1] - 1.0).abs() < 1e-12);
    }
}
