//! Every backbone of the registry computes what PyTorch computes, stage by stage.
//!
//! `reference/recipes.py` made the reference outputs and documents the weights.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod filled;

use filled::{filled, filled_params, splitmix64};
use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{Array, Params, Recipe, Result, backbones, portable};
use serde::Deserialize;
use std::path::Path;

/// Largest error of any value relative to the root mean square of its stage.
const TOLERANCE: f64 = 1e-4;

/// Stage outputs by name, `[n, h, w, c]` or `[n, d]`, then `logits`.
type Outputs = Vec<(&'static str, Array)>;

/// Something that runs a recipe on `[n, h, w, c]`.
type Interpreter = fn(&Recipe, &Params, &Array) -> Result<Outputs>;

#[derive(Deserialize)]
struct Case {
    input: Vec<usize>,
    stages: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    stage: String,
    shape: Vec<usize>,
    mean: f64,
    rms: f64,
    values: Vec<f64>,
}

#[test]
fn portable_computes_what_pytorch_computes() {
    every_backbone_agrees("portable", portable::run);
}

#[test]
fn cpu_computes_what_pytorch_computes() {
    every_backbone_agrees("cpu", cpu);
}

#[test]
fn portable_refuses_what_does_not_fit() {
    let recipe = backbones::find("digits_usps").unwrap();
    let params = filled_params(&recipe);
    let refused = |params: &Params, shape: &[usize]| {
        let n = shape.iter().product();
        let input = Array { shape: shape.to_vec(), data: vec![0.0; n].into() };
        portable::run(&recipe, params, &input).unwrap_err().to_string()
    };
    assert!(refused(&params, &[16, 16, 1]).contains("[n, h, w, c]"));
    assert!(refused(&params, &[1, 16, 16, 3]).contains("takes 1 channels"));
    assert!(refused(&params, &[1, 20, 20, 1]).contains("stage `hidden`"));
    assert!(refused(&params, &[1, 1, 1, 1]).contains("stage `conv1`"));
    let mut fewer = params.clone();
    fewer.remove("features.5.running_var");
    assert!(refused(&fewer, &[1, 16, 16, 1]).contains("`features.5.running_var` is missing"));

    // Without the source's classifier there are features, but no logits.
    fewer = params.clone();
    fewer.retain(|key, _| !key.starts_with("classifier.4."));
    let outputs = portable::run(&recipe, &fewer, &filled("input", &[1, 16, 16, 1])).unwrap();
    assert_eq!(outputs.last().map(|(name, _)| *name), Some("hidden"));
}

/// A plan for each stage, since a plan gives out one stage only.
fn cpu(recipe: &Recipe, params: &Params, input: &Array) -> Result<Outputs> {
    let [n, height, width] = [input.shape[0], input.shape[1], input.shape[2]];
    let mut outputs = Outputs::new();
    for (k, stage) in recipe.stages.iter().enumerate() {
        let whole = k + 1 == recipe.stages.len();
        let until = (!whole).then(|| stage.name.to_string());
        let options = PlanOptions { size: Some([height, width]), until, ..PlanOptions::default() };
        let plan = Plan::new(recipe, params, &options)?;
        let mut features = vec![f32::NAN; n * plan.feature_dim()];
        plan.features(&input.data, n, &mut features)?;
        let shape = plan.output_shape().batch(n);
        outputs.push((stage.name, Array { shape, data: features.into() }));
        if let Some(classes) = plan.source_classes().filter(|_| whole) {
            let mut again = vec![f32::NAN; n * plan.feature_dim()];
            let mut logits = vec![f32::NAN; n * classes];
            plan.features_and_logits(&input.data, n, &mut again, &mut logits)?;
            assert!(again == outputs[k].1.data.as_slice(), "{}: two runs differ", recipe.name);
            outputs
                .push((portable::LOGITS, Array { shape: vec![n, classes], data: logits.into() }));
        }
    }
    Ok(outputs)
}

fn every_backbone_agrees(name: &str, interpreter: Interpreter) {
    for entry in backbones::pictures() {
        let recipe = (entry.recipe)();
        let params = filled_params(&recipe);
        for case in reference(entry.name) {
            let input = filled("input", &case.input);
            let outputs = interpreter(&recipe, &params, &input)
                .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
            let case_name = format!("{name} {} {:?}", entry.name, case.input);
            let worst = worst_error(&case_name, &case.stages, &outputs);
            println!("{case_name}: relative error {worst:.1e}");
        }
    }
}

/// The largest relative error of all stages, each of which must be within the tolerance.
fn worst_error(case: &str, expected: &[Expected], outputs: &Outputs) -> f64 {
    let names: Vec<_> = outputs.iter().map(|(name, _)| *name).collect();
    let wanted: Vec<_> = expected.iter().map(|stage| stage.stage.as_str()).collect();
    assert_eq!(names, wanted, "{case}");
    let mut worst = 0.0_f64;
    for (stage, (name, array)) in expected.iter().zip(outputs) {
        assert_eq!(array.shape, stage.shape, "{case} {name}");
        assert_eq!(array.data.len(), array.shape.iter().product::<usize>(), "{case} {name}");
        let n = array.data.len() as f64;
        let mean = array.data.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let rms = (array.data.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n).sqrt();
        let sampled = stage.values.iter().enumerate().map(|(k, value)| {
            let at = splitmix64(k as u64) % array.data.len() as u64;
            (f64::from(array.data[at as usize]) - value).abs()
        });
        let error = sampled
            .chain([(mean - stage.mean).abs(), (rms - stage.rms).abs()])
            // A NaN must not lose against a number.
            .fold(0.0, |a: f64, b| if a >= b { a } else { b })
            / stage.rms;
        assert!(error < TOLERANCE, "{case}, stage `{name}`: relative error {error:e}");
        worst = worst.max(error);
    }
    worst
}

/// A backbone without reference outputs fails here.
fn reference(name: &str) -> Vec<Case> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/recipes/{name}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name} has no reference outputs: {error}"));
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty(), "{name}");
    cases
}
