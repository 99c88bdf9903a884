//! Heads, metrics and components equal scikit-learn's (see `reference/heads.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_stats::heads::{self, FitOptions, Head};
use offshoot_stats::{Probabilities, Rows, metrics, pca};
use serde_json::Value;

fn read(name: &str) -> Value {
    let path = format!("{}/tests/reference/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn features(case: &Value) -> Vec<f32> {
    floats(&case["x"]).into_iter().map(|x| x as f32).collect()
}

fn labels(case: &Value) -> Vec<u32> {
    case["y"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn size(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap() as usize
}

/// Largest difference of two rows of numbers.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn fit(name: &str, case: &Value, lambda: Option<f64>) -> (Head, Vec<f64>) {
    let (x, y) = (features(case), labels(case));
    let rows = Rows::new(y.len(), size(case, "d"), &x).unwrap();
    let options = FitOptions {
        lambda,
        balanced: case["balanced"].as_bool().unwrap_or(false),
        standardise: false,
        ..FitOptions::default()
    };
    let fitted =
        heads::find(name).unwrap().fit(rows, &y, size(case, "n_classes"), &options).unwrap();
    assert!(fitted.converged, "{name}: {}", case["name"]);
    let p = fitted.head.predict(rows).unwrap().rows().flatten().copied().collect();
    (fitted.head, p)
}

#[test]
fn logistic_regression() {
    for case in read("heads.json")["logistic"].as_array().unwrap() {
        let (_, p) = fit("logistic", case, case["lambda"].as_f64());
        let y = labels(case);
        let p_right = Probabilities::new(size(case, "n_classes"), p.clone()).unwrap();
        let loss = metrics::find("log_loss").unwrap().of(&p_right, &y).unwrap();
        let off = (loss - case["log_loss"].as_f64().unwrap()).abs();
        println!("{}: log-loss off by {off:.1e}", case["name"]);
        assert!(off <= 1e-6, "{}: log-loss {loss}, off by {off:e}", case["name"]);
        let off = difference(&p, &floats(&case["probabilities"]));
        assert!(off <= 1e-3, "{}: a probability is off by {off:e}", case["name"]);
    }
}

#[test]
fn linear_discriminants() {
    let reference = read("heads.json");
    let (_, p) = fit("lda", &reference["lda"], None);
    let off = difference(&p, &floats(&reference["lda"]["probabilities"]));
    assert!(off <= 1e-7, "off by {off:e}");
}

#[test]
fn ridge_weights_up_to_the_temperature() {
    let reference = read("heads.json");
    let case = &reference["ridge"];
    let (Head::Linear(head), _) = fit("ridge", case, case["lambda"].as_f64()) else {
        panic!("ridge is linear")
    };
    let expected = floats(&case["coef"]);
    let temperature = expected[0] / head.weight[0];
    assert!(temperature > 0.0);
    let scaled: Vec<f64> = head.weight.iter().map(|w| w * temperature).collect();
    let off = difference(&scaled, &expected);
    assert!(off <= 1e-7, "off by {off:e}");
}

#[test]
fn principal_components() {
    let reference = read("heads.json");
    let case = &reference["pca"];
    let x = features(case);
    let d = size(case, "d");
    let found = pca(Rows::new(x.len() / d, d, &x).unwrap(), size(case, "k")).unwrap();
    assert!(difference(&found.scores, &floats(&case["scores"])) <= 1e-9);
    assert!(difference(&found.explained, &floats(&case["explained"])) <= 1e-12);
}

#[test]
fn every_metric() {
    for case in read("metrics.json")["cases"].as_array().unwrap() {
        let p =
            Probabilities::new(size(case, "n_classes"), floats(&case["probabilities"])).unwrap();
        for metric in metrics::all() {
            let expected = case[metric.name].as_f64().expect("a metric without a reference");
            let actual = metric.of(&p, &labels(case)).unwrap();
            assert!(
                (actual - expected).abs() <= 1e-12,
                "{} of {}: {actual} is not {expected}",
                metric.name,
                case["name"]
            );
        }
    }
}
