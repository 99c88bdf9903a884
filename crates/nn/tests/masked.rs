//! Masked-language modelling has the losses and gradients of Hugging Face transformers.
//!
//! `reference/masked.py` made the reference and documents the batch.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod filled;

use filled::{filled, filled_params, splitmix64};
use offshoot_nn::backbones::encoder::{About, Family, Sizes};
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::cpu::{MASKED_HEAD, MaskedGradients, MaskedHead, TextTrainer, TrainOptions};
use offshoot_nn::{Array, Isa, Params, Precision, Recipe, TextBatch, TextSpec};
use serde::Deserialize;

const VOCABULARY: usize = 97;
const FEATURES: usize = 36;

#[derive(Deserialize)]
struct Case {
    family: String,
    bare: bool,
    loss: f64,
    gradients: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    shape: Vec<usize>,
    rms: f64,
    values: Vec<f64>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("reference/masked.json")).unwrap()
}

fn recipe(family: &str) -> Recipe {
    let (family, types) = match family {
        "bert" => (Family::Bert, 2),
        "roberta" => (Family::Roberta, 1),
        _ => (Family::DistilBert, 1),
    };
    let input = TextSpec { vocabulary: VOCABULARY, longest: 40, types };
    let sizes = Sizes { input, layers: 2, features: FEATURES, heads: 3, hidden: 83 };
    let (pool, unit_length) = (TokenPool::Mean, true);
    family.recipe(About { name: "small", summary: "", paper: "", pool, unit_length }, sizes)
}

fn head(bare: bool) -> Params {
    let shapes =
        [vec![FEATURES; 2], vec![FEATURES], vec![FEATURES], vec![FEATURES], vec![VOCABULARY]];
    let all = MASKED_HEAD.iter().zip(shapes);
    let some = all.filter(|(key, _)| !bare || **key == "mlm.bias");
    some.map(|(key, shape)| ((*key).to_string(), filled(key, &shape))).collect()
}

/// Tokens, and the places and words that are hidden.
fn batch() -> (TextBatch, Vec<usize>, Vec<u32>) {
    let mut batch = TextBatch::new();
    let (mut places, mut targets) = (Vec::new(), Vec::new());
    for (s, n) in [9usize, 33, 4].into_iter().enumerate() {
        let first = batch.tokens();
        let word = |t: usize| ((7919 * t + 104_729 * s + 17) % VOCABULARY) as u32;
        let read = |t: usize| if t % 5 == 2 { ((31 * t + 3) % VOCABULARY) as u32 } else { word(t) };
        batch.push(&(0..n).map(read).collect::<Vec<_>>());
        for t in (0..n).filter(|t| t % 5 == 2) {
            places.push(first + t);
            targets.push(word(t));
        }
    }
    (batch, places, targets)
}

/// Loss, and all gradients.
fn run(case: &Case, isa: Isa) -> (f64, Params) {
    let recipe = recipe(&case.family);
    let options = TrainOptions { isa: Some(isa), ..TrainOptions::default() };
    let mut trainer = TextTrainer::new(&recipe, &filled_params(&recipe), &options).unwrap();
    let eps = if case.family == "roberta" { 1e-5 } else { 1e-12 };
    let sizes = [VOCABULARY, FEATURES];
    let mut head =
        MaskedHead::new(&head(case.bare), sizes, eps, Some(isa), Precision::F32).unwrap();
    let (batch, places, targets) = batch();
    let mut last = None;
    // A second step must not see anything of the first.
    for _ in 0..2 {
        let all = trainer.forward_tokens(&batch).unwrap();
        let mut rows = Vec::new();
        places.iter().for_each(|at| rows.extend_from_slice(&all[at * FEATURES..][..FEATURES]));
        let (key, table) = trainer.table().unwrap();
        let (key, table) = (key.to_string(), table.to_vec());
        let mut to_rows = vec![f32::NAN; rows.len()];
        let mut to_table = vec![f32::NAN; table.len()];
        let gradients = MaskedGradients { rows: &mut to_rows, table: &mut to_table };
        let loss = head.loss(&table, &rows, &targets, Some(gradients)).unwrap();
        assert_eq!(head.loss(&table, &rows, &targets, None).unwrap(), loss);
        let mut to_tokens = vec![0.0; batch.tokens() * FEATURES];
        for (at, row) in places.iter().zip(to_rows.chunks_exact(FEATURES)) {
            to_tokens[at * FEATURES..][..FEATURES].copy_from_slice(row);
        }
        trainer.backward_tokens(&batch, &to_tokens).unwrap();
        trainer.add_to_gradient(&key, &to_table).unwrap();
        let mut gradients = trainer.gradients();
        gradients.extend(head.gradients());
        last = Some((loss, gradients));
    }
    last.unwrap()
}

#[test]
fn losses_and_gradients_are_those_of_transformers_on_every_level() {
    let cases = cases();
    assert_eq!(cases.len(), 4);
    for case in cases {
        for isa in Isa::available() {
            let name = format!(
                "{}{} on {}",
                case.family,
                if case.bare { ", bare" } else { "" },
                isa.name()
            );
            let (loss, gradients) = run(&case, isa);
            assert!(
                (loss / case.loss - 1.0).abs() < 1e-5,
                "{name}: loss {loss}, not {}",
                case.loss
            );
            for expected in &case.gradients {
                let array: &Array = &gradients[&expected.name];
                assert_eq!(array.shape, expected.shape, "{name} {}", expected.name);
                // The gradient of a key's bias is zero: a constant does not change a softmax.
                if expected.rms < 1e-9 {
                    continue;
                }
                for (k, value) in expected.values.iter().enumerate() {
                    let at = splitmix64(k as u64) % array.data.len() as u64;
                    let error = (f64::from(array.data[at as usize]) - value).abs() / expected.rms;
                    assert!(error < 1e-4, "{name} `{}`: error {error:e}", expected.name);
                }
            }
            assert_eq!(gradients.len(), case.gradients.len(), "{name}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let case = &cases()[0];
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(case, Isa::detect()))
    };
    assert!(with(1) == with(3));
}

#[test]
fn what_does_not_fit_is_refused() {
    let sizes = [VOCABULARY, FEATURES];
    let mut head = MaskedHead::new(&head(false), sizes, 1e-12, None, Precision::F32).unwrap();
    let (table, row) = (vec![0.1; VOCABULARY * FEATURES], vec![0.2; FEATURES]);
    assert!(head.loss(&table, &row, &[3], None).unwrap() > 0.0);
    assert!(head.loss(&table, &row, &[VOCABULARY as u32], None).is_err());
    assert!(head.loss(&table[1..], &row, &[3], None).is_err());
    assert!(head.loss(&table, &row[1..], &[3], None).is_err());
    assert_eq!(head.loss(&table, &[], &[], None).unwrap(), 0.0);
    let mut part = self::head(false);
    part.remove("mlm.norm.bias");
    assert!(MaskedHead::new(&part, sizes, 1e-12, None, Precision::F32).is_err());
}
