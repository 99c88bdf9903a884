//! Networks that are aligned while they are tuned: whole trainings on small made pictures.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use offshoot_data::{Dataset, Input, Sample};
use offshoot_nn::Params;
use offshoot_stats::heads::{Head, Linear};

use super::{Start, State, all, tune};
use crate::cache::Cache;
use crate::extract::{Extraction, extract};
use crate::made_data::{Place, stop_after, write_folder};
use crate::plan::{Method, TrainPlan};
use crate::prepare::{Prepared, prepare};
use crate::run::RunFolder;
use crate::source::{self, Source};
use crate::train::probe::Probe;
use crate::watch::Watch;
use crate::{Event, Observer, Phase, Result};

/// Both domains with everything that tuning begins with.
struct Domains {
    // Removed when it is dropped.
    _place: Place,
    folder: RunFolder,
    plan: TrainPlan,
    prepared: Prepared,
    target: Vec<Sample>,
    source: Source,
    cache: Cache,
    of_source: Extraction,
    of_target: Extraction,
    head: Linear,
}

impl Domains {
    /// Pictures of a source, and others of a target.
    fn new(method: &str) -> Self {
        let place = Place::new();
        write_folder(&place.path("data"), "", 10, 0);
        write_folder(&place.path("other"), "", 7, 100);
        let mut plan = TrainPlan { method: Method::find(method).unwrap(), ..place.plan() };
        plan.finetune.epochs = Some(2);
        plan.finetune.batch = Some(8);
        plan.val = Some(0.2);
        let observer = &mut ();
        let mut watch = Watch::new(observer);
        let prepared = prepare(&plan, &mut watch).unwrap();
        let target = read(&place.path("other")).samples;
        let source = source::open_at(&plan.model, plan.size, plan.seed).unwrap();
        let (cache, _) = Cache::open(&plan.cache).unwrap();
        let mut rows = |samples: &[Sample]| {
            extract(samples, &source, &cache, 8, Phase::Extract, &mut watch).unwrap()
        };
        let of_source = rows(&prepared.dataset.samples);
        let of_target = rows(&target);
        let probe = Probe::fit(&plan, &prepared, &of_source, None, &mut watch).unwrap();
        let Head::Linear(head) = probe.on_train else { panic!("a linear head was expected") };
        let folder = RunFolder::create(&place.path("runs"), None, "all").unwrap();
        Self {
            _place: place,
            folder,
            plan,
            prepared,
            target,
            source,
            cache,
            of_source,
            of_target,
            head,
        }
    }

    fn tuned_by(&self, terms: &str, name: &str, observer: &mut dyn Observer) -> Result<Vec<State>> {
        // A run that was stopped goes on in its folder.
        let folder = self.folder.within(name)?;
        let start = Start {
            folder: &folder,
            plan: &self.plan,
            prepared: &self.prepared,
            target: &self.target,
            source: &self.source,
            cache: &self.cache,
            of_source: &self.of_source,
            of_target: &self.of_target,
            head: &self.head,
            seconds: None,
        };
        tune(terms, &start, &mut Watch::new(observer))
    }

    fn tuned(&self, terms: &str, name: &str) -> State {
        self.tuned_by(terms, name, &mut ()).unwrap().remove(0)
    }

    fn begun_with(&self) -> &Params {
        &self.source.network.as_ref().unwrap().1
    }
}

fn read(path: &Path) -> Dataset {
    offshoot_data::open(path, &offshoot_data::ReadOptions::default()).unwrap()
}

fn updates(event: &Event<'_>) -> bool {
    matches!(event, Event::Progress { phase: Phase::Finetune, .. })
}

fn largest_difference(a: &Params, b: &Params) -> f32 {
    let values = |params: &Params| -> Vec<f32> {
        params.values().flat_map(|array| array.data.to_vec()).collect()
    };
    let pairs = values(a).into_iter().zip(values(b));
    pairs.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn every_term_tunes_a_network() {
    let domains = Domains::new("lp-ft");
    let nothing = domains.tuned("deep-coral(weight=0)", "nothing");
    for term in all() {
        // Strong enough that the first updates differ.
        let state = domains.tuned(&format!("{}(weight=5)", term.name), term.name);
        assert!(state.params.values().flat_map(|a| &a.data).all(|v| v.is_finite()));
        assert!(state.facts[term.name].is_finite(), "{}", term.name);
        assert!(largest_difference(&state.params, &nothing.params) > 1e-4, "{}", term.name);
        // 24 samples to learn from in batches of 8, twice.
        assert_eq!(state.updates, nothing.updates, "{}", term.name);
        assert!(!domains.folder.file(term.name).join("checkpoints").exists());
    }
}

/// A term that counts for nothing leaves what training without a target does.
#[test]
fn a_target_that_counts_for_nothing_changes_nothing() {
    let mut domains = Domains::new("lp-ft");
    let one = domains.tuned("deep-coral(weight=0)", "one");
    domains.target.truncate(5);
    let other = domains.tuned("deep-coral(weight=0)", "other");
    // Sums over larger batches are rounded elsewhere.
    assert!(largest_difference(&one.params, &other.params) < 1e-5);
    let aligned = domains.tuned("deep-coral(weight=100)", "aligned");
    assert!(largest_difference(&one.params, &aligned.params) > 1e-3);
}

#[test]
fn a_training_that_is_stopped_at_any_update_ends_with_the_same_bits() {
    let domains = Domains::new("lp-ft");
    let terms = "dann(weight=2,hidden=8),mcc";
    let whole = domains.tuned(terms, "whole");
    let mut stops = 0;
    for n in 1.. {
        let name = format!("stop-{n}");
        let Err(error) = domains.tuned_by(terms, &name, &mut stop_after(n, updates)) else { break };
        assert_eq!(error.exit_code(), 75, "{error}");
        stops += 1;
        let again = domains.tuned(terms, &name);
        assert!(again.params == whole.params && again.head == whole.head, "stopped at {n}");
        assert_eq!(again.updates, whole.updates);
    }
    assert!(stops >= 4, "only {stops} stops");
}

#[test]
fn threads_and_labels_of_the_target_do_not_change_a_bit() {
    let mut domains = Domains::new("full");
    let terms = "cdan(hidden=8),deep-jdot,jan,mcd";
    let with = |domains: &Domains, threads: usize, name: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| domains.tuned(terms, name))
    };
    let one = with(&domains, 1, "one");
    let two = with(&domains, 2, "two");
    assert!(one.params == two.params && one.head == two.head);
    let wrong = |sample: &mut Sample| sample.label = sample.label.map(|label| (label + 1) % 3);
    domains.target.iter_mut().for_each(wrong);
    let mislabelled = with(&domains, 2, "mislabelled");
    assert!(one.params == mislabelled.params && one.head == mislabelled.head);
}

/// What a strategy freezes stays as it is, and its activations are computed once, for both domains.
#[test]
fn frozen_layers_stay_and_are_computed_once_for_both_domains() {
    let mut domains = Domains::new("last-k");
    domains.plan.finetune.layers = 1;
    let mut passed = 0;
    let mut count = |event: &Event<'_>| {
        if let Event::Progress { phase: Phase::Cache, done, .. } = event {
            passed = passed.max(*done);
        }
        crate::Flow::Continue
    };
    let state = domains.tuned_by("dan(weight=5),afn", "frozen", &mut count).unwrap().remove(0);
    let source = domains.begun_with();
    let (moved, kept): (Vec<_>, Vec<_>) =
        state.params.iter().partition(|(key, array)| source[*key].data != array.data);
    assert!(!moved.is_empty() && moved.iter().all(|(key, _)| key.starts_with("classifier")));
    assert!(kept.iter().any(|(key, _)| key.starts_with("features")), "{kept:?}");
    assert_eq!(
        passed,
        domains.target.len(),
        "the target's activations were computed by themselves"
    );
}

#[test]
fn what_cannot_be_aligned_is_refused() {
    let mut domains = Domains::new("setfit");
    let refused = |domains: &Domains, terms: &str| {
        let error = domains.tuned_by(terms, "refused", &mut ()).err().unwrap();
        (error.exit_code(), error.to_string())
    };
    let (code, error) = refused(&domains, "dann");
    assert!(code == 2 && error.contains("pairs"), "{error}");
    let (code, error) = refused(&domains, "coral");
    assert!(code == 2 && error.contains("unknown term of alignment `coral`"), "{error}");
    domains.plan.method = Method::find("lp-ft").unwrap();
    for sample in &mut domains.target {
        sample.input = Input::File("nowhere.pgm".into());
    }
    let (code, error) = refused(&domains, "dann");
    assert!(code == 3, "{error}");
}
