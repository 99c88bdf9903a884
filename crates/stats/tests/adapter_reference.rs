//! Methods of adaptation equal POT, skada where it is right, and the papers' formulas (`reference/adapters.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use offshoot_random::generator;
use offshoot_stats::Matrix;
use offshoot_stats::adapters::{self, Adapted, Family, Options, Problem};
use rand::RngExt;
use serde_json::Value;

/// Methods whose folds go by the content of rows, which no other library does: laws with a known truth.
const BY_LAW: [&str; 2] = ["discriminator", "label-shift"];

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let off = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off <= tolerance * scale, "{what}: off by {off} of {scale}");
}

/// Products of what source rows and target rows are shown as, `[n, m]`: signs of components do not matter.
fn cross(adapted: &Adapted, source: &Matrix, target: &Matrix) -> Vec<f64> {
    let [s, t] = [(&adapted.source, source), (&adapted.target, target)]
        .map(|(view, rows)| view.apply(rows.rows()).unwrap());
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let (s, t) = (s.rows(), t.rows());
    (0..s.n()).flat_map(|i| (0..t.n()).map(move |j| dot(s.row(i), t.row(j)))).collect()
}

#[test]
fn methods_equal_other_libraries_and_formulas() {
    let path = format!("{}/tests/reference/adapters.json", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let lambda = json["lambda"].as_f64().unwrap();
    let classes = json["classes"].as_u64().unwrap() as usize;
    let mut seen = BTreeSet::from(BY_LAW);
    for (number, case) in json["cases"].as_array().unwrap().iter().enumerate() {
        let d = case["d"].as_u64().unwrap() as usize;
        let set = |key: &str| {
            let data: Vec<f32> = floats(&case[key]).into_iter().map(|x| x as f32).collect();
            Matrix::new(data.len() / d, d, data).unwrap()
        };
        let (source, target) = (set("source"), set("target"));
        let labels: Vec<u32> = floats(&case["labels"]).into_iter().map(|y| y as u32).collect();
        for method in case["methods"].as_array().unwrap() {
            let name = method["name"].as_str().unwrap();
            let adapter = adapters::find(name).unwrap_or_else(|| panic!("{name}"));
            seen.insert(adapter.name);
            let mut options = Options::default();
            for (key, value) in method["options"].as_object().unwrap() {
                options = options.with(key, value.as_f64().unwrap());
            }
            let problem = Problem::new(source.rows(), &labels, classes, target.rows(), 0).unwrap();
            // Rows take turns in being of the first and of the second domain, for methods that ask.
            let domains: Vec<u32> = (0..labels.len() as u32).map(|i| i % 2).collect();
            let several = adapter.family == Family::Domains;
            let domains = several.then_some(domains.as_slice());
            let problem = match domains {
                Some(domains) => problem.with_domains(domains).unwrap(),
                None => problem,
            };
            let adapted = adapter.fit(&problem.with_lambda(lambda), &options).unwrap();
            let what = |key: &str| format!("{name}, {key}, case {number}");
            let mut compared = 0;
            if let Some(theirs) = method.get("source") {
                let shown = adapted.shown(source.rows(), domains).unwrap();
                let ours: Vec<f64> = shown.rows().data().iter().map(|&x| x.into()).collect();
                close(&ours, &floats(theirs), 1e-6, &what("source"));
                compared += 1;
            }
            if let Some(theirs) = method.get("cross") {
                close(&cross(&adapted, &source, &target), &floats(theirs), 2e-6, &what("cross"));
                compared += 1;
            }
            if let Some(theirs) = method.get("weights") {
                close(&adapted.weights, &floats(theirs), 1e-4, &what("weights"));
                compared += 1;
            }
            if let Some(theirs) = method.get("objective") {
                let (ours, theirs) = (adapted.facts["objective"], theirs.as_f64().unwrap());
                assert!((ours - theirs).abs() < 1e-6 * theirs.abs(), "{name}: {ours}, {theirs}");
                compared += 1;
            }
            if let Some(theirs) = method.get("probabilities") {
                let said = adapted.of_target().predict(target.rows()).unwrap();
                let ours: Vec<f64> = said.rows().flatten().copied().collect();
                close(&ours, &floats(theirs), 2e-4, &what("probabilities"));
                compared += 1;
            }
            assert!(compared > 0, "{name}");
        }
    }
    let all: BTreeSet<&str> = adapters::all().iter().map(|adapter| adapter.name).collect();
    assert_eq!(seen, all, "every method has a reference");
}

fn normal(count: usize, purpose: &str) -> Vec<f32> {
    let mut draws = generator(0, purpose, 0, 0);
    let mut one = || {
        let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()) as f32
    };
    (0..count).map(|_| one()).collect()
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let product = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    product(a, ma, b, mb) / (product(a, ma, a, ma) * product(b, mb, b, mb)).sqrt()
}

/// Two Gaussians of equal spread, one unit apart: the ratio of densities is known.
#[test]
fn weights_follow_the_ratio_of_densities() {
    let (n, d) = (800, 4);
    let source = Matrix::new(n, d, normal(n * d, "source")).unwrap();
    let mut data = normal(n * d, "target");
    data.chunks_exact_mut(d).for_each(|row| row[0] += 1.0);
    let target = Matrix::new(n, d, data).unwrap();
    let labels: Vec<u32> = (0..n).map(|i| u32::from(source.rows().row(i)[1] > 0.0)).collect();
    let problem = Problem::new(source.rows(), &labels, 2, target.rows(), 0).unwrap();
    let problem = problem.with_lambda(0.01);
    let log_ratio: Vec<f64> = (0..n).map(|i| f64::from(source.rows().row(i)[0]) - 0.5).collect();
    // Most weights of `kmm` are at a bound: it matches means and estimates no density.
    for (name, least) in [("discriminator", 0.97), ("kliep", 0.85), ("kmm", 0.2)] {
        let adapted = adapters::find(name).unwrap().fit(&problem, &Options::default()).unwrap();
        let logs: Vec<f64> = adapted.weights.iter().map(|w| w.max(1e-3).ln()).collect();
        let found = correlation(&logs, &log_ratio);
        println!("{name}: correlation of log weights {found:.3}, {:?}", adapted.facts);
        assert!(found > least, "{name}: {found}");
        let mean = adapted.weights.iter().sum::<f64>() / n as f64;
        assert!((mean - 1.0).abs() < 1e-9, "{name}: {mean}");
        // The weighted source has the target's mean.
        let moved: f64 = adapted
            .weights
            .iter()
            .enumerate()
            .map(|(i, w)| w * f64::from(source.rows().row(i)[0]) / n as f64)
            .sum();
        assert!((0.6..1.3).contains(&moved), "{name}: {moved}");
    }
}

/// Classes that are three times as frequent in the target, and a third: their ratios are found and used.
#[test]
fn frequencies_of_classes_are_found() {
    let d = 3;
    let side = |counts: [usize; 3], purpose: &str| {
        let labels: Vec<u32> =
            counts.iter().enumerate().flat_map(|(c, &k)| vec![c as u32; k]).collect();
        let mut data = normal(labels.len() * d, purpose);
        for (row, &y) in data.chunks_exact_mut(d).zip(&labels) {
            row[y as usize] += 1.8;
        }
        (Matrix::new(labels.len(), d, data).unwrap(), labels)
    };
    let (x, y) = side([300, 300, 300], "source");
    let (t, truth) = side([700, 100, 100], "target");
    let problem = Problem::new(x.rows(), &y, 3, t.rows(), 0).unwrap().with_lambda(0.001);
    let accuracy = |name: &str| {
        let adapted = adapters::find(name).unwrap().fit(&problem, &Options::default()).unwrap();
        let p = adapted.of_target().predict(t.rows()).unwrap();
        let hits = truth.iter().enumerate().filter(|(i, y)| p.predicted(*i) == **y).count();
        (hits as f64 / truth.len() as f64, adapted.prior)
    };
    let (corrected, prior) = accuracy("label-shift");
    let shares = [700.0f64 / 300.0, 100.0 / 300.0, 100.0 / 300.0];
    for (found, share) in prior.iter().zip(shares) {
        assert!((found - share.ln()).abs() < 0.25, "{prior:?}");
    }
    let (plain, _) = accuracy("source-only");
    assert!(corrected > plain + 0.02, "{corrected} and {plain}");
}
