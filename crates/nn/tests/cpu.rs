//! Laws of the `cpu` interpreter that hold whatever the weights.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use offshoot_nn::cpu::{Plan, PlanOptions};
use offshoot_nn::{Isa, Params, Precision, Recipe, backbones, init};

/// Deterministic values in −1..1.
fn pixels(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Every recipe with weights of its own and a plan for small pictures.
fn for_every_recipe(mut law: impl FnMut(&Recipe, &Params)) {
    for entry in backbones::pictures() {
        let recipe = (entry.recipe)();
        law(&recipe, &init::random_weights(&recipe, 1));
    }
}

/// Small enough to be quick, large enough for every recipe's deepest window, and no tile's multiple.
fn plan(recipe: &Recipe, params: &Params, isa: Option<Isa>) -> Plan {
    let size = Some([recipe.picture().unwrap().size.min(39); 2]);
    Plan::new(recipe, params, &PlanOptions { isa, size, ..PlanOptions::default() }).unwrap()
}

fn features(plan: &Plan, n: usize, threads: usize) -> Vec<f32> {
    let input = pixels(n * plan.input_shape().len());
    let mut features = vec![f32::NAN; n * plan.feature_dim()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| plan.features(&input, n, &mut features)).unwrap();
    features
}

#[test]
fn bits_depend_neither_on_threads_nor_on_the_batch() {
    for_every_recipe(|recipe, params| {
        let plan = plan(recipe, params, None);
        let one = features(&plan, 5, 1);
        for threads in [2, 4] {
            assert!(one == features(&plan, 5, threads), "{} on {threads} threads", recipe.name);
        }
        let alone = features(&plan, 1, 1);
        assert!(alone[..] == one[..alone.len()], "{} alone and among others", recipe.name);
    });
}

#[test]
fn every_level_gives_the_same_features() {
    for_every_recipe(|recipe, params| {
        let expected = features(&plan(recipe, params, Some(Isa::Portable)), 2, 2);
        let rms = (expected.iter().map(|y| y * y).sum::<f32>() / expected.len() as f32).sqrt();
        for isa in Isa::available() {
            let actual = features(&plan(recipe, params, Some(isa)), 2, 2);
            for (a, e) in actual.iter().zip(&expected) {
                let close = (a - e).abs() <= 1e-4 * rms;
                assert!(close, "{} on {}: {a} is not {e}", recipe.name, isa.name());
            }
        }
    });
}

#[test]
fn a_plan_is_used_again_for_batches_of_other_sizes() {
    let recipe = backbones::find("digits_usps").unwrap();
    let plan =
        Plan::new(&recipe, &init::random_weights(&recipe, 0), &PlanOptions::default()).unwrap();
    let (len, d) = (plan.input_shape().len(), plan.feature_dim());
    let input = pixels(9 * len);
    let mut whole = vec![0.0; 9 * d];
    plan.features(&input, 9, &mut whole).unwrap();
    let mut parts = vec![0.0; 9 * d];
    let (first, rest) = parts.split_at_mut(2 * d);
    plan.features(&input[..2 * len], 2, first).unwrap();
    plan.features(&input[2 * len..], 7, rest).unwrap();
    assert!(whole == parts);
    plan.features(&[], 0, &mut []).unwrap();
}

#[test]
fn wrong_requests_are_refused_with_a_reason() {
    let recipe = backbones::find("digits_usps").unwrap();
    let params = init::random_weights(&recipe, 0);
    let plan = Plan::new(&recipe, &params, &PlanOptions::default()).unwrap();
    let short = plan.features(&[0.0; 3], 1, &mut vec![0.0; plan.feature_dim()]);
    assert!(short.unwrap_err().to_string().contains("values of input, got 3"));
    let until = PlanOptions { until: Some("roots".into()), ..PlanOptions::default() };
    let Err(error) = Plan::new(&recipe, &params, &until) else { panic!("no such stage") };
    assert!(error.to_string().contains("no stage `roots`; its stages are"), "{error}");
    let Err(error) = Plan::new(&recipe, &Params::new(), &PlanOptions::default()) else {
        panic!("no parameters")
    };
    assert!(error.to_string().contains("is missing"), "{error}");
}

/// Every recipe in bf16, on a processor that multiplies it.
fn for_every_recipe_in_bf16(mut law: impl FnMut(&Recipe, &Params, &PlanOptions)) {
    if !Isa::detect().has_bf16() {
        println!("skipped: this machine does not multiply bf16");
        return;
    }
    for_every_recipe(|recipe, params| {
        let size = Some([recipe.picture().unwrap().size.min(39); 2]);
        let precision = Precision::Bf16;
        law(recipe, params, &PlanOptions { size, precision, ..PlanOptions::default() });
    });
}

#[test]
fn features_in_bf16_point_where_those_in_f32_do() {
    for_every_recipe_in_bf16(|recipe, params, options| {
        let expected = features(&plan(recipe, params, None), 3, 2);
        let half = Plan::new(recipe, params, options).unwrap();
        let actual = features(&half, 3, 2);
        assert!(features(&half, 1, 1)[..] == actual[..half.feature_dim()], "{}", recipe.name);
        let rows = actual.chunks(half.feature_dim()).zip(expected.chunks(half.feature_dim()));
        for (a, e) in rows {
            let dot = |a: &[f32], b: &[f32]| {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
            };
            let cosine = dot(a, e) / (dot(a, a) * dot(e, e)).sqrt();
            println!("{}: cosine {cosine:.6}", recipe.name);
            assert!(cosine > 0.999, "{}: cosine {cosine}", recipe.name);
        }
    });
}

#[test]
fn a_network_in_two_parts_gives_the_same_bits_in_bf16() {
    for_every_recipe_in_bf16(|recipe, params, options| {
        let whole = features(&Plan::new(recipe, params, options).unwrap(), 2, 2);
        let size = options.size.unwrap();
        for stage in &recipe.stages[..recipe.stages.len() - 1] {
            let until = Some(stage.name.to_string());
            let first = PlanOptions { until: until.clone(), ..options.clone() };
            let first = Plan::new(recipe, params, &first).unwrap();
            let second = PlanOptions { from: until, size: Some(size), ..options.clone() };
            let second = Plan::new(recipe, params, &second).unwrap();
            let middle = features(&first, 2, 2);
            let mut parts = vec![f32::NAN; whole.len()];
            second.features(&middle, 2, &mut parts).unwrap();
            assert!(parts == whole, "{} cut after `{}`", recipe.name, stage.name);
        }
    });
}
