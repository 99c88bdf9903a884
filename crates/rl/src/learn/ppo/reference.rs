//! One update against PyTorch's numbers, which `tests/reference/ppo.py` wrote.

use serde_json::Value;

use super::*;
use crate::learn::Start;
use crate::world::{self, Constants};

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn close(found: &[f32], expected: &[f32], allowed: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= allowed, "{what} {at}: {a} against {b}");
    }
}

#[test]
fn an_update_is_that_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/ppo.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for case in &cases {
        let continuous = case["continuous"].as_bool().unwrap();
        // Only the settings matter: what the world shows takes no part in a step on given samples.
        let kind = *world::find("cart-pole").unwrap();
        let constants = Constants::of(&kind, &[]).unwrap();
        let task = Task { kind, constants, seed: 0, steps: None, start: Start::default() };
        let settings = PpoSettings {
            worlds: 1,
            horizon: 24,
            minibatches: 1,
            entropy: case["entropy_weight"].as_f64().unwrap() as f32,
            hidden: vec![8, 8],
            ..PpoSettings::discrete()
        };
        let mut ppo = Ppo::with(&task, settings.clone()).unwrap();
        if continuous {
            ppo.policy.form = Form::Gaussian;
            ppo.policy.log_std = floats(&case["log_std"]);
            ppo.adams[2] = Adam::new(2, ADAM_EPS);
        }
        ppo.policy.actor.values_mut().copy_from_slice(&floats(&case["before"]["actor"]));
        ppo.critic.values_mut().copy_from_slice(&floats(&case["before"]["critic"]));
        ppo.engines[0].take(&ppo.policy.actor, true).unwrap();
        ppo.engines[1].take(&ppo.critic, true).unwrap();
        let rollout = Rollout {
            observations: floats(&case["observations"]),
            seen: Vec::new(),
            actions: floats(&case["actions"]),
            log_p: floats(&case["log_p"]),
            values: floats(&case["values"]),
            advantages: floats(&case["advantages"]),
        };
        let mut part = Minibatch::default();
        part.gather(&rollout, None, &(0..24).collect::<Vec<_>>());
        let mut slopes = [
            vec![0.0; ppo.policy.actor.values().len()],
            vec![0.0; ppo.critic.values().len()],
            vec![0.0; ppo.policy.log_std.len()],
        ];
        let shares = [vec![1.0; 3], vec![1.0; 3]];
        let losses =
            ppo.step(&mut part, &settings, 0.0, &shares, settings.lr, &mut slopes).unwrap();
        let expected = floats(&case["losses"]);
        close(&[losses.policy, losses.value, losses.entropy], &expected, 2e-6, "losses");
        // The norm tells whether slopes are right where Adam's first step, a sign, would not.
        let square: f64 = slopes.iter().flatten().map(|g| f64::from(*g) * f64::from(*g)).sum();
        let norm = case["norm"].as_f64().unwrap();
        assert!((square.sqrt() - norm).abs() < 1e-5 * norm, "{} {norm}", square.sqrt());
        let after = |which: &str| floats(&case["after"][which]);
        close(ppo.policy.actor.values(), &after("actor"), 1e-6, "actor");
        close(ppo.critic.values(), &after("critic"), 1e-6, "critic");
        close(&ppo.policy.log_std, &floats(&case["log_std_after"]), 1e-6, "log_std");
    }
}
