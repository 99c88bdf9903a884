//! The head of masked-language modelling in a checkpoint, by whatever names.

use offshoot_nn::cpu::MASKED_HEAD;
use offshoot_nn::load::{self, LoadReport};
use offshoot_nn::{Params, Recipe};

use crate::Result;

/// What transformers calls the layers of the head in BERT, RoBERTa and DistilBERT, and ours.
const NAMES: [(&str, &str); 12] = [
    ("cls.predictions.transform.dense", "mlm.dense"),
    ("cls.predictions.transform.LayerNorm", "mlm.norm"),
    ("cls.predictions", "mlm"),
    ("lm_head.dense", "mlm.dense"),
    ("lm_head.layer_norm", "mlm.norm"),
    ("lm_head", "mlm"),
    ("vocab_transform", "mlm.dense"),
    ("vocab_layer_norm", "mlm.norm"),
    ("vocab_projector", "mlm"),
    ("mlm.dense", "mlm.dense"),
    ("mlm.norm", "mlm.norm"),
    ("mlm", "mlm"),
];

/// As [`load::load`], and keeps the arrays of the head, under the keys of [`MASKED_HEAD`], beside the
/// recipe's own.
pub fn load_with_head(recipe: &Recipe, params: Params) -> Result<(Params, LoadReport)> {
    let head = match recipe.text() {
        Ok(_) => head(&params),
        Err(_) => Params::new(),
    };
    let (mut params, report) = load::load(recipe, params)?;
    params.extend(head);
    Ok((params, report))
}

/// The arrays of the head; none where the checkpoint has a part of the transform only.
fn head(params: &Params) -> Params {
    let mut found = Params::new();
    for (name, array) in params {
        let Some((layer, field)) = name.rsplit_once('.') else { continue };
        let field = match field {
            "gamma" => "weight",
            "beta" => "bias",
            other => other,
        };
        let Some((_, own)) = NAMES.iter().find(|(known, _)| *known == layer) else { continue };
        let own = format!("{own}.{field}");
        if MASKED_HEAD.contains(&own.as_str()) {
            found.insert(own, array.clone());
        }
    }
    if MASKED_HEAD[..4].iter().all(|key| found.contains_key(*key)) {
        return found;
    }
    found.retain(|key, _| key == MASKED_HEAD[4]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_nn::Array;

    #[test]
    fn heads_of_every_family_are_found_whole_or_not_at_all() {
        let one = |names: &[&str]| -> Params {
            names.iter().map(|name| ((*name).to_string(), Array::default())).collect()
        };
        let found = |names: &[&str]| head(&one(names)).into_keys().collect::<Vec<_>>();
        let all =
            ["mlm.bias", "mlm.dense.bias", "mlm.dense.weight", "mlm.norm.bias", "mlm.norm.weight"];
        let bert = "cls.predictions.";
        let names = [
            "bias",
            "transform.dense.weight",
            "transform.dense.bias",
            "transform.LayerNorm.gamma",
            "transform.LayerNorm.beta",
            "decoder.weight",
        ];
        let names = names.map(|name| format!("{bert}{name}"));
        assert_eq!(found(&names.each_ref().map(String::as_str)), all);
        assert_eq!(found(&names[..4].iter().map(String::as_str).collect::<Vec<_>>()), ["mlm.bias"]);
        assert_eq!(
            found(&[
                "lm_head.dense.weight",
                "lm_head.dense.bias",
                "lm_head.layer_norm.weight",
                "lm_head.layer_norm.bias",
                "lm_head.bias"
            ]),
            all
        );
        assert_eq!(
            found(&[
                "vocab_transform.weight",
                "vocab_transform.bias",
                "vocab_layer_norm.weight",
                "vocab_layer_norm.bias",
                "vocab_projector.bias",
                "vocab_projector.weight"
            ]),
            all
        );
        assert!(found(&["encoder.layer.0.output.dense.weight"]).is_empty());
    }
}
