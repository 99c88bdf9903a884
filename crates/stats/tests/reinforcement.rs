//! Figures of transfer between learning curves equal those of `reference/reinforcement.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_stats::metrics::{
    Interval, ReturnCurves, TimeRatio, TransferOptions, compare_transfer,
};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn curves(case: &Value, side: &str) -> ReturnCurves {
    let returns = case[side].as_array().unwrap().iter().map(floats).collect();
    ReturnCurves::new(floats(&case["steps"]), returns).unwrap()
}

fn close(found: f64, expected: f64, what: &str) {
    let apart = (found - expected).abs() / expected.abs().max(1.0);
    assert!(apart <= 1e-9, "{what}: {found} instead of {expected}");
}

/// Whether a quantile lies where the exact distribution says, `null` being beyond all measure.
fn lies_within(found: Option<f64>, bounds: &Value, what: &str) {
    let found = found.unwrap_or(f64::INFINITY);
    let [low, high] = [0, 1].map(|i| bounds[i].as_f64().unwrap_or(f64::INFINITY));
    let slack = 1e-5 * found.abs().clamp(1.0, 1e9);
    assert!(found >= low - slack && found <= high + slack, "{what}: {found} not in {low}..{high}");
}

#[test]
fn figures_and_intervals_are_those_of_all_resamples() {
    let path = format!("{}/tests/reference/reinforcement.json", env!("CARGO_MANIFEST_DIR"));
    let reference: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in reference["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (transfer, scratch) = (curves(case, "transfer"), curves(case, "scratch"));
        let options = TransferOptions {
            threshold: case["threshold"].as_f64(),
            source_steps: case["source_steps"].as_f64().unwrap(),
            paired: case["paired"].as_bool().unwrap(),
            resamples: 40_000,
            seed: 3,
        };
        let found = compare_transfer(&transfer, &scratch, options).unwrap();
        close(found.floor, case["floor"].as_f64().unwrap(), name);
        for (found, expected) in
            transfer.quartiles().iter().zip(case["quartiles"].as_array().unwrap())
        {
            found.iter().zip(floats(expected)).for_each(|(f, e)| close(*f, e, name));
        }
        let expected = |key: &str| case["figures"][key].clone();
        let check = |interval: Interval, key: &str| {
            let (expected, what) = (expected(key), format!("{name}, {key}"));
            close(interval.value, expected["value"].as_f64().unwrap(), &what);
            lies_within(Some(interval.low), &expected["low"], &what);
            lies_within(Some(interval.high), &expected["high"], &what);
        };
        check(found.jumpstart, "jumpstart");
        check(found.asymptotic, "asymptotic");
        check(found.total_reward, "total_reward");
        check(found.transfer_ratio.unwrap(), "transfer_ratio");
        check(found.total_reward_with_source, "total_reward_with_source");
        check(found.transfer_ratio_with_source.unwrap(), "transfer_ratio_with_source");

        let time = found.time_to_threshold.unwrap();
        let reached = |side: usize| {
            let times = case["times"][side].as_array().unwrap();
            times.iter().filter(|t| !t.is_null()).count()
        };
        assert_eq!((time.reached, time.scratch_reached), (reached(0), reached(1)), "{name}");
        let check = |ratio: TimeRatio, key: &str| {
            let (expected, what) = (expected(key), format!("{name}, {key}"));
            match (ratio.value, expected["value"].as_f64()) {
                // The reference searches in steps of the two-millionth part.
                (Some(found), Some(expected)) => {
                    assert!((found - expected).abs() < 1e-5 * expected.max(1.0), "{what}");
                }
                (found, expected) => assert_eq!(found, expected, "{what}"),
            }
            lies_within(Some(ratio.low), &expected["low"], &what);
            lies_within(ratio.high, &expected["high"], &what);
        };
        check(time.ratio, "time_ratio");
        check(time.ratio_with_source, "time_ratio_with_source");
    }
}
