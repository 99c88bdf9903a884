//! Distances equal those of other libraries (see `reference/distances.py`) and keep their laws.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_random::generator;
use offshoot_stats::distances::{self, Options, Pair, combined};
use offshoot_stats::{Matrix, StatsError};
use rand::RngExt;
use serde_json::Value;

const FEW: Options = Options { permutations: 99, resamples: 20, seed: 0 };

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Normal draws `[n, d]`, a stream for each name.
fn normal(n: usize, d: usize, purpose: &str, seed: u64) -> Matrix {
    let mut draws = generator(seed, purpose, 0, 0);
    let mut one = || {
        let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()
    };
    Matrix::new(n, d, (0..n * d).map(|_| one() as f32).collect()).unwrap()
}

fn moved(x: &Matrix, by: f32) -> Matrix {
    let rows = x.rows();
    let data = rows.data().iter().map(|v| v + by).collect();
    Matrix::new(rows.n(), rows.d(), data).unwrap()
}

fn value(name: &str, source: &Matrix, target: &Matrix, options: Options) -> f64 {
    let pair = Pair::new(source.rows(), target.rows(), options).unwrap();
    distances::find(name).unwrap().of(&pair).unwrap().value
}

#[test]
fn the_word_typed_is_the_file_opened() {
    let names: Vec<_> = distances::all().iter().map(|d| d.name).collect();
    assert!(names.is_sorted());
    for name in names {
        let path = format!("{}/src/distances/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::exists(path).unwrap(), "{name}");
    }
}

#[test]
fn values_equal_those_of_other_libraries() {
    let path = format!("{}/tests/reference/distances.json", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in json["cases"].as_array().unwrap() {
        let d = case["d"].as_u64().unwrap() as usize;
        let set = |key: &str| {
            let data: Vec<f32> = floats(&case[key]).into_iter().map(|x| x as f32).collect();
            Matrix::new(data.len() / d, d, data).unwrap()
        };
        let (source, target) = (set("source"), set("target"));
        let close = |name: &str, ours: f64, key: &str| {
            let theirs = case[key].as_f64().unwrap();
            let off = (ours - theirs).abs() / theirs.abs().max(1e-3);
            assert!(off < 1e-8, "{name}, {}: {ours} is not {theirs}", case["name"]);
        };
        for name in ["mmd", "energy", "coral"] {
            close(name, value(name, &source, &target, FEW), name);
        }
        // Two samples have a singular covariance, at which scipy's matrix root is off by 1e-8.
        if source.rows().n() > d {
            close("frechet", value("frechet", &source, &target, FEW), "frechet");
        }
        let directions = floats(&case["directions"]);
        let sliced = distances::along(source.rows(), target.rows(), &directions).unwrap();
        close("sliced_wasserstein", sliced, "sliced");
    }
}

#[test]
fn the_classifier_is_as_good_as_can_be() {
    // Two normal clouds whose means are δ apart are told apart with Φ(δ/2): 0.6915 for δ = 1.
    let (source, target) = (normal(4000, 5, "a", 0), normal(4000, 5, "b", 0));
    let mut data = target.rows().data().to_vec();
    data.chunks_exact_mut(5).for_each(|row| row[2] += 1.0);
    let target = Matrix::new(4000, 5, data).unwrap();
    let accuracy = value("c2st", &source, &target, FEW);
    assert!((accuracy - 0.6915).abs() < 0.012, "{accuracy}");
    let proxy = value("proxy_a", &source, &target, FEW);
    assert!((proxy - 2.0 * (2.0 * accuracy - 1.0)).abs() < 1e-12);
}

#[test]
fn distance_to_itself_is_the_least() {
    for (n, d) in [(40, 3), (300, 7), (12, 40)] {
        let x = normal(n, d, "itself", 0);
        for distance in distances::all() {
            let value = value(distance.name, &x, &x, FEW);
            match distance.name {
                // Unbiased: a set is nearer to itself than two samples are.
                "mmd" => assert!(value < 0.0 && value > -0.2, "{value}"),
                // Equal samples lie on both sides of every border.
                "c2st" => assert!(value <= 0.5, "{value}"),
                name => assert!(value.abs() < 1e-12, "{name}: {value}"),
            }
        }
    }
}

#[test]
fn distances_are_symmetric() {
    let (a, b) = (normal(60, 4, "a", 3), moved(&normal(45, 4, "b", 3), 0.3));
    for distance in distances::all() {
        let (there, back) = (value(distance.name, &a, &b, FEW), value(distance.name, &b, &a, FEW));
        // The classifier's folds are drawn for source and target by different keys.
        let allowed = if matches!(distance.name, "c2st" | "proxy_a") { 0.2 } else { 1e-9 };
        assert!((there - back).abs() <= allowed, "{}: {there}, {back}", distance.name);
    }
}

#[test]
fn distances_grow_with_a_planted_shift() {
    let (a, b) = (normal(200, 6, "a", 5), normal(150, 6, "b", 5));
    for distance in distances::all() {
        let scaled = |by: f32| {
            let data = b.rows().data().iter().map(|v| v * by + (by - 1.0)).collect();
            Matrix::new(150, 6, data).unwrap()
        };
        let values: Vec<f64> = [1.0, 1.4, 2.0, 4.0]
            .iter()
            .map(|&by| value(distance.name, &a, &scaled(by), FEW))
            .collect();
        assert!(values.is_sorted(), "{}: {values:?}", distance.name);
        assert!(
            values[3] > distance.least + 0.1 * values[3].abs(),
            "{}: {values:?}",
            distance.name
        );
        let pair = [a.rows(), scaled(2.0).rows()]
            .map(|r| Matrix::gather(r, &(0..r.n()).collect::<Vec<_>>()));
        let pair = Pair::new(pair[0].rows(), pair[1].rows(), FEW).unwrap();
        let measure = distance.of(&pair).unwrap();
        assert_eq!(measure.p_value.is_some(), distance.is_test);
        if let Some(p) = measure.p_value {
            assert_eq!(p, 0.01, "{}", distance.name);
        }
        let chance = measure.chance.unwrap();
        assert!(chance < measure.value, "{}: {chance}", distance.name);
        if let Some([low, high]) = measure.interval {
            let inside = low <= measure.value && measure.value <= high;
            assert!(inside, "{}: {} in {low}..{high}", distance.name, measure.value);
        }
    }
}

#[test]
fn awkward_sets_give_finite_answers() {
    let x = normal(30, 4, "x", 0);
    let constant = Matrix::new(20, 4, vec![2.5; 80]).unwrap();
    let dead = {
        let mut data = x.rows().data().to_vec();
        data.chunks_exact_mut(4).for_each(|row| row[1] = 7.0);
        Matrix::new(30, 4, data).unwrap()
    };
    let cases: Vec<(&str, Matrix, Matrix)> = vec![
        ("constant features", constant.clone(), constant.clone()),
        ("two constants", constant.clone(), moved(&constant, 1.0)),
        ("a constant and a cloud", constant.clone(), x.clone()),
        ("a dead feature", dead.clone(), moved(&dead, 0.0)),
        ("two samples", normal(2, 4, "two", 0), normal(2, 4, "other", 0)),
        ("two samples and many", normal(2, 4, "two", 0), x.clone()),
        (
            "far more features than samples",
            normal(12, 3000, "wide", 0),
            normal(9, 3000, "wide2", 0),
        ),
        (
            "huge features",
            {
                let data = x.rows().data().iter().map(|v| v * 1e18).collect();
                Matrix::new(30, 4, data).unwrap()
            },
            moved(&x, 1e18),
        ),
        ("one feature", normal(30, 1, "one", 0), normal(20, 1, "one", 1)),
        ("every sample twice", Matrix::new(60, 4, x.rows().data().repeat(2)).unwrap(), x.clone()),
    ];
    for (name, source, target) in &cases {
        let pair = Pair::new(source.rows(), target.rows(), FEW).unwrap();
        let measures: Vec<_> = distances::all().iter().map(|d| d.of(&pair).unwrap()).collect();
        for measure in &measures {
            assert!(measure.value.is_finite(), "{}, {name}", measure.name);
            assert!(measure.statistics.iter().all(|t| t.is_finite()), "{}, {name}", measure.name);
            assert!(measure.chance.is_none_or(f64::is_finite), "{}, {name}", measure.name);
            let p = measure.p_value;
            assert!(p.is_none_or(|p| (0.01..=1.0).contains(&p)), "{}, {name}: {p:?}", measure.name);
            if *name == "constant features" {
                assert!(p.is_none_or(|p| p == 1.0), "{}: {p:?}", measure.name);
            }
            if *name == "two constants" && measure.name != "coral" && measure.name != "mmd" {
                assert!(p.is_none_or(|p| p == 0.01), "{}: {p:?}", measure.name);
            }
        }
        assert!((0.01..=1.0).contains(&combined(&measures).unwrap()));
    }
}

#[test]
fn unusable_sets_are_refused_with_their_place() {
    let x = normal(10, 3, "x", 0);
    let mut data = x.rows().data().to_vec();
    data[3 * 7 + 1] = f32::NAN;
    let broken = Matrix::new(10, 3, data).unwrap();
    let error = |a: &Matrix, b: &Matrix| Pair::new(a.rows(), b.rows(), FEW).unwrap_err();
    let place = |e: StatsError| match e {
        StatsError::NotFinite { what, row } => (what, row),
        other => panic!("{other}"),
    };
    assert_eq!(place(error(&broken, &x)), ("source", 7));
    assert_eq!(place(error(&x, &broken)), ("target", 7));
    let one = Matrix::new(1, 3, vec![0.0; 3]).unwrap();
    assert_eq!(
        error(&x, &one).to_string(),
        "expected at least 2 samples and 1 feature in the target, got 1 × 3"
    );
    let narrow = Matrix::new(4, 2, vec![0.0; 8]).unwrap();
    assert!(matches!(error(&x, &narrow), StatsError::Shape { .. }));
}

#[test]
fn bits_do_not_depend_on_threads() {
    for (n, m, d) in [(150, 90, 8), (1500, 1400, 6), (40, 30, 90)] {
        let (a, b) = (normal(n, d, "a", 1), normal(m, d, "b", 1));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let pair = Pair::new(a.rows(), b.rows(), FEW).unwrap();
                distances::all().iter().map(|d| d.of(&pair).unwrap()).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(4), "{n} × {d}");
    }
}

#[test]
fn cells_change_no_value() {
    // 3,000 samples are in cells of three; the means over all pairs are what they were.
    let (a, b) = (normal(1600, 3, "a", 2), moved(&normal(1400, 3, "b", 2), 0.2));
    let (mut ss, mut tt, mut st) = (0.0, 0.0, 0.0);
    let apart = |x: &[f32], y: &[f32]| {
        let squares = x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2));
        squares.sum::<f64>().sqrt()
    };
    for i in 0..1600 {
        (0..1600).for_each(|j| ss += apart(a.rows().row(i), a.rows().row(j)));
        (0..1400).for_each(|j| st += apart(a.rows().row(i), b.rows().row(j)));
    }
    for i in 0..1400 {
        (0..1400).for_each(|j| tt += apart(b.rows().row(i), b.rows().row(j)));
    }
    let (n, m) = (1600.0, 1400.0);
    let between = 2.0 * st / (n * m);
    let expected = (between - ss / (n * n) - tt / (m * m)) / between;
    let ours = value("energy", &a, &b, FEW);
    assert!((ours - expected).abs() < 1e-9 * expected, "{ours} is not {expected}");
}

#[test]
fn the_feature_that_moved_is_named() {
    let (a, b) = (normal(300, 20, "a", 7), normal(200, 20, "b", 7));
    let none = distances::features(&Pair::new(a.rows(), b.rows(), FEW).unwrap());
    assert!(none.iter().all(|f| f.p_value > 0.05), "{:?}", none[0]);
    let mut data = b.rows().data().to_vec();
    data.chunks_exact_mut(20).for_each(|row| {
        row[4] -= 0.8;
        row[9] = 1.0;
    });
    let b = Matrix::new(200, 20, data).unwrap();
    let moved = distances::features(&Pair::new(a.rows(), b.rows(), FEW).unwrap());
    let of = |feature: usize| moved.iter().find(|f| f.feature == feature).unwrap();
    assert!((of(4).difference + 0.8).abs() < 0.25 && of(4).p_value == 0.01, "{:?}", of(4));
    assert!(moved.iter().filter(|f| ![4, 9].contains(&f.feature)).all(|f| f.p_value > 0.05));
}
