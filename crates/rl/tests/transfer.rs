//! What every method of transfer must keep, looped over the registry, and a whole transfer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use offshoot_rl::train::{self, plan::TrainPlan, train};
use offshoot_rl::transfer::document::TransferDocument;
use offshoot_rl::transfer::plan::TransferPlan;
use offshoot_rl::transfer::{METHODS, resume, transfer};
use offshoot_transfer::{Event, Flow};

fn source(runs: &Path, learner: &str, steps: u64) -> std::path::PathBuf {
    let plan = TrainPlan {
        world: "cart-pole".into(),
        learner: learner.into(),
        steps: Some(steps),
        seeds: 2,
        seed: 0,
        set: Default::default(),
        name: Some(format!("source-{learner}-{steps}")),
        runs_dir: runs.into(),
    };
    train(&plan, &mut ()).unwrap().run
}

fn plan(source: &Path, methods: &[&str], steps: u64) -> TransferPlan {
    TransferPlan {
        sources: vec![source.into()],
        world: "cart-pole".into(),
        methods: methods.iter().map(|m| m.to_string()).collect(),
        learner: None,
        steps: Some(steps),
        seeds: 2,
        seed: 7,
        set: [("gravity".to_string(), 15.0)].into(),
        remapping: Default::default(),
        name: None,
        runs_dir: source.parent().unwrap().into(),
    }
}

#[test]
fn every_method_begins_with_every_learner() {
    let dir = tempfile::tempdir().unwrap();
    for learner in ["ppo", "dqn"] {
        let source = source(dir.path(), learner, 2048);
        let names: Vec<&str> = METHODS.iter().map(|m| m.name).collect();
        let document = transfer(&plan(&source, &names, 2048), &mut ()).unwrap();
        let told: Vec<&str> = document.report.methods.iter().map(|m| m.method.as_str()).collect();
        assert_eq!(told[0], "scratch");
        assert_eq!(told[1..], names);
        // Before it learns, a warm start is the source itself.
        let first = &document.report.methods[1].curve[0].returns;
        assert_ne!(first, &document.report.methods[0].curve[0].returns);
        for file in ["report.html", "report.json", "policy/policy.safetensors", "plots/curves.svg"]
        {
            assert!(document.report.run.join(file).is_file(), "{file}");
        }
    }
}

#[test]
fn a_transfer_that_is_stopped_goes_on_to_the_same_figures() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), "ppo", 2048);
    let plan = plan(&source, &["auto"], 40_960);
    let whole = transfer(&plan, &mut ()).unwrap();
    assert_eq!(whole.tried.len(), METHODS.len());
    let mut events = 0;
    let mut stops = |_: &Event<'_>| {
        events += 1;
        if events > 1 { Flow::Stop } else { Flow::Continue }
    };
    let error = transfer(&plan, &mut stops).unwrap_err();
    assert_eq!(error.exit_code(), 75);
    let run = dir.path().join("cart-pole-2");
    let resumed = resume(&run, &mut ()).unwrap();
    let figures = |d: &TransferDocument| {
        (d.report.figures.clone(), d.report.best.clone(), d.mean_return, d.tried.clone())
    };
    assert_eq!(figures(&resumed), figures(&whole));
    assert_eq!(resume(&run, &mut ()).unwrap(), resumed);
    assert!(train::is_rl(&run));
}

#[test]
fn what_cannot_be_transferred_is_refused_before_a_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), "ppo", 1024);
    let usual = || plan(&source, &["warm-start"], 1024);
    let refused = |plan: TransferPlan, advice: &str| {
        let error = transfer(&plan, &mut ()).unwrap_err();
        let told = format!("{error} {}", error.hint().unwrap_or_default());
        assert!(told.contains(advice) && error.exit_code() == 2, "{told}");
        assert!(!dir.path().join("cart-pole").exists() && !dir.path().join("acrobot").exists());
    };
    refused(plan(&source, &["warm-strat"], 1024), "unknown method `warm-strat`");
    refused(TransferPlan { seeds: 1, ..usual() }, "10 is usual");
    let elsewhere = || TransferPlan { world: "acrobot".into(), set: Default::default(), ..usual() };
    refused(elsewhere(), "no name is shared");
    refused(TransferPlan { learner: Some("dqn".into()), ..usual() }, "`--learner dqn`");
    let mut renamed = usual();
    renamed.remapping.actions.insert("left".into(), "up".into());
    refused(renamed, "unknown action `up`");
}

#[test]
fn a_damaged_source_and_a_training_of_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), "ppo", 512);
    let nothing = transfer(&plan(&source, &["warm-start"], 0), &mut ()).unwrap_err();
    assert_eq!(nothing.exit_code(), 2);
    let path = source.join("seeds/0/policy.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = transfer(&plan(&source, &["warm-start"], 512), &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("policy.safetensors: changed"), "{error}");
}

/// Two seeds are no evidence: whatever their interval is, no verdict follows.
#[test]
fn two_seeds_give_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), "ppo", 2048);
    let document = transfer(&plan(&source, &["warm-start"], 2048), &mut ()).unwrap();
    let verdict = document.report.verdict;
    assert_eq!(verdict, offshoot_rl::report::document::Verdict::Unclear);
    assert!(!document.report.fell_back);
}

/// Of two sources the one that can do something is chosen; `distil` imitates both.
#[test]
fn of_several_sources_the_better_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let poor = source(dir.path(), "ppo", 512);
    let good = source(dir.path(), "ppo", 60_000);
    let mut plan = plan(&poor, &["warm-start", "distil"], 2048);
    plan.sources.push(good.clone());
    let document = transfer(&plan, &mut ()).unwrap();
    let returns: Vec<f64> = document.sources.iter().map(|s| s.zero_shot).collect();
    assert!(returns[1] > 2.0 * returns[0], "{returns:?}");
    assert_eq!(document.chosen, good);
    // What one teacher does alone is another beginning than what two do.
    plan.sources = vec![good];
    let alone = transfer(&plan, &mut ()).unwrap();
    let end = |d: &TransferDocument, way: usize| {
        d.report.methods[way].curve.last().unwrap().returns.clone()
    };
    assert_eq!(end(&document, 1), end(&alone, 1), "the same source begins");
    assert_ne!(end(&document, 2), end(&alone, 2), "two are imitated");
}

/// Worlds that share no name: only a learned map of observations can begin.
#[test]
fn worlds_without_a_common_name_are_mapped_by_learning() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), "ppo", 2048);
    let acrobot = |method: &str| TransferPlan {
        world: "acrobot".into(),
        set: Default::default(),
        ..plan(&source, &[method], 1024)
    };
    let error = transfer(&acrobot("warm-start"), &mut ()).unwrap_err();
    assert!(error.to_string().contains("no name is shared"), "{error}");
    let document = transfer(&acrobot("adapter"), &mut ()).unwrap();
    assert_eq!(document.report.methods[1].method, "adapter");
}
