//! Every term's value and gradients are PyTorch's. `tests/reference/regularizers.py` made them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use offshoot_nn::cpu::train::CrossEntropy;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Reference {
    given: BTreeMap<String, Vec<f32>>,
    labels: Vec<u32>,
    terms: Vec<Case>,
    cross_entropy: Vec<SoftCase>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    value: f64,
    to_features: Vec<f64>,
    to_logits: Vec<f64>,
    to_map: Vec<f64>,
    to_weight: Vec<f64>,
    to_bias: Vec<f64>,
}

#[derive(Deserialize)]
struct SoftCase {
    label_smoothing: f32,
    class_weights: Option<Vec<f32>>,
    value: f64,
    to_logits: Vec<f64>,
}

/// Relative to the largest value: what single precision leaves of sums of a few terms.
const TOLERANCE: f64 = 1e-6;

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../tests/reference/regularizers.json")).unwrap()
}

fn check(what: &str, ours: &[f32], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (ours, expected) in ours.iter().zip(expected) {
        let error = (f64::from(*ours) - expected).abs();
        assert!(error <= TOLERANCE * scale, "{what}: {ours}, PyTorch has {expected}");
    }
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let Reference { given, labels, terms, .. } = reference();
    let (dim, classes) = (8, 3);
    let facts = SourceFacts {
        classifier: Some((&given["classifier_weight"], &given["classifier_bias"])),
        features: &given["source_features"],
        labels: &labels,
        dim,
        classes,
        head: (&given["head_weight"], &given["head_bias"]),
        last_map: Some(("top".into(), dim)),
        seed: 0,
        fresh: 1.0,
    };
    let mut seen: Vec<&str> = Vec::new();
    for case in &terms {
        let mut made = case.text.parse::<Spec>().unwrap().make();
        let (name, term) = &mut made.terms[0];
        seen.push(name);
        term.start(&facts).unwrap();
        for (own, moved) in term.own().into_iter().zip(["moved_weight", "moved_bias"]) {
            own.value.iter_mut().zip(&given[moved]).for_each(|(value, by)| *value += by);
        }
        let mut to_features = vec![0.0; given["features"].len()];
        let mut to_logits = vec![0.0; given["logits"].len()];
        let mut to_stage = vec![0.0; given["map"].len()];
        let value = term.add(&mut Step {
            places: &[0, 1, 2, 3, 4, 5],
            labels: &labels,
            progress: 0.0,
            dim,
            features: &given["features"],
            classes,
            logits: &given["logits"],
            stage: [&given["map"], &given["source_map"]],
            to_features: &mut to_features,
            to_logits: &mut to_logits,
            to_head: &mut vec![0.0; given["logits"].len()],
            to_stage: &mut to_stage,
        });
        let text = &case.text;
        let error = (value - case.value).abs();
        assert!(error <= TOLERANCE * case.value.abs(), "{text}: {value}, not {}", case.value);
        check(&format!("{text}, features"), &to_features, &case.to_features);
        check(&format!("{text}, logits"), &to_logits, &case.to_logits);
        check(&format!("{text}, map"), &to_stage, &case.to_map);
        for (own, expected) in term.own().iter().zip([&case.to_weight, &case.to_bias]) {
            check(&format!("{text}, {}", own.key), own.gradient, expected);
        }
    }
    // A term that joins the registry needs a case.
    for entry in all() {
        let defaults: Vec<f64> = entry.choices.iter().map(|choice| choice.default).collect();
        if matches!((entry.make)(&defaults), Kind::Term(_)) {
            assert!(seen.contains(&entry.name), "no reference for `{}`", entry.name);
        }
    }
}

#[test]
fn cross_entropy_with_soft_targets_is_pytorchs() {
    let Reference { given, cross_entropy, .. } = reference();
    let classes = 3;
    for case in cross_entropy {
        let what = format!("smoothing {}, {:?}", case.label_smoothing, case.class_weights);
        let loss = CrossEntropy {
            label_smoothing: case.label_smoothing,
            class_weights: case.class_weights,
        };
        let (logits, targets) = (&given["logits"], &given["targets"]);
        let mut gradient = vec![0.0; logits.len()];
        let value = loss.soft_loss(logits, targets, classes, &mut gradient);
        let error = (value - case.value).abs();
        assert!(error <= TOLERANCE * case.value, "{what}: {value}, not {}", case.value);
        check(&what, &gradient, &case.to_logits);
    }
}
