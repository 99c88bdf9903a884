//! Methods of adaptation equal other libraries (see `reference/adapters.py`) and keep their laws.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_random::generator;
use offshoot_stats::adapters::{self, Adapted, Adapter, Options, Problem};
use offshoot_stats::{Matrix, Probabilities, StatsError};
use rand::RngExt;

/// Normal draws, a stream for each name.
fn normal(count: usize, purpose: &str, seed: u64) -> Vec<f32> {
    let mut draws = generator(seed, purpose, 0, 0);
    let mut one = || {
        let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()) as f32
    };
    (0..count).map(|_| one()).collect()
}

/// `n` samples of clouds in turn, `d` features; every feature tells one class from the others.
fn clouds(n: usize, d: usize, classes: usize, purpose: &str) -> (Matrix, Vec<u32>) {
    let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
    let mut data = normal(n * d, purpose, 1);
    for (i, x) in data.iter_mut().enumerate() {
        let centre = if (i % d) % classes == labels[i / d] as usize { 2.5 } else { 0.0 };
        // Features of different spread, so that no eigenvalue has company.
        *x = (centre + *x) * (1.0 + 0.1 * (i % d) as f32);
    }
    (Matrix::new(n, d, data).unwrap(), labels)
}

/// The same rows moved, and stretched along the features.
fn moved(x: &Matrix, by: f32, stretch: f32) -> Matrix {
    let rows = x.rows();
    let d = rows.d();
    let place = |i: usize| if (i % d).is_multiple_of(2) { 1.0 } else { -1.0 };
    let data = rows.data().iter().enumerate();
    let data = data.map(|(i, x)| x * (1.0 + stretch * (i % d) as f32 / d as f32) + by * place(i));
    Matrix::new(rows.n(), d, data.collect()).unwrap()
}

fn fit(adapter: &Adapter, problem: &Problem<'_>) -> Adapted {
    adapter.fit(problem, &Options::default()).unwrap_or_else(|e| panic!("{}: {e}", adapter.name))
}

fn on_target(adapted: &Adapted, x: &Matrix) -> Probabilities {
    adapted.of_target().predict(x.rows()).unwrap()
}

fn accuracy(p: &Probabilities, labels: &[u32]) -> f64 {
    let hits = labels.iter().enumerate().filter(|(i, y)| p.predicted(*i) == **y).count();
    hits as f64 / labels.len() as f64
}

fn furthest(a: &Probabilities, b: &Probabilities) -> f64 {
    a.rows().flatten().zip(b.rows().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_word_typed_is_the_file_opened() {
    let names: Vec<_> = adapters::all().iter().map(|a| a.name).collect();
    assert!(names.is_sorted() && names.contains(&"source-only"));
    for name in names {
        let file = name.replace('-', "_");
        let path = format!("{}/src/adapters/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::exists(path).unwrap(), "{name}");
        assert_eq!(adapters::find(name).unwrap().name, name);
    }
}

#[test]
fn a_target_like_the_source_changes_little() {
    let (x, y) = clouds(150, 6, 3, "source");
    let (t, truth) = clouds(120, 6, 3, "target");
    let problem = Problem::new(x.rows(), &y, 3, t.rows(), 0).unwrap().with_lambda(0.01);
    let plain = on_target(&fit(adapters::find("source-only").unwrap(), &problem), &t);
    for adapter in adapters::all() {
        let p = on_target(&fit(adapter, &problem), &t);
        let (own, plain) = (accuracy(&p, &truth), accuracy(&plain, &truth));
        assert!(own >= plain - 0.04, "{}: {own} and {plain}", adapter.name);
    }
}

#[test]
fn heads_on_raw_features_are_heads_on_views() {
    let (x, y) = clouds(60, 5, 3, "source");
    let t = moved(&clouds(45, 5, 3, "target").0, 1.0, 0.5);
    let problem = Problem::new(x.rows(), &y, 3, t.rows(), 0).unwrap().with_lambda(0.01);
    for adapter in adapters::all() {
        let adapted = fit(adapter, &problem);
        for (view, head, rows, prior) in [
            (&adapted.target, adapted.of_target(), &t, &adapted.prior[..]),
            (&adapted.source, adapted.of_source(), &x, &[]),
        ] {
            let shown = view.apply(rows.rows()).unwrap();
            assert_eq!(shown.rows().n(), rows.rows().n());
            let mut scores = adapted.head.scores(shown.rows());
            for row in scores.chunks_exact_mut(3) {
                row.iter_mut().zip(prior).for_each(|(score, prior)| *score += prior);
            }
            let on_view = Probabilities::softmax(3, scores).unwrap();
            let on_raw = head.predict(rows.rows()).unwrap();
            assert!(furthest(&on_view, &on_raw) < 1e-4, "{}", adapter.name);
            // A row alone is what it is among others, and a head survives being written down.
            let one = Matrix::gather(rows.rows(), &[7]);
            let alone = head.predict(one.rows()).unwrap();
            let off = alone.row(0).iter().zip(on_raw.row(7)).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f64::max) < 1e-6, "{}", adapter.name);
            let text = serde_json::to_string(&head).unwrap();
            let back: offshoot_stats::heads::Head = serde_json::from_str(&text).unwrap();
            assert_eq!(back.predict(rows.rows()).unwrap(), on_raw, "{}", adapter.name);
        }
        assert!(adapted.facts.values().all(|fact| fact.is_finite()), "{:?}", adapted.facts);
    }
}

#[test]
fn neither_order_of_rows_nor_names_of_classes_matter() {
    let (x, y) = clouds(60, 5, 3, "source");
    let t = moved(&clouds(45, 5, 3, "target").0, 0.6, 0.3);
    let (backwards, reversed): (Vec<usize>, Vec<usize>) =
        ((0..60).rev().collect(), (0..45).rev().collect());
    let (turned, turned_t) =
        (Matrix::gather(x.rows(), &backwards), Matrix::gather(t.rows(), &reversed));
    let turned_y: Vec<u32> = backwards.iter().map(|&i| y[i]).collect();
    let renamed: Vec<u32> = y.iter().map(|y| (y + 1) % 3).collect();
    for adapter in adapters::all() {
        let run = |x: &Matrix, y: &[u32], t: &Matrix| {
            let problem = Problem::new(x.rows(), y, 3, t.rows(), 0).unwrap().with_lambda(0.01);
            fit(adapter, &problem)
        };
        let own = run(&x, &y, &t);
        let p = on_target(&own, &t);
        let other = run(&turned, &turned_y, &turned_t);
        let off = furthest(&p, &on_target(&other, &t));
        assert!(off < 1e-3, "{}, order: {off}", adapter.name);
        // Weights stand in the caller's order.
        for (i, weight) in own.weights.iter().enumerate() {
            let off = (weight - other.weights[59 - i]).abs();
            assert!(off < 1e-3 * (1.0 + weight), "{}: {off}", adapter.name);
        }
        let names = on_target(&run(&x, &renamed, &t), &t);
        let back: Vec<f64> = names.rows().flat_map(|row| [row[1], row[2], row[0]]).collect();
        let off = furthest(&p, &Probabilities::new(3, back).unwrap());
        assert!(off < 1e-3, "{}, names: {off}", adapter.name);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (x, y) = clouds(150, 80, 3, "source");
    let t = moved(&clouds(170, 80, 3, "target").0, 0.5, 0.3);
    for adapter in adapters::all() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let problem = Problem::new(x.rows(), &y, 3, t.rows(), 0).unwrap().with_lambda(0.01);
                let adapted = fit(adapter, &problem);
                let p = on_target(&adapted, &t);
                (adapted, p)
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "{}", adapter.name);
    }
}

#[test]
fn awkward_data_gives_finite_answers_or_says_why_not() {
    let (x, y) = clouds(40, 4, 4, "source");
    let (t, truth) = clouds(32, 4, 4, "target");
    let without: Vec<usize> = (0..32).filter(|&i| truth[i] != 2).collect();
    let constant = |n: usize| Matrix::new(n, 4, vec![2.5; n * 4]).unwrap();
    let dead = |x: &Matrix| {
        let mut data = x.rows().data().to_vec();
        data.chunks_exact_mut(4).for_each(|row| row[1] = 7.0);
        Matrix::new(x.rows().n(), 4, data).unwrap()
    };
    let wide = [("wide", 12), ("wide2", 9)].map(|(name, n)| clouds(n, 700, 3, name));
    let far = moved(&t, 1e4, 0.0);
    let twice = Matrix::new(80, 4, x.rows().data().repeat(2)).unwrap();
    let scaled = |x: &Matrix, by: f32| {
        let data = x.rows().data().iter().map(|v| v * by).collect();
        Matrix::new(x.rows().n(), 4, data).unwrap()
    };
    let cases: Vec<(&str, Matrix, Vec<u32>, usize, Matrix)> = vec![
        (
            "a class missing in the target",
            x.clone(),
            y.clone(),
            4,
            Matrix::gather(t.rows(), &without),
        ),
        ("a class without samples", x.clone(), y.clone(), 6, t.clone()),
        ("one class of two", x.clone(), vec![1; 40], 2, t.clone()),
        ("constant features", constant(40), y.clone(), 4, constant(32)),
        ("a constant target", x.clone(), y.clone(), 4, constant(32)),
        ("a constant source", constant(40), y.clone(), 4, t.clone()),
        ("a dead feature", dead(&x), y.clone(), 4, dead(&t)),
        ("more features than samples", wide[0].0.clone(), wide[0].1.clone(), 3, wide[1].0.clone()),
        (
            "one sample a class",
            Matrix::gather(x.rows(), &[0, 1, 2, 3]),
            vec![0, 1, 2, 3],
            4,
            t.clone(),
        ),
        ("two target rows", x.clone(), y.clone(), 4, Matrix::gather(t.rows(), &[0, 1])),
        ("every sample twice", twice, y.repeat(2), 4, t.clone()),
        ("far away", x.clone(), y.clone(), 4, far),
        ("huge features", scaled(&x, 1e15), y.clone(), 4, scaled(&t, 1e15)),
        ("tiny features", scaled(&x, 1e-15), y.clone(), 4, scaled(&t, 1e-15)),
    ];
    let mut refused = Vec::new();
    for adapter in adapters::all() {
        for (name, x, y, classes, t) in &cases {
            let problem = Problem::new(x.rows(), y, *classes, t.rows(), 0).unwrap();
            let adapted = match adapter.fit(&problem.with_lambda(0.01), &Options::default()) {
                Ok(adapted) => adapted,
                // Only what cannot work may be refused, in words.
                Err(StatsError::Unusable(why)) => {
                    refused.push((adapter.name, *name, why));
                    continue;
                }
                Err(other) => panic!("{}, {name}: {other}", adapter.name),
            };
            for (head, rows) in [(adapted.of_target(), t), (adapted.of_source(), x)] {
                let p = head.predict(rows.rows()).unwrap();
                for row in p.rows() {
                    let sum: f64 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-9, "{}, {name}: {row:?}", adapter.name);
                }
            }
            assert!(adapted.weights.iter().all(|w| *w >= 0.0 && w.is_finite()));
        }
    }
    let places: Vec<(&str, &str)> =
        refused.iter().map(|(method, case, _)| (*method, *case)).collect();
    assert_eq!(places, REFUSED, "{refused:#?}");
}

/// Method and case of what is refused.
const REFUSED: &[(&str, &str)] = &[
    ("gfk", "constant features"),
    ("gfk", "a constant target"),
    ("gfk", "a constant source"),
    ("sa", "constant features"),
    ("sa", "a constant target"),
    ("sa", "a constant source"),
];

#[test]
fn unusable_input_is_refused_with_its_place() {
    let (x, y) = clouds(12, 4, 3, "source");
    let broken = |row: usize| {
        let mut data = x.rows().data().to_vec();
        data[4 * row + 2] = f32::NAN;
        Matrix::new(12, 4, data).unwrap()
    };
    let error =
        |x: &Matrix, y: &[u32], t: &Matrix| Problem::new(x.rows(), y, 3, t.rows(), 0).unwrap_err();
    let place = |e: StatsError| match e {
        StatsError::NotFinite { what, row } => (what, row),
        other => panic!("{other}"),
    };
    assert_eq!(place(error(&broken(7), &y, &x)), ("source", 7));
    assert_eq!(place(error(&x, &y, &broken(5))), ("target", 5));
    let one = Matrix::gather(x.rows(), &[0]);
    assert_eq!(
        error(&x, &y, &one).to_string(),
        "expected at least 2 samples and 1 feature in the target, got 1 × 4"
    );
    assert!(matches!(error(&x, &y[..5], &x), StatsError::Shape { .. }));
    assert!(matches!(error(&x, &[9; 12], &x), StatsError::Shape { .. }));
    let narrow = Matrix::new(4, 3, vec![0.0; 12]).unwrap();
    assert!(matches!(error(&x, &y, &narrow), StatsError::Shape { .. }));
    let problem = Problem::new(x.rows(), &y, 3, x.rows(), 0).unwrap().with_lambda(0.01);
    for adapter in adapters::all() {
        let unknown = adapter.fit(&problem, &Options::default().with("nothing", 1.0)).unwrap_err();
        let start = format!("`{}` has no setting `nothing`", adapter.name);
        assert!(unknown.to_string().starts_with(&start), "{unknown}");
        for setting in adapter.settings {
            let over = Options::default().with(setting.name, setting.range.1 + 1.0);
            let refused = adapter.fit(&problem, &over).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("expected `{}`", setting.name)), "{refused}");
            let inside = |value: &f64| (setting.range.0..=setting.range.1).contains(value);
            assert!(setting.choices.iter().chain(&setting.default).all(inside), "{}", setting.name);
        }
        let head = fit(adapter, &problem).of_target();
        assert!(matches!(head.predict(narrow.rows()), Err(StatsError::Shape { .. })));
        assert!(matches!(
            head.predict(broken(7).rows()),
            Err(StatsError::NotFinite { row: 7, .. })
        ));
    }
}

#[test]
fn weights_that_leave_too_few_samples_are_refused() {
    let (x, y) = clouds(40, 4, 4, "source");
    let far = moved(&x, 1e4, 0.0);
    let problem = Problem::new(x.rows(), &y, 4, far.rows(), 0).unwrap().with_lambda(0.01);
    let kmm = adapters::find("kmm").unwrap();
    let refused = kmm.fit(&problem, &Options::default().with("box", 1000.0)).unwrap_err();
    let expected = "`kmm` would rest on 1.0 of 40 source samples (effective number); the target is too far \
                    from the source for weights";
    assert_eq!(refused.to_string(), expected);
}
