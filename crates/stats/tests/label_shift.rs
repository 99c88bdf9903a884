//! Shares of classes equal those of the papers' formulas (see `reference/label_shift.py`) and keep their
//! laws.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_stats::label_shift::{self, Problem, homogeneity};
use offshoot_stats::{Probabilities, StatsError};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn labels(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn cases() -> Vec<Value> {
    let path = format!("{}/tests/reference/label_shift.json", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().unwrap().clone()
}

/// Answers that are right with probability `sure`, classes in the given numbers.
fn answers(counts: &[usize], sure: f64) -> (Probabilities, Vec<u32>) {
    let k = counts.len();
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    for (class, &count) in counts.iter().enumerate() {
        for i in 0..count {
            // The first of a class are right, the rest take turns among the others.
            let right = (i as f64) < sure * count as f64;
            let said = if right { class } else { (class + 1 + i % (k - 1)) % k };
            let rest = (1.0 - sure) / (k - 1) as f64;
            data.extend((0..k).map(|c| if c == said { sure } else { rest }));
            labels.push(class as u32);
        }
    }
    (Probabilities::new(k, data).unwrap(), labels)
}

#[test]
fn the_word_typed_is_the_file_opened() {
    let names: Vec<_> = label_shift::all().iter().map(|e| e.name).collect();
    assert!(names.is_sorted());
    for name in names {
        let path = format!("{}/src/label_shift/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::exists(path).unwrap(), "{name}");
    }
}

#[test]
fn weights_equal_those_of_the_formulas() {
    for case in cases() {
        let k = case["k"].as_u64().unwrap() as usize;
        let set = |key: &str| Probabilities::new(k, floats(&case[key])).unwrap();
        let (source, target) = (set("source"), set("target"));
        let (y, target_y) = (labels(&case["labels"]), labels(&case["target_labels"]));
        let problem = Problem::new(&source, &y, &target).unwrap();
        for estimator in label_shift::all() {
            let ours = estimator.of(&problem).unwrap();
            let theirs = floats(&case[estimator.name]);
            // What minimises norms is known to where scipy's simplex ends.
            let allowed = if estimator.name == "rlls" { 1e-6 } else { 1e-7 };
            for (a, b) in ours.weights.iter().zip(&theirs) {
                let name = (estimator.name, &case["name"]);
                assert!((a - b).abs() < allowed, "{name:?}: {:?}, {theirs:?}", ours.weights);
            }
        }
        let test = homogeneity(&y, &target_y, k, 1999, 0).unwrap();
        let chi2 = case["chi2"].as_f64().unwrap();
        assert!((test.statistic - chi2).abs() < 1e-9 * chi2, "{} is not {chi2}", test.statistic);
        let p = case["chi2_p"].as_f64().unwrap();
        assert!((test.p_value - p.max(0.0005)).abs() < 0.03, "{} is not {p}", test.p_value);
    }
}

#[test]
fn a_planted_shift_is_found() {
    let (source, y) = answers(&[100, 100, 100], 0.8);
    let (target, _) = answers(&[240, 50, 10], 0.8);
    let problem = Problem::new(&source, &y, &target).unwrap();
    for estimator in label_shift::all() {
        let found = estimator.of(&problem).unwrap();
        for (share, truth) in found.shares.iter().zip([0.8, 1.0 / 6.0, 1.0 / 30.0]) {
            assert!((share - truth).abs() < 0.04, "{}: {:?}", estimator.name, found.shares);
        }
        assert!(found.condition > 1.0 && found.condition < 2.0, "{}", found.condition);
    }
}

#[test]
fn weights_sum_to_one_under_the_source() {
    for case in cases() {
        let k = case["k"].as_u64().unwrap() as usize;
        let set = |key: &str| Probabilities::new(k, floats(&case[key])).unwrap();
        let (source, target) = (set("source"), set("target"));
        let y = labels(&case["labels"]);
        let problem = Problem::new(&source, &y, &target).unwrap();
        for estimator in label_shift::all() {
            let found = estimator.of(&problem).unwrap();
            assert!((found.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(found.weights.iter().all(|&w| w >= 0.0));
        }
    }
}

#[test]
fn awkward_answers_are_survived_or_refused() {
    // The third class is never predicted: there is no inverse.
    let p = |rows: &[[f64; 3]]| Probabilities::new(3, rows.concat()).unwrap();
    let source = p(&[[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.3, 0.6, 0.1]]);
    let y = [0, 1, 2, 2];
    let target = p(&[[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]]);
    let problem = Problem::new(&source, &y, &target).unwrap();
    for estimator in label_shift::all() {
        match (estimator.name, estimator.of(&problem)) {
            ("bbse", result) => assert!(matches!(result, Err(StatsError::Unusable(_)))),
            (name, result) => {
                let found = result.unwrap();
                assert!(found.weights.iter().all(|w| w.is_finite()), "{name}: {found:?}");
                assert!(found.condition.is_infinite());
            }
        }
    }
    // A class without source samples has no weight, one sample is enough, and certainty is no harm.
    let source = p(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    let one = p(&[[1.0, 0.0, 0.0]]);
    let problem = Problem::new(&source, &[0, 1], &one).unwrap();
    for estimator in label_shift::all() {
        let found = estimator.of(&problem).unwrap();
        assert_eq!(found.weights[2], 0.0, "{}", estimator.name);
        assert!(found.shares[0] > 0.9, "{}: {found:?}", estimator.name);
    }
}

#[test]
fn unusable_input_is_refused_with_its_place() {
    let good = Probabilities::new(2, vec![0.5; 6]).unwrap();
    let broken = Probabilities::new(2, vec![0.5, 0.5, 0.5, f64::NAN, 0.5, 0.5]).unwrap();
    let other = Probabilities::new(3, vec![0.5; 6]).unwrap();
    let y = [0, 1, 0];
    assert!(matches!(
        Problem::new(&good, &y, &broken),
        Err(StatsError::NotFinite { what: "target", row: 1 })
    ));
    assert!(matches!(Problem::new(&good, &[0, 2, 0], &good), Err(StatsError::Shape { .. })));
    assert!(matches!(Problem::new(&good, &y[..2], &good), Err(StatsError::Shape { .. })));
    assert!(matches!(Problem::new(&good, &y, &other), Err(StatsError::Shape { .. })));
    assert!(homogeneity(&[], &[0], 1, 9, 0).is_err());
    assert!(homogeneity(&[0], &[3], 2, 9, 0).is_err());
}

#[test]
fn the_test_of_classes_keeps_its_level() {
    // Both sides drawn from the same classes, by a rule that knows nothing of sides.
    let mut fired = 0;
    for seed in 0..300u64 {
        let draw = |side: u64, n: u64| -> Vec<u32> {
            (0..n)
                .map(|i| {
                    let bytes = offshoot_random::generator(seed, "classes", side, i);
                    (rand::Rng::next_u32(&mut { bytes }) % 10).min(4)
                })
                .collect()
        };
        let test = homogeneity(&draw(0, 60), &draw(1, 35), 5, 199, seed).unwrap();
        fired += usize::from(test.p_value <= 0.05);
    }
    assert!((6..=27).contains(&fired), "{fired} of 300 fired at 5 %");
}
