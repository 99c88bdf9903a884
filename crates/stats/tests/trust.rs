//! Prediction sets and detectors of the unfamiliar: laws, and the figures of `reference/trust.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_random::generator;
use offshoot_stats::conformal::{self, Sets, quantile};
use offshoot_stats::ood::{self, Alarm, Detector, Seen};
use offshoot_stats::{Probabilities, Rows};
use rand::RngExt;
use serde_json::Value;

fn reference() -> Value {
    let path = format!("{}/tests/reference/trust.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn whole(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("off by {off:.1e}");
    assert!(off <= tolerance, "{off}");
}

/// Probabilities and labels drawn from them, but the classifier is too sure of itself by `sharp`.
fn drawn(n: usize, classes: usize, sharp: f64, seed: u64) -> (Probabilities, Vec<u32>) {
    let mut rng = generator(seed, "trust test", 0, 0);
    let scores: Vec<f64> = (0..n * classes).map(|_| 4.0 * rng.random::<f64>()).collect();
    let truth = Probabilities::softmax(classes, scores.clone()).unwrap();
    let label = |row: &[f64]| {
        let mut left: f64 = rng.random();
        let drawn = row.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        drawn.unwrap_or(classes - 1) as u32
    };
    let labels = truth.rows().map(label).collect();
    let said = Probabilities::softmax(classes, scores.iter().map(|s| sharp * s).collect());
    (said.unwrap(), labels)
}

#[test]
fn sets_are_those_of_the_formulas_and_of_mapie() {
    for case in reference()["sets"].as_array().unwrap() {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let alpha = case["alpha"].as_f64().unwrap();
        let p = |key: &str| Probabilities::new(classes, floats(&case[key])).unwrap();
        let labels = whole(&case["y_cal"]);
        for score in conformal::all() {
            let sets = Sets::calibrate(score, &p("p_cal"), &labels, false).unwrap();
            let thresholds = sets.thresholds(alpha);
            match case[score.name]["threshold"].as_f64() {
                Some(expected) => assert!((thresholds[0] - expected).abs() < 1e-12),
                None => assert_eq!(thresholds[0], f64::INFINITY),
            }
            for (i, row) in p("p_new").rows().enumerate() {
                let mut set = sets.set(row, &thresholds);
                set.sort_unstable();
                assert_eq!(set, whole(&case[score.name]["sets"][i]), "{} {i}", score.name);
                // MAPIE leaves a set empty where even the most probable class is too strange.
                if score.name == "lac" && !case["mapie_lac"].is_null() {
                    let mapie = whole(&case["mapie_lac"][i]);
                    assert!(set == mapie || mapie.is_empty() && set.len() == 1, "{i}");
                }
            }
        }
    }
}

#[test]
fn a_promise_is_kept_over_many_draws() {
    // Coverage is at least 1 − α and, without ties, at most 1 − α + 1/(n+1), whatever the classifier; the
    // mean over draws must be there within three standard errors.
    let (n, new, draws) = (39, 50, 300);
    for score in conformal::all() {
        for (alpha, by_class) in [(0.1, false), (0.25, false), (0.25, true)] {
            let mut shares = Vec::new();
            for seed in 0..draws {
                let (p, y) = drawn(n + new, 4, 3.0, seed);
                let (old, fresh): (Vec<usize>, Vec<usize>) = (0..n + new).partition(|&i| i < n);
                let sets = Sets::calibrate(score, &p.gather(&old), &y[..n], by_class).unwrap();
                let coverage = sets.measure(&p.gather(&fresh), &y[n..], alpha).unwrap();
                shares.push(coverage.share().share);
            }
            let mean = shares.iter().sum::<f64>() / draws as f64;
            let variance = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
            let error = (variance / (draws * (draws - 1)) as f64).sqrt();
            println!("{} α {alpha} by class {by_class}: {mean:.4} ± {error:.4}", score.name);
            assert!(mean >= 1.0 - alpha - 3.0 * error, "{}: {mean}", score.name);
            // LAC and APS are not padded by anything else here; by class, thresholds round up more.
            if score.name == "lac" && !by_class {
                assert!(mean <= 1.0 - alpha + 1.0 / (n + 1) as f64 + 3.0 * error, "{mean}");
            }
        }
    }
}

#[test]
fn a_higher_promise_never_takes_a_class_away() {
    let (p, y) = drawn(80, 5, 2.0, 7);
    for score in conformal::all() {
        for by_class in [false, true] {
            let sets = Sets::calibrate(score, &p, &y, by_class).unwrap();
            for row in p.rows() {
                let mut before: Vec<u32> = Vec::new();
                for alpha in [1.0, 0.7, 0.4, 0.2, 0.1, 0.05, 0.01, 0.0] {
                    let set = sets.set(row, &sets.thresholds(alpha));
                    assert!(!set.is_empty() && before.iter().all(|c| set.contains(c)));
                    before = set;
                }
                assert_eq!(before.len(), 5, "a promise of 100 % holds every class");
            }
        }
    }
}

#[test]
fn with_fewer_samples_than_a_promise_needs_a_set_is_everything() {
    for (alpha, least) in [(0.1, 9), (0.05, 19), (0.2, 4), (0.01, 99), (0.3, 3)] {
        assert_eq!(conformal::least(alpha), least);
        let scores: Vec<f64> = (0..least).map(|i| i as f64).collect();
        assert_eq!(quantile(&scores, alpha), (least - 1) as f64, "{alpha}");
        assert_eq!(quantile(&scores[1..], alpha), f64::INFINITY, "{alpha}");
    }
    assert_eq!(conformal::least(0.0), usize::MAX);
    assert_eq!(quantile(&[], 0.5), f64::INFINITY);
    // A class of which there were too few belongs to every set; the others have their own thresholds.
    let (p, mut y) = drawn(60, 3, 1.0, 1);
    y.iter_mut().for_each(|y| *y = (*y).min(1));
    let sets = Sets::calibrate(conformal::find("lac").unwrap(), &p, &y, true).unwrap();
    let thresholds = sets.thresholds(0.1);
    assert!(thresholds[0] < 1.0 && thresholds[1] < 1.0 && thresholds[2].is_infinite());
    assert!(p.rows().all(|row| sets.set(row, &thresholds).contains(&2)));
}

#[test]
fn equal_scores_are_all_in_or_all_out() {
    let p = Probabilities::new(4, [0.4, 0.2, 0.2, 0.2].repeat(30)).unwrap();
    let labels: Vec<u32> = (0..30).map(|i| i % 4).collect();
    for score in conformal::all() {
        let row = score.of_row(p.row(0));
        assert!(row[1] == row[2] && row[2] == row[3] && row[0] < row[1], "{}", score.name);
        let sets = Sets::calibrate(score, &p, &labels, false).unwrap();
        assert_eq!(sets.set(p.row(0), &sets.thresholds(0.1)).len(), 4);
        assert_eq!(sets.set(p.row(0), &sets.thresholds(0.9)).len(), 1);
    }
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let (p, y) = drawn(10, 3, 1.0, 0);
    for score in conformal::all() {
        assert!(Sets::calibrate(score, &p, &y[1..], false).is_err());
        assert!(Sets::calibrate(score, &p, &[3; 10], false).is_err());
    }
}

/// Three clouds in 30 features, the last ten of which follow the first. Features of the own class are `own`,
/// the others 0.
fn clouds(n: usize, seed: u64, own: f32) -> (Vec<f32>, Vec<u32>) {
    let mut rng = generator(seed, "clouds", 0, 0);
    let labels: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
    let mut data = Vec::new();
    for &label in &labels {
        let row: Vec<f32> = (0..20)
            .map(|k| {
                let noise: f32 = (0..6).map(|_| rng.random::<f32>() - 0.5).sum();
                noise + if k % 3 == label as usize { own } else { 0.0 }
            })
            .collect();
        data.extend(&row);
        data.extend(row[..10].iter().map(|x| x + 0.1 * (rng.random::<f32>() - 0.5)));
    }
    (data, labels)
}

/// Logits that a head on [`clouds`] would give.
fn logits(data: &[f32]) -> Vec<f64> {
    let sum = |row: &[f32], class| -> f64 {
        (0..20).filter(|k| k % 3 == class).map(|k| f64::from(row[k])).sum()
    };
    data.chunks_exact(30).flat_map(|row| (0..3).map(move |class| sum(row, class))).collect()
}

#[test]
fn distances_and_energies_are_those_of_numpy() {
    for case in reference()["detectors"].as_array().unwrap() {
        let (d, classes) =
            (case["d"].as_u64().unwrap() as usize, case["classes"].as_u64().unwrap() as usize);
        let narrow = |key: &str| floats(&case[key]).iter().map(|&x| x as f32).collect::<Vec<_>>();
        let (x, new, y) = (narrow("x"), narrow("new"), whole(&case["y"]));
        let logits = floats(&case["logits"]);
        let fitted = vec![0.0; y.len() * classes];
        let train =
            Seen { rows: Rows::new(y.len(), d, &x).unwrap(), logits: Some(fitted.as_slice()) };
        let rows = Rows::new(new.len() / d, d, &new).unwrap();
        let seen = Seen { rows, logits: Some(logits.as_slice()) };
        for entry in ood::all() {
            let detector = entry.fit(&train, &y, classes).unwrap().unwrap();
            let towards = detector.towards(&seen, classes).unwrap();
            if entry.name == "energy" {
                let energies: Vec<f64> = towards
                    .chunks_exact(classes)
                    .map(|row| detector.strangeness(row, None))
                    .collect();
                close(&energies, &floats(&case["energy"]), 1e-12);
            } else {
                // Means and directions are kept as f32.
                close(&towards, &floats(&case[entry.name]), 2e-5);
            }
        }
    }
    let area = &reference()["auroc"];
    let found = ood::auroc(&floats(&area["low"]), &floats(&area["high"]));
    assert!((found - area["area"].as_f64().unwrap()).abs() < 1e-12);
}

#[test]
fn every_detector_tells_the_far_from_the_near() {
    let (x, y) = clouds(120, 0, 2.0);
    let (near, labels) = clouds(400, 1, 2.0);
    let (far, _) = clouds(400, 2, -2.0);
    let (at_x, at_near, at_far) = (logits(&x), logits(&near), logits(&far));
    let seen = |data: &'static [f32], logits: &'static [f64]| Seen {
        rows: Rows::new(data.len() / 30, 30, data).unwrap(),
        logits: Some(logits),
    };
    let leak = |v: Vec<f32>| -> &'static [f32] { v.leak() };
    let leak64 = |v: Vec<f64>| -> &'static [f64] { v.leak() };
    let train = seen(leak(x), leak64(at_x));
    let (near, far) = (seen(leak(near), leak64(at_near)), seen(leak(far), leak64(at_far)));
    for entry in ood::all() {
        let detector = entry.fit(&train, &y, 3).unwrap().unwrap();
        let strange = |seen: &Seen<'_>| -> Vec<f64> {
            let towards = detector.towards(seen, 3).unwrap();
            towards.chunks_exact(3).map(|row| detector.strangeness(row, None)).collect()
        };
        let (low, high) = (strange(&near), strange(&far));
        let area = ood::auroc(&low, &high);
        let towards = detector.towards(&near, 3).unwrap();
        let apart = ood::leave_class_out(&detector, &towards, &labels, 3).unwrap();
        println!("{}: far {area:.3}, class left out {apart:.3}", entry.name);
        assert!(area > 0.95 && apart > 0.9, "{}: {area} and {apart}", entry.name);
        // Half of the near samples set the threshold, the others keep to its rate.
        let alarm = Alarm::calibrate(low[..200].to_vec(), 0.05);
        assert!((alarm.rate - 10.0 / 201.0).abs() < 1e-12 && alarm.n == 200);
        let alarms = low[200..].iter().filter(|&&s| s > alarm.threshold).count();
        assert!(alarms <= 24, "{}: {alarms} of 200", entry.name);
    }
}

#[test]
fn detectors_say_what_they_cannot_do() {
    let (x, y) = clouds(12, 0, 2.0);
    let rows = Rows::new(12, 30, &x).unwrap();
    let blind = Seen { rows, logits: None };
    assert_eq!(ood::find("energy").unwrap().fit(&blind, &y, 3).unwrap(), None);
    assert!(Detector::Energy.towards(&blind, 3).is_err());
    // Samples of a class that are all alike have no covariance.
    let alike = [1.0f32; 12];
    let alike = Seen { rows: Rows::new(6, 2, &alike).unwrap(), logits: None };
    assert_eq!(
        ood::find("mahalanobis").unwrap().fit(&alike, &[0, 1, 0, 1, 0, 1], 2).unwrap(),
        None
    );
    let nan = [f32::NAN, 0.0];
    let nan = Seen { rows: Rows::new(1, 2, &nan).unwrap(), logits: None };
    for entry in ood::all() {
        assert!(entry.fit(&nan, &[0], 1).is_err(), "{}", entry.name);
        assert!(entry.fit(&blind, &y[1..], 3).is_err(), "{}", entry.name);
        // A class without training rows is infinitely far.
        if let Some(detector) = entry.fit(&blind, &y, 4).unwrap() {
            let towards = detector.towards(&blind, 4).unwrap();
            assert!(towards.chunks_exact(4).all(|row| row[3] == f64::INFINITY));
            let narrow = Seen { rows: Rows::new(24, 15, &x).unwrap(), logits: None };
            assert!(detector.towards(&narrow, 4).is_err(), "{}", entry.name);
        }
    }
}

#[test]
fn so_few_samples_raise_the_rate_and_none_give_no_alarm() {
    let alarm = Alarm::calibrate(vec![3.0, 1.0, 2.0], 0.01);
    assert_eq!(alarm, Alarm { threshold: 3.0, rate: 0.25, n: 3 });
    let alarm = Alarm::calibrate((0..99).map(f64::from).collect(), 0.01);
    assert_eq!((alarm.threshold, alarm.rate), (98.0, 0.01));
    let alarm = Alarm::calibrate((0..199).map(f64::from).collect(), 0.01);
    assert_eq!((alarm.threshold, alarm.rate), (197.0, 0.01));
    assert_eq!(Alarm::calibrate(Vec::new(), 0.01).threshold, f64::INFINITY);
}

#[test]
fn detectors_have_the_same_bits_on_any_number_of_threads() {
    let mut rng = generator(0, "threads", 0, 0);
    let x: Vec<f32> = (0..400 * 300).map(|_| rng.random::<f32>()).collect();
    let y: Vec<u32> = (0..400).map(|i| i % 5).collect();
    for n in [200, 400] {
        let seen = Seen { rows: Rows::new(n, 300, &x[..n * 300]).unwrap(), logits: None };
        for entry in ood::all() {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| entry.fit(&seen, &y[..n], 5).unwrap())
            };
            let one = run(1);
            assert!(one == run(2) && one == run(4), "{} on {n} rows", entry.name);
        }
    }
}
