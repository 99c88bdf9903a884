//! Losses of the first updates are PyTorch's. `tests/reference/trajectories.py` and `trajectories_text.py` made
//! them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../../nn/tests/filled/mod.rs"]
mod filled;

use filled::{filled, filled_params};
use offshoot_nn::backbones::encoder::{About, Family, Sizes};
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::cpu::train::{CrossEntropy, NormMode};
use offshoot_nn::{ModelInput, Params, Precision, Recipe, TextBatch, TextSpec, backbones};
use serde::Deserialize;

use super::groups::Groups;
use super::head::LinearHead;
use super::learner::{Learner, Options, load_head};
use super::net::Brought;
use super::optimiser::{Optimiser, Rate};
use super::schedule::Schedule;
use super::settings::Finetune;
use super::strategy::{Facts, find};

#[derive(Deserialize)]
struct Case {
    recipe: String,
    input: Vec<usize>,
    method: String,
    norm: String,
    optimiser: String,
    lr: f64,
    clip: bool,
    losses: Vec<f64>,
    learning: usize,
}

const CLASSES: usize = 5;

/// Tokens of the small encoders' vocabulary.
const VOCABULARY: usize = 97;

impl Case {
    /// A small encoder of this family, or the network for pictures of this name.
    fn network(&self) -> Recipe {
        let (family, types) = match self.recipe.as_str() {
            "bert" => (Family::Bert, 2),
            "roberta" => (Family::Roberta, 1),
            "distilbert" => (Family::DistilBert, 1),
            name => {
                let mut recipe = backbones::find(name).unwrap();
                recipe.head = None;
                if let ModelInput::Picture(spec) = &mut recipe.input {
                    spec.size = self.input[1];
                }
                return recipe;
            }
        };
        let input = TextSpec { vocabulary: VOCABULARY, longest: 40, types };
        let sizes = Sizes { input, layers: 2, features: 36, heads: 3, hidden: 83 };
        let (pool, unit_length) = (TokenPool::Mean, true);
        let about = About { name: "small", summary: "", paper: "", pool, unit_length };
        family.recipe(about, sizes)
    }

    /// Batch `b` and its samples.
    fn batch(&self, is_text: bool, b: usize) -> (Brought, usize) {
        if !is_text {
            let pictures = filled(&format!("input {b}"), &self.input).data.into_vec();
            return (Brought::Values(pictures), self.input[0]);
        }
        let mut batch = TextBatch::new();
        for (s, &length) in self.input.iter().enumerate() {
            let word = |t| ((7919 * t + 104_729 * (s + 4 * b) + 17) % VOCABULARY) as u32;
            batch.push(&(0..length).map(word).collect::<Vec<_>>());
        }
        (Brought::Tokens(batch), self.input.len())
    }
}

/// The worst relative difference of a loss.
fn follow(case: &Case) -> f64 {
    let recipe = case.network();
    let is_text = recipe.text().is_ok();
    let params = filled_params(&recipe);
    let groups = Groups::new(&recipe);
    let settings = Finetune {
        lr: Some(case.lr),
        rank: 4,
        alpha: 8.0,
        decay: 0.8,
        optimiser: Some(case.optimiser.clone()),
        ..Finetune::default()
    };
    // As many that `gradual` begins with the last group of an encoder.
    let (samples, classes, epochs) = (32, CLASSES, if is_text { 6 } else { 1 });
    let facts = Facts {
        groups: &groups,
        settings: &settings,
        samples,
        classes,
        epochs,
        sensitivity: None,
        is_text,
    };
    let phase = (find(&case.method).unwrap().plan)(&facts).unwrap().phases.remove(0);
    let norm = if case.norm == "batch" { NormMode::Batch } else { NormMode::Running };
    let dim = recipe.feature_dim;
    let mut head = LinearHead::random(dim, CLASSES, 0);
    let of_head = [("head.weight", vec![CLASSES, dim]), ("head.bias", vec![CLASSES])];
    let of_head: Params = of_head.map(|(key, shape)| (key.to_string(), filled(key, &shape))).into();
    load_head(&mut head, &of_head).unwrap();
    let options = Options {
        recipe: &recipe,
        groups: &groups,
        phase: &phase,
        precision: Precision::F32,
        norm,
        drop_path: 0.0,
        low_rank: (settings.rank, settings.alpha),
        from_activations: false,
        taps: Vec::new(),
        seed: 0,
    };
    let mut learner = Learner::new(&options, &params, head).unwrap();
    let mut factors = learner.extras();
    for (key, factor) in &mut factors {
        if key.ends_with("lora_A.weight") {
            *factor = filled(key, &factor.shape);
        }
    }
    learner.restore_extras(&factors).unwrap();
    assert_eq!(learner.learning(), case.learning, "{} {}", case.recipe, case.method);
    let mut optimiser = Optimiser::new(&case.optimiser);
    let steps = case.losses.len();
    let schedule = Schedule { name: "cosine", warmup: 0.1, steps };
    let mut worst: f64 = 0.0;
    for (step, expected) in case.losses.iter().enumerate() {
        let b = step % 4;
        let (input, n) = case.batch(is_text, b);
        let labels: Vec<u32> = (0..n).map(|i| ((i + b) % CLASSES) as u32).collect();
        let features = learner.forward(&input, n, None).unwrap();
        let logits = learner.head.forward(&features);
        let mut of_logits = vec![0.0; logits.len()];
        let loss = CrossEntropy::PLAIN.loss(&logits, &labels, &mut of_logits);
        let mut to_features = vec![0.0; features.len()];
        let alone = vec![0.0; of_logits.len()];
        learner.head.backward(&features, &of_logits, &alone, &mut to_features);
        learner.backward(&to_features, &[]).unwrap();
        let rate = |group: usize, decays: bool| Rate {
            lr: phase.lr * schedule.factor(step) * phase.rates[group],
            decay: if decays { 0.05 } else { 0.0 },
            momentum: 0.9,
            scale: 1.0,
        };
        learner.update(&mut optimiser, rate, if case.clip { 1.0 } else { 0.0 });
        worst = worst.max((loss - expected).abs() / expected.abs().max(0.1));
    }
    worst
}

#[test]
fn losses_of_the_first_updates_are_those_of_pytorch() {
    let pictures = include_str!("../../tests/reference/trajectories.json");
    let texts = include_str!("../../tests/reference/trajectories_text.json");
    let [pictures, texts]: [Vec<Case>; 2] =
        [pictures, texts].map(|cases| serde_json::from_str(cases).unwrap());
    let cases: Vec<Case> = pictures.into_iter().chain(texts).collect();
    let mut faults = Vec::new();
    for case in &cases {
        let worst = follow(case);
        let Case { recipe, method, norm, optimiser, .. } = case;
        let line = format!("{recipe} {method} {norm} {optimiser}: {worst:.1e}");
        println!("{line}");
        if worst.is_nan() || worst > 1e-3 {
            faults.push(line);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
