//! `export`: a trained classifier as one network under the names of the usual libraries, and
//! `verify`, which replays the self-test of what was exported.

mod texts;
mod trust;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use offshoot_nn::cpu::{Plan, PlanOptions, TextPlan};
use offshoot_nn::{Array, InputSpec, ModelInput, Params, Recipe, backbones};
use offshoot_stats::heads::Head;
use offshoot_weights::{Precision, Values};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::digest::Sha;
use crate::documents::SCHEMA;
use crate::run::RunFolder;
use crate::source::Source;
use crate::trained::{Preprocessor, SelfTest, Trained};
use crate::watch::Watch;
use crate::{Observer, Phase, Result, TransferError, durable};

const MODEL: &str = "model.safetensors";
const CONFIG: &str = "config.json";
/// The head of a text classifier.
const CLASSIFIER: &str = "classifier.safetensors";
const SELFTEST: &str = "selftest.json";

/// A recipe's counterpart in another library.
struct Counterpart {
    recipe: &'static str,
    /// What timm calls it.
    architecture: &'static str,
    /// From our key to timm's.
    rename: fn(&str) -> String,
}

/// Recipes whose architecture timm has. ResNets and ResNeXt have the same names in torchvision;
/// MobileNetV2's own names are torchvision's.
const COUNTERPARTS: [Counterpart; 9] = [
    same("efficientnet_b0", "efficientnet_b0"),
    same("efficientnet_lite0", "tf_efficientnet_lite0"),
    same("efficientnet_lite1", "tf_efficientnet_lite1"),
    same("efficientnet_lite2", "tf_efficientnet_lite2"),
    Counterpart { recipe: "mobilenet_v2", architecture: "mobilenetv2_100", rename: mobilenet },
    same("resnet18", "resnet18"),
    same("resnet34", "resnet34"),
    same("resnet50", "resnet50"),
    same("resnext50_32x4d", "resnext50_32x4d"),
];

const fn same(recipe: &'static str, architecture: &'static str) -> Counterpart {
    Counterpart { recipe, architecture, rename: |key| key.to_string() }
}

/// From torchvision's names of MobileNetV2 to timm's.
fn mobilenet(key: &str) -> String {
    const REPEATS: [usize; 7] = [1, 2, 3, 4, 3, 3, 1];
    let renamed = || -> Option<String> {
        let (layer, field) = key.rsplit_once('.')?;
        let layer = match layer {
            "features.0.0" => "conv_stem".into(),
            "features.0.1" => "bn1".into(),
            "features.18.0" => "conv_head".into(),
            "features.18.1" => "bn2".into(),
            "classifier.1" => "classifier".into(),
            _ => {
                let (index, part) = layer.strip_prefix("features.")?.split_once(".conv.")?;
                let mut left = index.parse::<usize>().ok()?.checked_sub(1)?;
                let stage = REPEATS.iter().position(|&n| {
                    let here = left < n;
                    left -= if here { 0 } else { n };
                    here
                })?;
                let part = match (index, part) {
                    ("1", "0.0") => "conv_dw",
                    ("1", "0.1") => "bn1",
                    ("1", "1") => "conv_pw",
                    ("1", "2") => "bn2",
                    (_, "0.0") => "conv_pw",
                    (_, "0.1") => "bn1",
                    (_, "1.0") => "conv_dw",
                    (_, "1.1") => "bn2",
                    (_, "2") => "conv_pwl",
                    (_, "3") => "bn3",
                    _ => return None,
                };
                format!("blocks.{stage}.{left}.{part}")
            }
        };
        Some(format!("{layer}.{field}"))
    };
    renamed().unwrap_or_else(|| key.to_string())
}

/// Under whose names a network is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A folder that `timm.create_model("local-dir:FOLDER")` loads; of texts, one that transformers and
    /// sentence-transformers do.
    Hf,
    /// The same files under the names of our recipe.
    Safetensors,
}

/// `offshoot export`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportPlan {
    /// Run folder.
    pub run: PathBuf,
    /// Whose names.
    pub form: Form,
    /// Folder to make.
    pub out: PathBuf,
}

/// The document of `export` and `verify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which command.
    pub command: String,
    /// The run folder, or the exported folder.
    pub run: PathBuf,
    /// Wall time.
    pub seconds: f64,
    /// The folder that was written; `null` in `verify`.
    pub out: Option<PathBuf>,
    /// Our recipe.
    pub recipe: String,
    /// What timm calls the architecture, where its names were used.
    pub architecture: Option<String>,
    /// sha256 of the weights' file.
    pub model_sha256: String,
}

/// What `config.json` says to us; the rest of it is for other libraries.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Own {
    recipe: String,
    head: String,
    preprocessing: String,
    /// Height and width of pictures, where they are not what the recipe's weights were trained with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    model_sha256: String,
    /// Where the head has a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classifier_sha256: Option<String>,
}

/// Writes the classifier of a run: temperature and standardisation are inside its last layer, so a
/// softmax over its outputs gives the run's probabilities. Prediction sets and the alarm lie beside it, in
/// `trust.json` and `trust.safetensors`.
///
/// # Errors
/// Wrong usage for runs without a network or with a head that is not linear, for recipes that the other
/// library does not have, and where the folder exists.
pub fn export(plan: &ExportPlan, observer: &mut dyn Observer) -> Result<ExportReport> {
    let mut watch = Watch::new(observer);
    let (folder, record) = RunFolder::open(&plan.run)?;
    let (trained, mut source) =
        watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    if let Some((recipe, params)) = &source.network {
        // Other libraries compute in f32, so the self-test does.
        let options = PlanOptions::default();
        source.engine = match &recipe.input {
            ModelInput::Picture(_) => Box::new(Plan::new(recipe, params, &options)?),
            ModelInput::Text(_) => Box::new(TextPlan::new(recipe, params, &options)?),
        };
    }
    if !source.parts.is_empty() {
        return Err(TransferError::usage(
            format!(
                "run `{}` rests on {} sources side by side, for which other libraries have no network",
                record.name,
                source.parts.len()
            ),
            "`predict`, `eval` and `explain` use the run as it is, and its `export` folder holds every source, the head and \
             a self-test; for one network, train with one --model",
        ));
    }
    let Some((recipe, params)) = &source.network else {
        return Err(TransferError::usage(
            format!("run `{}` has no network to export", record.name),
            "its classifier is in the run's `export` folder",
        ));
    };
    let Head::Linear(linear) = &trained.head else {
        return Err(TransferError::usage(
            format!("the head of run `{}` is not linear, and no layer of a network", record.name),
            "train with `--head logistic`, `ridge` or `lda`",
        ));
    };
    let counterpart = COUNTERPARTS.iter().find(|c| c.recipe == recipe.name);
    let text = source.texts();
    let counterpart = match plan.form {
        // Text encoders have transformers' names from the start.
        Form::Safetensors => None,
        Form::Hf if text.is_some() => None,
        Form::Hf => Some(counterpart.ok_or_else(|| {
            let known: Vec<&str> = COUNTERPARTS.iter().map(|c| c.recipe).collect();
            TransferError::usage(
                format!(
                    "timm has no architecture for `{}`; it has one for {}",
                    recipe.name,
                    known.join(", ")
                ),
                "`--to safetensors` writes it under its own names",
            )
        })?),
    };
    let scaled = |v: &[f64]| v.iter().map(|v| (v / trained.temperature) as f32).collect::<Values>();
    let classes = trained.classes.len();
    let weight = Array { shape: vec![classes, trained.dim], data: scaled(&linear.weight) };
    let bias = Array { shape: vec![classes], data: scaled(&linear.bias) };
    if plan.out.exists() {
        return Err(TransferError::usage(
            format!("{} is already there", plan.out.display()),
            "`--out` names another folder",
        ));
    }
    watch.phase(Phase::Export, None, |_| {
        // Under its name there is the whole folder or nothing.
        let parent = durable::parent(&plan.out);
        durable::create_dir(parent)?;
        let unfinished = durable::temporary_dir(parent)?;
        let out = unfinished.path().join("export");
        durable::create_dir(&out)?;
        let file = |name: &str| out.join(name);
        match &text {
            Some((facts, inputs)) => texts::write(
                &out,
                texts::Parts {
                    recipe,
                    params,
                    facts,
                    tokenizer: inputs.tokenizer(),
                    preprocessing: inputs.description(),
                    classes: &trained.classes,
                    head: [weight, bias],
                },
            )?,
            None => pictures(&out, recipe, params, &trained, &source, counterpart, [weight, bias])?,
        }
        durable::write_json(&file(SELFTEST), &SelfTest::record(&trained, &source)?)?;
        trust::write(&out, &trained)?;
        let card = folder.file("export/README.md");
        let card = fs::read_to_string(&card).map_err(|e| TransferError::io(card, e))?;
        durable::write(&file("README.md"), exported_card(&card, &out).as_bytes())?;
        durable::rename_dir(&out, &plan.out)
    })?;
    Ok(ExportReport {
        schema: SCHEMA,
        command: "export".into(),
        run: plan.run.clone(),
        seconds: watch.seconds(),
        out: Some(plan.out.clone()),
        recipe: recipe.name.into(),
        architecture: counterpart.map(|c| c.architecture.into()),
        model_sha256: Sha::of_file(&plan.out.join(MODEL))?.to_string(),
    })
}

/// What the files of an exported folder are.
const FILES: [(&str, &str); 11] = [
    (CONFIG, "classes and the network's shape"),
    (MODEL, "the network's weights; a picture network's last layer is the classifier"),
    (
        "classifier.safetensors",
        "of texts: `weight` `[classes, features]` and `bias`, for the sentence vector; temperature and \
         standardisation are inside, so a softmax gives the probabilities",
    ),
    ("tokenizer.json", "how a text becomes the network's input"),
    ("tokenizer_config.json", "the same, for transformers"),
    ("modules.json", "for sentence-transformers: how tokens become one vector"),
    ("sentence_bert_config.json", "for sentence-transformers: how much of a text is read"),
    ("preprocessor_config.json", "how a picture becomes the network's input"),
    ("trust.json", "prediction sets and the alarm for what is unfamiliar"),
    ("trust.safetensors", "arrays of the alarm"),
    (SELFTEST, "an input anyone can make, and the answer to it; `offshoot verify` replays it"),
];

/// The model card of a run, with the files of this folder in place of the run's.
fn exported_card(card: &str, out: &Path) -> String {
    let before = card.split("## Files").next().unwrap_or(card);
    let there = FILES.iter().filter(|(name, _)| out.join(name).exists());
    let list: String = there.map(|(name, what)| format!("- `{name}`: {what}\n")).collect();
    format!("{before}## Files\n\n{list}")
}

/// Writes a network that reads pictures, its head inside, and how pictures become its input.
fn pictures(
    out: &Path,
    recipe: &Recipe,
    params: &Params,
    trained: &Trained,
    source: &Source,
    counterpart: Option<&Counterpart>,
    [weight, bias]: [Array; 2],
) -> Result<()> {
    let head = recipe.head.as_ref().map_or("head", |head| head.key.as_str());
    let mut weights = backbone(recipe, params);
    weights.insert(format!("{head}.weight"), weight);
    weights.insert(format!("{head}.bias"), bias);
    if let Some(counterpart) = counterpart {
        weights = weights.into_iter().map(|(k, a)| ((counterpart.rename)(&k), a)).collect();
    }
    let file = |name: &str| out.join(name);
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    durable::write_params(&file(MODEL), &weights, &metadata, Precision::F32)?;
    let spec = source.pictures()?.spec();
    let own = Own {
        recipe: recipe.name.into(),
        head: counterpart.map_or(head.to_string(), |c| {
            (c.rename)(&format!("{head}.weight")).trim_end_matches(".weight").to_string()
        }),
        preprocessing: source.pictures()?.description(),
        size: source.facts.size,
        model_sha256: Sha::of_file(&file(MODEL))?.to_string(),
        classifier_sha256: None,
    };
    let config = config(&trained.classes, trained.dim, spec, counterpart, &own);
    durable::write_json(&file(CONFIG), &config)?;
    durable::write_json(&file("preprocessor_config.json"), &Preprocessor::new(spec))
}

/// The parameters and statistics of the network without its source's classifier.
fn backbone(recipe: &Recipe, params: &Params) -> Params {
    let wanted = recipe.parameters().into_iter();
    wanted.filter_map(|p| Some((p.key.clone(), params.get(&p.key)?.clone()))).collect()
}

fn config(
    classes: &[String],
    dim: usize,
    spec: &InputSpec,
    counterpart: Option<&Counterpart>,
    own: &Own,
) -> serde_json::Value {
    let channels = spec.channels.count();
    let interpolation = Preprocessor::new(spec).filter();
    let ids = || classes.iter().enumerate();
    let id2label: BTreeMap<String, &String> = ids().map(|(i, n)| (i.to_string(), n)).collect();
    let label2id: BTreeMap<&String, usize> = ids().map(|(i, n)| (n, i)).collect();
    json!({
        "architecture": counterpart.map_or(own.recipe.as_str(), |c| c.architecture),
        "num_classes": classes.len(),
        "num_features": dim,
        "label_names": classes,
        "id2label": id2label,
        "label2id": label2id,
        "pretrained_cfg": {
            "input_size": [channels, spec.size, spec.size],
            "fixed_input_size": false,
            "interpolation": interpolation,
            "crop_pct": spec.crop_fraction.unwrap_or(1.0),
            "crop_mode": if spec.crop_fraction.is_some() { "center" } else { "squash" },
            "mean": spec.mean,
            "std": spec.std,
            "num_classes": classes.len(),
            "label_names": classes,
            "classifier": own.head,
        },
        "offshoot": own,
    })
}

/// Replays the self-test of a run, or of a folder that `export` wrote.
///
/// # Errors
/// A refused model where a file changed or the answers differ.
pub fn verify(path: &Path, observer: &mut dyn Observer) -> Result<ExportReport> {
    let mut watch = Watch::new(observer);
    let mut report = ExportReport {
        schema: SCHEMA,
        command: "verify".into(),
        run: path.into(),
        seconds: 0.0,
        out: None,
        recipe: String::new(),
        architecture: None,
        model_sha256: String::new(),
    };
    let model = if path.join("run.json").is_file() {
        let (folder, record) = RunFolder::open(path)?;
        folder.verify(&record, "")?;
        // Loading replays the self-test.
        watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
        report.recipe = record.model.recipe;
        folder.file("export/model.safetensors")
    } else {
        report.recipe = watch.phase(Phase::Load, None, |_| replay(path))?;
        path.join(MODEL)
    };
    report.model_sha256 = Sha::of_file(&model)?.to_string();
    report.seconds = watch.seconds();
    Ok(report)
}

/// Runs an exported network on its made input; returns its recipe's name.
fn replay(folder: &Path) -> Result<String> {
    let path = folder.join(CONFIG);
    let refused =
        |detail: String| TransferError::ModelRefused(format!("{}: {detail}", path.display()));
    let text = fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
    let config: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| refused(e.to_string()))?;
    let own: Own = serde_json::from_value(config["offshoot"].clone())
        .map_err(|_| refused("not written by `offshoot export`".into()))?;
    if Sha::of_file(&folder.join(MODEL))?.to_string() != own.model_sha256 {
        return Err(refused(format!("{MODEL} changed since it was exported")));
    }
    let (features, weight, bias) = match &own.classifier_sha256 {
        Some(sum) => {
            let path = folder.join(CLASSIFIER);
            if Sha::of_file(&path)?.to_string() != *sum {
                return Err(refused(format!("{CLASSIFIER} changed since it was exported")));
            }
            let mut head = offshoot_weights::read(&path)?.params;
            let source = texts::open(folder)?;
            let mut take = |field: &str| {
                head.remove(field).ok_or_else(|| refused(format!("{CLASSIFIER} has no `{field}`")))
            };
            (SelfTest::features(&source, source.engine.dim())?, take("weight")?, take("bias")?)
        }
        None => {
            let recipe = backbones::find(&own.recipe)?;
            let recipe = match own.size {
                Some(size) => recipe.at_size(size)?,
                None => recipe,
            };
            let mut params = offshoot_weights::read(&folder.join(MODEL))?.params;
            let mut take = |field: &str| {
                let key = format!("{}.{field}", own.head);
                params.remove(&key).ok_or_else(|| refused(format!("the weights have no `{key}`")))
            };
            let (weight, bias) = (take("weight")?, take("bias")?);
            let (params, _) = offshoot_nn::load::load(&recipe, params)?;
            let plan = Plan::new(&recipe, &params, &PlanOptions::default())?;
            let pictures = crate::pictures::Pictures::new(recipe.picture()?.clone());
            let input = SelfTest::input(&pictures, plan.input_shape().len());
            let mut features = vec![0.0; plan.feature_dim()];
            plan.features(&input, 1, &mut features)?;
            (features, weight, bias)
        }
    };
    if weight.data.len() != bias.data.len() * features.len() {
        return Err(refused("its head has another number of features".into()));
    }
    let rows = weight.data.chunks_exact(features.len()).zip(&bias.data);
    let logits: Vec<f64> = rows
        .map(|(w, b)| {
            let dot = w.iter().zip(&features).map(|(w, x)| f64::from(*w) * f64::from(*x));
            dot.sum::<f64>() + f64::from(*b)
        })
        .collect();
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|l| (l - largest).exp()).sum();
    let probabilities: Vec<f64> = logits.iter().map(|l| (l - largest).exp() / sum).collect();
    let test = SelfTest::read(&folder.join(SELFTEST))?;
    test.agrees(&probabilities)?;
    if let Some(trained) = trust::open(folder, &weight, &bias, features.len())? {
        test.trusts(&trained, &features)?;
    }
    Ok(own.recipe)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn exported_names_are_understood_when_they_come_back() {
        for counterpart in &COUNTERPARTS {
            let recipe = backbones::find(counterpart.recipe).unwrap();
            let params = offshoot_nn::init::random_weights(&recipe, 0);
            let renamed: Params =
                params.iter().map(|(k, a)| ((counterpart.rename)(k), a.clone())).collect();
            assert_eq!(renamed.len(), params.len(), "{}", counterpart.recipe);
            let (back, _) = offshoot_nn::load::load(&recipe, renamed).unwrap();
            assert_eq!(back, params, "{}", counterpart.recipe);
        }
    }
}
