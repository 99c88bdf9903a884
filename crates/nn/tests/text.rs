//! Laws of the text encoders on both interpreters, whatever the weights.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use offshoot_nn::backbones::encoder::{About, Family, Sizes};
use offshoot_nn::blocks::TokenPool;
use offshoot_nn::cpu::{Plan, PlanOptions, TextPlan, TextTrainer, TrainOptions};
use offshoot_nn::{
    Isa, Params, Precision, Recipe, Role, TextBatch, TextSpec, backbones, init, portable,
};

/// A sequence of `n` tokens that depends on `salt`.
fn ids(n: usize, salt: usize, vocabulary: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * 7919 + salt * 104_729 + 17) % vocabulary) as u32).collect()
}

/// Sequences of these lengths, all of which count.
fn batch(lengths: &[usize], vocabulary: usize) -> TextBatch {
    let mut batch = TextBatch::new();
    for (salt, &n) in lengths.iter().enumerate() {
        batch.push(&ids(n, salt, vocabulary));
    }
    batch
}

/// An encoder of a family that is small enough to be quick and fits no tile.
fn small(family: Family, pool: TokenPool, unit_length: bool) -> (Recipe, Params) {
    let types = if family == Family::Bert { 2 } else { 1 };
    let input = TextSpec { vocabulary: 97, longest: 140, types };
    let sizes = Sizes { input, layers: 2, features: 36, heads: 3, hidden: 83 };
    let about = About { name: "small", summary: "", paper: "", pool, unit_length };
    let recipe = family.recipe(about, sizes);
    let params = init::random_weights(&recipe, 5);
    (recipe, params)
}

fn smalls() -> Vec<(Recipe, Params)> {
    vec![
        small(Family::Bert, TokenPool::Mean, true),
        small(Family::Bert, TokenPool::First, false),
        small(Family::Roberta, TokenPool::Mean, false),
        small(Family::DistilBert, TokenPool::First, true),
    ]
}

fn plan(recipe: &Recipe, params: &Params, isa: Option<Isa>, until: Option<&str>) -> TextPlan {
    let until = until.map(str::to_string);
    TextPlan::new(recipe, params, &PlanOptions { isa, until, ..PlanOptions::default() }).unwrap()
}

fn features(plan: &TextPlan, batch: &TextBatch, threads: usize) -> Vec<f32> {
    let mut features = vec![f32::NAN; plan.output_rows(batch) * plan.feature_dim()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| plan.features(batch, &mut features)).unwrap();
    features
}

/// All stages of `cpu` equal `portable` within a ten-thousandth of their root mean square.
fn agree(recipe: &Recipe, params: &Params, batch: &TextBatch, isa: Option<Isa>) {
    for (stage, expected) in portable::run_text(recipe, params, batch).unwrap() {
        let plan = plan(recipe, params, isa, Some(stage));
        assert_eq!(expected.shape, [plan.output_rows(batch), plan.feature_dim()]);
        let actual = features(&plan, batch, 2);
        let square = |x: &f32| f64::from(*x) * f64::from(*x);
        let n = expected.data.len() as f64;
        let rms = (expected.data.iter().map(square).sum::<f64>() / n).sqrt();
        for (a, e) in actual.iter().zip(&expected.data) {
            let close = f64::from((a - e).abs()) <= 1e-4 * rms;
            assert!(close, "{} {stage} on {}: {a} is not {e}", recipe.name, plan.isa().name());
        }
    }
}

#[test]
fn every_recipe_agrees_with_its_definition() {
    for entry in backbones::texts() {
        let recipe = (entry.recipe)();
        let params = init::random_weights(&recipe, 1);
        let batch = batch(&[17, 1, 33, 2], recipe.text().unwrap().vocabulary);
        let expected = portable::run_text(&recipe, &params, &batch).unwrap();
        let (_, expected) = expected.last().unwrap();
        let actual = features(&plan(&recipe, &params, None, None), &batch, 2);
        let largest = expected.data.iter().fold(0.0, |m: f32, x| m.max(x.abs()));
        for (a, e) in actual.iter().zip(&expected.data) {
            assert!((a - e).abs() <= 1e-4 * largest, "{}: {a} is not {e}", recipe.name);
        }
    }
}

#[test]
fn every_stage_agrees_at_odd_lengths_on_every_level() {
    for (recipe, params) in smalls() {
        for isa in Isa::available() {
            for lengths in [&[1][..], &[2, 0, 17], &[33, 1, 1, 140, 5]] {
                agree(&recipe, &params, &batch(lengths, 97), Some(isa));
            }
        }
    }
}

#[test]
fn lower_precisions_stay_within_their_bounds() {
    let recipe = backbones::find("minilm_l3").unwrap();
    let params = init::random_weights(&recipe, 2);
    let batch = batch(&[40, 3, 21], recipe.text().unwrap().vocabulary);
    let levels: Vec<Isa> = Isa::available().filter(|isa| isa.has_bf16()).collect();
    if levels.is_empty() {
        eprintln!("skipped: this machine does not multiply bf16");
    }
    for isa in levels {
        let run = |precision| {
            let options = PlanOptions { isa: Some(isa), precision, ..PlanOptions::default() };
            features(&TextPlan::new(&recipe, &params, &options).unwrap(), &batch, 2)
        };
        let exact = run(Precision::F32);
        for (precision, bound) in [(Precision::Bf16x3, 1e-7), (Precision::Bf16, 1e-3)] {
            for (a, b) in run(precision).chunks(384).zip(exact.chunks(384)) {
                let dot = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                assert!(1.0 - cosine < bound, "{isa:?}, {precision:?}: cosine {cosine}");
            }
        }
    }
    // Elsewhere a lower precision is refused rather than computed as something else.
    let options = PlanOptions {
        isa: Some(Isa::Portable),
        precision: Precision::Bf16,
        ..PlanOptions::default()
    };
    assert!(TextPlan::new(&recipe, &params, &options).is_err());
}

#[test]
fn masked_tokens_count_for_nothing() {
    for (recipe, params) in smalls() {
        let types = recipe.text().unwrap().types as u32;
        let mut masked = TextBatch::new();
        for (n, pattern) in [(9, 0), (17, 2), (1, 0), (33, 3), (5, 1)] {
            // Pattern 0 keeps no token at all, 1 keeps all.
            let keep: Vec<bool> = (0..n).map(|t| pattern > 0 && t % 3 < pattern).collect();
            let kinds: Vec<u32> = (0..n).map(|t| t as u32 % types).collect();
            masked.push_masked(&ids(n, n, 97), &kinds, &keep).unwrap();
        }
        agree(&recipe, &params, &masked, None);
        let rows = features(&plan(&recipe, &params, None, None), &masked, 2);
        assert!(rows.iter().all(|x| x.is_finite()));
    }
    // A mean over no token is zero.
    let (recipe, params) = small(Family::Bert, TokenPool::Mean, true);
    let mut none = TextBatch::new();
    none.push_masked(&[3, 4], &[0, 0], &[false, false]).unwrap();
    assert!(features(&plan(&recipe, &params, None, None), &none, 1).iter().all(|&x| x == 0.0));
}

#[test]
fn padding_that_is_masked_changes_nothing() {
    let (recipe, params) = small(Family::Bert, TokenPool::Mean, true);
    let plan = plan(&recipe, &params, None, None);
    let mut padded = TextBatch::new();
    let sentence = [ids(11, 0, 97), vec![0; 9]].concat();
    let keep: Vec<bool> = (0..20).map(|t| t < 11).collect();
    padded.push_masked(&sentence, &[0; 20], &keep).unwrap();
    assert!(features(&plan, &padded, 2) == features(&plan, &batch(&[11], 97), 2));
}

#[test]
fn bits_depend_neither_on_threads_nor_on_neighbours() {
    let (recipe, params) = small(Family::Bert, TokenPool::Mean, false);
    // More than one chunk of rows, with sequences that lie across its end.
    let lengths: Vec<usize> = (0..30).map(|i| 1 + i * 37 % 139).collect();
    let all = batch(&lengths, 97);
    for isa in Isa::available() {
        let plan = plan(&recipe, &params, Some(isa), None);
        let one = features(&plan, &all, 1);
        for threads in [2, 3, 4] {
            assert!(one == features(&plan, &all, threads), "{} on {threads}", isa.name());
        }
        for (salt, range) in all.sequences().enumerate() {
            let mut alone = TextBatch::new();
            alone.push(&all.ids()[range]);
            let row = &one[salt * 36..][..36];
            assert!(features(&plan, &alone, 2) == row, "sequence {salt} on {}", isa.name());
        }
    }
}

#[test]
fn a_plan_is_used_again_for_other_batches() {
    let (recipe, params) = small(Family::Roberta, TokenPool::Mean, false);
    let plan = plan(&recipe, &params, None, None);
    let first = features(&plan, &batch(&[20, 30], 97), 2);
    features(&plan, &batch(&[140; 9], 97), 2);
    assert!(features(&plan, &TextBatch::new(), 2).is_empty());
    assert!(features(&plan, &batch(&[0], 97), 2).iter().all(|&x| x == 0.0));
    assert!(features(&plan, &batch(&[20, 30], 97), 2) == first);
}

#[test]
fn wrong_requests_are_refused_with_a_reason() {
    let (recipe, params) = small(Family::Bert, TokenPool::Mean, false);
    let refused = |recipe: &Recipe, params: &Params, options: PlanOptions| {
        TextPlan::new(recipe, params, &options).err().unwrap().to_string()
    };
    let options = PlanOptions::default;
    let pictures = backbones::find("digits_usps").unwrap();
    assert!(refused(&pictures, &params, options()).contains("reads pictures"));
    let Err(error) = Plan::new(&recipe, &params, &options()) else { panic!("a text encoder") };
    assert!(error.to_string().contains("is a text encoder"), "{error}");
    let until = PlanOptions { until: Some("layer7".into()), ..options() };
    assert!(
        refused(&recipe, &params, until).contains("its stages are embed, layer0, layer1, pool")
    );
    let size = PlanOptions { size: Some([8, 8]), ..options() };
    assert!(refused(&recipe, &params, size).contains("picture size"));
    assert!(refused(&recipe, &Params::new(), options()).contains("is missing"));

    let plan = plan(&recipe, &params, None, None);
    let run = |batch: &TextBatch, n: usize| plan.features(batch, &mut vec![0.0; n]);
    assert!(run(&batch(&[141], 97), 36).unwrap_err().to_string().contains("141 tokens"));
    assert!(run(&batch(&[3], 1000), 36).unwrap_err().to_string().contains("token id"));
    assert!(run(&batch(&[3], 97), 35).unwrap_err().to_string().contains("got 35"));
}

/// Features and gradients of one step with some direction.
fn step(trainer: &mut TextTrainer, batch: &TextBatch, threads: usize) -> (Vec<f32>, Params) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let features = trainer.forward(batch).unwrap().to_vec();
        let direction: Vec<f32> =
            (0..features.len()).map(|i| (i * 7919 % 101) as f32 / 50.0 - 1.0).collect();
        trainer.backward(batch, &direction).unwrap();
        (features, trainer.gradients())
    })
}

#[test]
fn gradients_have_the_same_bits_on_any_number_of_threads() {
    let (recipe, params) = small(Family::Bert, TokenPool::Mean, true);
    let lengths: Vec<usize> = (0..11).map(|i| 1 + i * 37 % 139).collect();
    let batch = batch(&lengths, 97);
    for isa in Isa::available() {
        let options = TrainOptions { isa: Some(isa), ..TrainOptions::default() };
        let mut trainer = TextTrainer::new(&recipe, &params, &options).unwrap();
        let one = step(&mut trainer, &batch, 1);
        let frozen = plan(&recipe, &params, Some(isa), None);
        assert!(features(&frozen, &batch, 1) == one.0, "{}", isa.name());
        for threads in [2, 3, 4] {
            assert!(step(&mut trainer, &batch, threads) == one, "{} on {threads}", isa.name());
        }
    }
}

#[test]
fn frozen_stages_change_no_gradient_of_the_others() {
    let (recipe, params) = small(Family::DistilBert, TokenPool::First, false);
    let batch = batch(&[5, 64, 1], 97);
    let mut whole = TextTrainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
    let (expected, gradients) = step(&mut whole, &batch, 2);
    for (stage, first) in [("embed", "transformer.layer.0"), ("layer0", "transformer.layer.1")] {
        let options = TrainOptions { frozen: Some(stage.into()), ..TrainOptions::default() };
        let mut tail = TextTrainer::new(&recipe, &params, &options).unwrap();
        let (features, own) = step(&mut tail, &batch, 2);
        assert!(features == expected, "{stage}");
        let rest: Params =
            gradients.clone().into_iter().filter(|(key, _)| key.as_str() >= first).collect();
        assert!(own == rest, "{stage}");
    }
    let all = TrainOptions { frozen: Some("layer1".into()), ..TrainOptions::default() };
    let error = TextTrainer::new(&recipe, &params, &all).err().unwrap().to_string();
    assert!(error.contains("layers are all frozen"), "{error}");
}

#[test]
fn stages_go_on_from_the_rows_of_the_stage_before() {
    let (recipe, params) = small(Family::Roberta, TokenPool::Mean, true);
    let batch = batch(&[5, 64, 1], 97);
    let whole = features(&plan(&recipe, &params, None, None), &batch, 2);
    for stage in ["embed", "layer0"] {
        let first = plan(&recipe, &params, None, Some(stage));
        let mut rows = vec![0.0; first.output_rows(&batch) * 36];
        first.features(&batch, &mut rows).unwrap();

        let rest = PlanOptions { from: Some(stage.into()), ..PlanOptions::default() };
        let rest = TextPlan::new(&recipe, &params, &rest).unwrap();
        let mut features = vec![0.0; whole.len()];
        rest.features_from(&batch, &rows, &mut features).unwrap();
        assert!(features == whole, "{stage}");
        assert!(rest.features(&batch, &mut features).is_err());
        assert!(first.features_from(&batch, &rows, &mut features).is_err());
        assert!(rest.features_from(&batch, &rows[1..], &mut features).is_err());

        let frozen = TrainOptions { frozen: Some(stage.into()), ..TrainOptions::default() };
        let mut tokens = TextTrainer::new(&recipe, &params, &frozen).unwrap();
        let (_, expected) = step(&mut tokens, &batch, 2);
        let given = TrainOptions { from_activations: true, ..frozen };
        let mut trainer = TextTrainer::new(&recipe, &params, &given).unwrap();
        assert!(trainer.forward(&batch).is_err() && tokens.forward_from(&batch, &rows).is_err());
        let features = trainer.forward_from(&batch, &rows).unwrap().to_vec();
        assert!(features == whole, "{stage}");
        let direction: Vec<f32> =
            (0..features.len()).map(|i| (i * 7919 % 101) as f32 / 50.0 - 1.0).collect();
        trainer.backward(&batch, &direction).unwrap();
        assert!(trainer.gradients() == expected, "{stage}");
    }
}

#[test]
fn what_does_not_learn_has_no_gradient_and_changes_none() {
    let (recipe, params) = small(Family::Bert, TokenPool::Mean, true);
    let batch = batch(&[5, 64, 1], 97);
    let mut whole = TextTrainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
    let (features, gradients) = step(&mut whole, &batch, 2);
    for role in [Role::Weight, Role::Bias, Role::NormWeight, Role::NormBias] {
        let of_role = recipe.parameters().into_iter().filter(|p| p.role == role);
        let learns: BTreeSet<String> = of_role.map(|p| p.key).collect();
        let options = TrainOptions { learns: Some(learns.clone()), ..TrainOptions::default() };
        let mut part = TextTrainer::new(&recipe, &params, &options).unwrap();
        let (same, own) = step(&mut part, &batch, 2);
        assert!(same == features);
        let mut expected = gradients.clone();
        expected.retain(|key, _| learns.contains(key));
        assert!(!own.is_empty() && own == expected, "{role:?}");
        let values: usize = expected.values().map(|array| array.data.len()).sum();
        assert_eq!(part.learning(), values);
        assert!(part.learned().all(|tensor| tensor.role == role));
        // Everything is given out and taken over, whether it learns or not.
        assert!(part.params() == whole.params());
        let mut other =
            TextTrainer::new(&recipe, &small(Family::Bert, TokenPool::Mean, true).1, &options)
                .unwrap();
        for tensor in part.learned() {
            tensor.value.iter_mut().for_each(|v| *v += 0.25);
        }
        other.load(&part.params()).unwrap();
        assert!(step(&mut other, &batch, 2) == step(&mut part, &batch, 2));
    }
}

#[test]
fn steps_against_the_gradient_come_nearer() {
    let (recipe, params) = small(Family::Roberta, TokenPool::Mean, true);
    let batch = batch(&[9, 30, 2, 17], 97);
    let mut trainer = TextTrainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
    let target: Vec<f32> = (0..4 * 36).map(|i| ((i * 31 % 17) as f32 - 8.0) / 50.0).collect();
    let mut losses = Vec::new();
    for _ in 0..12 {
        let features = trainer.forward(&batch).unwrap();
        let error: Vec<f32> = features.iter().zip(&target).map(|(x, y)| x - y).collect();
        losses.push(error.iter().map(|e| e * e).sum::<f32>() / 2.0);
        trainer.backward(&batch, &error).unwrap();
        for tensor in trainer.learned() {
            tensor.value.iter_mut().zip(tensor.gradient).for_each(|(x, g)| *x -= 0.05 * g);
        }
    }
    assert!(losses.is_sorted_by(|a, b| a > b) && losses[11] < 0.8 * losses[0], "{losses:?}");
    // What was learned is what a frozen plan then computes.
    let plan = plan(&recipe, &trainer.params(), None, None);
    assert!(features(&plan, &batch, 2) == trainer.forward(&batch).unwrap());
    assert!(trainer.backward(&batch, &[0.0; 3]).is_err());
}

#[test]
fn a_backward_pass_needs_its_forward_pass() {
    let (recipe, params) = small(Family::Bert, TokenPool::Mean, false);
    let mut trainer = TextTrainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
    let short = batch(&[5], 97);
    let error = trainer.backward(&short, &[0.0; 36]).unwrap_err().to_string();
    assert!(error.contains("without its forward pass"), "{error}");
    // An empty batch learns nothing.
    assert!(trainer.forward(&TextBatch::new()).unwrap().is_empty());
    trainer.backward(&TextBatch::new(), &[]).unwrap();
    assert!(trainer.gradients().values().all(|array| array.data.iter().all(|&g| g == 0.0)));
}
