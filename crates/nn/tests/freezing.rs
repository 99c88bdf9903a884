//! Freezing is exact: what is frozen keeps its bits and costs no gradient, and what learns gets the
//! gradient that it would get without freezing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod filled;

use std::collections::BTreeSet;

use filled::{filled, filled_params};
use offshoot_kernels::AdamW;
use offshoot_nn::cpu::train::{NormMode, Optimiser, Rule, TrainOptions, Trainer};
use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{Params, Recipe, Role, backbones};

const N: usize = 3;
const SIZE: usize = 32;

fn network(name: &str) -> (Recipe, Params) {
    let mut recipe = backbones::find(name).unwrap();
    recipe.head = None;
    let params = filled_params(&recipe);
    (recipe, params)
}

fn options() -> TrainOptions {
    TrainOptions { size: Some([SIZE; 2]), ..TrainOptions::default() }
}

fn input(recipe: &Recipe) -> Vec<f32> {
    let channels = recipe.picture().unwrap().channels.count();
    filled("input", &[N, SIZE, SIZE, channels]).data.into_vec()
}

fn keys_of(recipe: &Recipe, chosen: impl Fn(&str, Role) -> bool) -> BTreeSet<String> {
    let all = recipe.parameters().into_iter().filter(|p| p.role.trained());
    all.filter(|p| chosen(&p.key, p.role)).map(|p| p.key).collect()
}

fn gradients(trainer: &mut Trainer, input: &[f32]) -> Params {
    let features = trainer.forward(input, N).unwrap().len();
    trainer.backward(&filled("probe", &[1, features]).data).unwrap();
    trainer.gradients()
}

#[test]
fn what_does_not_learn_keeps_its_bits_and_has_no_gradient() {
    for name in ["mobilenet_v2", "efficientnet_b0", "resnet18"] {
        let (recipe, params) = network(name);
        let input = input(&recipe);
        let biases = |_: &str, role| matches!(role, Role::Bias | Role::NormBias);
        let norms = |_: &str, role| matches!(role, Role::NormWeight | Role::NormBias);
        let stage = recipe.stages[2].name;
        let middle: BTreeSet<String> =
            recipe.stage_parameters(stage).into_iter().map(|p| p.key).collect();
        for learns in [keys_of(&recipe, biases), keys_of(&recipe, norms), middle] {
            let options = TrainOptions { learns: Some(learns.clone()), ..options() };
            let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
            let mut optimiser = Optimiser::new(Rule::AdamW(AdamW::new(1e-2, 0.1)), &trainer);
            for _ in 0..2 {
                let gradients = gradients(&mut trainer, &input);
                let trained = |key: &&String| !key.contains("running_");
                assert!(gradients.keys().eq(learns.iter().filter(trained)), "{name}");
                optimiser.step(&mut trainer, |_| [1.0; 2]);
            }
            let after = trainer.export();
            let moved = |key: &str| after[key].data != params[key].data;
            assert!(learns.iter().any(|key| moved(key)), "{name}: nothing learned");
            for key in params.keys().filter(|key| !learns.contains(*key)) {
                // The running statistics of a norm whose scale learns follow the batch.
                let scale = key.replace("running_mean", "weight").replace("running_var", "weight");
                let follows = key.contains("running_") && learns.contains(&scale);
                assert!(follows || !moved(key), "{name}: `{key}` moved");
            }
        }
    }
}

#[test]
fn a_part_that_learns_gets_the_gradient_of_the_whole() {
    for name in ["mobilenet_v2", "efficientnet_b0", "resnet18", "digits_svhn"] {
        let (recipe, params) = network(name);
        let input = input(&recipe);
        let running = TrainOptions { norm: NormMode::Running, ..options() };
        let mut whole = Trainer::new(&recipe, &params, &running).unwrap();
        let expected = gradients(&mut whole, &input);
        let every_third = |key: &str, _| key.bytes().map(usize::from).sum::<usize>() % 3 == 0;
        let learns = Some(keys_of(&recipe, every_third));
        let mut part = Trainer::new(&recipe, &params, &TrainOptions { learns, ..running }).unwrap();
        let found = gradients(&mut part, &input);
        assert!(!found.is_empty());
        for (key, gradient) in found {
            assert_eq!(gradient, expected[&key], "{name}: {key}");
        }
    }
}

#[test]
fn activations_serve_instead_of_the_frozen_part() {
    let (recipe, params) = network("mobilenet_v2");
    let input = input(&recipe);
    let boundary = recipe.stages[4].name.to_string();
    let frozen_until = Some(boundary.clone());
    let frozen = TrainOptions { frozen_until, ..options() };
    let mut whole = Trainer::new(&recipe, &params, &frozen).unwrap();
    let expected = gradients(&mut whole, &input);

    let plan = |from, until| {
        let size = Some([SIZE; 2]);
        Plan::new(&recipe, &params, &PlanOptions { from, until, size, ..PlanOptions::default() })
            .unwrap()
    };
    let prefix = plan(None, Some(boundary.clone()));
    let mut activations = vec![0.0; N * prefix.feature_dim()];
    prefix.features(&input, N, &mut activations).unwrap();
    let options = TrainOptions { from_activations: true, ..frozen };
    let mut tail = Trainer::new(&recipe, &params, &options).unwrap();
    assert_eq!(tail.input_shape(), prefix.output_shape());
    assert_eq!(gradients(&mut tail, &activations), expected);

    // The same cut through a frozen network.
    let (all, rest) = (plan(None, None), plan(Some(boundary), None));
    let mut features = [vec![0.0; N * all.feature_dim()], vec![0.0; N * all.feature_dim()]];
    all.features(&input, N, &mut features[0]).unwrap();
    rest.features(&activations, N, &mut features[1]).unwrap();
    assert_eq!(features[0], features[1]);
}

#[test]
fn weights_and_statistics_come_back_as_they_were_exported() {
    let (recipe, params) = network("mobilenet_v2");
    let input = input(&recipe);
    let mut trainer = Trainer::new(&recipe, &params, &options()).unwrap();
    let mut optimiser = Optimiser::new(Rule::AdamW(AdamW::new(1e-2, 0.1)), &trainer);
    gradients(&mut trainer, &input);
    optimiser.step(&mut trainer, |_| [1.0; 2]);
    let after = trainer.export();
    assert_ne!(after, params);
    let mut other = Trainer::new(&recipe, &params, &options()).unwrap();
    other.load(&after).unwrap();
    assert_eq!(other.export(), after);
    assert_eq!(gradients(&mut other, &input), gradients(&mut trainer, &input));
}

#[test]
fn a_gradient_that_comes_in_at_a_stage_adds_up_with_that_of_the_features() {
    for name in ["mobilenet_v2", "efficientnet_b0", "resnet18"] {
        let (recipe, params) = network(name);
        let input = input(&recipe);
        let inner = recipe.stages[3].name;
        let last = recipe.stages.last().unwrap().name;
        let taps = vec![inner.to_string(), last.to_string()];
        let running = TrainOptions { norm: NormMode::Running, ..options() };
        let mut plain = Trainer::new(&recipe, &params, &running).unwrap();
        let expected = gradients(&mut plain, &input);

        let mut trainer =
            Trainer::new(&recipe, &params, &TrainOptions { taps, ..running }).unwrap();
        let features = trainer.forward(&input, N).unwrap().to_vec();
        assert_eq!(trainer.stage_output(last, N).unwrap(), features, "{name}");
        let probe = filled("probe", &[1, features.len()]).data;
        let zeros = vec![0.0; features.len()];
        trainer.backward_adding(&zeros, &[(last, &probe)]).unwrap();
        assert_eq!(trainer.gradients(), expected, "{name}: features as a tap");

        let mut gradient = |of_features: &[f32], of_inner: f32| {
            trainer.forward(&input, N).unwrap();
            let len = trainer.stage_output(inner, N).unwrap().len();
            let mut added = filled("inner", &[1, len]).data;
            added.iter_mut().for_each(|v| *v *= of_inner);
            trainer.backward_adding(of_features, &[(inner, &added)]).unwrap();
            trainer.gradients()
        };
        let (both, one, other) =
            (gradient(&probe, 1.0), gradient(&probe, 0.0), gradient(&zeros, 1.0));
        assert_eq!(one, expected, "{name}");
        for (key, both) in both {
            let sum = one[&key].data.iter().zip(&other[&key].data).map(|(a, b)| a + b);
            let scale = both.data.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
            for (a, b) in sum.zip(&both.data) {
                assert!((a - b).abs() <= 2e-4 * scale, "{name}: {key}: {a} and {b}");
            }
        }
        let before: BTreeSet<String> = recipe.stages[4..]
            .iter()
            .flat_map(|s| recipe.stage_parameters(s.name))
            .map(|p| p.key)
            .collect();
        for (key, gradient) in other {
            let zero = gradient.data.iter().all(|&v| v == 0.0);
            assert_eq!(zero, before.contains(&key), "{name}: {key}");
        }
    }
}

#[test]
fn stochastic_depth_leaves_branches_out_and_their_gradients() {
    let (recipe, params) = network("resnet18");
    let input = input(&recipe);
    let options = TrainOptions { norm: NormMode::Running, drop_path: 0.5, ..options() };
    let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
    let plain = trainer.forward(&input, N).unwrap().to_vec();
    trainer.backward(&filled("probe", &[1, plain.len()]).data).unwrap();
    // Sample 1 loses the last branch, everyone else keeps all of them, scaled by 1/(1 − rate).
    let last = 7;
    let uniform =
        |branch: usize, sample: usize| if (branch, sample) == (last, 1) { 0.0 } else { 0.99 };
    let dropped = trainer.forward_dropping(&input, N, Some(&uniform)).unwrap().to_vec();
    assert_ne!(plain, dropped);
    let probe = filled("probe", &[1, plain.len()]).data;
    let loss = |features: &[f32]| -> f64 {
        features.iter().zip(&probe).map(|(f, p)| f64::from(f * p)).sum()
    };
    trainer.backward(&probe).unwrap();
    let gradients = trainer.gradients();
    // The norm that ends the last branch: its shift moves the features of the samples that keep it.
    let key = "layer4.1.bn2.bias";
    let direction = gradients[key].data.clone();
    let moved = |step: f32| {
        let mut params = params.clone();
        let values = &mut params.get_mut(key).unwrap().data;
        values.iter_mut().zip(&direction).for_each(|(v, d)| *v += step * d);
        let mut trainer = Trainer::new(&recipe, &params, &options).unwrap();
        loss(trainer.forward_dropping(&input, N, Some(&uniform)).unwrap())
    };
    let squares: f64 = direction.iter().map(|d| f64::from(*d).powi(2)).sum();
    let step = (1e-2 / squares.sqrt()) as f32;
    let slope = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
    assert!((slope / squares - 1.0).abs() < 2e-2, "slope {slope}, gradient {squares}");
    // Everybody loses everything but the shortcuts: branches have no gradient.
    trainer.forward_dropping(&input, N, Some(&|_, _| 0.0)).unwrap();
    trainer.backward(&probe).unwrap();
    let gradients = trainer.gradients();
    assert!(gradients["layer4.1.conv1.weight"].data.iter().all(|&g| g == 0.0));
    assert!(gradients["layer4.0.downsample.0.weight"].data.iter().any(|&g| g != 0.0));
}
