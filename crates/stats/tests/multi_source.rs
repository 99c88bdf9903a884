//! Laws of weights of sources.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its data fails")]

use offshoot_random::generator;
use offshoot_stats::Matrix;
use offshoot_stats::multi_source::{self, Kernels};
use rand::RngExt;

const N: usize = 150;
const CLASSES: usize = 3;

fn labels() -> Vec<u32> {
    (0..N).map(|i| (i % CLASSES) as u32).collect()
}

/// Features of which a share of `signal` follows the labels, each class its own direction.
fn source(name: &str, d: usize, signal: f64, unit: f64) -> Matrix {
    let mut rng = generator(0, name, 0, 0);
    let data: Vec<f32> = (0..N * d)
        .map(|at| {
            let (i, j) = (at / d, at % d);
            let follows = if j % CLASSES == i % CLASSES { signal } else { 0.0 };
            (unit * (follows + rng.random_range(-1.0..1.0))) as f32
        })
        .collect();
    Matrix::new(N, d, data).unwrap()
}

fn weights(name: &str, sources: &[&Matrix]) -> Vec<f64> {
    let rows: Vec<_> = sources.iter().map(|source| source.rows()).collect();
    let kernels = Kernels::new(&rows, &labels(), CLASSES, 0).unwrap();
    multi_source::find(name).unwrap().of(&kernels).unwrap()
}

#[test]
fn every_weighting_obeys_its_laws() {
    let (good, noise) = (source("good", 12, 0.8, 1.0), source("noise", 40, 0.0, 1.0));
    for weighting in multi_source::all() {
        assert!(!weighting.summary.is_empty() && !weighting.paper.is_empty());
        let both = weights(weighting.name, &[&good, &noise]);
        println!("{}: signal and noise {both:?}", weighting.name);
        assert!(both.iter().all(|w| *w >= 0.0 && w.is_finite()));
        assert!((both.iter().map(|w| w * w).sum::<f64>() - 2.0).abs() < 1e-9);
        assert!(both[0] >= both[1]);
        assert!(weighting.name == "equal" || both[0] > 1.5 * both[1], "{both:?}");
        // Neither the order nor the unit of a source matters.
        let turned = weights(weighting.name, &[&noise, &good]);
        assert!((turned[0] - both[1]).abs() < 1e-6 && (turned[1] - both[0]).abs() < 1e-6);
        let louder = source("good", 12, 0.8, 1000.0);
        let louder = weights(weighting.name, &[&louder, &noise]);
        assert!((louder[0] - both[0]).abs() < 1e-3, "{louder:?} {both:?}");
        // Twins share what one has.
        let twins = weights(weighting.name, &[&good, &good]);
        assert!((twins[0] - twins[1]).abs() < 1e-6, "{twins:?}");
        assert!((weights(weighting.name, &[&good])[0] - 1.0).abs() < 1e-12);
        // A source that says the same of every sample does no harm.
        let dead = Matrix::new(N, 2, vec![3.0; 2 * N]).unwrap();
        assert!(weights(weighting.name, &[&good, &dead])[0] >= 1.0);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(both, one.install(|| weights(weighting.name, &[&good, &noise])));
    }
}

#[test]
fn noise_is_left_out_by_cross_validation_and_what_is_alike_counts_alike() {
    let (good, noise) = (source("good", 12, 0.8, 1.0), source("noise", 40, 0.0, 1.0));
    let both = weights("cv", &[&good, &noise]);
    assert!(both[1] < 0.3, "{both:?}");
    let another = source("another", 12, 0.8, 1.0);
    assert_eq!(weights("cv", &[&good, &another]), [1.0, 1.0]);
}

#[test]
fn what_cannot_be_weighed_is_refused() {
    let good = source("good", 12, 0.8, 1.0);
    assert!(Kernels::new(&[good.rows()], &labels()[1..], CLASSES, 0).is_err());
    assert!(Kernels::new(&[good.rows()], &labels(), 2, 0).is_err());
    let kernels = Kernels::new(&[], &labels(), CLASSES, 0).unwrap();
    assert!(multi_source::all().iter().all(|weighting| weighting.of(&kernels).is_err()));
    assert!(multi_source::find("nothing").is_none());
}
