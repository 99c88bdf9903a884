//! Text encoders compute what Hugging Face transformers computes, stage by stage.
//!
//! `reference/encoders.py` made the reference outputs and documents the batches.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod filled;

use filled::{filled, filled_params, splitmix64};
use offshoot_nn::backbones::encoder::{About, Family, Sizes};
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::cpu::{PlanOptions, TextPlan, TextTrainer, TrainOptions};
use offshoot_nn::load::load;
use offshoot_nn::{Array, Isa, Params, Recipe, TextBatch, TextSpec, backbones, portable};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Largest error of any value relative to the root mean square of its array.
const TOLERANCE: f64 = 1e-4;

const VOCABULARY: usize = 97;

#[derive(Deserialize)]
struct Reference {
    counts: BTreeMap<String, usize>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    family: String,
    lengths: Vec<usize>,
    masked: bool,
    stages: Vec<Expected>,
    gradients: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    shape: Vec<usize>,
    mean: f64,
    rms: f64,
    values: Vec<f64>,
}

impl Expected {
    fn check(&self, case: &str, array: &Array) {
        assert_eq!(array.shape, self.shape, "{case} {}", self.name);
        let n = array.data.len() as f64;
        let mean = array.data.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let rms = (array.data.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n).sqrt();
        let sampled = self.values.iter().enumerate().map(|(k, value)| {
            let at = splitmix64(k as u64) % array.data.len() as u64;
            (f64::from(array.data[at as usize]) - value).abs()
        });
        let errors = sampled.chain([(mean - self.mean).abs(), (rms - self.rms).abs()]);
        // A NaN must not lose against a number.
        let error = errors.fold(0.0, |a: f64, b| if a >= b { a } else { b }) / self.rms;
        assert!(error < TOLERANCE, "{case}, `{}`: relative error {error:e}", self.name);
    }
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/encoders.json")).unwrap()
}

impl Case {
    fn name(&self) -> String {
        format!("{} {:?}{}", self.family, self.lengths, if self.masked { " masked" } else { "" })
    }

    fn recipe(&self) -> Recipe {
        let (family, types) = match self.family.as_str() {
            "bert" => (Family::Bert, 2),
            "roberta" => (Family::Roberta, 1),
            "distilbert" => (Family::DistilBert, 1),
            other => panic!("{other}"),
        };
        let input = TextSpec { vocabulary: VOCABULARY, longest: 40, types };
        let sizes = Sizes { input, layers: 2, features: 36, heads: 3, hidden: 83 };
        let pool = TokenPool::Mean;
        let about = About { name: "small", summary: "", paper: "", pool, unit_length: true };
        family.recipe(about, sizes)
    }

    fn batch(&self, types: usize) -> TextBatch {
        let mut batch = TextBatch::new();
        for (s, &n) in self.lengths.iter().enumerate() {
            let ids: Vec<u32> =
                (0..n).map(|t| ((7919 * t + 104_729 * s + 17) % VOCABULARY) as u32).collect();
            let kinds: Vec<u32> = (0..n).map(|t| (t % types) as u32).collect();
            let keep: Vec<bool> = (0..n).map(|t| !self.masked || t % 3 != 2).collect();
            batch.push_masked(&ids, &kinds, &keep).unwrap();
        }
        batch
    }
}

/// Something that runs an encoder and gives every stage's output.
type Interpreter = fn(&Recipe, &Params, &TextBatch) -> Vec<(&'static str, Array)>;

fn every_case_agrees(interpreter: Interpreter) {
    for case in reference().cases {
        let recipe = case.recipe();
        let batch = case.batch(recipe.text().unwrap().types);
        let outputs = interpreter(&recipe, &filled_params(&recipe), &batch);
        assert_eq!(outputs.len(), case.stages.len());
        for ((name, array), expected) in outputs.iter().zip(&case.stages) {
            assert_eq!(*name, expected.name);
            expected.check(&case.name(), array);
        }
    }
}

#[test]
fn portable_computes_what_transformers_computes() {
    every_case_agrees(|recipe, params, batch| portable::run_text(recipe, params, batch).unwrap());
}

#[test]
fn cpu_computes_what_transformers_computes() {
    every_case_agrees(|recipe, params, batch| {
        let stages = recipe.stages.iter().map(|stage| {
            let until = Some(stage.name.to_string());
            let options = PlanOptions { until, ..PlanOptions::default() };
            let plan = TextPlan::new(recipe, params, &options).unwrap();
            let shape = vec![plan.output_rows(batch), plan.feature_dim()];
            let mut data = vec![f32::NAN; shape.iter().product()];
            plan.features(batch, &mut data).unwrap();
            (stage.name, Array { shape, data: data.into() })
        });
        stages.collect()
    });
}

#[test]
fn gradients_are_those_of_transformers_on_every_level() {
    for case in reference().cases {
        let recipe = case.recipe();
        let params = filled_params(&recipe);
        let batch = case.batch(recipe.text().unwrap().types);
        for isa in Isa::available() {
            let name = format!("{} on {}", case.name(), isa.name());
            let options = TrainOptions { isa: Some(isa), ..TrainOptions::default() };
            let mut trainer = TextTrainer::new(&recipe, &params, &options).unwrap();
            assert_eq!(trainer.params(), params);
            let shape = vec![batch.len(), 36];
            // A second step must not see anything of the first.
            for _ in 0..2 {
                let data = trainer.forward(&batch).unwrap().to_vec();
                let last = case.stages.last().unwrap();
                last.check(&name, &Array { shape: shape.clone(), data: data.into() });
                trainer.backward(&batch, &filled("direction", &shape).data).unwrap();
            }
            let gradients = trainer.gradients();
            for expected in &case.gradients {
                // The gradient of a key's bias is zero: a constant does not change a softmax.
                if expected.rms > 1e-9 {
                    expected.check(&name, &gradients[&expected.name]);
                }
            }
            assert_eq!(gradients.len(), case.gradients.len(), "{name}");
        }
    }
}

#[test]
fn recipes_have_the_published_number_of_parameters() {
    let counts = reference().counts;
    for entry in backbones::texts() {
        let recipe = (entry.recipe)();
        assert_eq!(counts.get(entry.name), Some(&recipe.parameter_count()), "{}", entry.name);
    }
}

#[test]
fn a_deeper_encoder_is_not_taken_for_its_first_layers() {
    let case = &reference().cases[0];
    let recipe = case.recipe();
    let mut params = filled_params(&recipe);
    for (key, array) in params.clone() {
        if let Some(rest) = key.strip_prefix("encoder.layer.1.") {
            params.insert(format!("bert.encoder.layer.2.{rest}"), array);
        }
    }
    let error = load(&recipe, params).unwrap_err().to_string();
    assert!(error.contains("layer beyond the recipe's last"), "{error}");
}

#[test]
fn checkpoints_of_task_models_and_sentence_encoders_load() {
    for (family, prefix) in [
        ("bert", "bert."),
        ("bert", "0.auto_model."),
        ("roberta", "roberta."),
        ("distilbert", "distilbert."),
    ] {
        let case = reference().cases.into_iter().find(|case| case.family == family).unwrap();
        let recipe = case.recipe();
        let own = filled_params(&recipe);
        let mut foreign: Params =
            own.iter().map(|(key, array)| (format!("{prefix}{key}"), array.clone())).collect();
        foreign.insert(format!("{prefix}embeddings.position_ids"), Array::default());
        foreign.insert("classifier.weight".into(), Array::default());
        let (loaded, report) = load(&recipe, foreign).unwrap();
        assert_eq!(loaded, own);
        assert_eq!(report.renamed, own.len());
        assert_eq!(report.unused.len(), 2);
        // The names that TensorFlow gives to a norm's parameters.
        let old = own.iter().map(|(key, array)| {
            let key = key.replace("orm.weight", "orm.gamma").replace("orm.bias", "orm.beta");
            (key, array.clone())
        });
        assert_eq!(load(&recipe, old.collect()).unwrap().0, own);
    }
}
