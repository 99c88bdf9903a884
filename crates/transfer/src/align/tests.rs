#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::regularize::SourceFacts;

const SOURCE: usize = 5;
const TARGET: usize = 5;
const DIM: usize = 8;
const CLASSES: usize = 3;
/// Share of training that is done.
const PROGRESS: f64 = 0.1;

fn wave(n: usize, phase: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.731 + phase).sin()).collect()
}

/// A batch of both domains.
#[derive(Clone)]
struct Bench {
    features: Vec<f32>,
    logits: Vec<f32>,
    labels: Vec<u32>,
}

/// A value, and gradients by features, by logits, and by logits as the head alone sees them.
type Added = (f64, [Vec<f32>; 3]);

impl Bench {
    fn new() -> Self {
        Self::of(SOURCE, TARGET)
    }

    fn of(source: usize, target: usize) -> Self {
        let n = source + target;
        let labels = (0..source).map(|i| (i % CLASSES) as u32).collect();
        Self { features: wave(n * DIM, 0.1), logits: wave(n * CLASSES, 0.7), labels }
    }

    fn run(&self, term: &mut dyn LossTerm) -> Added {
        let logits = vec![0.0; self.logits.len()];
        let mut to = [vec![0.0; self.features.len()], logits.clone(), logits];
        (self.run_onto(term, &mut to), to)
    }

    /// The value; gradients are added to `to`.
    fn run_onto(&self, term: &mut dyn LossTerm, to: &mut [Vec<f32>; 3]) -> f64 {
        let places: Vec<usize> = (0..self.labels.len()).collect();
        let [to_features, to_logits, to_head] = to;
        term.add(&mut Step {
            places: &places,
            labels: &self.labels,
            progress: PROGRESS,
            dim: DIM,
            features: &self.features,
            classes: CLASSES,
            logits: &self.logits,
            stage: [&[], &[]],
            to_features,
            to_logits,
            to_head,
            to_stage: &mut [],
        })
    }
}

/// Started, with the usual options but for these.
fn made(term: &Term, options: &[(&str, f64)]) -> Box<dyn LossTerm> {
    let value = |choice: &Choice| {
        let given = options.iter().find(|(name, _)| *name == choice.name);
        // Narrow networks are quick, and their slopes no smaller.
        let usual = if choice.name == "hidden" { 6.0 } else { choice.default };
        given.map_or(usual, |(_, value)| *value)
    };
    let values: Vec<f64> = term.choices.iter().map(value).collect();
    let mut made = (term.make)(&values);
    made.start(&SourceFacts {
        classifier: None,
        features: &[],
        labels: &[],
        dim: DIM,
        classes: CLASSES,
        head: (&[], &[]),
        last_map: None,
        seed: 3,
        fresh: 1.0,
    })
    .unwrap();
    made
}

/// What the slope by a row of features, or of the logits below the head, is multiplied by.
fn direction(term: &Term, row: usize) -> f64 {
    // Of the authors' schedules for adversaries.
    let strength = if term.name == "mdd" { mdd::OPPOSED } else { 1.0 };
    match (term.adversary, row < SOURCE) {
        (Adversary::None, _) | (Adversary::Target, true) => 1.0,
        _ => -strength * dann::reversal(PROGRESS),
    }
}

/// Every term's gradient is the slope of its value, or the opposite for features that work against it. Terms
/// that hold something constant have other slopes where that moves; `reference` and their files test them.
#[test]
fn gradients_are_slopes() {
    for term in all() {
        let mut made = made(term, &[("weight", 1.0)]);
        let bench = Bench::new();
        let (value, [features, logits, head]) = bench.run(&mut *made);
        assert!(value.is_finite() && value != 0.0, "{}: {value}", term.name);
        let by_value: Vec<f32> = logits.iter().zip(&head).map(|(l, h)| l + h).collect();
        let parts = [(true, &features, DIM), (false, &by_value, CLASSES)];
        for (of_features, gradient, width) in parts {
            if term.held == "answers" && !of_features {
                assert!(gradient.iter().all(|g| *g == 0.0), "{} moves answers", term.name);
                continue;
            }
            let scale = gradient.iter().fold(1e-6f32, |m, g| m.max(g.abs()));
            if !term.held.is_empty() && term.held != "answers" {
                assert!(scale > 1e-6 || of_features || term.name == "dan", "{}", term.name);
                continue;
            }
            for at in (0..gradient.len()).step_by(3) {
                let mut moved = |by: f32| {
                    let mut bench = bench.clone();
                    let values = if of_features { &mut bench.features } else { &mut bench.logits };
                    values[at] += by;
                    bench.run(&mut *made).0
                };
                let slope = (moved(2e-3) - moved(-2e-3)) / 4e-3;
                let row = at / width;
                let toward = if of_features { direction(term, row) } else { 1.0 };
                let error = (toward * slope - f64::from(gradient[at])).abs();
                let what = format!("{}, row {row}: {slope}", term.name);
                assert!(error <= 5e-3 * f64::from(scale), "{what} and {}", gradient[at]);
            }
        }
        // What the features below the head see of the logits.
        for (i, (below, by_value)) in logits.iter().zip(&by_value).enumerate() {
            let expected = direction(term, i / CLASSES) * f64::from(*by_value);
            let error = (f64::from(*below) - expected).abs();
            assert!(error < 1e-6 || term.adversary != Adversary::Target, "{}", term.name);
        }
        assert!([features, logits].concat().iter().any(|g| *g != 0.0), "{}", term.name);
    }
}

#[test]
fn gradients_of_own_tensors_are_slopes() {
    let mut with_own = 0;
    for term in all() {
        let mut made = made(term, &[("weight", 1.0)]);
        let bench = Bench::new();
        bench.run(&mut *made);
        let gradients: Vec<Vec<f32>> = made.own().iter().map(|own| own.gradient.to_vec()).collect();
        with_own += usize::from(!gradients.is_empty());
        for (which, gradient) in gradients.iter().enumerate() {
            for at in (0..gradient.len()).step_by(5) {
                let mut slope = 0.0;
                for (by, sign) in [(2e-3, 1.0), (-4e-3, -1.0)] {
                    made.own()[which].value[at] += by;
                    slope += sign * bench.run(&mut *made).0 / 4e-3;
                }
                made.own()[which].value[at] += 2e-3;
                let error = (slope - f64::from(gradient[at])).abs();
                assert!(error < 2e-3, "{}: {slope} {}", term.name, gradient[at]);
            }
        }
    }
    assert!(with_own >= 4, "{with_own} terms with tensors of their own");
}

/// Keys of checkpoints are unique, and begin with the term's name.
#[test]
fn own_tensors_have_names_of_their_own() {
    let mut keys: Vec<&str> = Vec::new();
    for term in all() {
        let mut made = made(term, &[]);
        let own: Vec<&str> = made.own().iter().map(|own| own.key).collect();
        assert!(own.iter().all(|key| key.starts_with(&format!("{}.", term.name))), "{own:?}");
        keys.extend(own);
    }
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

/// Twice the weight is twice the value and the gradient, and none adds nothing.
#[test]
fn value_and_gradient_are_proportional_to_weight() {
    for term in all() {
        let run = |weight: f64| {
            let mut made = made(term, &[("weight", weight)]);
            let (value, gradients) = Bench::new().run(&mut *made);
            let own = made.own().into_iter().flat_map(|own| own.gradient.to_vec());
            (value, [gradients.concat(), own.collect()].concat())
        };
        let ((nothing, none), (once, single), (twice, double)) = (run(0.0), run(1.0), run(2.0));
        assert!(nothing == 0.0 && none.iter().all(|g| *g == 0.0), "{}", term.name);
        assert!((twice - 2.0 * once).abs() <= 1e-6 * once.abs(), "{}", term.name);
        let scale = single.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for (single, double) in single.iter().zip(double) {
            assert!((double - 2.0 * single).abs() <= 1e-5 * scale, "{}", term.name);
        }
    }
}

/// What other terms have added stays.
#[test]
fn gradients_are_added_to() {
    for term in all() {
        let mut made = made(term, &[("weight", 1.0)]);
        let bench = Bench::new();
        let (value, alone) = bench.run(&mut *made);
        let mut to = alone.clone().map(|gradient| vec![0.25; gradient.len()]);
        assert_eq!(bench.run_onto(&mut *made, &mut to), value, "{}", term.name);
        for (both, alone) in to.iter().flatten().zip(alone.iter().flatten()) {
            assert!((both - 0.25 - alone).abs() <= 1e-5 * (1.0 + alone.abs()), "{}", term.name);
        }
    }
}

/// Neither single samples, nor one class, nor constant features, nor answers without doubt break a term.
#[test]
fn poor_batches_give_numbers() {
    let with = |change: fn(&mut Bench)| {
        let mut bench = Bench::new();
        change(&mut bench);
        bench
    };
    let benches = [
        ("one of each", Bench::of(1, 1)),
        ("one of the source", Bench::of(1, 3)),
        ("one of the target", Bench::of(3, 1)),
        ("one class", with(|bench| bench.labels.fill(1))),
        ("equal samples", with(|bench| bench.features.fill(1.0))),
        ("no features", with(|bench| bench.features.fill(0.0))),
        ("certain", with(|bench| bench.logits.iter_mut().for_each(|v| *v *= 1e4))),
        (
            "all of one class",
            with(|bench| {
                bench
                    .logits
                    .chunks_exact_mut(CLASSES)
                    .for_each(|row| row.copy_from_slice(&[1e3, 0.0, 0.0]));
            }),
        ),
        ("large", with(|bench| bench.features.iter_mut().for_each(|v| *v *= 1e4))),
    ];
    for term in all() {
        for (what, bench) in &benches {
            let mut made = made(term, &[]);
            let (value, gradients) = bench.run(&mut *made);
            let own = made.own().into_iter().flat_map(|own| own.gradient.to_vec());
            let mut all = gradients.into_iter().flatten().chain(own);
            assert!(value.is_finite() && all.all(|g| g.is_finite()), "{}: {what}", term.name);
        }
    }
}

/// Domains that are the same sample by sample have nothing to be aligned: terms that compare distributions are at
/// their least. What is without bias is not zero for one sample twice, so terms of kernels are left out.
#[test]
fn equal_domains_are_aligned() {
    for (name, options) in [("deep-coral", &[("unbiased", 0.0)][..]), ("deep-jdot", &[])] {
        let term = all().iter().find(|term| term.name == name).unwrap();
        let mut bench = Bench::new();
        bench.features.copy_within(..SOURCE * DIM, SOURCE * DIM);
        // The target's answers are the labels.
        for (i, row) in bench.logits.chunks_exact_mut(CLASSES).enumerate() {
            row.fill(0.0);
            row[i % SOURCE % CLASSES] = 50.0;
        }
        let (value, gradients) = bench.run(&mut *made(term, options));
        assert!(value.abs() < 1e-9, "{name}: {value}");
        assert!(gradients.iter().flatten().all(|g| g.abs() < 1e-6), "{name}");
    }
}

#[test]
fn lists_are_parsed_and_mistakes_told() {
    let spec: Spec = "cdan(hidden=8),bsp".parse().unwrap();
    assert_eq!(spec.to_string(), "cdan,bsp");
    assert_eq!(spec.make().len(), 2);
    for (text, expected) in [
        ("dsan", "unknown term of alignment `dsan`"),
        ("dann(k=1)", "has no option `k`"),
        ("dann(weight=-1)", "from 0 to 10000"),
        ("mcc,mcc", "twice"),
        ("none", "no term of alignment"),
    ] {
        let error = text.parse::<Spec>().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn names_are_in_order_and_of_their_kind() {
    assert!(all().is_sorted_by(|a, b| a.name < b.name));
    for term in all() {
        assert!(term.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        assert!(!term.paper.is_empty() && term.summary.contains(&format!("{}(", term.name)));
        assert_eq!(term.choices[0].name, "weight", "{}", term.name);
    }
}
