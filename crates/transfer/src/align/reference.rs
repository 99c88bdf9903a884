//! Every term's value and gradients are PyTorch's. `tests/reference/align.py` made them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::regularize::SourceFacts;

#[derive(Deserialize)]
struct Reference {
    given: BTreeMap<String, Vec<f32>>,
    labels: Vec<u32>,
    terms: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    progress: f64,
    value: f64,
    to_features: Vec<f64>,
    to_logits: Vec<f64>,
    to_head: Vec<f64>,
    own: BTreeMap<String, Vec<f64>>,
}

/// Relative to the largest value: what single precision leaves of a small network's passes.
const TOLERANCE: f64 = 3e-6;

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
    let text = include_str!("../../tests/reference/align.json");
    let Reference { given, labels, terms } = serde_json::from_str(text).unwrap();
    let (dim, classes) = (6, 3);
    let mut seen: Vec<&str> = Vec::new();
    for case in &terms {
        let text = &case.text;
        let mut made = text.parse::<Spec>().unwrap().make();
        let (name, term) = &mut made[0];
        seen.push(name);
        term.start(&SourceFacts {
            classifier: None,
            features: &[],
            labels: &labels,
            dim,
            classes,
            head: (&[], &[]),
            last_map: None,
            seed: 0,
            fresh: 1.0,
        })
        .unwrap();
        term.own().into_iter().for_each(|own| own.value.copy_from_slice(&given[own.key]));
        let mut to_features = vec![0.0; given["features"].len()];
        let [mut to_logits, mut to_head] = [(); 2].map(|()| vec![0.0; given["logits"].len()]);
        let value = term.add(&mut Step {
            places: &[0, 1, 2, 3, 4],
            labels: &labels,
            progress: case.progress,
            dim,
            features: &given["features"],
            classes,
            logits: &given["logits"],
            stage: [&[], &[]],
            to_features: &mut to_features,
            to_logits: &mut to_logits,
            to_head: &mut to_head,
            to_stage: &mut [],
        });
        let error = (value - case.value).abs();
        assert!(error <= TOLERANCE * case.value.abs(), "{text}: {value}, not {}", case.value);
        check(&format!("{text}, features"), &to_features, &case.to_features);
        check(&format!("{text}, logits"), &to_logits, &case.to_logits);
        check(&format!("{text}, head"), &to_head, &case.to_head);
        let own = term.own();
        assert_eq!(own.len(), case.own.len(), "{text}");
        for own in own {
            check(&format!("{text}, {}", own.key), own.gradient, &case.own[own.key]);
        }
    }
    // A term that joins the registry needs a case.
    for term in all() {
        assert!(seen.contains(&term.name), "no reference for `{}`", term.name);
    }
}
