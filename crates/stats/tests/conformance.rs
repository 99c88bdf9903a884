//! Laws that every head and every metric of the registries keeps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_stats::heads::{self, FitOptions};
use offshoot_stats::{Matrix, Probabilities, StatsError, conformal, metrics, multi_source, ood};
use proptest::prelude::*;

/// `n` samples of `classes` well-separated clouds in `d` features, classes in turn.
fn clouds(n: usize, d: usize, classes: usize) -> (Matrix, Vec<u32>) {
    let noise = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
    let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
    let data = (0..n * d)
        .map(|i| {
            let (sample, k) = (i / d, i % d);
            let centre = if k % classes == sample % classes { 3.0 } else { 0.0 };
            centre + noise(i)
        })
        .collect();
    (Matrix::new(n, d, data).unwrap(), labels)
}

fn accuracy(p: &Probabilities, labels: &[u32]) -> f64 {
    metrics::find("accuracy").unwrap().of(p, labels).unwrap()
}

#[test]
fn the_word_typed_is_the_file_opened() {
    for (folder, names) in [
        ("heads", heads::all().iter().map(|e| e.name).collect::<Vec<_>>()),
        ("metrics", metrics::all().iter().map(|m| m.name).collect()),
        ("conformal", conformal::all().iter().map(|s| s.name).collect()),
        ("ood", ood::all().iter().map(|e| e.name).collect()),
        ("multi_source", multi_source::all().iter().map(|w| w.name).collect()),
    ] {
        assert!(names.is_sorted());
        for name in names {
            let place = format!("{}/src/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
            let exists = [format!("{place}.rs"), place].iter().any(|p| std::fs::exists(p).unwrap());
            assert!(exists, "{folder}/{name}");
        }
    }
}

#[test]
fn separated_classes_are_learnt_and_probabilities_sum_to_one() {
    for head in heads::all() {
        for (n, d, classes) in [(60, 6, 3), (30, 40, 2), (45, 9, 9)] {
            let (x, y) = clouds(n, d, classes);
            let fitted = head.fit(x.rows(), &y, classes, &FitOptions::default()).unwrap();
            let p = fitted.head.predict(x.rows()).unwrap();
            assert_eq!(accuracy(&p, &y), 1.0, "{} on {n} × {d}", head.name);
            for row in p.rows() {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", head.name);
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (x, y) = clouds(203, 17, 5);
    for head in heads::all() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let fitted = head.fit(x.rows(), &y, 5, &FitOptions::default()).unwrap();
                let p = fitted.head.predict(x.rows()).unwrap();
                (serde_json::to_string(&fitted.head).unwrap(), p)
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(4), "{}", head.name);
    }
}

#[test]
fn a_head_survives_being_written_down() {
    let (x, y) = clouds(40, 5, 3);
    for head in heads::all() {
        let fitted = head.fit(x.rows(), &y, 3, &FitOptions::default()).unwrap().head;
        let text = serde_json::to_string(&fitted).unwrap();
        let back: heads::Head = serde_json::from_str(&text).unwrap();
        assert_eq!(back.predict(x.rows()).unwrap(), fitted.predict(x.rows()).unwrap());
    }
}

#[test]
fn awkward_data_gives_finite_answers() {
    let (x, y) = clouds(12, 4, 3);
    let constant = Matrix::new(12, 4, vec![2.5; 48]).unwrap();
    let one = Matrix::new(1, 4, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let wide = clouds(6, 200, 2);
    let huge = Matrix::new(12, 4, x.rows().data().iter().map(|v| v * 1e18).collect()).unwrap();
    let twice = Matrix::new(24, 4, x.rows().data().repeat(2)).unwrap();
    let cases: [(&str, &Matrix, Vec<u32>, usize); 8] = [
        ("constant features", &constant, y.clone(), 3),
        ("one class", &x, vec![0; 12], 1),
        ("one class of two", &x, vec![1; 12], 2),
        ("a class without samples", &x, y.clone(), 5),
        ("one sample", &one, vec![1], 2),
        ("more features than samples", &wide.0, wide.1.clone(), 2),
        ("huge features", &huge, y.clone(), 3),
        ("every sample twice", &twice, y.repeat(2), 3),
    ];
    for head in heads::all() {
        for (name, x, y, classes) in &cases {
            for options in [
                FitOptions::default(),
                FitOptions { balanced: true, standardise: false, ..FitOptions::default() },
                FitOptions { lambda: Some(0.0), ..FitOptions::default() },
            ] {
                if *name == "huge features" && !options.standardise {
                    continue;
                }
                let fitted = head.fit(x.rows(), y, *classes, &options);
                let fitted = fitted.unwrap_or_else(|e| panic!("{}, {name}: {e}", head.name));
                let p = fitted.head.predict(x.rows()).unwrap();
                for row in p.rows() {
                    assert!(row.iter().all(|p| p.is_finite()), "{}, {name}: {row:?}", head.name);
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                }
                for metric in metrics::all() {
                    let value = metrics::bootstrap(metric, &p, y, 20, 0).unwrap();
                    assert!(value.low <= value.high && value.value.is_finite(), "{}", metric.name);
                }
            }
        }
    }
}

/// A network's dead channel is constant but for rounding; weights on it must not reach the size of its
/// reciprocal, since tuning the network moves such a channel.
#[test]
fn what_hardly_varies_gets_no_weight_of_note() {
    let (x, y) = clouds(40, 5, 3);
    let data = x.rows().data().chunks_exact(5).enumerate();
    let with_dead = data.flat_map(|(i, row)| {
        let dead = [1e-16 * f32::from(y[i] == 0), 1e-9 * (i % 7) as f32];
        row.iter().copied().chain(dead).collect::<Vec<_>>()
    });
    let with_dead = Matrix::new(40, 7, with_dead.collect()).unwrap();
    let options = FitOptions { lambda: Some(0.01), ..FitOptions::default() };
    for name in ["logistic", "ridge"] {
        let fitted = heads::find(name).unwrap().fit(with_dead.rows(), &y, 3, &options).unwrap();
        let heads::Head::Linear(linear) = fitted.head else { panic!("{name} is linear") };
        for weight in linear.weight.chunks_exact(7) {
            let largest = weight[..5].iter().fold(0.0, |a: f64, w| a.max(w.abs()));
            assert!(weight[5..].iter().all(|w| w.abs() <= largest), "{name}: {weight:?}");
        }
    }
}

#[test]
fn unusable_input_is_refused_with_its_place() {
    let (x, y) = clouds(12, 4, 3);
    let mut data = x.rows().data().to_vec();
    data[4 * 7 + 2] = f32::NAN;
    let broken = Matrix::new(12, 4, data).unwrap();
    for head in heads::all() {
        let fit =
            |x: &Matrix, y: &[u32], classes| head.fit(x.rows(), y, classes, &FitOptions::default());
        assert!(matches!(fit(&broken, &y, 3), Err(StatsError::NotFinite { row: 7, .. })));
        assert!(matches!(fit(&x, &y, 2), Err(StatsError::Shape { .. })), "label out of range");
        assert!(matches!(fit(&x, &y[..5], 3), Err(StatsError::Shape { .. })), "too few labels");
        let empty = Matrix::new(0, 4, Vec::new()).unwrap();
        assert!(matches!(fit(&empty, &[], 3), Err(StatsError::Unusable(_))));
        let head = fit(&x, &y, 3).unwrap().head;
        let narrow = Matrix::new(4, 3, vec![0.0; 12]).unwrap();
        assert!(matches!(head.predict(narrow.rows()), Err(StatsError::Shape { .. })));
        assert!(matches!(head.predict(broken.rows()), Err(StatsError::NotFinite { row: 7, .. })));
    }
}

#[test]
fn the_order_of_samples_does_not_matter() {
    let (x, y) = clouds(40, 5, 3);
    let order: Vec<usize> = (0..40).rev().collect();
    let turned = Matrix::gather(x.rows(), &order);
    let turned_y: Vec<u32> = order.iter().map(|&i| y[i]).collect();
    // With a fixed strength; folds of cross-validation go by position.
    let options = FitOptions { lambda: Some(0.01), folds: 1, ..FitOptions::default() };
    for head in heads::all() {
        let a = head.fit(x.rows(), &y, 3, &options).unwrap().head.predict(x.rows()).unwrap();
        let b = head.fit(turned.rows(), &turned_y, 3, &options).unwrap().head;
        let b = b.predict(x.rows()).unwrap();
        for (a, b) in a.rows().flatten().zip(b.rows().flatten()) {
            assert!((a - b).abs() < 1e-4, "{}: {a} is not {b}", head.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn metrics_stay_in_range(
        n in 1usize..30,
        classes in 1usize..8,
        salt in 0usize..1000,
    ) {
        let scores = (0..n * classes).map(|i| ((i * 31 + salt * 17) % 23) as f64).collect();
        let p = Probabilities::softmax(classes, scores).unwrap();
        let labels: Vec<u32> = (0..n).map(|i| ((i * 5 + salt) % classes) as u32).collect();
        for metric in metrics::all() {
            let value = metric.of(&p, &labels).unwrap();
            let most = match metric.name { "log_loss" => 40.0, "brier" => 2.0, _ => 1.0 };
            prop_assert!((0.0..=most).contains(&value), "{} = {value}", metric.name);
            let sure = metrics::bootstrap(metric, &p, &labels, 50, 1).unwrap();
            prop_assert!(sure.low <= sure.high);
        }
    }
}

/// A fit that has no time left still gives a head, and says that it did not converge.
#[test]
fn a_limit_ends_a_fit_with_what_it_has() {
    use std::time::{Duration, Instant};
    let (x, y) = clouds(60, 12, 3);
    let logistic = heads::find("logistic").unwrap();
    let until = |seconds: f64| {
        let until = Some(Instant::now() + Duration::from_secs_f64(seconds));
        let limit = heads::Limit { until, stop: None };
        let options = FitOptions { limit, ..FitOptions::default() };
        logistic.fit(x.rows(), &y, 3, &options).unwrap()
    };
    let none = until(0.0);
    assert!(!none.converged && none.iterations == 0 && none.path.is_empty());
    assert!(none.head.predict(x.rows()).unwrap().rows().flatten().all(|p| p.is_finite()));
    let unlimited = logistic.fit(x.rows(), &y, 3, &FitOptions::default()).unwrap();
    assert_eq!(until(3600.0), unlimited);
}

/// What a head said of samples while they were held out is what the same head says of them when it is
/// fitted on the others.
#[test]
fn held_out_answers_are_those_of_the_other_folds() {
    let (x, _) = clouds(60, 7, 3);
    let y: Vec<u32> = (0..60u32).map(|i| (i % 3 + u32::from(i % 5 == 0)) % 3).collect();
    let options = FitOptions::default();
    for name in ["logistic", "ridge"] {
        let head = heads::find(name).unwrap();
        let fitted = head.fit(x.rows(), &y, 3, &options).unwrap();
        let some = head.fit(x.rows(), &y, 3, &FitOptions { held: 2, ..options.clone() }).unwrap();
        let folds = offshoot_stats::cv::stratified_folds(&y, options.folds, options.seed);
        let given = FitOptions { lambda: fitted.lambda, ..options.clone() };
        let mut differ = 0;
        for fold in 0..options.folds {
            let kept: Vec<usize> = (0..60).filter(|&i| folds[i] != fold).collect();
            let kept_y: Vec<u32> = kept.iter().map(|&i| y[i]).collect();
            let part = Matrix::gather(x.rows(), &kept);
            let own = head.fit(part.rows(), &kept_y, 3, &given).unwrap().head;
            let p = own.predict(x.rows()).unwrap();
            for i in (0..60).filter(|&i| folds[i] == fold) {
                differ += usize::from(fitted.held_out[i] != Some(p.predicted(i) == y[i]));
            }
            if name == "logistic" {
                let held = (0..60).filter(|&i| folds[i] == fold);
                assert!(held.into_iter().all(|i| some.held_out[i].is_some() == (fold < 2)));
            }
        }
        // Cross-validation standardises by all samples, which moves single answers.
        assert!(differ <= 3, "{name}: {differ} of 60");
        assert!(fitted.held_out.iter().flatten().filter(|right| !**right).count() >= 5);
    }
}
