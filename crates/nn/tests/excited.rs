//! Smooth activations and squeeze-and-excitation after any layer, not only where a recipe has them:
//! plan and trainer compute what plain tensor operations do.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod filled;

use filled::{filled, filled_params};
use offshoot_nn::blocks::{Act, Block, Residual, Shortcut, SqueezeExcite};
use offshoot_nn::cpu::train::{TrainOptions, Trainer};
use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{Array, NnError, Recipe, backbones, portable};

/// A recipe whose layers all have `act`, and its convolutions gates.
fn recipe(name: &str, act: Act) -> Recipe {
    let mut recipe = backbones::find(name).unwrap();
    recipe.head = None;
    for block in recipe.stages.iter_mut().flat_map(|stage| &mut stage.blocks) {
        match block {
            Block::Conv(layer) => {
                layer.act = act;
                let key = &layer.conv.key;
                let (reduce, expand) = (format!("{key}.reduce"), format!("{key}.expand"));
                layer.excite = Some(SqueezeExcite { reduce, expand, hidden: 5, act });
            }
            Block::Linear(layer) => layer.act = act,
            _ => {}
        }
    }
    recipe
}

/// Largest difference relative to the largest expected value.
fn distance(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(0.0, |a: f32, e| a.max(e.abs()));
    let differences = actual.iter().zip(expected).map(|(a, e)| (a - e).abs());
    // A NaN must not lose against a number.
    differences.fold(0.0, |a: f32, b| if a >= b { a } else { b }) / largest
}

#[test]
fn every_layer_may_have_a_smooth_activation_and_gates() {
    // With and without norms.
    for (name, side, channels) in [("digits_svhn", 32, 3), ("digits_mnist", 28, 1)] {
        for act in [Act::Silu, Act::Tanh, Act::Gelu, Act::GeluTanh, Act::Relu] {
            let recipe = recipe(name, act);
            let params = filled_params(&recipe);
            let input: Array = filled("input", &[3, side, side, channels]);
            let options = TrainOptions { input_gradient: true, ..TrainOptions::default() };
            let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
            let features = trainer.forward(&input.data, 3).unwrap().to_vec();
            let probe = filled("probe", &[1, features.len()]);
            trainer.backward(&probe.data).unwrap();
            let expected =
                portable::gradients(&recipe, &params, &input, &probe.data, true).unwrap();
            let check = |what: &str, actual: &[f32], expected: &[f32], most: f32| {
                let error = distance(actual, expected);
                assert!(error < most, "{name}, {act:?}: {what}: {error:e}");
            };
            check("training features", &features, &expected.features.data, 1e-4);
            // A kink may be met on its other side.
            let most = if act == Act::Relu { 2e-2 } else { 1e-3 };
            let len = input.data.len();
            check("input", &trainer.input_gradient().unwrap()[..len], &expected.input.data, most);
            let gradients = trainer.gradients();
            assert!(gradients.keys().eq(expected.parameters.keys()), "{name}");
            for (key, expected) in &expected.parameters {
                // A convolution's bias before a norm has no gradient but the rounding of others'.
                let weight = params.get(&key.replace(".bias", ".weight"));
                let windowed = weight.is_some_and(|w| w.shape.len() == 4 && w.shape[2] > 1);
                if name == "digits_mnist" || key.ends_with(".weight") || !windowed {
                    check(key, &gradients[key].data, &expected.data, most);
                }
            }
            let plan = Plan::new(&recipe, &params, &PlanOptions::default()).unwrap();
            let mut features = vec![f32::NAN; 3 * plan.feature_dim()];
            plan.features(&input.data, 3, &mut features).unwrap();
            let outputs = portable::run(&recipe, &params, &input).unwrap();
            check("features", &features, &outputs.last().unwrap().1.data, 1e-4);
        }
    }
}

#[test]
fn gates_before_a_residual_sum_are_refused() {
    let mut recipe = recipe("digits_mnist", Act::None);
    for block in recipe.stages.iter_mut().flat_map(|stage| &mut stage.blocks) {
        if let Block::Conv(layer) = block {
            let (body, shortcut) = (vec![layer.clone()], Shortcut::Identity);
            *block = Block::Residual(Residual { body, shortcut, act: Act::None });
        }
    }
    let params = filled_params(&recipe);
    let refused = |error: Option<NnError>| {
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("squeeze-excite before the residual sum"), "{text}");
    };
    refused(Plan::new(&recipe, &params, &PlanOptions::default()).err());
    refused(Trainer::new(&recipe, &params, &TrainOptions::default()).err());
}
