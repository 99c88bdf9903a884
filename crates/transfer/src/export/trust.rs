//! Prediction sets and the alarm beside an exported network: `trust.json` in words and numbers, with its arrays
//! in `trust.safetensors`.
//!
//! What other programs need to use them: `rules` says how a set is formed and when an input is unfamiliar, from
//! the exported network's own outputs and features.

use std::collections::BTreeMap;
use std::path::Path;

use offshoot_nn::Array;
use offshoot_stats::adaptation::Unknown;
use offshoot_stats::heads::{Head, Linear};
use offshoot_weights::Precision;
use serde::{Deserialize, Serialize};

use crate::digest::Sha;
use crate::documents::SCHEMA;
use crate::trained::Trained;
use crate::trust::{Stored, Trust};
use crate::{Result, TransferError, durable};

const FILE: &str = "trust.json";
const ARRAYS: &str = "trust.safetensors";
/// For which thresholds are written out.
const PROMISES: [f64; 4] = [0.8, 0.9, 0.95, 0.99];

/// `trust.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    schema: u32,
    /// Class names in the order of the thresholds.
    classes: Vec<String>,
    /// The exported outputs were divided by it; sets and energies come from outputs before that.
    temperature: f64,
    /// Promise → threshold of each class; `null` where there are too few calibration samples for it.
    thresholds: BTreeMap<String, Vec<Option<f64>>>,
    /// How to use all this.
    rules: Vec<String>,
    /// Scores, detectors and their thresholds, as in a run's `export/config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<Stored>,
    /// Where answers are of no known class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<Unknown>,
    /// sha256 of `trust.safetensors`.
    arrays_sha256: String,
}

/// Writes both files into `out`; nothing where a run has neither sets nor an alarm nor unknown answers.
pub fn write(out: &Path, trained: &Trained) -> Result<()> {
    let trust = trained.trust.as_ref();
    if trust.is_none() && trained.unknown.is_none() {
        return Ok(());
    }
    let (stored, params) = trust.map(|trust| trust.store(trained.dim)).unzip();
    let params = params.unwrap_or_default();
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    durable::write_params(&out.join(ARRAYS), &params, &metadata, Precision::F32)?;
    let known = |threshold: f64| threshold.is_finite().then_some(threshold);
    let of = |promise: f64| {
        let thresholds = trust?.thresholds(promise)?;
        Some((promise.to_string(), thresholds.into_iter().map(known).collect()))
    };
    let document = Document {
        schema: SCHEMA,
        classes: trained.classes.clone(),
        temperature: trained.temperature,
        thresholds: PROMISES.into_iter().filter_map(of).collect(),
        rules: rules(trust, trained.unknown),
        trust: stored,
        unknown: trained.unknown,
        arrays_sha256: Sha::of_file(&out.join(ARRAYS))?.to_string(),
    };
    durable::write_json(&out.join(FILE), &document)
}

/// In the words of someone who has the exported network and these two files.
fn rules(trust: Option<&Trust>, unknown: Option<Unknown>) -> Vec<String> {
    let mut rules = vec![
        "z = temperature * outputs of the exported network; p = softmax(z); x = features before its last layer; an \
         input is unfamiliar where any detector says so; arrays are called familiarity.DETECTOR.NAME"
            .to_owned(),
    ];
    if unknown.is_some() {
        let rule = "with q = softmax(outputs of the exported network), an input is of no known class where -sum(q * log(q)) / \
                    log(number of classes) > unknown.above";
        rules.push(rule.into());
    }
    let Some(trust) = trust else { return rules };
    if let Some(sets) = &trust.sets {
        rules.push(match sets.score() {
            "lac" => "a class belongs to the set of a promise where 1 - p[class] <= \
                      thresholds[promise][class]; null takes every class"
                .into(),
            other => {
                format!("sets use the score `{other}`; the class with the highest p always belongs")
            }
        });
    }
    for (detector, _) in &trust.familiarity.watchers {
        let name = detector.name();
        rules.push(match name {
            "energy" => "energy: the score is -log(sum(exp(z))); unfamiliar above the detector's threshold".into(),
            "diagonal" => "diagonal: the score is the least over known classes of \
                           sqrt(mean(((x - means[class]) * scale)^2)); unfamiliar above the threshold"
                .into(),
            other => format!(
                "{other}: with o = x - means[class], r the last value of precision and d the length of x, the score \
                 is the least over known classes of sqrt((r * sum(o^2) + sum((precision[j] - r) * (directions[j] . \
                 o)^2)) / d); unfamiliar above the threshold"
            ),
        });
    }
    rules
}

/// The exported classifier with what it promises, for a replay of the self-test; `None` where nothing was
/// promised.
///
/// # Errors
/// A refused model where the files changed or do not fit the network.
pub fn open(folder: &Path, weight: &Array, bias: &Array, dim: usize) -> Result<Option<Trained>> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let refused =
        |detail: String| TransferError::ModelRefused(format!("{}: {detail}", path.display()));
    let text = std::fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
    let document: Document = serde_json::from_slice(&text).map_err(|e| refused(e.to_string()))?;
    let arrays = folder.join(ARRAYS);
    if Sha::of_file(&arrays)?.to_string() != document.arrays_sha256 {
        return Err(refused(format!("{ARRAYS} changed since it was exported")));
    }
    let mut params = offshoot_weights::read(&arrays)?.params;
    let take = |name: &str| params.remove(name).map(|array| array.data.into_vec());
    let (classes, temperature) = (document.classes, document.temperature);
    let trust = match document.trust {
        Some(stored) => stored.open(dim, classes.len(), take).map(Some),
        None => Some(None),
    };
    let trust = trust.filter(|_| bias.data.len() == classes.len());
    let trust = trust.ok_or_else(|| refused("it does not fit the network".into()))?;
    let unknown = document.unknown;
    let raw = |values: &[f32]| values.iter().map(|&v| f64::from(v) * temperature).collect();
    let head = Head::Linear(Linear { d: dim, weight: raw(&weight.data), bias: raw(&bias.data) });
    Ok(Some(Trained { classes, dim, head, temperature, trust, unknown }))
}
