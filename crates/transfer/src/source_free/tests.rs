#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::collapse::{Diversity, effective, sorted};
use super::losses::{Softened, shares};

fn logits(n: usize, classes: usize) -> Vec<f32> {
    (0..n * classes).map(|i| (i as f32 * 0.731).sin() * 2.0).collect()
}

/// Every loss of this folder, by name.
fn loss(name: &str, logits: &[f32], classes: usize, to: &mut [f32]) -> f64 {
    let soft = Softened::of(logits, classes);
    match name {
        "entropy" => soft.entropy(f64::INFINITY, 1.0, to).0,
        "diversity" => soft.divergence(&vec![1.0 / classes as f64; classes], 1.0, to),
        "shares" => soft.divergence(&[0.5, 0.2, 0.2, 0.1], 1.0, to),
        "labels" => {
            let labels: Vec<Option<u32>> =
                (0..soft.n()).map(|i| (i % 3 != 1).then_some((i % classes) as u32)).collect();
            soft.cross_entropy(&labels, 1.0, to)
        }
        _ => unreachable!("{name}"),
    }
}

/// `tests/reference/source_free.py` computed values and slopes with PyTorch in double precision.
#[test]
fn losses_and_slopes_are_those_of_pytorch() {
    let reference: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/reference/source_free.json")).unwrap();
    let floats = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let given: Vec<f32> = floats(&reference["logits"]).iter().map(|&v| v as f32).collect();
    for name in ["entropy", "diversity", "shares", "labels"] {
        let mut slope = vec![0.0; given.len()];
        let value = loss(name, &given, 4, &mut slope);
        let expected = &reference[name];
        assert!((value - expected["value"].as_f64().unwrap()).abs() < 1e-9, "{name}: {value}");
        for (own, other) in slope.iter().zip(floats(&expected["slope"])) {
            assert!((f64::from(*own) - other).abs() < 1e-7, "{name}: {own} {other}");
        }
    }
    let soft = Softened::of(&given, 4);
    let limit = reference["filtered"]["limit"].as_f64().unwrap();
    let mut slope = vec![0.0; given.len()];
    let (value, kept) = soft.entropy(limit, 1.0, &mut slope);
    assert_eq!(kept as u64, reference["filtered"]["kept"].as_u64().unwrap());
    assert!((value - reference["filtered"]["value"].as_f64().unwrap()).abs() < 1e-9);
    for (own, other) in slope.iter().zip(floats(&reference["filtered"]["slope"])) {
        assert!((f64::from(*own) - other).abs() < 1e-7);
    }
}

#[test]
fn slopes_are_differences_of_values() {
    let (n, classes) = (5, 4);
    let given = logits(n, classes);
    for name in ["entropy", "diversity", "shares", "labels"] {
        let mut slope = vec![0.0; given.len()];
        loss(name, &given, classes, &mut slope);
        for at in 0..given.len() {
            let shifted = |by: f32| {
                let mut given = given.clone();
                given[at] += by;
                loss(name, &given, classes, &mut vec![0.0; n * classes])
            };
            let difference = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            assert!((difference - f64::from(slope[at])).abs() < 2e-4, "{name} {at}");
        }
    }
}

#[test]
fn certain_answers_have_no_slope_and_no_nan() {
    let mut slope = vec![0.0; 8];
    let soft = Softened::of(&[200.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -300.0], 4);
    let (value, kept) = soft.entropy(f64::INFINITY, 1.0, &mut slope);
    assert!(value.is_finite() && kept == 2 && slope.iter().all(|s| s.is_finite()));
    assert!(slope[..4].iter().all(|s| s.abs() < 1e-12));
    // Nobody is sure enough.
    assert_eq!(soft.entropy(0.0, 1.0, &mut slope), (0.0, 0));
}

#[test]
fn shares_follow_the_answers() {
    let sure: Vec<f64> =
        (0..20).flat_map(|i| if i < 15 { [0.9, 0.1] } else { [0.1, 0.9] }).collect();
    let q = shares(&sure, 2);
    assert!(q[0] > 0.78 && (q[0] + q[1] - 1.0).abs() < 1e-9, "{q:?}");
    let even: Vec<f64> =
        (0..20).flat_map(|i| if i % 2 == 0 { [0.9, 0.1] } else { [0.1, 0.9] }).collect();
    assert!((shares(&even, 2)[0] - 0.5).abs() < 1e-6);
}

#[test]
fn batches_of_one_class_each_are_seen_and_mixed_ones_are_not() {
    let classes = 5;
    let batches =
        |order: &[usize]| -> Vec<Vec<usize>> { order.chunks(20).map(<[usize]>::to_vec).collect() };
    let answers: Vec<u32> = (0..200).map(|i| (i / 40) as u32).collect();
    let in_order: Vec<usize> = (0..200).collect();
    assert!(sorted(&answers, &batches(&in_order), classes).is_some());
    // A test at one in a thousand: 100 drawn orders may give it at most twice.
    let fired = (0..100u64).filter(|&seed| {
        let order = offshoot_random::permutation(200, seed, "test", 0);
        sorted(&answers, &batches(&order), classes).is_some()
    });
    assert!(fired.count() <= 2);
    // One batch, or one class, says nothing.
    assert!(sorted(&answers, std::slice::from_ref(&in_order), classes).is_none());
    assert!(sorted(&[0; 200], &batches(&in_order), classes).is_none());
}

#[test]
fn answers_that_run_together_are_seen() {
    assert!((effective(&[0.25; 4]) - 4.0).abs() < 1e-12);
    assert!((effective(&[1.0, 0.0, 0.0]) - 1.0).abs() < 1e-12);
    let even = vec![0.1; 10];
    let mut diversity = Diversity::new(&vec![even.clone(); 3]);
    assert!((0..50).all(|i| !diversity.has_collapsed(i % 3, &even)));
    let mut one = vec![0.01; 10];
    one[3] = 0.91;
    // Not by a single batch, but soon.
    assert!(!diversity.has_collapsed(0, &one));
    assert!((0..20).any(|i| diversity.has_collapsed(i % 3, &one)));
    // A batch that held few classes from the beginning is no collapse.
    let mut diversity = Diversity::new(&[one.clone()]);
    assert!((0..50).all(|_| !diversity.has_collapsed(0, &one)));
}
