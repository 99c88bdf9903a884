//! Validators: laws that every entry of the registry keeps, and other people's numbers (see
//! `reference/validators.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_stats::validators::{self, Evidence, Inputs, Validator};
use offshoot_stats::{Matrix, Probabilities, StatsError};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// One model's answers and features.
#[derive(Clone)]
struct Model {
    source: Probabilities,
    labels: Vec<u32>,
    target: Probabilities,
    source_rows: Matrix,
    target_rows: Matrix,
}

impl Model {
    fn evidence(&self) -> Evidence<'_> {
        let rows = [self.source_rows.rows(), self.target_rows.rows()];
        Evidence::new(&self.source, &self.labels, &self.target, rows, 0).unwrap()
    }
    fn score(&self, validator: &Validator) -> f64 {
        validator.of(&self.evidence()).unwrap_or_else(|e| panic!("{}: {e}", validator.name))
    }
}

#[test]
fn every_validator_equals_the_reference() {
    let path = format!("{}/tests/reference/validators.json", env!("CARGO_MANIFEST_DIR"));
    let reference: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in reference["cases"].as_array().unwrap() {
        let (d, classes) = (&case["d"], case["classes"].as_u64().unwrap() as usize);
        let d = d.as_u64().unwrap() as usize;
        let rows = |key: &str| {
            let x: Vec<f32> = floats(&case[key]).into_iter().map(|x| x as f32).collect();
            Matrix::new(x.len() / d, d, x).unwrap()
        };
        let answers = |key: &str| Probabilities::new(classes, floats(&case[key])).unwrap();
        let model = Model {
            source: answers("source"),
            labels: floats(&case["labels"]).into_iter().map(|y| y as u32).collect(),
            target: answers("target"),
            source_rows: rows("source_rows"),
            target_rows: rows("target_rows"),
        };
        let inputs = floats(&case["inputs"]);
        let evidence = model.evidence().with_ratio(&inputs).unwrap();
        let evidence = evidence.with_seen_ratio(floats(&case["seen"])).unwrap();
        for validator in validators::all() {
            let expected = case["scores"][validator.name].as_f64().expect("no reference");
            let actual = validator.of(&evidence).unwrap();
            let off = (actual - expected).abs() / expected.abs().max(1e-3);
            println!("{}: {} {actual:.6}, off by {off:.1e}", case["name"], validator.name);
            assert!(off <= 1e-9, "{}: {actual} is not {expected}", validator.name);
        }
    }
}

#[test]
fn the_word_read_is_the_file_opened() {
    assert!(validators::all().is_sorted_by_key(|validator| validator.name));
    for validator in validators::all() {
        let file = validator.name.replace('-', "_");
        let place = format!("{}/src/validators/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::exists(&place).unwrap(), "{place}");
        assert_eq!(validators::find(validator.name).unwrap().name, validator.name);
        assert!(!validator.summary.is_empty() && !validator.paper.is_empty());
    }
}

/// Noise that no generator's version changes.
fn noise(i: usize) -> f32 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x >> 40) as f32) / (1u64 << 24) as f32 - 0.5
}

/// `n` rows a side in three clouds, and a model that is right on the source and on `right` of 100 target rows.
fn model(n: usize, right: usize) -> Model {
    let labels: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
    let cloud = |from: usize| {
        let at = |at: usize| noise(from + at) + if at % 4 == (at / 4) % 3 { 2.0 } else { 0.0 };
        Matrix::new(n, 4, (0..4 * n).map(at).collect()).unwrap()
    };
    let answers = |right: usize, sure: f64, from: usize| {
        let scores = (0..3 * n).map(|at| {
            let (i, class) = (at / 3, at % 3);
            let told = if (i / 3 * 37) % 100 < right { i % 3 } else { (i + 1 + i / 3 % 2) % 3 };
            f64::from(noise(from + at)) + if class == told { sure } else { 0.0 }
        });
        Probabilities::softmax(3, scores.collect()).unwrap()
    };
    // Wrong answers are less sure.
    Model {
        source: answers(95, 3.0, 0),
        target: answers(right, 1.0 + right as f64 / 50.0, 7 * n),
        labels,
        source_rows: cloud(0),
        target_rows: cloud(11 * n),
    }
}

#[test]
fn right_and_sure_answers_score_at_least_as_much_as_wrong_ones() {
    let (good, bad) = (model(300, 95), model(300, 20));
    for validator in validators::all() {
        let (good, bad) = (good.score(validator), bad.score(validator));
        // Those that look at the source alone see no difference.
        let same = ["iwv", "dev", "devn", "distance"].contains(&validator.name);
        if same {
            assert_eq!(good, bad, "{}", validator.name);
        } else {
            assert!(good > bad, "{}: {good} is not above {bad}", validator.name);
        }
    }
}

#[test]
fn only_entropy_and_density_fall_for_one_class_for_all() {
    let good = model(300, 95);
    let mut collapsed = good.clone();
    let one = (0..300).flat_map(|_| [1.0, 0.0, 0.0]).collect();
    collapsed.target = Probabilities::new(3, one).unwrap();
    for validator in validators::all() {
        let fooled = collapsed.score(validator) > good.score(validator);
        let expected = ["entropy", "snd"].contains(&validator.name);
        assert_eq!(fooled, expected, "{}", validator.name);
    }
}

#[test]
fn neither_order_nor_names_nor_threads_matter() {
    let plain = model(120, 80);
    let order: Vec<usize> = (0..120).map(|i| (i * 37 + 11) % 120).collect();
    let mut turned = plain.clone();
    turned.target = plain.target.gather(&order);
    turned.target_rows = Matrix::gather(plain.target_rows.rows(), &order);
    let renamed = |p: &Probabilities| {
        Probabilities::new(3, p.rows().flat_map(|r| [r[2], r[0], r[1]]).collect()).unwrap()
    };
    let names = Model {
        source: renamed(&plain.source),
        target: renamed(&plain.target),
        labels: plain.labels.iter().map(|y| (y + 1) % 3).collect(),
        ..plain.clone()
    };
    for validator in validators::all() {
        let score = plain.score(validator);
        // The folds of the density ratio go by place.
        if !["iwv", "dev", "devn"].contains(&validator.name) {
            let other = turned.score(validator);
            assert!((score - other).abs() < 1e-9, "{}: {score} is not {other}", validator.name);
        }
        let other = names.score(validator);
        assert!((score - other).abs() < 1e-9, "{}: {score} is not {other}", validator.name);
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let other = pool.install(|| plain.score(validator));
            assert_eq!(score.to_bits(), other.to_bits(), "{}, {threads} threads", validator.name);
        }
    }
}

#[test]
fn likelihood_is_asked_of_features_that_no_model_makes() {
    let (good, bad) = (model(300, 95), model(300, 40));
    let inputs = Inputs::new(good.target_rows.rows()).unwrap();
    let likelihood = validators::find("likelihood").unwrap();
    let of =
        |model: &Model| likelihood.of(&model.evidence().with_inputs(&inputs).unwrap()).unwrap();
    // Wrong answers on features that are made to follow them.
    let mut made = bad.clone();
    let rows = bad.target.rows().flat_map(|p| [p[0], p[1], p[2], 0.0].map(|p| 9.0 * p as f32));
    made.target_rows = Matrix::new(300, 4, rows.collect()).unwrap();
    assert!(made.score(likelihood) > good.score(likelihood), "features cannot flatter");
    assert_eq!(of(&made), of(&bad));
    assert!(of(&good) > of(&made) + 0.5, "{} and {}", of(&good), of(&made));
    // One class for all is no more probable than one cloud.
    let mut one = good.clone();
    one.target = Probabilities::new(3, [1.0, 0.0, 0.0].repeat(300)).unwrap();
    assert!(of(&one).abs() < 1e-12, "{}", of(&one));
    let few = Inputs::new(model(12, 80).target_rows.rows()).unwrap();
    let error = good.evidence().with_inputs(&few).unwrap_err().to_string();
    assert!(error.contains("300 target rows") && error.contains("12"), "{error}");
    // Many features are looked at along their leading directions.
    let wide = |i: usize, k: usize| if k < 4 { good.target_rows.rows().row(i)[k] } else { 0.0 };
    let wide = Matrix::new(300, 200, (0..300 * 200).map(|at| wide(at / 200, at % 200)).collect());
    let wide = Inputs::new(wide.unwrap().rows()).unwrap();
    let along =
        |model: &Model| likelihood.of(&model.evidence().with_inputs(&wide).unwrap()).unwrap();
    assert!(along(&good) > along(&bad) + 0.5, "{} and {}", along(&good), along(&bad));
}

#[test]
fn awkward_answers_give_finite_scores() {
    let plain = model(30, 80);
    let constant = Matrix::new(30, 4, vec![2.5; 120]).unwrap();
    let even = Probabilities::new(3, vec![1.0 / 3.0; 90]).unwrap();
    let hard = |class: usize| {
        let p = (0..90).map(|at| f64::from(u8::from(at % 3 == class))).collect();
        Probabilities::new(3, p).unwrap()
    };
    let single = Model {
        source: plain.source.gather(&[0, 1]),
        labels: vec![0, 1],
        target: plain.target.gather(&[0, 1]),
        source_rows: Matrix::gather(plain.source_rows.rows(), &[0, 1]),
        target_rows: Matrix::gather(plain.target_rows.rows(), &[0, 1]),
    };
    let wide = Matrix::new(30, 200, (0..6000).map(noise).collect()).unwrap();
    let cases = [
        Model { source_rows: constant.clone(), target_rows: constant.clone(), ..plain.clone() },
        Model { target: even.clone(), source: even, ..plain.clone() },
        Model { target: hard(1), source: hard(2), ..plain.clone() },
        Model { source_rows: wide.clone(), target_rows: wide, ..plain.clone() },
        Model { labels: vec![1; 30], ..plain.clone() },
        single,
    ];
    for (case, model) in cases.iter().enumerate() {
        for validator in validators::all() {
            let score = model.score(validator);
            assert!(score.is_finite(), "{} of case {case}", validator.name);
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let plain = model(12, 80);
    let refused = |model: &Model| {
        let rows = [model.source_rows.rows(), model.target_rows.rows()];
        Evidence::new(&model.source, &model.labels, &model.target, rows, 0).err().unwrap()
    };
    let mut data = plain.target_rows.rows().data().to_vec();
    data[7 * 4 + 1] = f32::NAN;
    let broken = Model { target_rows: Matrix::new(12, 4, data).unwrap(), ..plain.clone() };
    assert!(matches!(refused(&broken), StatsError::NotFinite { row: 7, .. }));
    let few = Model { target: plain.target.gather(&[0]), ..plain.clone() };
    assert!(refused(&few).to_string().contains("12 answers of the target"), "{}", refused(&few));
    let unknown = Model { labels: vec![3; 12], ..plain.clone() };
    assert!(refused(&unknown).to_string().contains("labels below 3"));
    let narrow = Model { target_rows: Matrix::new(12, 1, vec![0.0; 12]).unwrap(), ..plain.clone() };
    assert!(refused(&narrow).to_string().contains("4 features"));
    let evidence = plain.evidence();
    assert!(evidence.with_ratio(&[1.0]).unwrap_err().to_string().contains("12 density ratios"));
}
