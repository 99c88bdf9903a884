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

fn runs(case: &Value, side: &str) -> Vec<Probabilities> {
    let runs = case[side].as_array().unwrap().iter();
    let flat = |run: &Value| run.as_array().unwrap().iter().flat_map(floats).collect();
    runs.map(|run| Probabilities::new(size(case, "n_classes"), flat(run)).unwrap()).collect()
}

/// Quantiles lie where the exact distribution has them, up to the scatter of 20,000 resamples.
fn assert_like(found: metrics::Difference, exact: &Value, name: &str) {
    let number = |key: &str| exact[key].as_f64().unwrap();
    assert!((found.value - number("value")).abs() < 1e-12, "{name}: {found:?}");
    for (key, found) in [("low", found.low), ("high", found.high)] {
        let range = floats(&exact[key]);
        assert!(found >= range[0] - 1e-9 && found <= range[1] + 1e-9, "{name}: {key} {found}");
    }
    let p = number("p");
    let off = (found.p - p).abs();
    println!("{name}: p {:.4}, exactly {p:.4}", found.p);
    // The deviation of twice a share, five times.
    assert!(off <= 5.0 * (2.0 * p.max(1e-4) / 20_000.0).sqrt(), "{name}: p {} not {p}", found.p);
}

#[test]
fn paired_differences() {
    let reference = read("paired.json");
    let options = metrics::PairedOptions { resamples: 20_000, seed: 3 };
    for case in reference["cases"].as_array().unwrap() {
        let name = case["metric"].as_str().unwrap();
        let metric = metrics::find(name).unwrap();
        let (a, b, y) = (runs(case, "a"), runs(case, "b"), labels(case));
        let (a, b): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
        let found = metrics::paired_over_seeds(metric, &a, &b, &y, options).unwrap();
        assert_like(found, case, &format!("{name}, {} seeds", a.len()));
        let turned = metrics::paired_over_seeds(metric, &b, &a, &y, options).unwrap();
        assert_eq!((turned.value, turned.p), (-found.value, found.p));
        if a.len() == 1 {
            assert_eq!(metrics::paired(metric, a[0], b[0], &y, options).unwrap(), found);
        }
        let Some(by_class) = case["by_class"].as_array() else { continue };
        let found = metrics::paired_by_class(metric, &a, &b, &y, options).unwrap();
        for (class, (found, exact)) in found.iter().zip(by_class).enumerate() {
            assert_eq!(found.support, y.iter().filter(|&&y| y as usize == class).count());
            assert_like(found.difference.unwrap(), exact, &format!("{name}, class {class}"));
            assert!(found.adjusted_p >= found.difference.unwrap().p);
        }
    }
    for case in reference["sign_test"].as_array().unwrap() {
        let case = floats(case);
        let found = metrics::sign_test(case[0] as usize, case[1] as usize);
        assert!((found - case[2]).abs() <= 1e-9 * case[2].max(1e-300), "{case:?}: {found:e}");
    }
    let holm = &reference["holm"];
    assert!(difference(&metrics::holm(&floats(&holm["p"])), &floats(&holm["adjusted"])) < 1e-12);
}

#[test]
fn differences_are_paired_with_the_figures() {
    let reference = read("paired.json");
    let case = &reference["cases"][1];
    let (a, y) = (&runs(case, "a")[0], labels(case));
    let certain = y.iter().flat_map(|&y| (0..3).map(move |c| f64::from(u8::from(c == y))));
    let certain = Probabilities::new(3, certain.collect()).unwrap();
    let options = metrics::PairedOptions { resamples: 999, seed: 1 };
    // Against a classifier that is always right, the difference is the figure itself, draw by draw.
    let accuracy = metrics::find("accuracy").unwrap();
    let gap = metrics::paired(accuracy, &certain, a, &y, options).unwrap();
    let own = metrics::bootstrap(accuracy, a, &y, 999, 1).unwrap();
    for (gap, own) in [(gap.value, own.value), (gap.low, own.high), (gap.high, own.low)] {
        assert!((gap + own - 1.0).abs() < 1e-12);
    }
    assert!(!gap.is_below_zero());
    let one = [a];
    for (a, b) in [(&one[..], &[][..]), (&[], &[]), (&[a, a], &one)] {
        let refused = metrics::paired_over_seeds(accuracy, a, b, &y, options);
        assert!(matches!(refused, Err(offshoot_stats::StatsError::Shape { .. })));
    }
    assert!(metrics::paired(accuracy, a, a, &y[1..], options).is_err());
}

/// Under the hypothesis that neither is better, the 5 % test fires about as often as it should.
#[test]
fn the_test_of_a_difference_keeps_its_level() {
    use rand::RngExt;
    let accuracy = metrics::find("accuracy").unwrap();
    let draw = |world: u64, side: u64| {
        let mut rng = offshoot_random::generator(world, "null pair", side, 0);
        let rows = (0..120).flat_map(|_| {
            let p = rng.random_range(0.0..1.0);
            [p, 1.0 - p]
        });
        Probabilities::new(2, rows.collect()).unwrap()
    };
    let fired = (0..400u64)
        .filter(|&world| {
            let options = metrics::PairedOptions { resamples: 400, seed: world };
            let gap =
                metrics::paired(accuracy, &draw(world, 0), &draw(world, 1), &[0; 120], options);
            gap.unwrap().p < 0.05
        })
        .count();
    println!("the 5 % test fired on {:.1} % of 400 null pairs", fired as f64 / 4.0);
    assert!((8..=36).contains(&fired), "{fired}");
}
