//! Worlds do what Gymnasium's do, over 1,000 actions each (see `reference/gymnasium.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_rl::world::{Action, find};
use serde_json::Value;

const TOLERANCE: f64 = 1e-6;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The largest difference, in parts of what is expected where that is beyond 1.
fn apart(a: impl Iterator<Item = f64>, b: &[f64]) -> f64 {
    let differences = a.zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    differences.fold(0.0, f64::max)
}

#[test]
fn a_thousand_actions_lead_where_gymnasium_says() {
    let path = format!("{}/tests/reference/gymnasium.json", env!("CARGO_MANIFEST_DIR"));
    let reference: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 17);
    for case in cases {
        let name = case["world"].as_str().unwrap();
        let settings: Vec<(String, f64)> = case["settings"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_f64().unwrap()))
            .collect();
        let mut world = find(name).unwrap().make(&settings).unwrap();
        let mut begin = case["begin"].as_array().unwrap().iter().peekable();
        let terminated = floats(&case["terminated"]);
        let (rewards, actions) = (floats(&case["rewards"]), floats(&case["actions"]));
        assert_eq!(actions.len(), 1000);
        let mut seen = vec![0.0_f32; world.spec().observation.len()];
        let (mut worst_seen, mut worst_reward, mut worst_state) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (step, &action) in actions.iter().enumerate() {
            if let Some(set) = begin.next_if(|set| set[0].as_u64() == Some(step as u64)) {
                world.set_state(&floats(&set[1])).unwrap();
            }
            let pull = [action as f32];
            let outcome = world.step(match case["actions"][step].is_u64() {
                true => Action::Discrete(action as usize),
                false => Action::Continuous(&pull),
            });
            if step % 4 == 3 {
                world.observe(&mut seen);
                let expected = floats(&case["observations"][step / 4]);
                worst_seen = worst_seen.max(apart(seen.iter().map(|&v| v.into()), &expected));
            }
            worst_reward = worst_reward.max(apart([outcome.reward].into_iter(), &[rewards[step]]));
            if step % 20 == 19 {
                let expected = floats(&case["states"][step / 20]);
                worst_state = worst_state.max(apart(world.state().into_iter(), &expected));
            }
            assert_eq!(
                outcome.terminated,
                terminated.contains(&(step as f64)),
                "{name} {settings:?}, step {step}"
            );
        }
        println!(
            "{name} {settings:?}: observations off by {worst_seen:.1e}, rewards {worst_reward:.1e}, states {worst_state:.1e}"
        );
        assert!(worst_seen <= TOLERANCE, "{name} {settings:?}: {worst_seen:e}");
        assert!(worst_reward <= TOLERANCE, "{name} {settings:?}: {worst_reward:e}");
        assert!(worst_state <= TOLERANCE, "{name} {settings:?}: {worst_state:e}");
    }
}
