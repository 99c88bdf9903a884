//! Text classifiers as folders that transformers and sentence-transformers load unchanged.
//!
//! Neither has a class for a linear head on pooled tokens, so the head lies beside the encoder, in
//! `classifier.safetensors`: `softmax(weight · embedding + bias)`.

use std::collections::BTreeMap;
use std::path::Path;

use offshoot_nn::backbones::encoder::Top;
use offshoot_nn::{Array, Params, Recipe};
use offshoot_tokens::Tokenizer;
use offshoot_weights::Precision;
use serde_json::{Value, json};

use super::{CLASSIFIER, CONFIG, MODEL, Own, backbone};
use crate::digest::Sha;
use crate::encoder::{EncoderFacts, TABLE};
use crate::source::{Source, TOKENIZER};
use crate::{Result, TransferError, durable};

/// What sentence-transformers calls its modules.
const MODULES: &str = "sentence_transformers.models";

/// Tokens with a part, by the words of transformers, in the order of preference.
const PARTS: [(&str, [&str; 2]); 5] = [
    ("unk_token", ["[UNK]", "<unk>"]),
    ("sep_token", ["[SEP]", "</s>"]),
    ("pad_token", ["[PAD]", "<pad>"]),
    ("cls_token", ["[CLS]", "<s>"]),
    ("mask_token", ["[MASK]", "<mask>"]),
];

/// What goes into the folder.
pub(super) struct Parts<'a> {
    pub recipe: &'a Recipe,
    pub params: &'a Params,
    pub facts: &'a EncoderFacts,
    pub tokenizer: &'a Tokenizer,
    pub preprocessing: String,
    pub classes: &'a [String],
    /// Weight `[classes, dim]` and bias, the temperature inside.
    pub head: [Array; 2],
}

/// Writes the encoder, its tokenizer, what follows its last layer, and the classifier.
pub(super) fn write(out: &Path, parts: Parts<'_>) -> Result<()> {
    let Parts { recipe, params, facts, tokenizer, preprocessing, classes, head } = parts;
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    let tensors = |name: &str, tensors: &Params| {
        durable::write_params(&out.join(name), tensors, &metadata, Precision::F32)
    };
    let is_table = facts.family == TABLE;
    let mut encoder = backbone(recipe, params);
    let dense: Vec<[Array; 2]> = (0..facts.dense.len())
        .filter_map(|i| {
            let key = Top::dense_key(i);
            let mut take = |field: &str| encoder.remove(&format!("{key}.{field}"));
            Some([take("weight")?, take("bias")?])
        })
        .collect();
    if facts.left_out.is_some() {
        // What model2vec calls it; sentence-transformers reads either name.
        encoder = encoder.into_values().map(|table| ("embeddings".into(), table)).collect();
    }
    tensors(MODEL, &encoder)?;
    let [weight, bias] = head;
    tensors(CLASSIFIER, &Params::from([("weight".into(), weight), ("bias".into(), bias)]))?;
    let own = Own {
        recipe: recipe.name.into(),
        head: CLASSIFIER.into(),
        preprocessing,
        size: None,
        model_sha256: Sha::of_file(&out.join(MODEL))?.to_string(),
        classifier_sha256: Some(Sha::of_file(&out.join(CLASSIFIER))?.to_string()),
    };
    durable::write_json(&out.join(CONFIG), &config(facts, tokenizer, classes, &own)?)?;
    durable::write(&out.join(TOKENIZER), tokenizer.json().as_bytes())?;
    if !is_table {
        let mut known = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": facts.limit,
        });
        for (part, names) in PARTS {
            if let Some(name) = names.into_iter().find(|name| tokenizer.id(name).is_some()) {
                known[part] = name.into();
            }
        }
        durable::write_json(&out.join("tokenizer_config.json"), &known)?;
        let sentence = json!({ "max_seq_length": facts.limit, "do_lower_case": facts.lower_case });
        durable::write_json(&out.join("sentence_bert_config.json"), &sentence)?;
    }
    let mut modules = Modules { out, list: Vec::new() };
    modules.add(if is_table { "StaticEmbedding" } else { "Transformer" }, None)?;
    if facts.averaged > 1 {
        let config = json!({
            "word_embedding_dimension": facts.features,
            "layer_start": facts.layers + 1 - facts.averaged,
            "num_hidden_layers": facts.layers,
        });
        let path = modules.add("WeightedLayerPooling", Some(config))?;
        let equal = Array { shape: vec![facts.averaged], data: vec![1.0; facts.averaged].into() };
        let equal = Params::from([("layer_weights".into(), equal)]);
        tensors(&format!("{path}/{MODEL}"), &equal)?;
    }
    if !is_table {
        modules.add("Pooling", Some(pooling(facts)))?;
    }
    let mut inputs = facts.features;
    for (dense, [weight, bias]) in facts.dense.iter().zip(dense) {
        let config = json!({
            "in_features": inputs,
            "out_features": dense.outputs,
            "bias": true,
            "activation_function": dense.class(),
        });
        let path = modules.add("Dense", Some(config))?;
        let layer = Params::from([("linear.weight".into(), weight), ("linear.bias".into(), bias)]);
        tensors(&format!("{path}/{MODEL}"), &layer)?;
        inputs = dense.outputs;
    }
    if facts.unit_length {
        let path = modules.add("Normalize", None)?;
        durable::create_dir(&out.join(path))?;
    }
    durable::write_json(&out.join("modules.json"), &modules.list)
}

/// The list of modules, and their folders.
struct Modules<'a> {
    out: &'a Path,
    list: Vec<Value>,
}

impl Modules<'_> {
    /// Adds one, with its `config.json` where it has one; returns its folder's name. The first is in the
    /// folder itself.
    fn add(&mut self, kind: &str, config: Option<Value>) -> Result<String> {
        let place = self.list.len();
        let path = if place == 0 { String::new() } else { format!("{place}_{kind}") };
        let name = place.to_string();
        let class = format!("{MODULES}.{kind}");
        self.list.push(json!({ "idx": place, "name": name, "path": path, "type": class }));
        if let Some(config) = config {
            let folder = self.out.join(&path);
            durable::create_dir(&folder)?;
            durable::write_json(&folder.join(CONFIG), &config)?;
        }
        Ok(path)
    }
}

/// `config.json` of the pooling module.
fn pooling(facts: &EncoderFacts) -> Value {
    json!({
        "word_embedding_dimension": facts.features,
        "pooling_mode_cls_token": facts.pool == "first",
        "pooling_mode_mean_tokens": facts.pool == "mean",
        "pooling_mode_max_tokens": facts.pool == "max",
        "pooling_mode_mean_sqrt_len_tokens": facts.pool == "mean-sqrt-len",
        "pooling_mode_weightedmean_tokens": false,
        "pooling_mode_lasttoken": facts.pool == "last",
    })
}

/// `config.json` of transformers, with the classes and what `verify` needs.
fn config(
    facts: &EncoderFacts,
    tokenizer: &Tokenizer,
    classes: &[String],
    own: &Own,
) -> Result<Value> {
    let roberta = facts.family == "roberta";
    let (architecture, sizes) = match facts.family.as_str() {
        TABLE => ("StaticModel", json!({ "hidden_dim": facts.features })),
        "distilbert" => (
            "DistilBertModel",
            json!({
                "dim": facts.features,
                "n_layers": facts.layers,
                "n_heads": facts.heads,
                "hidden_dim": facts.hidden,
                "activation": "gelu",
            }),
        ),
        _ => (
            if roberta { "RobertaModel" } else { "BertModel" },
            json!({
                "hidden_size": facts.features,
                "num_hidden_layers": facts.layers,
                "num_attention_heads": facts.heads,
                "intermediate_size": facts.hidden,
                "hidden_act": "gelu",
                "layer_norm_eps": if roberta { 1e-5 } else { 1e-12 },
                "type_vocab_size": facts.types,
                "position_embedding_type": "absolute",
            }),
        ),
    };
    let pad = ["[PAD]", "<pad>"].into_iter().find_map(|name| tokenizer.id(name));
    let ids = || classes.iter().enumerate();
    let id2label: BTreeMap<String, &String> = ids().map(|(i, n)| (i.to_string(), n)).collect();
    let label2id: BTreeMap<&String, usize> = ids().map(|(i, n)| (n, i)).collect();
    let mut config = json!({
        "architectures": [architecture],
        "model_type": facts.family,
        "vocab_size": facts.vocabulary,
        // RoBERTa's first two rows are for padding.
        "max_position_embeddings": facts.longest + if roberta { 2 } else { 0 },
        "pad_token_id": pad.unwrap_or(u32::from(roberta)),
        "id2label": id2label,
        "label2id": label2id,
        "offshoot": own,
    });
    if facts.averaged > 1 {
        config["output_hidden_states"] = true.into();
    }
    if facts.family == TABLE {
        config["normalize"] = facts.unit_length.into();
        config["model_type"] = "model2vec".into();
    }
    match (&mut config, sizes) {
        (Value::Object(config), Value::Object(sizes)) => config.extend(sizes),
        _ => return Err(TransferError::Internal("config.json is no object".into())),
    }
    Ok(config)
}

/// Opens the encoder that [`write`] left in `folder`.
pub(super) fn open(folder: &Path) -> Result<Source> {
    let name = folder.to_str().ok_or_else(|| {
        TransferError::ModelRefused(format!("{}: not a name in UTF-8", folder.display()))
    })?;
    crate::source::open(name, 0)
}
