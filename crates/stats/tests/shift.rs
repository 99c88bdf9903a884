//! Each kind of mismatch is told from the others, and nothing from nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_random::generator;
use offshoot_stats::distances;
use offshoot_stats::shift::{Action, Findings, Kind, Options, Set, compare};
use offshoot_stats::{Matrix, StatsError};
use rand::RngExt;

const D: usize = 8;

/// Three classes with means 3 apart, classes in the given numbers.
fn draw(counts: [usize; 3], purpose: &str, seed: u64) -> (Vec<f32>, Vec<Option<u32>>) {
    let mut draws = generator(seed, purpose, 0, 0);
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for (class, &count) in counts.iter().enumerate() {
        for _ in 0..count {
            for k in 0..D {
                let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * draws.random::<f64>()).cos();
                let centre = if k == class { 3.0 } else { 0.0 };
                rows.push((centre + normal) as f32);
            }
            labels.push(Some(class as u32));
        }
    }
    (rows, labels)
}

fn options() -> Options {
    let distances = distances::Options { permutations: 199, resamples: 20, seed: 0 };
    Options { distances, ..Options::default() }
}

type Side = (Vec<f32>, Vec<Option<u32>>);

fn findings(source: &Side, target: &Side, labelled: bool) -> Findings {
    let matrix = |data: &Vec<f32>| Matrix::new(data.len() / D, D, data.clone()).unwrap();
    let (s, t) = (matrix(&source.0), matrix(&target.0));
    let source = Set { rows: s.rows(), labels: &source.1 };
    let target = Set { rows: t.rows(), labels: if labelled { &target.1 } else { &[] } };
    compare(source, target, 3, &options()).unwrap()
}

#[test]
fn two_samples_of_one_distribution_are_no_mismatch() {
    let source = draw([100, 100, 100], "source", 0);
    let target = draw([80, 80, 80], "target", 0);
    for labelled in [false, true] {
        let found = findings(&source, &target, labelled);
        assert_eq!(found.verdict.names(), ["none"], "{:?}", found.verdict);
        assert_eq!(found.prescription.action, Action::Nothing);
    }
}

#[test]
fn classes_in_other_numbers_are_label_shift() {
    let source = draw([100, 100, 100], "source", 1);
    let target = draw([200, 30, 10], "target", 1);
    for labelled in [false, true] {
        let found = findings(&source, &target, labelled);
        assert_eq!(found.verdict.kinds, [Kind::Label], "{:?}", found.verdict);
        let labels = found.labels.unwrap();
        let shares = [200.0 / 240.0, 30.0 / 240.0, 10.0 / 240.0];
        for (estimate, truth) in labels.estimate.shares.iter().zip(shares) {
            assert!((estimate - truth).abs() < 0.06, "{:?}", labels.estimate.shares);
        }
        if !labelled {
            assert_eq!(found.prescription.action, Action::ReweightLabels);
            assert_eq!(found.prescription.weights.len(), 3);
        }
    }
}

#[test]
fn moved_inputs_are_covariate_shift() {
    let source = draw([100, 100, 100], "source", 2);
    let mut target = draw([80, 80, 80], "target", 2);
    target.0.chunks_exact_mut(D).for_each(|row| row[6] += 1.5);
    for labelled in [false, true] {
        let found = findings(&source, &target, labelled);
        assert_eq!(found.verdict.kinds, [Kind::Covariate], "{:?}", found.verdict);
        assert_eq!(found.features[0].feature, 6);
        // With labels it is seen that the moved feature does no harm.
        let action = if labelled { Action::Nothing } else { Action::AlignFeatures };
        assert_eq!(found.prescription.action, action, "{:?}", found.prescription);
    }
}

#[test]
fn other_labels_of_the_same_inputs_are_concept_shift() {
    let source = draw([100, 100, 100], "source", 3);
    let mut target = draw([80, 80, 80], "target", 3);
    for label in target.1.iter_mut().flatten() {
        *label = [1, 0, 2][*label as usize];
    }
    let found = findings(&source, &target, true);
    assert_eq!(found.verdict.kinds, [Kind::Concept], "{:?}", found.verdict);
    assert_eq!(found.prescription.action, Action::FineTune);
    // The two classes that changed places are those that moved.
    let mut moved: Vec<usize> = found.classes[..2].iter().map(|c| c.class).collect();
    moved.sort_unstable();
    assert_eq!(moved, [0, 1]);
}

#[test]
fn sets_without_labels_are_compared_by_their_inputs() {
    let (source, target) = (draw([60, 60, 60], "source", 4), draw([50, 50, 50], "target", 4));
    let moved: Vec<f32> = target.0.iter().map(|x| x + 1.0).collect();
    let none = |data: Vec<f32>| (data, Vec::new());
    let found = findings(&none(source.0.clone()), &none(moved), false);
    assert_eq!(found.verdict.kinds, [Kind::Covariate]);
    assert!(found.verdict.undecided && found.labels.is_none() && found.classes.is_empty());
    assert_eq!(found.prescription.action, Action::AlignFeatures);
    let found = findings(&none(source.0), &none(target.0), false);
    assert_eq!(found.verdict.names(), ["none"]);
}

#[test]
fn findings_do_not_depend_on_threads() {
    let (source, target) = (draw([60, 60, 60], "source", 5), draw([90, 50, 20], "target", 5));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| findings(&source, &target, true));
        (found.measures, found.labels, found.concept, found.classes, found.features)
    };
    assert!(run(1) == run(3));
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let (rows, labels) = draw([20, 20, 20], "source", 6);
    let matrix = Matrix::new(60, D, rows).unwrap();
    let set = |labels| Set { rows: matrix.rows(), labels };
    let refused = |source, target, classes| {
        matches!(compare(source, target, classes, &options()), Err(StatsError::Shape { .. }))
    };
    assert!(refused(set(&labels[..5]), set(&[]), 3));
    assert!(refused(set(&labels), set(&labels), 2));
}
