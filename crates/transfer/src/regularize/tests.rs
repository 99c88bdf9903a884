#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const N: usize = 6;
const DIM: usize = 8;
const CLASSES: usize = 3;

fn wave(n: usize, phase: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.731 + phase).sin()).collect()
}

/// A term that has seen a small source, and a step for it.
struct Bench {
    features: Vec<f32>,
    logits: Vec<f32>,
    stage: [Vec<f32>; 2],
    labels: Vec<u32>,
    places: Vec<usize>,
}

impl Bench {
    fn new() -> Self {
        Self {
            features: wave(N * DIM, 0.1),
            logits: wave(N * CLASSES, 0.7),
            stage: [wave(N * 4 * DIM, 0.3), wave(N * 4 * DIM, 0.5)],
            labels: (0..N).map(|i| (i % CLASSES) as u32).collect(),
            places: (0..N).collect(),
        }
    }

    fn start(&self, term: &mut dyn LossTerm) {
        let (weight, bias) = (wave(5 * DIM, 1.1), wave(5, 1.3));
        let head = (wave(CLASSES * DIM, 1.7), wave(CLASSES, 1.9));
        term.start(&SourceFacts {
            classifier: Some((&weight, &bias)),
            features: &wave(N * DIM, 2.3),
            labels: &self.labels,
            dim: DIM,
            classes: CLASSES,
            head: (&head.0, &head.1),
            last_map: Some(("top".into(), DIM)),
            seed: 0,
            fresh: 1.0,
        })
        .unwrap();
    }

    /// Value and gradients with respect to features, logits and stage.
    fn run(&self, term: &mut dyn LossTerm) -> (f64, [Vec<f32>; 3]) {
        let mut to = [
            vec![0.0; self.features.len()],
            vec![0.0; self.logits.len()],
            vec![0.0; self.stage[0].len()],
        ];
        (self.run_onto(term, &mut to), to)
    }

    /// The value; gradients are added to `to`.
    fn run_onto(&self, term: &mut dyn LossTerm, to: &mut [Vec<f32>; 3]) -> f64 {
        let [to_features, to_logits, to_stage] = to;
        term.add(&mut Step {
            places: &self.places,
            labels: &self.labels,
            progress: 0.0,
            dim: DIM,
            features: &self.features,
            classes: CLASSES,
            logits: &self.logits,
            stage: [&self.stage[0], &self.stage[1]],
            to_features,
            to_logits,
            to_head: &mut vec![0.0; self.logits.len()],
            to_stage,
        })
    }
}

fn terms() -> Vec<(&'static str, Box<dyn LossTerm>)> {
    let made = |entry: &Regularizer| {
        let defaults: Vec<f64> = entry.choices.iter().map(|choice| choice.default).collect();
        match (entry.make)(&defaults) {
            Kind::Term(term) => Some((entry.name, term)),
            _ => None,
        }
    };
    all().iter().filter_map(made).collect()
}

/// Every term's gradient is the slope of its value.
#[test]
fn gradients_are_slopes() {
    for (name, mut term) in terms() {
        let bench = Bench::new();
        bench.start(&mut *term);
        let (value, gradients) = bench.run(&mut *term);
        assert!(value.is_finite() && value != 0.0, "{name}: {value}");
        let step = 2e-3f32;
        let mut seen = 0.0f64;
        for (which, gradient) in gradients.iter().enumerate() {
            let scale = gradient.iter().fold(1e-6f32, |m, g| m.max(g.abs()));
            for at in (0..gradient.len()).step_by(3) {
                let moved = |by: f32| {
                    let mut bench = Bench::new();
                    let values = match which {
                        0 => &mut bench.features,
                        1 => &mut bench.logits,
                        _ => &mut bench.stage[0],
                    };
                    values[at] += by;
                    bench
                };
                let slope = (moved(step).run(&mut *term).0 - moved(-step).run(&mut *term).0)
                    / (2.0 * f64::from(step));
                let error = (slope - f64::from(gradient[at])).abs();
                assert!(error <= 5e-3 * f64::from(scale), "{name}: {slope} and {}", gradient[at]);
                seen += slope.abs();
            }
        }
        assert!(seen > 0.0, "{name} has no gradient");
    }
}

#[test]
fn gradients_of_own_tensors_are_slopes() {
    for (name, mut term) in terms() {
        let bench = Bench::new();
        bench.start(&mut *term);
        bench.run(&mut *term);
        let gradients: Vec<Vec<f32>> = term.own().iter().map(|own| own.gradient.to_vec()).collect();
        for (which, gradient) in gradients.iter().enumerate() {
            for at in (0..gradient.len()).step_by(7) {
                let mut slope = 0.0;
                for (by, sign) in [(5e-3, 1.0), (-1e-2, -1.0)] {
                    term.own()[which].value[at] += by;
                    slope += sign * bench.run(&mut *term).0 / 1e-2;
                }
                term.own()[which].value[at] += 5e-3;
                assert!(
                    (slope - f64::from(gradient[at])).abs() < 2e-3,
                    "{name}: {slope} {}",
                    gradient[at]
                );
            }
        }
    }
}

fn with(entry: &Regularizer, option: &str, value: f64) -> Kind {
    let of = |choice: &Choice| if choice.name == option { value } else { choice.default };
    (entry.make)(&entry.choices.iter().map(of).collect::<Vec<f64>>())
}

/// Twice the strength is twice the value and the gradient, and none adds nothing.
#[test]
fn value_and_gradient_are_proportional_to_strength() {
    const STRENGTHS: [&str; 4] = ["alpha", "beta", "eta", "weight"];
    for entry in all() {
        let strength = entry.choices.iter().find(|choice| STRENGTHS.contains(&choice.name));
        let Some(strength) = strength else { panic!("{} has no strength", entry.name) };
        let bench = Bench::new();
        let run = |value: f64| match with(entry, strength.name, value) {
            Kind::Term(mut term) => {
                bench.start(&mut *term);
                let (value, gradients) = bench.run(&mut *term);
                let own = term.own().into_iter().flat_map(|own| own.gradient.to_vec());
                let own: Vec<f32> = own.collect();
                Some((value, [gradients.concat(), own].concat()))
            }
            _ => None,
        };
        let Some((nothing, none)) = run(0.0) else { continue };
        assert!(nothing == 0.0 && none.iter().all(|g| *g == 0.0), "{}", entry.name);
        let ((once, single), (twice, double)) = (run(1.0).unwrap(), run(2.0).unwrap());
        assert!((twice - 2.0 * once).abs() <= 1e-6 * once.abs(), "{}", entry.name);
        let scale = single.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for (single, double) in single.iter().zip(double) {
            assert!((double - 2.0 * single).abs() <= 1e-5 * scale, "{}", entry.name);
        }
    }
}

/// What other terms have added stays.
#[test]
fn gradients_are_added_to() {
    for (name, mut term) in terms() {
        let bench = Bench::new();
        bench.start(&mut *term);
        let (value, alone) = bench.run(&mut *term);
        let mut to = alone.clone().map(|gradient| vec![0.25; gradient.len()]);
        assert_eq!(bench.run_onto(&mut *term, &mut to), value, "{name}");
        for (both, alone) in to.iter().flatten().zip(alone.iter().flatten()) {
            assert!((both - 0.25 - alone).abs() <= 1e-5 * (1.0 + alone.abs()), "{name}");
        }
    }
}

#[test]
fn equal_samples_give_numbers() {
    for (name, mut term) in terms() {
        let mut bench = Bench::new();
        bench.start(&mut *term);
        let repeat = |v: &mut Vec<f32>| {
            let each = v.len() / N;
            (1..N).for_each(|i| v.copy_within(..each, i * each));
        };
        [&mut bench.features, &mut bench.logits].into_iter().for_each(repeat);
        bench.stage.iter_mut().for_each(repeat);
        let (value, gradients) = bench.run(&mut *term);
        assert!(value.is_finite() && gradients.iter().flatten().all(|g| g.is_finite()), "{name}");
    }
}

/// Agreement under dropout puts every sample into the batch twice, with the same features.
#[test]
fn singular_values_are_those_of_the_samples_however_often_they_are_there() {
    let run = |copies: usize| {
        let mut bench = Bench::new();
        bench.features = bench.features.repeat(copies);
        bench.logits = bench.logits.repeat(copies);
        bench.labels = bench.labels.repeat(copies);
        bench.places = bench.places.repeat(copies);
        let mut made = "bss(eta=1)".parse::<Spec>().unwrap().make();
        let (value, [to_features, ..]) = bench.run(&mut *made.terms[0].1);
        (value, to_features)
    };
    let ((once, single), (twice, double)) = (run(1), run(2));
    assert!(once > 0.0 && (once - twice).abs() < 1e-9 * once, "{once} {twice}");
    let (first, second) = double.split_at(single.len());
    for ((a, b), whole) in first.iter().zip(second).zip(&single) {
        assert!((a + b - whole).abs() < 1e-6, "{a} + {b}, not {whole}");
    }
}

#[test]
fn constant_features_and_single_samples_give_numbers() {
    for (name, mut term) in terms() {
        let mut bench = Bench::new();
        bench.start(&mut *term);
        bench.features.fill(1.0);
        bench.logits.fill(0.0);
        let (value, gradients) = bench.run(&mut *term);
        let finite = gradients.iter().flatten().all(|g| g.is_finite());
        assert!(value.is_finite() && finite, "{name}");
        if term.copies() > 1 {
            continue;
        }
        let keep = |v: &mut Vec<f32>| v.truncate(v.len() / N);
        [&mut bench.features, &mut bench.logits].into_iter().for_each(keep);
        bench.stage.iter_mut().for_each(keep);
        bench.labels.truncate(1);
        bench.places.truncate(1);
        assert!(bench.run(&mut *term).0.is_finite(), "{name}");
    }
}

#[test]
fn lists_are_parsed_and_mistakes_told() {
    let spec: Spec = "bss(k=2),mixup,l2-sp(alpha=0.5)".parse().unwrap();
    assert_eq!(spec.to_string(), "bss,mixup,l2-sp");
    let made = spec.make();
    assert_eq!((made.terms.len(), made.mixing.len(), made.pull), (1, 1, Some([0.5, 0.01])));
    assert_eq!("none".parse::<Spec>().unwrap(), Spec::default());
    for (text, expected) in [
        ("dropblock", "unknown regulariser `dropblock`"),
        ("bss(q=1)", "has no option `q`"),
        ("mixup(alpha=-1)", "from 0.001 to 100"),
        ("bss,bss", "twice"),
        ("bss(", "not closed"),
    ] {
        let error = text.parse::<Spec>().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn names_are_in_order_and_of_their_kind() {
    assert!(all().is_sorted_by(|a, b| a.name < b.name));
    for entry in all() {
        assert!(entry.name.chars().all(|c| c.is_ascii_lowercase() || "-0123456789".contains(c)));
        assert!(!entry.paper.is_empty() && entry.summary.contains(entry.name));
    }
}
