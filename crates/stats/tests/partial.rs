//! A target that lacks classes of the source: they are seen in the answers, and what they did to alignment is undone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_random::{Generator, generator};
use offshoot_stats::adaptation::{class_weights, thinned};
use offshoot_stats::adapters::{self, Options, Problem};
use offshoot_stats::{Matrix, Probabilities, StatsError};
use rand::RngExt;

const D: usize = 8;
const CLASSES: usize = 6;

fn normal(draws: &mut Generator) -> f64 {
    let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()
}

/// Rows of the classes below `present`, each around a centre of its own, all moved by `moved`.
fn clouds(n: usize, present: usize, moved: f64, purpose: &str) -> (Matrix, Vec<u32>) {
    let mut draws = generator(0, purpose, 0, 0);
    let labels: Vec<u32> = (0..n).map(|i| (i % present) as u32).collect();
    let mut data = Vec::new();
    for class in &labels {
        for j in 0..D {
            // Absent classes lie on one side, so that without them the mean is another.
            let centre = if j == *class as usize { 4.0 } else { 0.0 };
            data.push((centre + moved + normal(&mut draws)) as f32);
        }
    }
    (Matrix::new(n, D, data).unwrap(), labels)
}

fn accuracy(said: &Probabilities, labels: &[u32]) -> f64 {
    let right = labels.iter().enumerate().filter(|&(i, &y)| said.predicted(i) == y).count();
    right as f64 / labels.len() as f64
}

struct Sides {
    source: (Matrix, Vec<u32>),
    target: (Matrix, Vec<u32>),
}

impl Sides {
    fn new(present: usize, moved: f64) -> Self {
        let source = clouds(360, CLASSES, 0.0, "partial source");
        Self { source, target: clouds(180, present, moved, "partial target") }
    }

    fn answers(&self, name: &str, kept: &[usize]) -> Probabilities {
        let rows = Matrix::gather(self.source.0.rows(), kept);
        let labels: Vec<u32> = kept.iter().map(|&i| self.source.1[i]).collect();
        let target = self.target.0.rows();
        let problem = Problem::new(rows.rows(), &labels, CLASSES, target, 0).unwrap();
        let adapter = adapters::find(name).unwrap();
        let adapted = adapter.fit(&problem.with_lambda(0.01), &Options::default()).unwrap();
        adapted.of_target().predict(target).unwrap()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.source.1.len()).collect()
    }

    fn weights(&self) -> Vec<f64> {
        class_weights(&self.source.1, CLASSES, &self.answers("source-only", &self.all())).unwrap()
    }
}

#[test]
fn negative_transfer_by_absent_classes_is_undone() {
    let sides = Sides::new(2, 0.7);
    let weights = sides.weights();
    println!("{weights:?}");
    assert!(weights[..2].iter().all(|w| *w > 0.9) && weights[2..].iter().all(|w| *w < 0.3));
    let kept = thinned(sides.source.0.rows(), &sides.source.1, &weights);
    let truth = &sides.target.1;
    let own = accuracy(&sides.answers("source-only", &sides.all()), truth);
    for name in ["coral", "ot", "jdot", "sa"] {
        let [with, without] =
            [sides.all(), kept.clone()].map(|kept| accuracy(&sides.answers(name, &kept), truth));
        println!("{name}: source-only {own}, all classes {with}, thinned {without}");
        assert!(without >= with - 0.01, "{name}: {with} to {without}");
        if name == "coral" || name == "ot" {
            assert!(with < own - 0.3, "{name}: the absent classes do no harm: {own} and {with}");
            // Transport still has to carry what is left of the absent classes somewhere.
            let undone = (without - with) / (own - with);
            assert!(undone > if name == "ot" { 0.7 } else { 0.95 }, "{name}: {undone}");
        }
    }
}

#[test]
fn a_target_with_all_classes_keeps_all_rows() {
    let sides = Sides::new(CLASSES, 0.7);
    let weights = sides.weights();
    assert!(weights.iter().all(|w| *w > 0.8), "{weights:?}");
    // Of three classes to one, none is absent.
    let labels: Vec<u32> = (0..100).map(|i| u32::from(i % 2 == 0)).collect();
    let said = Probabilities::new(2, [0.7, 0.3].repeat(50)).unwrap();
    let weights = class_weights(&labels, 2, &said).unwrap();
    assert!((weights[0] - 1.0).abs() < 1e-12 && (weights[1] - 0.857).abs() < 1e-3, "{weights:?}");
}

#[test]
fn weights_are_what_the_formula_says_and_rows_do_not_go_by_their_order() {
    let labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 2];
    let said = Probabilities::new(4, vec![0.5, 0.1, 0.4, 0.0, 0.3, 0.1, 0.6, 0.0]).unwrap();
    let weights = class_weights(&labels, 4, &said).unwrap();
    // Means 0.4, 0.1, 0.5 and shares 0.3, 0.2, 0.5: ratios 4/3, 1/2, 1; no row is of the last class.
    let expected = [1.0, 2.0 * 0.5 / (4.0 / 3.0), 1.0, 0.0];
    assert!(weights.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{weights:?}");
    let rows = Matrix::new(10, 1, (0..10).map(|i| i as f32).collect()).unwrap();
    let kept = thinned(rows.rows(), &labels, &[0.5, 0.01, 0.3, 0.0]);
    let of = |class: u32| kept.iter().filter(|&&i| labels[i] == class).count();
    assert_eq!((of(0), of(1), of(2)), (2, 0, 2));
    let order: Vec<usize> = (0..10).rev().collect();
    let turned = Matrix::gather(rows.rows(), &order);
    let turned_labels: Vec<u32> = order.iter().map(|&i| labels[i]).collect();
    let mut back: Vec<usize> = thinned(turned.rows(), &turned_labels, &[0.5, 0.01, 0.3, 0.0])
        .into_iter()
        .map(|i| order[i])
        .collect();
    back.sort_unstable();
    assert_eq!(back, kept);
    // One class alone is no problem that a head could be fitted to.
    assert_eq!(thinned(rows.rows(), &labels, &[1.0, 0.0, 0.0, 0.0]).len(), 10);
    assert!(matches!(class_weights(&labels, 3, &said), Err(StatsError::Shape { .. })));
    assert!(matches!(class_weights(&[7], 4, &said), Err(StatsError::Shape { .. })));
}
