//! What follows an encoder's last layer, and tables without layers: both interpreters agree, and gradients
//! are slopes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use offshoot_nn::backbones::encoder::{About, Family, Sizes, Top, table};
use offshoot_nn::blocks::{Act, TokenPool};
use offshoot_nn::cpu::{PlanOptions, TextPlan, TextTrainer, TrainOptions, pool_tokens};
use offshoot_nn::{Array, Isa, Params, Recipe, TextBatch, TextSpec, init, portable};

const INPUT: TextSpec = TextSpec { vocabulary: 97, longest: 60, types: 2 };

fn about(pool: TokenPool, unit_length: bool) -> About {
    About { name: "small", summary: "", paper: "", pool, unit_length }
}

fn encoder(pool: TokenPool, unit_length: bool, top: &Top) -> Recipe {
    let sizes = Sizes { input: INPUT, layers: 3, features: 36, heads: 3, hidden: 50 };
    Family::Bert.recipe_with(about(pool, unit_length), sizes, top)
}

fn recipes() -> Vec<(String, Recipe)> {
    let dense = |layers: usize, dense: &[(usize, Act)]| Top { layers, dense: dense.to_vec() };
    let mut all: Vec<(String, Recipe)> = TokenPool::ALL
        .iter()
        .map(|(name, pool)| ((*name).into(), encoder(*pool, false, &Top::NONE)))
        .collect();
    let (mean, max) = (TokenPool::Mean, TokenPool::Max);
    all.extend([
        ("tanh".into(), encoder(max, true, &dense(1, &[(20, Act::Tanh)]))),
        ("two".into(), encoder(mean, true, &dense(1, &[(40, Act::Gelu), (7, Act::None)]))),
        ("layers".into(), encoder(mean, true, &dense(2, &[]))),
        ("all layers".into(), encoder(max, false, &dense(3, &[(9, Act::Relu)]))),
        ("table".into(), table(about(mean, true), INPUT, 24, &Top::NONE)),
        ("table, dense".into(), table(about(mean, false), INPUT, 24, &dense(1, &[(9, Act::Silu)]))),
    ]);
    all
}

/// Sequences of these lengths; every seventh token does not count.
fn batch(lengths: &[usize]) -> TextBatch {
    let mut batch = TextBatch::new();
    for (salt, &n) in lengths.iter().enumerate() {
        let ids: Vec<u32> = (0..n).map(|t| ((7919 * t + 31 * salt + 5) % 97) as u32).collect();
        let keep: Vec<bool> = (0..n).map(|t| t % 7 != 6).collect();
        batch.push_masked(&ids, &vec![0; n], &keep).unwrap();
    }
    batch
}

fn features(recipe: &Recipe, params: &Params, batch: &TextBatch, isa: Option<Isa>) -> Vec<f32> {
    let plan = TextPlan::new(recipe, params, &PlanOptions { isa, ..Default::default() }).unwrap();
    assert_eq!(plan.feature_dim(), recipe.feature_dim);
    let mut features = vec![f32::NAN; batch.len() * plan.feature_dim()];
    plan.features(batch, &mut features).unwrap();
    features
}

#[test]
fn tops_and_tables_agree_with_their_definition_on_every_level() {
    for (name, recipe) in recipes() {
        let params = init::random_weights(&recipe, 3);
        for lengths in [&[1][..], &[2, 0, 17], &[33, 1, 60, 8]] {
            let batch = batch(lengths);
            let stages = portable::run_text(&recipe, &params, &batch).unwrap();
            let expected = &stages.last().unwrap().1;
            let largest = expected.data.iter().fold(0f32, |m, x| m.max(x.abs()));
            for isa in Isa::available() {
                let found = features(&recipe, &params, &batch, Some(isa));
                assert_eq!(found.len(), expected.data.len());
                for (a, e) in found.iter().zip(&expected.data) {
                    let close = (a - e).abs() <= 1e-4 * largest;
                    assert!(close, "{name} {lengths:?} on {}: {a} is not {e}", isa.name());
                }
            }
            // The trainer's forward pass is the plan's.
            let options = TrainOptions::default();
            let mut trainer = TextTrainer::new(&recipe, &params, &options).unwrap();
            for (a, e) in trainer.forward(&batch).unwrap().iter().zip(&expected.data) {
                assert!((a - e).abs() <= 1e-4 * largest, "{name}, trained: {a} is not {e}");
            }
        }
    }
}

#[test]
fn gradients_are_slopes() {
    let batch = batch(&[9, 1, 33]);
    for (name, recipe) in recipes() {
        let params = init::random_weights(&recipe, 4);
        let direction: Vec<f32> = (0..batch.len() * recipe.feature_dim)
            .map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0)
            .collect();
        let loss = |params: &Params| -> f64 {
            let rows = features(&recipe, params, &batch, None);
            rows.iter().zip(&direction).map(|(x, d)| f64::from(*x) * f64::from(*d)).sum()
        };
        let mut trainer = TextTrainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
        for _ in 0..2 {
            trainer.forward(&batch).unwrap();
            trainer.backward(&batch, &direction).unwrap();
        }
        let gradients = trainer.gradients();
        assert_eq!(gradients.len(), params.len(), "{name}");
        let mut slopes = 0;
        for (key, gradient) in &gradients {
            let square: f64 = gradient.data.iter().map(|g| f64::from(*g).powi(2)).sum();
            let norm = square.sqrt();
            // The gradient of a key's bias is zero: a constant does not change a softmax.
            if norm < 1e-3 {
                continue;
            }
            let at = |step: f64| {
                let mut moved = params.clone();
                let values = &mut moved.get_mut(key).unwrap().data;
                for (value, g) in values.iter_mut().zip(&gradient.data) {
                    *value += (step * f64::from(*g) / norm) as f32;
                }
                loss(&moved)
            };
            let step = 2e-3;
            let slope = (at(step) - at(-step)) / (2.0 * step);
            assert!((slope / norm - 1.0).abs() < 0.02, "{name} `{key}`: {slope}, gradient {norm}");
            slopes += 1;
        }
        assert!(slopes * 3 > gradients.len(), "{name}: only {slopes} slopes");
    }
}

#[test]
fn gradients_of_tokens_are_those_of_the_pool_that_shares_them_out() {
    let recipe = encoder(TokenPool::Mean, false, &Top::NONE);
    let params = init::random_weights(&recipe, 6);
    let batch = batch(&[5, 12]);
    let new = || TextTrainer::new(&recipe, &params, &TrainOptions::default()).unwrap();
    let direction: Vec<f32> = (0..72).map(|i| (i % 5) as f32 - 2.0).collect();
    let mut pooled = new();
    pooled.forward(&batch).unwrap();
    pooled.backward(&batch, &direction).unwrap();

    let mut tokens = new();
    let rows = tokens.forward_tokens(&batch).unwrap().to_vec();
    let mut vectors = vec![0.0; 72];
    pool_tokens(TokenPool::Mean, &batch, &rows, 36, &mut vectors).unwrap();
    assert_eq!(vectors, features(&recipe, &params, &batch, None));
    let mut shares = vec![0.0; rows.len()];
    for (range, direction) in batch.sequences().zip(direction.chunks_exact(36)) {
        let counted = batch.keep()[range.clone()].iter().filter(|keep| **keep).count();
        for t in range.filter(|t| batch.keep()[*t]) {
            let share = shares[t * 36..][..36].iter_mut().zip(direction);
            share.for_each(|(share, d)| *share = d * (1.0 / counted as f32));
        }
    }
    let words = "embeddings.word_embeddings";
    let key = format!("{words}.weight");
    for _ in 0..2 {
        tokens.forward_tokens(&batch).unwrap();
        tokens.backward_tokens(&batch, &shares).unwrap();
        assert_eq!(tokens.gradients(), pooled.gradients());
        // Another part of a table's gradient is gone with the next step.
        tokens.add_to_gradient(&key, &vec![1.0; 97 * 36]).unwrap();
        let both: Array = tokens.gradients()[&key].clone();
        let own = &pooled.gradients()[&key];
        assert!(both.data.iter().zip(&own.data).all(|(both, own)| *both == own + 1.0));
    }
    assert!(tokens.add_to_gradient("nothing.weight", &[]).is_err());
    assert!(tokens.add_to_gradient(&key, &[1.0]).is_err());
    assert!(tokens.backward_tokens(&batch, &shares[1..]).is_err());
}

#[test]
fn a_mean_of_more_layers_than_there_are_is_refused() {
    let recipe = encoder(TokenPool::Mean, false, &Top { layers: 4, dense: Vec::new() });
    let params = init::random_weights(&recipe, 1);
    assert!(TextPlan::new(&recipe, &params, &PlanOptions::default()).is_err());
    assert!(TextTrainer::new(&recipe, &params, &TrainOptions::default()).is_err());
    assert!(portable::run_text(&recipe, &params, &batch(&[3])).is_err());
    // Layers that are frozen away cannot be averaged.
    let recipe = encoder(TokenPool::Mean, false, &Top { layers: 3, dense: Vec::new() });
    let frozen = Some("layer0".to_string());
    let options = TrainOptions { frozen, from_activations: true, ..TrainOptions::default() };
    assert!(TextTrainer::new(&recipe, &params, &options).is_err());
}
