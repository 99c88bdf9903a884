//! Scores of sources: laws that every entry of the registry keeps, and other people's numbers (see
//! `reference/scores.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_stats::scores::{self, Evidence, Score};
use offshoot_stats::{
    Matrix, Probabilities, Rows, StatsError, kendall_tau, spearman, weighted_tau,
};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn reference() -> Value {
    let path = format!("{}/tests/reference/scores.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Noise that no generator's version changes.
fn noise(i: usize) -> f32 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x >> 40) as f32) / (1u64 << 24) as f32 - 0.5
}

/// `n` samples of `classes` clouds `apart` in `d` features, classes in turn.
fn clouds(n: usize, d: usize, classes: usize, apart: f32) -> (Matrix, Vec<u32>) {
    let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
    let data = (0..n * d)
        .map(|at| {
            let (i, k) = (at / d, at % d);
            noise(at) + if k % classes == i % classes { apart } else { 0.0 }
        })
        .collect();
    (Matrix::new(n, d, data).unwrap(), labels)
}

/// What a source's classifier may say of each: three classes, the label's rest among them.
fn answers(labels: &[u32]) -> Probabilities {
    let row = |(i, &y): (usize, &u32)| -> Vec<f64> {
        (0..3).map(|z| f64::from(noise(3 * i + z)) + f64::from(y as usize % 3 == z)).collect()
    };
    Probabilities::softmax(3, labels.iter().enumerate().flat_map(row).collect()).unwrap()
}

fn score(score: &Score, x: &Matrix, y: &[u32], classes: usize) -> f64 {
    let source = answers(y);
    let evidence = Evidence::new(x.rows(), y, classes, Some(&source)).unwrap();
    score.of(&evidence).unwrap_or_else(|e| panic!("{}: {e}", score.name))
}

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs()).max(1e-3)
}

#[test]
fn every_score_equals_the_reference() {
    for case in reference()["scores"].as_array().unwrap() {
        let x: Vec<f32> = floats(&case["x"]).into_iter().map(|x| x as f32).collect();
        let y: Vec<u32> = floats(&case["y"]).into_iter().map(|y| y as u32).collect();
        let d = case["d"].as_u64().unwrap() as usize;
        let sources = case["source_classes"].as_u64().unwrap() as usize;
        let source = Probabilities::new(sources, floats(&case["source"])).unwrap();
        let rows = Rows::new(y.len(), d, &x).unwrap();
        let classes = case["n_classes"].as_u64().unwrap() as usize;
        let evidence = Evidence::new(rows, &y, classes, Some(&source)).unwrap();
        for score in scores::all() {
            let expected = case["scores"][score.name].as_f64().expect("a score without reference");
            let actual = score.of(&evidence).unwrap();
            let off = (actual - expected).abs() / expected.abs();
            println!("{}: {} {actual:.6}, off by {off:.1e}", case["name"], score.name);
            assert!(off <= 1e-8, "{}: {actual} is not {expected}", score.name);
        }
    }
}

#[test]
fn agreements_of_orders_equal_scipys() {
    for case in reference()["orders"].as_array().unwrap() {
        let (x, y) = (floats(&case["x"]), floats(&case["y"]));
        for (name, found) in [
            ("kendall", kendall_tau(&x, &y)),
            ("weighted", weighted_tau(&x, &y)),
            ("spearman", spearman(&x, &y)),
        ] {
            let expected = case[name].as_f64().unwrap();
            assert!((found.unwrap() - expected).abs() < 1e-12, "{name} of {}", case["name"]);
        }
    }
}

#[test]
fn the_word_typed_is_the_file_opened() {
    assert!(scores::all().is_sorted_by_key(|score| score.name));
    for score in scores::all() {
        let place = format!("{}/src/scores/{}.rs", env!("CARGO_MANIFEST_DIR"), score.name);
        assert!(std::fs::exists(&place).unwrap(), "{place}");
        assert_eq!(scores::find(score.name).unwrap().name, score.name);
        assert!(!score.summary.is_empty() && !score.paper.is_empty());
    }
}

#[test]
fn classes_that_are_apart_score_higher_than_classes_that_are_not() {
    for one in scores::all().iter().filter(|score| !score.needs_source) {
        for (n, d) in [(120, 8), (40, 90)] {
            let (near, y) = clouds(n, d, 4, 0.02);
            let (far, _) = clouds(n, d, 4, 0.5);
            let (near, far) = (score(one, &near, &y, 4), score(one, &far, &y, 4));
            assert!(far > near, "{} on {n} × {d}: {far} is not above {near}", one.name);
        }
    }
    // Of those that look at the source's answers, the right ones are worth more than shuffled ones.
    let (x, y) = clouds(120, 8, 3, 0.1);
    for one in scores::all().iter().filter(|score| score.needs_source) {
        let of = |shift: usize| {
            let told: Vec<u32> = (0..120).map(|i| y[(i + shift * (i / 7)) % 120]).collect();
            let source = answers(&told);
            one.of(&Evidence::new(x.rows(), &y, 3, Some(&source)).unwrap()).unwrap()
        };
        assert!(of(0) > of(1), "{}", one.name);
    }
}

#[test]
fn neither_order_nor_names_nor_threads_matter() {
    for (n, d) in [(90, 7), (45, 60)] {
        let (x, y) = clouds(n, d, 3, 0.2);
        let order: Vec<usize> = (0..n).map(|i| (i * 37 + 11) % n).collect();
        let turned = Matrix::gather(x.rows(), &order);
        let source = answers(&y);
        for one in scores::all() {
            let of = |x: &Matrix, y: &[u32], classes, source: &Probabilities| {
                one.of(&Evidence::new(x.rows(), y, classes, Some(source)).unwrap()).unwrap()
            };
            let plain = of(&x, &y, 3, &source);
            // Another order rotates few samples of many features otherwise.
            let near = if one.name == "probe" { 1e-8 } else { 1e-9 };
            let turned_y: Vec<u32> = order.iter().map(|&i| y[i]).collect();
            let shuffled = of(&turned, &turned_y, 3, &source.gather(&order));
            assert!(close(plain, shuffled, near), "{}: {plain} is not {shuffled}", one.name);
            // Other names, and names that no sample has.
            let renamed: Vec<u32> = y.iter().map(|&y| [4, 1, 3][y as usize]).collect();
            let renamed = of(&x, &renamed, 6, &source);
            assert!(close(plain, renamed, near), "{}: {plain} is not {renamed}", one.name);
            for threads in [1, 2, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let value = pool.install(|| of(&x, &y, 3, &source));
                assert_eq!(value.to_bits(), plain.to_bits(), "{} on {threads} threads", one.name);
            }
        }
    }
}

#[test]
fn a_rotation_of_the_features_changes_only_what_says_so() {
    let (x, y) = clouds(60, 2, 3, 0.4);
    let (sin, cos) = 0.7f32.sin_cos();
    let turned = x.rows().data().chunks_exact(2);
    let turned = turned.flat_map(|v| [cos * v[0] - sin * v[1], sin * v[0] + cos * v[1]]).collect();
    let turned = Matrix::new(60, 2, turned).unwrap();
    for name in ["logme", "hscore", "transrate", "gbc", "loo", "knn"] {
        let one = scores::find(name).unwrap();
        let (a, b) = (score(one, &x, &y, 3), score(one, &turned, &y, 3));
        assert!(close(a, b, 1e-4), "{name}: {a} is not {b}");
    }
}

#[test]
fn awkward_features_give_finite_scores() {
    let (x, y) = clouds(24, 5, 3, 0.3);
    let of = |n: usize, d: usize, value: &dyn Fn(usize, usize) -> f32| {
        Matrix::new(n, d, (0..n * d).map(|at| value(at / d, at % d)).collect()).unwrap()
    };
    let onehot = of(24, 3, &|i, k| if i % 3 == k { 1.0 } else { 0.0 });
    let wide = clouds(6, 300, 2, 0.3);
    let huge = of(24, 5, &|i, k| x.rows().row(i)[k] * 1e15);
    let tiny = of(24, 5, &|i, k| x.rows().row(i)[k] * 1e-15);
    let padded = of(24, 9, &|i, k| x.rows().row(i).get(k).copied().unwrap_or(3.0));
    let twice = of(48, 5, &|i, k| x.rows().row(i % 24)[k]);
    let single: Vec<u32> = (0..24).map(|i| if i == 0 { 2 } else { i % 2 }).collect();
    let cases: [(&str, &Matrix, Vec<u32>, usize); 14] = [
        ("constant features", &of(24, 5, &|_, _| 2.5), y.clone(), 3),
        ("zero features", &of(24, 5, &|_, _| 0.0), y.clone(), 3),
        ("constant features, many", &of(6, 40, &|_, _| 0.3), vec![0, 1, 0, 1, 0, 1], 2),
        ("features that are the labels", &onehot, y.clone(), 3),
        ("one class", &x, vec![0; 24], 1),
        ("one class of three", &x, vec![1; 24], 3),
        ("classes without samples", &x, y.clone(), 7),
        ("a class of one sample", &x, single, 3),
        ("every sample a class", &x, (0..24).collect(), 24),
        ("one sample", &of(1, 4, &|_, k| k as f32), vec![1], 2),
        ("two samples", &of(2, 3, &|i, k| (i * 3 + k) as f32), vec![0, 1], 2),
        ("more features than samples", &wide.0, wide.1, 2),
        ("every sample twice", &twice, y.repeat(2), 3),
        ("some features constant", &padded, y.clone(), 3),
    ];
    for one in scores::all() {
        for (name, x, y, classes) in &cases {
            let value = score(one, x, y, *classes);
            assert!(value.is_finite(), "{} on {name}: {value}", one.name);
        }
        for x in [&huge, &tiny] {
            assert!(score(one, x, &y, 3).is_finite(), "{}", one.name);
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let (x, y) = clouds(12, 4, 3, 0.3);
    let mut data = x.rows().data().to_vec();
    data[7 * 4 + 1] = f32::NAN;
    let broken = Matrix::new(12, 4, data).unwrap();
    let error = Evidence::new(broken.rows(), &y, 3, None).err().unwrap();
    assert!(matches!(error, StatsError::NotFinite { row: 7, .. }), "{error}");
    assert!(error.to_string().contains("row 7"), "{error}");
    let refused = |rows, labels: &[u32], classes, source: Option<&Probabilities>| {
        Evidence::new(rows, labels, classes, source).err().unwrap().to_string()
    };
    assert!(refused(x.rows(), &y, 2, None).contains("labels below 2"));
    assert!(refused(x.rows(), &y[..5], 3, None).contains("12 labels"));
    let empty = Matrix::new(0, 4, Vec::new()).unwrap();
    assert!(refused(empty.rows(), &[], 3, None).contains("samples"));
    let few = answers(&y[..5]);
    assert!(refused(x.rows(), &y, 3, Some(&few)).contains("12 answers"));
    let nan = Probabilities::new(1, [vec![1.0; 4], vec![f64::NAN; 8]].concat()).unwrap();
    assert!(refused(x.rows(), &y, 3, Some(&nan)).contains("row 4"));
    let evidence = Evidence::new(x.rows(), &y, 3, None).unwrap();
    for score in scores::all() {
        let needs = score.of(&evidence).is_err_and(|e| e.to_string().contains("classifier"));
        assert_eq!(needs, score.needs_source, "{}", score.name);
    }
}
