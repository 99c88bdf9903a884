//! A target with samples of classes that the source does not have.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_stats::adaptation::{Unknown, unsureness};
use offshoot_stats::{Probabilities, StatsError};
use serde::Deserialize;

/// `tests/reference/unknown.py`: scikit-learn and SciPy on the same answers.
#[derive(Deserialize)]
struct Reference {
    classes: usize,
    answers: Vec<f64>,
    labels: Vec<Option<u32>>,
    unsureness: Vec<f64>,
    above: f64,
    known_recall: f64,
    known_recall_closed: f64,
    unknown_recall: f64,
    harmonic: f64,
    auroc: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/unknown.json")).unwrap()
}

#[test]
fn figures_are_those_of_scipy_and_scikit_learn() {
    let want = reference();
    let answers = Probabilities::new(want.classes, want.answers).unwrap();
    for (row, &h) in answers.rows().zip(&want.unsureness) {
        assert!((unsureness(row) - h).abs() < 1e-12);
    }
    let rule = Unknown::of(&answers, None).unwrap();
    assert!((rule.above - want.above).abs() < 1e-12);
    let got = rule.judged(&answers, &want.labels).unwrap();
    for (got, want) in [
        (got.known_recall, want.known_recall),
        (got.known_recall_closed, want.known_recall_closed),
        (got.unknown_recall.unwrap(), want.unknown_recall),
        (got.harmonic.unwrap(), want.harmonic),
        (got.auroc.unwrap(), want.auroc),
    ] {
        assert!((got - want).abs() < 1e-12, "{got} and {want}");
    }
    assert_eq!(got.known + got.unknown, want.labels.len());
}

#[test]
fn a_share_that_is_named_is_kept() {
    let want = reference();
    let answers = Probabilities::new(want.classes, want.answers).unwrap();
    let n = answers.n() as f64;
    for share in [0.0, 0.1, 0.35, 0.9, 1.0] {
        let rule = Unknown::of(&answers, Some(share)).unwrap();
        assert!((rule.share(&answers) - share).abs() <= 0.5 / n + 1e-12, "{share}");
    }
}

#[test]
fn what_cannot_be_judged_is_not() {
    let answers = Probabilities::new(2, vec![0.9, 0.1, 0.5, 0.5]).unwrap();
    let rule = Unknown::of(&answers, None).unwrap();
    assert!(!rule.says(answers.row(0)) && rule.says(answers.row(1)));
    // Where none is unknown, only what is called so is known.
    let known = rule.judged(&answers, &[Some(0), Some(1)]).unwrap();
    assert_eq!((known.known, known.unknown, known.known_called_unknown), (2, 0, 0.5));
    assert_eq!((known.unknown_recall, known.harmonic, known.auroc), (None, None, None));
    assert_eq!(rule.judged(&answers, &[None, None]), None, "nothing is known");
    let none = Probabilities::new(2, Vec::new()).unwrap();
    assert!(matches!(Unknown::of(&none, None), Err(StatsError::Shape { .. })));
    assert!(matches!(Unknown::of(&answers, Some(1.5)), Err(StatsError::Shape { .. })));
    assert!(Unknown::of(&answers, Some(f64::NAN)).is_err());
}
