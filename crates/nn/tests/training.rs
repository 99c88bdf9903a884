//! Training computes what PyTorch computes: gradients, running statistics, optimiser steps.
//!
//! `reference/training.py` made the reference values in double precision.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod filled;

use std::collections::BTreeMap;

use filled::{filled, filled_params, splitmix64};
use offshoot_kernels::{AdamW, CrossEntropy, Sgd};
use offshoot_nn::blocks::{Act, Block, Shortcut};
use offshoot_nn::cpu::train::{NormMode, Optimiser, Rule, TrainOptions, Trainer};
use offshoot_nn::{Isa, Params, Precision, Recipe, backbones, portable};
use serde::Deserialize;

/// Largest error of any sampled value relative to the root mean square of its array. Where PyTorch's
/// own single precision strays farther from the truth, because batch norms over few pixels are
/// ill-conditioned or an activation ends up on the other side of a kink, twice its error is allowed.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Reference {
    networks: Vec<Network>,
    steps: Vec<Steps>,
}

#[derive(Deserialize)]
struct Network {
    recipe: String,
    norm: String,
    key: String,
    single: f64,
    input: Vec<usize>,
    features: Sample,
    gradients: BTreeMap<String, Sample>,
    statistics: BTreeMap<String, Sample>,
}

#[derive(Deserialize)]
struct Steps {
    rule: String,
    key: String,
    losses: Vec<f64>,
    weights: BTreeMap<String, Sample>,
}

#[derive(Deserialize)]
struct Sample {
    rms: f64,
    values: Vec<f64>,
}

impl Sample {
    /// The largest difference to `data`, of its samples and its root mean square.
    fn distance(&self, data: &[f32]) -> f64 {
        let squares: f64 = data.iter().map(|&x| f64::from(x).powi(2)).sum();
        let rms = (squares / data.len() as f64).sqrt();
        let sampled = self.values.iter().enumerate().map(|(k, value)| {
            let at = splitmix64(k as u64) % data.len() as u64;
            (f64::from(data[at as usize]) - value).abs()
        });
        // A NaN must not lose against a number.
        sampled.chain([(rms - self.rms).abs()]).fold(0.0, |a, b| if a >= b { a } else { b })
    }
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/training.json")).unwrap()
}

fn recipe(name: &str) -> (Recipe, Params) {
    recipe_for(name, "batch")
}

/// The recipe without its source's head, and for `smooth` without activations that have a kink.
fn recipe_for(name: &str, norm: &str) -> (Recipe, Params) {
    let mut recipe = backbones::find(name).unwrap();
    recipe.head = None;
    let without_kink = |act: &mut Act| {
        if matches!(act, Act::Relu | Act::Relu6) {
            *act = Act::None;
        }
    };
    if norm == "smooth" {
        for block in recipe.stages.iter_mut().flat_map(|stage| &mut stage.blocks) {
            match block {
                Block::Conv(conv) => without_kink(&mut conv.act),
                Block::Residual(residual) => {
                    without_kink(&mut residual.act);
                    residual.body.iter_mut().for_each(|conv| without_kink(&mut conv.act));
                    if let Shortcut::Project(conv) = &mut residual.shortcut {
                        without_kink(&mut conv.act);
                    }
                }
                _ => {}
            }
        }
    }
    let params = filled_params(&recipe);
    (recipe, params)
}

fn trainer(name: &str, input: &[usize], isa: Isa, norm: &str) -> Trainer {
    let (recipe, params) = recipe_for(name, norm);
    let norm = mode(norm);
    let size = Some([input[1], input[2]]);
    let options = TrainOptions { isa: Some(isa), size, norm, ..TrainOptions::default() };
    Trainer::new(&recipe, &params, &options).unwrap()
}

fn mode(norm: &str) -> NormMode {
    if norm == "running" { NormMode::Running } else { NormMode::Batch }
}

/// The worst relative error of gradients, statistics and features.
fn check(case: &Network, isa: Isa) -> f64 {
    let mut trainer = trainer(&case.recipe, &case.input, isa, &case.norm);
    let tolerance = TOLERANCE.max(4.0 * case.single);
    let n = case.input[0];
    let input = filled(&case.key, &case.input);
    let features = trainer.forward(&input.data, n).unwrap().to_vec();
    let probe = filled("probe", &[1, features.len()]);
    trainer.backward(&probe.data).unwrap();
    let mut worst = case.features.distance(&features) / case.features.rms;
    let mut note = |what: &str, error: f64| {
        let name = format!("{} {} on {}: {what}", case.recipe, case.norm, isa.name());
        assert!(error < tolerance, "{name}: relative error {error:e}");
        worst = worst.max(error);
    };
    let gradients = trainer.gradients();
    let keys: Vec<_> = gradients.keys().collect();
    assert_eq!(keys, case.gradients.keys().collect::<Vec<_>>(), "{}", case.recipe);
    let largest = case.gradients.values().map(|s| s.rms).fold(0.0, f64::max);
    for (key, expected) in &case.gradients {
        // A bias before a norm has no gradient but the rounding of the others'.
        let scale = if expected.rms > 1e-9 * largest { expected.rms } else { 10.0 * largest };
        note(key, expected.distance(&gradients[key].data) / scale);
    }
    let state = trainer.export();
    for (key, expected) in &case.statistics {
        note(key, expected.distance(&state[key].data) / expected.rms);
    }
    worst
}

#[test]
fn gradients_are_those_of_pytorch() {
    let reference = reference();
    let names: Vec<_> = reference.networks.iter().map(|n| n.recipe.as_str()).collect();
    for entry in backbones::pictures() {
        assert!(names.contains(&entry.name), "{} has no reference gradients", entry.name);
    }
    for case in &reference.networks {
        let worst = check(case, Isa::detect());
        let Network { recipe, norm, single, .. } = case;
        println!("{recipe}, {norm}: relative error {worst:.1e}, PyTorch's own {single:.1e}");
    }
}

#[derive(Deserialize)]
struct Rounded {
    recipe: String,
    norm: String,
    error: f64,
}

/// Root mean square, over arrays that have a gradient, of their samples' relative errors.
fn overall(case: &Network, precision: Precision) -> f64 {
    let (recipe, params) = recipe_for(&case.recipe, &case.norm);
    let size = Some([case.input[1], case.input[2]]);
    let norm = mode(&case.norm);
    let options = TrainOptions { precision, size, norm, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
    let input = filled(&case.key, &case.input);
    let features = trainer.forward(&input.data, case.input[0]).unwrap().len();
    trainer.backward(&filled("probe", &[1, features]).data).unwrap();
    let gradients = trainer.gradients();
    let largest = case.gradients.values().map(|s| s.rms).fold(0.0, f64::max);
    let (mut squares, mut count) = (0.0, 0);
    for (key, expected) in case.gradients.iter().filter(|(_, s)| s.rms > 1e-9 * largest) {
        let data = &gradients[key].data;
        for (k, value) in expected.values.iter().enumerate() {
            let at = splitmix64(k as u64) % data.len() as u64;
            squares += ((f64::from(data[at as usize]) - value) / expected.rms).powi(2);
            count += 1;
        }
    }
    (squares / f64::from(count)).sqrt()
}

#[test]
fn bf16_gradients_stray_no_farther_than_those_of_pytorch() {
    if !Isa::detect().has_bf16() {
        println!("skipped: this processor does not multiply bf16, or OFFSHOOT_ISA forbids it");
        return;
    }
    let rounded: Vec<Rounded> =
        serde_json::from_str(include_str!("reference/training_bf16.json")).unwrap();
    let networks = reference().networks;
    for Rounded { recipe, norm, error } in rounded {
        let case = networks.iter().find(|n| n.recipe == recipe && n.norm == norm).unwrap();
        let ours = overall(case, Precision::Bf16);
        let three = overall(case, Precision::Bf16x3);
        println!("{recipe} {norm}: bf16 {ours:.3}, PyTorch's {error:.3}; bf16x3 {three:.1e}");
        // Both round different sums, so that one or the other is ahead by chance.
        assert!(ours < 1.6 * error, "{recipe} {norm}: {ours} against {error}");
        assert!(three < 0.1 * error, "{recipe} {norm}: {three} against {error} with bf16");
    }
}

#[test]
fn every_level_has_the_same_gradients() {
    // The larger siblings of these consist of the same blocks, or of blocks whose one other kernel
    // has tests of its own on every level.
    let siblings = [
        "efficientnet_lite1",
        "efficientnet_lite2",
        "resnet34",
        "resnet50",
        "resnext50_32x4d",
        "craft_vgg16_bn",
    ];
    let networks = reference().networks;
    for case in networks.iter().filter(|case| !siblings.contains(&case.recipe.as_str())) {
        for isa in Isa::available() {
            let worst = check(case, isa);
            println!("{} {} {}: {worst:.1e}", isa.name(), case.recipe, case.norm);
        }
    }
}

#[test]
fn three_steps_lead_where_pytorch_goes() {
    let loss = CrossEntropy { label_smoothing: 0.1, class_weights: None };
    for case in reference().steps {
        let mut trainer = trainer("digits_svhn", &[3, 32, 32, 3], Isa::detect(), "batch");
        let rule = match case.rule.as_str() {
            "adamw" => Rule::AdamW(AdamW::new(1e-2, 0.05)),
            _ => Rule::Sgd(Sgd {
                lr: 1e-2,
                momentum: 0.9,
                nesterov: true,
                weight_decay: 0.05,
                scale: 1.0,
            }),
        };
        let mut optimiser = Optimiser::new(rule, &trainer);
        let input = filled(&case.key, &[3, 32, 32, 3]);
        for expected in &case.losses {
            let logits = trainer.forward(&input.data, 3).unwrap();
            let mut gradient = vec![0.0; logits.len()];
            let actual = loss.loss(logits, &[0, 1, 2], &mut gradient);
            let error = (actual - expected).abs() / expected;
            assert!(error < TOLERANCE, "{}: {actual} is not {expected}", case.rule);
            trainer.backward(&gradient).unwrap();
            optimiser.step(&mut trainer, |p| [1.0, if p.decays { 1.0 } else { 0.0 }]);
        }
        let weights = trainer.export();
        for (key, expected) in &case.weights {
            // Biases before a norm have no gradient; Adam makes steps of its rounding.
            if key.starts_with("features.") && key.ends_with(".bias") {
                let weight = key.replace(".bias", ".weight");
                if weights[&weight].shape.len() > 1 {
                    continue;
                }
            }
            let error = expected.distance(&weights[key].data) / expected.rms;
            assert!(error < TOLERANCE, "{} {key}: relative error {error:e}", case.rule);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let mut precisions = vec![Precision::F32];
    if Isa::detect().has_bf16() {
        precisions.extend([Precision::Bf16x3, Precision::Bf16]);
    }
    let names = ["mobilenet_v2", "resnet18", "digits_svhn", "efficientnet_b0", "resnext50_32x4d"];
    let cases = names.into_iter().flat_map(|name| precisions.iter().map(move |&p| (name, p)));
    for (name, precision) in cases {
        let (recipe, params) = recipe(name);
        let side = recipe.picture().unwrap().size.min(40);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let size = Some([side; 2]);
                let options = TrainOptions { size, precision, ..TrainOptions::default() };
                let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
                let rule = Rule::AdamW(AdamW::new(1e-2, 0.05));
                let mut optimiser = Optimiser::new(rule, &trainer);
                let input = filled("input", &[5, side, side, 3]);
                for _ in 0..2 {
                    let features = trainer.forward(&input.data, 5).unwrap();
                    let probe = filled("probe", &[1, features.len()]);
                    trainer.backward(&probe.data).unwrap();
                    optimiser.step(&mut trainer, |_| [1.0, 1.0]);
                }
                trainer.export()
            })
        };
        let one = run(1);
        for threads in [2, 4] {
            assert!(one == run(threads), "{name} in {precision:?} on {threads} threads");
        }
    }
}

#[test]
fn frozen_stages_stay_as_they_are() {
    let (recipe, params) = recipe("digits_svhn");
    let options = TrainOptions { frozen_until: Some("conv2".into()), ..TrainOptions::default() };
    let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
    let input = filled("input", &[3, 32, 32, 3]);
    let mut optimiser = Optimiser::new(Rule::AdamW(AdamW::new(1e-2, 0.05)), &trainer);
    for _ in 0..2 {
        let features = trainer.forward(&input.data, 3).unwrap();
        let probe = filled("probe", &[1, features.len()]);
        trainer.backward(&probe.data).unwrap();
        optimiser.step(&mut trainer, |_| [1.0, 1.0]);
    }
    let after = trainer.export();
    let (mut moved, mut kept) = (0, 0);
    for (key, before) in &params {
        // conv1 and conv2 are `features.0` and `features.1`.
        if key.starts_with("features.0.") || key.starts_with("features.1.") {
            assert!(before == &after[key], "{key} moved");
            kept += 1;
        } else {
            moved += usize::from(before != &after[key]);
        }
    }
    assert!(kept > 10 && moved > 10, "{kept} kept, {moved} moved");
}

#[test]
fn a_step_allocates_nothing_new() {
    let (recipe, params) = recipe("digits_svhn");
    let mut trainer = Trainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
    let input = filled("input", &[3, 32, 32, 3]);
    let mut bytes = Vec::new();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        for _ in 0..4 {
            let len = trainer.forward(&input.data, 3).unwrap().len();
            trainer.backward(&vec![1.0; len]).unwrap();
            bytes.push(trainer.buffer_bytes());
        }
    });
    assert_eq!(bytes[1], bytes[2]);
    assert_eq!(bytes[2], bytes[3]);
}

#[test]
fn passes_out_of_order_are_refused() {
    let (recipe, params) = recipe("digits_usps");
    let mut trainer = Trainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
    assert!(trainer.backward(&[0.0; 128]).is_err());
    assert!(trainer.forward(&[0.0; 7], 1).is_err());
    assert!(trainer.forward(&[], 0).is_err());
    trainer.forward(&[0.5; 256], 1).unwrap();
    assert!(trainer.backward(&[0.0; 3]).is_err());
    let nothing_left = recipe.stages.last().unwrap().name.to_string();
    let options = TrainOptions { frozen_until: Some(nothing_left), ..TrainOptions::default() };
    assert!(Trainer::new(&recipe, &params, &options).is_err());
}

/// Root mean square.
fn rms(x: &[f32]) -> f64 {
    (x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len().max(1) as f64).sqrt()
}

#[test]
fn gradients_are_those_of_plain_tensor_operations() {
    for case in &reference().networks {
        let (recipe, params) = recipe_for(&case.recipe, &case.norm);
        let input = filled(&case.key, &case.input);
        let norm = mode(&case.norm);
        let options = TrainOptions {
            size: Some([case.input[1], case.input[2]]),
            norm,
            input_gradient: true,
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
        let features = trainer.forward(&input.data, case.input[0]).unwrap().to_vec();
        let probe = filled("probe", &[1, features.len()]).data;
        trainer.backward(&probe).unwrap();
        let batch = norm == NormMode::Batch;
        let expected = portable::gradients(&recipe, &params, &input, &probe, batch).unwrap();
        // With the batch's statistics over few pixels, every value is compared with a reference
        // that strays from the truth itself.
        let tolerance = if batch { 1e-2 } else { TOLERANCE };
        let mut worst = 0.0f64;
        let mut compare = |what: &str, actual: &[f32], expected: &[f32], scale: f64| {
            assert_eq!(actual.len(), expected.len(), "{} {what}", case.recipe);
            let differences = actual.iter().zip(expected).map(|(a, e)| f64::from((a - e).abs()));
            let error = differences.fold(0.0, |a, b| if a >= b { a } else { b }) / scale;
            assert!(error < tolerance, "{} {} {what}: {error:e}", case.recipe, case.norm);
            worst = worst.max(error);
        };
        compare("features", &features, &expected.features.data, rms(&expected.features.data));
        let by_input = trainer.input_gradient().unwrap();
        let len = input.data.len();
        compare("input", &by_input[..len], &expected.input.data, 3.0 * rms(&expected.input.data));
        let gradients = trainer.gradients();
        let keys: Vec<_> = gradients.keys().collect();
        assert_eq!(keys, expected.parameters.keys().collect::<Vec<_>>(), "{}", case.recipe);
        let largest = expected.parameters.values().map(|a| rms(&a.data)).fold(0.0, f64::max);
        for (key, expected) in &expected.parameters {
            // The largest of all values is compared, so that the scale is that of large ones.
            let scale = (3.0 * rms(&expected.data)).max(1e-3 * largest);
            compare(key, &gradients[key].data, &expected.data, scale);
        }
        println!("{} {}: {worst:.1e} from plain tensor operations", case.recipe, case.norm);
    }
}
