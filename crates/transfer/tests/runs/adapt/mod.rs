//! Adapting to a target without labels: planted shifts, what is left, and what labels may not do.

mod classes;
mod networks;
mod sides;

use std::fs;
use std::path::Path;

use offshoot_transfer::adapt::document::AdaptReport;
use offshoot_transfer::adapt::plan::{AdaptPlan, Classes, TEST, VAL};
use offshoot_transfer::adapt::{adapt, adapt_dry_run, is_adaptation, resume};
use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::RunState;
use offshoot_transfer::{
    EvalPlan, ExplainPlan, Explanation, ExportPlan, Form, Method, Phase, PredictInput, PredictPlan,
    TrainPlan, TransferError, evaluate, explain, export, predict, redraw, runs, train, verify,
};

use super::data::*;

const D: usize = 4;

/// A number from 0 to 1 that looks random.
fn noise(i: usize, k: usize) -> f32 {
    let bits =
        (i as u64 * 6_364_136_223_846_793_005).wrapping_add(k as u64 * 1_442_695_040_888_963_407);
    let bits = (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((bits >> 40) as f32) / 16_777_216.0
}

/// Two classes that differ in the first of four features; `moved` maps a row.
fn rows(
    n: usize,
    first: usize,
    class: impl Fn(usize) -> usize,
    moved: fn([f32; D]) -> [f32; D],
) -> (Vec<f32>, Vec<i64>) {
    let mut data = Vec::new();
    let mut labels = Vec::new();
    for i in first..first + n {
        let class = class(i);
        let spread = |k: usize| noise(i, 3 * k) + noise(i, 3 * k + 1) + noise(i, 3 * k + 2) - 1.5;
        let side = if class == 0 { -1.5 } else { 1.5 };
        data.extend(moved([side + spread(0), spread(1), spread(2), spread(3)]));
        labels.push(class as i64);
    }
    (data, labels)
}

fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(bytes);
    out
}

/// The evaluation of a run on data in `place`.
fn eval(place: &Place, run: &Path, data: &str) -> EvalPlan {
    EvalPlan {
        run: run.into(),
        data: place.path(data),
        columns: Default::default(),
        require: Default::default(),
        batch: 16,
        cache: place.cache(),
    }
}

/// Writes `x.npy`, and `y.npy` where there are labels.
fn write_rows(dir: &Path, data: &[f32], labels: Option<&[i64]>) {
    fs::create_dir_all(dir).unwrap();
    let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    let n = data.len() / D;
    fs::write(dir.join("x.npy"), npy("<f4", &format!("({n}, {D})"), &bytes)).unwrap();
    if let Some(labels) = labels {
        let bytes: Vec<u8> = labels.iter().flat_map(|y| y.to_le_bytes()).collect();
        fs::write(dir.join("y.npy"), npy("<i8", &format!("({n},)"), &bytes)).unwrap();
    }
}

/// The second feature is wider, and everything lies elsewhere.
fn elsewhere([a, b, c, d]: [f32; D]) -> [f32; D] {
    [a + 4.0, 3.0 * b, c - 2.0, d]
}

fn same(x: [f32; D]) -> [f32; D] {
    x
}

/// Source and target below `place`; the target's labels are written where they are to judge.
fn sides(
    place: &Place,
    moved: fn([f32; D]) -> [f32; D],
    of_target: fn(usize) -> usize,
    labelled: bool,
) -> AdaptPlan {
    let (data, labels) = rows(300, 0, |i| i % 2, same);
    write_rows(&place.path("source"), &data, Some(&labels));
    let (data, labels) = rows(240, 1000, of_target, moved);
    write_rows(&place.path("target"), &data, labelled.then_some(&labels));
    plan(place)
}

fn plan(place: &Place) -> AdaptPlan {
    AdaptPlan {
        source_run: None,
        target: Some(place.path("target/x.npy")),
        target_domain: None,
        method: "auto".into(),
        classes: Default::default(),
        unknown_share: None,
        time: None,
        require: Default::default(),
        training: TrainPlan {
            data: place.path("source/x.npy"),
            val: Some(VAL),
            test: TEST,
            ..place.plan()
        },
    }
}

fn alternating(i: usize) -> usize {
    i % 2
}

fn head(report: &AdaptReport) -> String {
    sha(&report.run.join("export/model.safetensors"))
}

#[test]
fn a_planted_shift_is_undone_without_labels() {
    let place = Place::new();
    let report = adapt(&sides(&place, elsewhere, alternating, true), &mut ()).unwrap();
    let before = report.source_only_accuracy.unwrap();
    let after = report.accuracy.unwrap();
    assert!(before < 0.7 && after > 0.9, "{before} → {after} by {}", report.method);
    assert!(!report.fell_back && report.verdict == "helps", "{:?}", report.reason);
    assert_eq!(report.mismatch.verdict, ["covariate"]);
    assert!(report.candidates.len() > 3 && report.candidates[0].name == "source-only");
    assert!(report.candidates.iter().all(|c| c.scores.len() >= 5 && c.accuracy.is_some()));

    // The folder is like any other run's.
    let found = files(&report.run);
    for expected in [
        "data/classes.json",
        "data/manifest.csv",
        "eval/candidates.csv",
        "eval/confusion.csv",
        "eval/predictions.csv",
        "eval/report.json",
        "export/README.md",
        "export/config.json",
        "export/selftest.json",
        "plan.toml",
        "plots/before-by-side.svg",
        "report.html",
        "run.json",
    ] {
        assert!(found.iter().any(|f| f == expected), "{expected} not in {found:?}");
    }
    let (_, record) = RunFolder::open(&report.run).unwrap();
    assert_eq!(record.state, RunState::Complete);
    assert_eq!(record.adaptation.as_ref(), Some(&report));
    let manifest = fs::read_to_string(report.run.join("data/manifest.csv")).unwrap();
    assert_eq!(manifest.lines().count(), 1 + 300 + 240);
    let listed = runs::list(&place.path("runs")).unwrap();
    assert_eq!(listed[0].accuracy, report.accuracy);
    assert_eq!(listed[0].method.as_ref(), Some(&report.method));

    // The exported head says on the target what was measured.
    let evaluated = evaluate(&eval(&place, &report.run, "target/x.npy"), &mut ()).unwrap();
    assert_eq!(evaluated.figures.accuracy, after);
    let plan = PredictPlan {
        run: report.run.clone(),
        columns: Default::default(),
        top: 2,
        promised: 0.9,
        batch: 8,
    };
    let mut answers = Vec::new();
    let input = PredictInput::Paths(vec![place.path("target/x.npy")]);
    predict(&plan, input, &mut (), &mut |batch| {
        answers.extend(batch.iter().map(|p| p.label.clone()));
        Ok(())
    })
    .unwrap();
    assert_eq!(answers.len(), 240);

    // The page can be drawn again, and holds what it must.
    let page = fs::read_to_string(redraw(&report.run).unwrap()).unwrap();
    assert!(page.contains("What to do next") && page.contains("source-only"));
    assert!(!page.contains("<script"));
}

#[test]
fn labels_of_the_target_choose_nothing() {
    let place = Place::new();
    let with = adapt(&sides(&place, elsewhere, alternating, true), &mut ()).unwrap();
    fs::remove_file(place.path("target/y.npy")).unwrap();
    let without = adapt(&plan(&place), &mut ()).unwrap();
    assert_eq!(head(&with), head(&without));
    assert_eq!(with.method, without.method);
    assert_eq!(with.prescription, without.prescription);
    let scores =
        |r: &AdaptReport| r.candidates.iter().map(|c| c.scores.clone()).collect::<Vec<_>>();
    assert_eq!(scores(&with), scores(&without));
    assert_eq!((without.accuracy, without.verdict.as_str()), (None, "unmeasured"));
    assert!(without.labels.contains("no labels"), "{}", without.labels);
    let page = fs::read_to_string(without.run.join("report.html")).unwrap();
    assert!(page.contains("Label about 100"), "it is said that nothing was measured");
}

#[test]
fn where_nothing_moved_nothing_is_done() {
    let place = Place::new();
    let report = adapt(&sides(&place, same, alternating, true), &mut ()).unwrap();
    assert_eq!(report.method, "source-only");
    assert_eq!(report.mismatch.verdict, ["none"]);
    assert!(!report.fell_back, "nothing was tried, so nothing was given up");
    assert!(report.accuracy.unwrap() > 0.95 && report.changed == 0.0);
}

#[test]
fn keys_are_those_that_were_promised() {
    let place = Place::new();
    let mut plan = sides(&place, elsewhere, alternating, true);
    plan.method = "coral".into();
    let report = adapt(&plan, &mut ()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort_unstable();
        keys
    };
    let promised = "accuracy asked by_class candidates changed classes command domains fell_back gap home_figures labels \
                    left_out method mismatch model next prescription reason run run_accuracy schema seconds \
                    sentences sets source source_only_accuracy source_only_figures target target_figures trust unknown \
                    verdict warnings";
    assert_eq!(keys(&json), promised.split_whitespace().collect::<Vec<_>>());
    let promised = "accuracy changed course facts family name scores seconds shipped source_accuracy summary vetoes";
    assert_eq!(keys(&json["candidates"][0]), promised.split_whitespace().collect::<Vec<_>>());
    assert_eq!((&json["command"], &json["schema"]), (&"adapt".into(), &1.into()));
}

/// All of one class: alignment would tear it into both.
#[test]
fn harm_is_not_shipped() {
    let place = Place::new();
    let mut plan = sides(&place, same, |_| 0, true);
    let report = adapt(&plan, &mut ()).unwrap();
    // What passes the veto may move a tenth of the answers.
    assert!(report.accuracy.unwrap() >= report.source_only_accuracy.unwrap() - 0.11, "{report:?}");
    plan.method = "coral".into();
    let forced = adapt(&plan, &mut ()).unwrap();
    let coral = forced.candidates.iter().find(|c| c.name == "coral").unwrap();
    assert!(coral.accuracy.unwrap() < 0.9, "the planted harm is none: {coral:?}");
    assert!(forced.fell_back && forced.method == "source-only", "{forced:?}");
}

#[test]
fn a_gate_fails_after_everything_was_written() {
    let place = Place::new();
    let mut plan = sides(&place, elsewhere, alternating, true);
    plan.require.insert("gain".into(), 0.99);
    plan.training.name = Some("strict".into());
    let error = adapt(&plan, &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 7, "{error}");
    let (_, record) = RunFolder::open(&place.path("runs/strict")).unwrap();
    assert_eq!(record.state, RunState::Complete);
    plan.training.name = None;
    plan.require = [("no-harm".to_string(), 0.0), ("accuracy".to_string(), 0.5)].into();
    adapt(&plan, &mut ()).unwrap();
    plan.require = [("acuracy".to_string(), 0.5)].into();
    assert_eq!(adapt(&plan, &mut ()).unwrap_err().exit_code(), 2);
    // What nothing could judge is refused before any work, and so is what would have no effect.
    let refused = |plan: &AdaptPlan, what: &str| {
        let error = adapt(plan, &mut ()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(what), "{error}");
    };
    let runs_before = runs::list(&place.path("runs")).unwrap().len();
    let data = place.path("target");
    fs::remove_file(data.join("y.npy")).unwrap();
    plan.require = [("accuracy".to_string(), 0.5)].into();
    refused(&plan, "has no labels");
    plan.require.clear();
    plan.method = "coral".into();
    plan.training.finetune.epochs = Some(3);
    refused(&plan, "`--epochs` is given");
    assert_eq!(runs::list(&place.path("runs")).unwrap().len(), runs_before);
}

/// Whatever event an adaptation is stopped at, going on gives the bits of an uninterrupted one.
#[test]
fn an_adaptation_can_be_stopped_and_resumed() {
    let place = Place::new();
    let mut plan = sides(&place, elsewhere, alternating, true);
    plan.method = "coral".into();
    let whole = adapt(&plan, &mut ()).unwrap();
    let mut stopped = 0;
    for n in (1..).step_by(9) {
        plan.training.name = Some(format!("stopped-{n}"));
        let Err(error) =
            adapt(&plan, &mut stop_after(n, |e| !matches!(e, offshoot_transfer::Event::Working)))
        else {
            break;
        };
        assert_eq!(error.exit_code(), 75, "{error}");
        let run = place.path("runs").join(format!("stopped-{n}"));
        if !run.exists() {
            continue;
        }
        stopped += 1;
        assert!(is_adaptation(&run));
        let report = resume(&run, &mut ()).unwrap();
        assert_eq!(head(&report), head(&whole), "event {n}");
        assert_eq!(resume(&run, &mut ()).unwrap(), report, "a complete run is left as it is");
    }
    assert!(stopped > 1, "only {stopped} stops were tried");
}

#[test]
fn threads_do_not_change_a_bit() {
    let place = Place::new();
    let plan = sides(&place, elsewhere, alternating, true);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let report = pool.install(|| adapt(&plan, &mut ())).unwrap();
        let answers = sha(&report.run.join("eval/predictions.csv"));
        (
            head(&report),
            answers,
            report.candidates.iter().map(|c| c.scores.clone()).collect::<Vec<_>>(),
        )
    };
    assert_eq!(with(1), with(2));
}

/// What is aligned by raw target features has prediction sets and an alarm, with a warning, and they are replayed.
#[test]
fn an_adapted_run_has_prediction_sets_with_a_warning() {
    let place = Place::new();
    let mut plan = sides(&place, elsewhere, alternating, true);
    plan.method = "coral".into();
    let report = adapt(&plan, &mut ()).unwrap();
    assert_eq!(report.method, "coral", "{}", report.reason);
    let sets = report.sets.as_ref().unwrap();
    assert!(sets.coverage > 0.8, "{sets:?}");
    assert!(report.trust.as_ref().unwrap().contains("held-out samples of the source"));
    assert!(report.next.iter().any(|step| step.contains("predict --sets")), "{:?}", report.next);
    // Views other than the target's raw features have nothing held out that is like them.
    plan.method = "sa".into();
    let other = adapt(&plan, &mut ()).unwrap();
    assert_eq!(other.trust.is_some(), other.method == "source-only", "{}", other.method);
}
