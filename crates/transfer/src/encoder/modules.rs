//! What `modules.json` of sentence-transformers (Reimers & Gurevych 2019) says.

use std::path::{Path, PathBuf};

use offshoot_nn::backbones::encoder::Top;
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::{Array, Params};
use serde_json::Value;

use super::files::{inside, json};
use super::{ACTS, DenseFacts, MAX_DENSE};
use crate::{Result, TransferError};

/// The list of modules, read.
pub(super) struct Modules {
    /// The encoder's folder, where it has one of its own.
    pub base: Option<PathBuf>,
    /// There is a `modules.json`.
    pub is_text: bool,
    /// The first module is a table of words.
    pub is_table: bool,
    /// So many of the last layers' outputs are averaged.
    pub averaged: usize,
    pub pool: TokenPool,
    pub dense: Vec<DenseFacts>,
    /// Weights of `dense`.
    pub top: Params,
    pub unit_length: bool,
    pub notes: Vec<String>,
}

impl Modules {
    pub fn read(folder: &Path) -> Result<Self> {
        let mut read = Self {
            base: None,
            is_text: false,
            is_table: false,
            averaged: 1,
            pool: TokenPool::Mean,
            dense: Vec::new(),
            top: Params::new(),
            unit_length: false,
            notes: Vec::new(),
        };
        let Some(list) = json(folder, "modules.json")? else {
            read.notes.push("no `modules.json`: the mean of a text's tokens is its vector".into());
            return Ok(read);
        };
        read.is_text = true;
        let place = folder.join("modules.json").display().to_string();
        let refused = |detail: String| TransferError::ModelRefused(format!("{place}: {detail}"));
        let list = list.as_array().filter(|list| list.len() <= 16);
        let list = list.ok_or_else(|| refused("expected a list of modules".into()))?;
        for module in list {
            let kind = module.get("type").and_then(Value::as_str).unwrap_or_default();
            let path = module.get("path").and_then(Value::as_str).unwrap_or_default();
            match kind.rsplit('.').next().unwrap_or_default() {
                kind @ ("Transformer" | "StaticEmbedding") => {
                    read.is_table = kind == "StaticEmbedding";
                    // model2vec writes `.` for the folder itself.
                    if !path.is_empty() && path != "." {
                        read.base = Some(inside(folder, path)?);
                    }
                }
                "Pooling" => {
                    let at = inside(folder, path)?;
                    let config = json(&at, "config.json")?
                        .ok_or_else(|| refused(format!("no {path}/config.json")))?;
                    read.pool = pooling(&config).map_err(refused)?;
                }
                "WeightedLayerPooling" => read.averaged = averaged(&inside(folder, path)?)?,
                "Dense" if read.unit_length => {
                    return Err(refused("module `Dense` after `Normalize`".into()));
                }
                "Dense" => read.add_dense(&inside(folder, path)?)?,
                "Normalize" => read.unit_length = true,
                // It does nothing when vectors are computed.
                "Dropout" => {}
                other => {
                    let other: String = other.escape_debug().take(40).collect();
                    return Err(refused(format!(
                        "module `{other}`; computed are Transformer, StaticEmbedding, \
                         WeightedLayerPooling, Pooling, Dense and Normalize"
                    )));
                }
            }
        }
        Ok(read)
    }

    /// A fully connected layer: `config.json` and weights `linear.weight`, `linear.bias`.
    fn add_dense(&mut self, folder: &Path) -> Result<()> {
        let refused =
            |detail: String| TransferError::ModelRefused(format!("{}: {detail}", folder.display()));
        let config =
            json(folder, "config.json")?.ok_or_else(|| refused("no `config.json`".into()))?;
        if self.dense.len() == MAX_DENSE {
            return Err(refused(format!("more than {MAX_DENSE} layers after the pool")));
        }
        let class = config.get("activation_function").and_then(Value::as_str);
        // What sentence-transformers takes where nothing is said.
        let class = class.unwrap_or("torch.nn.modules.activation.Tanh");
        let (act, ..) = ACTS.iter().find(|(_, known, _)| *known == class).ok_or_else(|| {
            let class: String = class.escape_debug().take(80).collect();
            let known: Vec<&str> = ACTS.iter().map(|(_, known, _)| *known).collect();
            refused(format!("activation `{class}`; computed are {}", known.join(", ")))
        })?;
        let mut params = offshoot_weights::read_folder(folder)?.checkpoint.params;
        let weight = params.remove("linear.weight").filter(|array| array.shape.len() == 2);
        let weight = weight.ok_or_else(|| refused("no matrix `linear.weight`".into()))?;
        let outputs = weight.shape[0];
        let bias = params.remove("linear.bias");
        let bias = bias.unwrap_or(Array { shape: vec![outputs], data: vec![0.0; outputs].into() });
        let key = Top::dense_key(self.dense.len());
        self.top.insert(format!("{key}.weight"), weight);
        self.top.insert(format!("{key}.bias"), bias);
        self.dense.push(DenseFacts { outputs, act: (*act).into() });
        Ok(())
    }

    /// Refuses fully connected layers that do not take `features` and what comes after.
    pub fn check(&self, features: usize) -> Result<()> {
        let mut inputs = features;
        for (i, dense) in self.dense.iter().enumerate() {
            let key = format!("{}.weight", Top::dense_key(i));
            let shape = self.top.get(&key).map(|array| array.shape.clone()).unwrap_or_default();
            if shape != [dense.outputs, inputs] {
                return Err(TransferError::ModelRefused(format!(
                    "module `Dense` {i} is {shape:?}, expected [{}, {inputs}]",
                    dense.outputs
                )));
            }
            inputs = dense.outputs;
        }
        Ok(())
    }
}

/// How many of the last layers a module averages; other weights than equal ones are refused.
fn averaged(folder: &Path) -> Result<usize> {
    let refused =
        |detail: &str| TransferError::ModelRefused(format!("{}: {detail}", folder.display()));
    let config = json(folder, "config.json")?.ok_or_else(|| refused("no `config.json`"))?;
    let number = |name: &str| config.get(name).and_then(Value::as_u64);
    let (Some(first), Some(layers)) = (number("layer_start"), number("num_hidden_layers")) else {
        return Err(refused("no numbers `layer_start` and `num_hidden_layers`"));
    };
    let params = offshoot_weights::read_folder(folder)?.checkpoint.params;
    let weights =
        params.get("layer_weights").map(|array| array.data.as_slice()).unwrap_or_default();
    let equal = weights.iter().all(|w| *w == weights[0] && *w > 0.0);
    let last = (layers + 1).checked_sub(first).and_then(|n| usize::try_from(n).ok());
    match last {
        Some(last) if equal && weights.len() == last && first > 0 => Ok(last),
        _ => Err(refused("layers that are not averaged with equal weights")),
    }
}

/// How a pooling module makes one vector of many: `pooling_mode` or, as older versions write it, a
/// switch for each mode.
fn pooling(config: &Value) -> std::result::Result<TokenPool, String> {
    const MODES: [(&str, &str, TokenPool); 5] = [
        ("mean", "pooling_mode_mean_tokens", TokenPool::Mean),
        ("cls", "pooling_mode_cls_token", TokenPool::First),
        ("max", "pooling_mode_max_tokens", TokenPool::Max),
        ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", TokenPool::MeanSqrtLength),
        ("lasttoken", "pooling_mode_lasttoken", TokenPool::Last),
    ];
    let Value::Object(fields) = config else { return Err("pooling: expected an object".into()) };
    let known = |mode: &str, found: Option<TokenPool>| {
        found.ok_or_else(|| {
            let names: Vec<&str> = MODES.iter().map(|(name, ..)| *name).collect();
            format!("pooling `{}`; computed are {}", mode.escape_debug(), names.join(", "))
        })
    };
    if let Some(mode) = fields.get("pooling_mode") {
        let list = mode.as_array().map(Vec::as_slice);
        let mode = match list {
            Some([one]) => one.as_str(),
            Some(_) => None,
            None => mode.as_str(),
        };
        let mode = mode.ok_or("pooling: expected one mode")?;
        return known(mode, MODES.iter().find(|(name, ..)| *name == mode).map(|(.., p)| *p));
    }
    let on: Vec<&str> = fields
        .iter()
        .filter(|(name, on)| name.starts_with("pooling_mode_") && on.as_bool() == Some(true))
        .map(|(name, _)| name.as_str())
        .collect();
    match on.as_slice() {
        [one] => known(one, MODES.iter().find(|(_, name, _)| name == one).map(|(.., p)| *p)),
        _ => Err("pooling: expected one mode".into()),
    }
}
