//! Sources of several domains: each is brought to the target by itself, far ones drop out, and pooling is the floor.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use offshoot_random::{Generator, generator};
use offshoot_stats::adaptation::{AutoOptions, Tried, auto, rehearse};
use offshoot_stats::adapters::{self, Adapted, Family, Options, Problem, nearness};
use offshoot_stats::heads::Head;
use offshoot_stats::{Matrix, Probabilities, StatsError};
use rand::RngExt;

const D: usize = 6;
const CLASSES: usize = 3;

/// How the rows of a domain came about.
#[derive(Clone, Copy)]
struct Taken {
    /// Added to the features of the first class and taken from those of the second.
    moved: f64,
    /// By which features are multiplied, in turn with 1.
    stretch: f64,
    /// Added to each label.
    mislabelled: u32,
}

const HERE: Taken = Taken { moved: 0.0, stretch: 1.0, mislabelled: 0 };

fn normal(draws: &mut Generator) -> f64 {
    let radius = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * draws.random::<f64>()).cos()
}

fn rows(n: usize, taken: Taken, seed: u64, which: u64) -> (Vec<f32>, Vec<u32>) {
    let mut draws = generator(seed, "domains test", which, 0);
    let mut data = Vec::new();
    let labels = (0..n).map(|i| ((i + which as usize) % CLASSES) as u32).collect::<Vec<_>>();
    for class in &labels {
        for j in 0..D {
            let centre = if j % CLASSES == *class as usize { 2.0 } else { 0.0 };
            let x = centre + normal(&mut draws);
            let scale = if j % 2 == 0 { taken.stretch } else { 1.0 };
            // Towards the first class and away from the second: what is moved looks like another class.
            let sign = [1.0, -1.0, 0.0][j % CLASSES];
            data.push((x * scale + sign * taken.moved) as f32);
        }
    }
    let told = labels.iter().map(|class| (class + taken.mislabelled) % CLASSES as u32).collect();
    (data, told)
}

/// Domains one after the other, and their rows' numbers.
struct Several {
    rows: Matrix,
    labels: Vec<u32>,
    domains: Vec<u32>,
}

fn several(n: usize, all: &[Taken], seed: u64) -> Several {
    let (mut data, mut labels, mut domains) = (Vec::new(), Vec::new(), Vec::new());
    for (k, taken) in all.iter().enumerate() {
        let (own, told) = rows(n, *taken, seed, k as u64);
        data.extend(own);
        labels.extend(told);
        domains.extend(vec![k as u32; n]);
    }
    Several { rows: Matrix::new(labels.len(), D, data).unwrap(), labels, domains }
}

fn target(n: usize, taken: Taken, seed: u64) -> (Matrix, Vec<u32>) {
    let (data, labels) = rows(n, taken, seed, 1000);
    (Matrix::new(n, D, data).unwrap(), labels)
}

impl Several {
    fn problem<'a>(&'a self, target: &'a Matrix) -> Problem<'a> {
        let pooled = Problem::new(self.rows.rows(), &self.labels, CLASSES, target.rows(), 0);
        pooled.unwrap().with_lambda(0.01).with_domains(&self.domains).unwrap()
    }

    fn fit(&self, name: &str, target: &Matrix) -> Adapted {
        let adapter = adapters::find(name).unwrap();
        adapter.fit(&self.problem(target), &Options::default()).unwrap()
    }
}

fn right(said: &Probabilities, labels: &[u32]) -> f64 {
    let hits = labels.iter().enumerate().filter(|&(i, &y)| said.predicted(i) == y).count();
    hits as f64 / labels.len() as f64
}

fn of(head: &Head, target: &(Matrix, Vec<u32>)) -> f64 {
    right(&head.predict(target.0.rows()).unwrap(), &target.1)
}

fn own() -> impl Iterator<Item = &'static str> {
    adapters::all().iter().filter(|a| a.family == Family::Domains).map(|a| a.name)
}

/// Domains on either side of a target that lies beyond one of them: pooled, they look like one wide cloud.
const APART: [Taken; 3] = [
    Taken { moved: -3.0, ..HERE },
    Taken { moved: 3.0, stretch: 2.0, mislabelled: 0 },
    Taken { moved: 9.0, stretch: 0.5, mislabelled: 0 },
];
const BEYOND: Taken = Taken { moved: -7.0, stretch: 1.5, mislabelled: 0 };

#[test]
fn each_domain_by_itself_reaches_what_pooling_cannot() {
    let (source, target) = (several(150, &APART, 0), target(300, BEYOND, 0));
    let accuracy = |name: &str| of(&source.fit(name, &target.0).of_target(), &target);
    let [pooled, coral, by_domain, scaled] =
        ["source-only", "coral", "domain-coral", "domain-scale"].map(accuracy);
    println!("pooled {pooled}, coral {coral}, domain-coral {by_domain}, domain-scale {scaled}");
    assert!(by_domain > pooled + 0.2 && scaled > pooled + 0.2);
    assert!(by_domain > coral + 0.05 && scaled > coral + 0.05);
}

#[test]
fn a_far_domain_with_other_labels_drops_out() {
    let wrong = Taken { moved: 2.0, stretch: 1.0, mislabelled: 1 };
    let all = [HERE, wrong, wrong];
    let (source, target) = (several(120, &all, 0), target(300, HERE, 0));
    let near = nearness(source.rows.rows(), &source.domains, target.0.rows()).unwrap();
    println!("{near:?}");
    assert!(near.shares[0] > 0.9 && (near.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(near.distances[0] < 0.02 && near.distances[1..].iter().all(|d| *d > 0.1));
    let [pooled, weighed] = ["source-only", "domain-weights"]
        .map(|name| of(&source.fit(name, &target.0).of_target(), &target));
    assert!(weighed > pooled + 0.1, "{pooled} to {weighed}");
}

#[test]
fn a_target_between_domains_is_a_mixture_of_them() {
    let all = [Taken { moved: -4.0, ..HERE }, Taken { moved: 4.0, ..HERE }];
    let source = several(400, &all, 0);
    // Three of four target rows are like the second domain.
    let mut data = rows(100, all[0], 9, 0).0;
    data.extend(rows(300, all[1], 9, 1).0);
    let mixed = Matrix::new(400, D, data).unwrap();
    let near = nearness(source.rows.rows(), &source.domains, mixed.rows()).unwrap();
    assert!((near.shares[1] - 0.75).abs() < 0.02, "{near:?}");
}

#[test]
fn one_domain_is_no_domain() {
    let (source, target) = (several(90, &[HERE], 0), target(90, BEYOND, 0));
    let by = |name: &str| source.fit(name, &target.0).of_target();
    let said = |head: &Head| head.predict(target.0.rows()).unwrap();
    for (several, one) in [("domain-coral", "coral"), ("domain-weights", "source-only")] {
        let (a, b) = (said(&by(several)), said(&by(one)));
        let off = a.rows().flatten().zip(b.rows().flatten()).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-6, "{several}");
    }
    assert!(!source.problem(&target.0).has_several_domains());
}

#[test]
fn neither_order_of_rows_nor_numbers_of_domains_matter_nor_threads() {
    let (source, target) = (several(60, &APART, 0), target(80, BEYOND, 0));
    let order: Vec<usize> = (0..source.labels.len()).rev().collect();
    let turned = Several {
        rows: Matrix::gather(source.rows.rows(), &order),
        labels: order.iter().map(|&i| source.labels[i]).collect(),
        // Number 3 has no rows.
        domains: order.iter().map(|&i| [4, 0, 2][source.domains[i] as usize]).collect(),
    };
    for name in own() {
        let said = |several: &Several| {
            several.fit(name, &target.0).of_target().predict(target.0.rows()).unwrap()
        };
        let (a, b) = (said(&source), said(&turned));
        let off = a.rows().flatten().zip(b.rows().flatten()).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-3, "{name}");
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| source.fit(name, &target.0))
        };
        assert!(on(1) == on(3), "{name}");
    }
}

#[test]
fn held_out_rows_are_shown_as_their_domains_are() {
    let (source, target) = (several(100, &APART, 0), target(100, BEYOND, 0));
    let held = several(100, &APART, 1);
    let adapted = source.fit("domain-coral", &target.0);
    let with = adapted.answers(held.rows.rows(), Some(&held.domains)).unwrap();
    let without = adapted.answers(held.rows.rows(), None).unwrap();
    let [with, without] = [with, without].map(|said| right(&said, &held.labels));
    assert!(with > without + 0.1, "{with} and {without}");
    let few = adapted.answers(held.rows.rows(), Some(&held.domains[..5])).unwrap_err();
    assert!(matches!(few, StatsError::Shape { .. }), "{few}");
    // A domain that is new, and one of a single row, are seen as all of them are.
    let unknown = vec![7; held.labels.len()];
    let shown = adapted.shown(held.rows.rows(), Some(&unknown)).unwrap();
    assert_eq!(shown, adapted.source.apply(held.rows.rows()).unwrap());
    let mut domains = source.domains.clone();
    domains[0] = 3;
    let lonely = Several { domains, ..several(100, &APART, 0) };
    let adapted = lonely.fit("domain-scale", &target.0);
    assert_eq!(adapted.domains[3], adapted.source);
}

/// Domains that help, harm and differ in every way, whatever the draw: what is chosen without labels of the target is
/// not worse than pooling beyond chance, and on the whole it gains.
#[test]
fn the_choice_is_never_worse_than_pooling_beyond_chance() {
    let cases: [(&str, Vec<Taken>, Taken); 5] = [
        ("apart", APART.to_vec(), BEYOND),
        ("alike", vec![HERE, HERE], HERE),
        (
            "one mislabelled",
            vec![HERE, Taken { moved: 3.0, stretch: 1.0, mislabelled: 1 }],
            Taken { moved: 0.5, ..HERE },
        ),
        ("one near, two far", vec![BEYOND, HERE, HERE], BEYOND),
        (
            "stretched",
            vec![Taken { stretch: 3.0, ..HERE }, Taken { stretch: 0.4, ..HERE }],
            Taken { moved: 1.0, stretch: 1.5, mislabelled: 0 },
        ),
    ];
    let mut options = AutoOptions::default();
    options.shift.distances.permutations = 99;
    options.shift.distances.resamples = 0;
    let mut gained = 0.0;
    for (name, taken, to) in &cases {
        for seed in 0..2 {
            let (source, target) = (several(60, taken, seed), target(120, *to, seed));
            let problem = source.problem(&target.0);
            let found = auto(&problem, &options).unwrap();
            let hits = |head: &Head| -> Vec<bool> {
                let said = head.predict(target.0.rows()).unwrap();
                target.1.iter().enumerate().map(|(i, &y)| said.predicted(i) == y).collect()
            };
            let (before, after) = (
                hits(&source.fit("source-only", &target.0).of_target()),
                hits(&found.adapted.of_target()),
            );
            let only = |a: &[bool], b: &[bool]| {
                a.iter().zip(b).filter(|(a, b)| **a && !**b).count() as f64
            };
            let (wins, losses) = (only(&after, &before), only(&before, &after));
            // Three standard deviations of a fair coin.
            let worse = losses - wins > 3.0 * (losses + wins).sqrt();
            let which = found.choice.which.map_or("source-only", |i| found.tried[i + 1].name);
            println!("{name}, {seed}: {which} +{wins} −{losses}; {}", found.choice.why);
            assert!(!worse, "{name}, {seed}: {which} wins {wins} and loses {losses}");
            gained += wins - losses;
        }
    }
    assert!(gained > 150.0, "{gained} of 1200 samples");
}

#[test]
fn what_was_tried_was_asked_domain_by_domain() {
    let (source, target) = (several(90, &APART, 0), target(90, BEYOND, 0));
    let held = several(30, &APART, 1);
    let adapter = adapters::find("domain-coral").unwrap();
    let problem = source.problem(&target.0);
    let domains = Some(held.domains.as_slice());
    let tried =
        Tried::fit(adapter, &problem, &Options::default(), held.rows.rows(), domains).unwrap();
    assert_eq!(tried.source, tried.adapted.answers(held.rows.rows(), domains).unwrap());
    assert_eq!(
        tried.seen()[0].data(),
        tried.adapted.shown(held.rows.rows(), domains).unwrap().rows().data()
    );
}

/// A method that tears classes apart wherever it is tried is ruled out by the labels of the source's own domains.
#[test]
fn what_harms_source_domains_in_the_targets_place_is_ruled_out() {
    // Each domain, and the target, has its own proportions of classes: what aligns means takes one for another.
    let mut source = several(90, &[HERE, HERE, HERE], 0);
    let kept: Vec<usize> = (0..source.labels.len())
        .filter(|&i| source.labels[i] == source.domains[i] || i % 4 == 0)
        .collect();
    source = Several {
        rows: Matrix::gather(source.rows.rows(), &kept),
        labels: kept.iter().map(|&i| source.labels[i]).collect(),
        domains: kept.iter().map(|&i| source.domains[i]).collect(),
    };
    let target = target(90, HERE, 0);
    let problem = source.problem(&target.0);
    let of = |name: &str| {
        let adapter = adapters::find(name).unwrap();
        rehearse(adapter, &problem, &Options::default()).unwrap().unwrap()
    };
    let (coral, own) = (of("coral"), of("source-only"));
    println!("{coral:?}, {own:?}");
    assert_eq!((own.wins, own.losses, own.domains, own.harms()), (0, 0, 3, false));
    assert!(coral.harms() && coral.gain < -0.1, "{coral:?}");
    let veto = coral.veto().unwrap();
    assert!(veto.detail.starts_with("3 source domains took the target's part"), "{}", veto.detail);
    // Of two domains, a rehearsal would have a source of one.
    let two = several(60, &APART[..2], 0);
    let adapter = adapters::find("coral").unwrap();
    assert!(rehearse(adapter, &two.problem(&target.0), &Options::default()).unwrap().is_none());
}
