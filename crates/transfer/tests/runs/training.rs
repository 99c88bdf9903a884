use std::fs;

use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::RunState;
use offshoot_transfer::runs;
use offshoot_transfer::{EvalPlan, Event, Phase, TrainPlan, dry_run, evaluate, train};

use super::data::*;

fn weights(report: &offshoot_transfer::TrainReport) -> String {
    sha(&report.run.join("export/model.safetensors"))
}

#[test]
fn a_run_leaves_its_folder() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    let plan = TrainPlan { baselines: true, ..place.plan() };
    let report = train(&plan, &mut ()).unwrap();
    assert!(report.figures.accuracy > 0.6, "{:?}", report.figures);
    let names: Vec<&str> = report.baselines.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["majority", "pixels", "random"]);
    let found = files(&report.run);
    for expected in [
        "data/classes.json",
        "data/manifest.csv",
        "data/problems.csv",
        "eval/calibration.csv",
        "eval/confusion.csv",
        "eval/metrics.json",
        "eval/predictions.csv",
        "export/README.md",
        "export/config.json",
        "export/model.safetensors",
        "export/preprocessor_config.json",
        "export/selftest.json",
        "log.txt",
        "metrics.jsonl",
        "plan.toml",
        "run.json",
    ] {
        assert!(found.iter().any(|f| f == expected), "{expected} not in {found:?}");
    }
    let (_, record) = RunFolder::open(&report.run).unwrap();
    assert_eq!(record.state, RunState::Complete);
    assert_eq!(record.report.unwrap(), report);
    assert!(record.estimate.is_some() && record.usage.disk_bytes > 0);
    assert!(record.files.contains_key("export/model.safetensors"));
    let manifest = fs::read_to_string(report.run.join("data/manifest.csv")).unwrap();
    assert_eq!(manifest.lines().count(), 61);
}

#[test]
fn threads_do_not_change_a_bit() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 12, 0);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut plan = place.plan();
        plan.cache.dir = Some(place.path(&format!("cache-{threads}")));
        let report = pool.install(|| train(&plan, &mut ())).unwrap();
        let predictions = sha(&report.run.join("eval/predictions.csv"));
        (weights(&report), predictions, report.figures, report.domains)
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(4));
}

#[test]
fn another_seed_is_another_run() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 12, 0);
    let with = |seed| weights(&train(&TrainPlan { seed, ..place.plan() }, &mut ()).unwrap());
    assert_ne!(with(0), with(1));
}

/// Whatever phase a run is stopped in, resuming it gives the weights of an uninterrupted run.
#[test]
fn a_run_can_be_stopped_at_any_event_and_resumed() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 8, 0);
    let whole = weights(&train(&place.plan(), &mut ()).unwrap());
    let mut stopped = 0;
    for n in 1.. {
        let mut plan = place.plan();
        plan.name = Some(format!("stopped-{n}"));
        plan.cache.dir = Some(place.path(&format!("cache-{n}")));
        let error = match train(&plan, &mut stop_after(n, |_| true)) {
            Ok(_) => break,
            Err(error) => error,
        };
        assert_eq!(error.exit_code(), 75, "{error}");
        let run = place.path("runs").join(format!("stopped-{n}"));
        // Before the data is read there is no run, and nothing to resume.
        if !run.exists() {
            continue;
        }
        stopped += 1;
        let (_, record) = RunFolder::open(&run).unwrap();
        assert_eq!(record.state, RunState::Stopped, "event {n}");
        let report = runs::resume(&run, &mut ()).unwrap();
        assert_eq!(weights(&report), whole, "event {n}");
    }
    assert!(stopped > 10, "only {stopped} stops were tried");
}

#[test]
fn a_resumed_run_computes_only_what_is_missing() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let extracting = |e: &Event<'_>| matches!(e, Event::Progress { phase: Phase::Extract, .. });
    let plan = TrainPlan { name: Some("a".into()), ..place.plan() };
    train(&plan, &mut stop_after(2, extracting)).unwrap_err();
    let mut cached = 0;
    runs::resume(&place.path("runs/a"), &mut |event: &Event<'_>| {
        if let Event::Progress { phase: Phase::Extract, cached: now, .. } = event {
            cached = *now;
        }
        offshoot_transfer::Flow::Continue
    })
    .unwrap();
    assert_eq!(cached, 16);
}

/// The exported head, its λ and its temperature depend on no picture and no label of the test
/// split.
#[test]
fn the_test_split_decides_nothing() {
    let place = Place::new();
    write_folder(&place.path("data"), "train", 10, 0);
    write_folder(&place.path("data"), "test", 5, 100);
    let first = train(&place.plan(), &mut ()).unwrap();
    let config = |run: &std::path::Path| fs::read(run.join("export/config.json")).unwrap();
    // Other pictures under swapped labels.
    fs::remove_dir_all(place.path("data/test")).unwrap();
    write_folder(&place.path("data"), "test", 5, 200);
    fs::rename(place.path("data/test/across"), place.path("data/test/x")).unwrap();
    fs::rename(place.path("data/test/down"), place.path("data/test/across")).unwrap();
    fs::rename(place.path("data/test/x"), place.path("data/test/down")).unwrap();
    let second = train(&place.plan(), &mut ()).unwrap();
    assert_ne!(first.figures, second.figures);
    assert_eq!(weights(&first), weights(&second));
    assert_eq!(config(&first.run), config(&second.run));
}

#[test]
fn too_many_unreadable_pictures_end_a_run_before_training() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    for i in 0..7 {
        fs::write(place.path("data/plain").join(format!("{i:04}.pgm")), b"not a picture").unwrap();
    }
    let mut fitted = false;
    let error = train(&place.plan(), &mut |event: &Event<'_>| {
        fitted |= matches!(event, Event::Started { phase: Phase::Fit, .. });
        offshoot_transfer::Flow::Continue
    });
    assert_eq!(error.unwrap_err().exit_code(), 3);
    assert!(!fitted);
}

#[test]
fn one_class_is_refused_by_name() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 6, 0);
    fs::remove_dir_all(place.path("data/across")).unwrap();
    fs::remove_dir_all(place.path("data/down")).unwrap();
    let error = train(&place.plan(), &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("`plain`"), "{error}");
    assert!(files(&place.path("runs")).is_empty());
}

#[test]
fn a_gate_fails_after_everything_is_written() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let mut plan = place.plan();
    plan.require.insert("accuracy".into(), 1.1);
    plan.name = Some("gated".into());
    let error = train(&plan, &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 7);
    let (_, record) = RunFolder::open(&place.path("runs/gated")).unwrap();
    assert_eq!(record.state, RunState::Complete);
    plan.require.insert("beauty".into(), 0.0);
    plan.name = None;
    assert_eq!(train(&plan, &mut ()).unwrap_err().exit_code(), 2);
}

#[test]
fn a_mistyped_model_leaves_no_run() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let mut plan = place.plan();
    plan.model = "efficientnet_light0".into();
    assert_eq!(train(&plan, &mut ()).unwrap_err().exit_code(), 2);
    assert!(files(&place.path("runs")).is_empty());
}

#[test]
fn tampered_files_are_refused() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let report = train(&place.plan(), &mut ()).unwrap();
    let plan = EvalPlan {
        run: report.run.clone(),
        data: place.path("data"),
        columns: Default::default(),
        require: Default::default(),
        batch: 8,
        cache: place.cache(),
    };
    assert!(evaluate(&plan, &mut ()).unwrap().figures.n == 30);
    for file in ["model.safetensors", "config.json", "selftest.json", "preprocessor_config.json"] {
        let path = report.run.join("export").join(file);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = evaluate(&plan, &mut ()).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{file}: {error}");
        assert!(error.to_string().contains(file), "{error}");
        fs::write(&path, whole).unwrap();
    }
    evaluate(&plan, &mut ()).unwrap();
}

#[test]
fn a_dry_run_leaves_no_run() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let dry = dry_run(&place.plan(), &mut ()).unwrap();
    assert_eq!((dry.estimate.samples, dry.estimate.cached), (30, 0));
    assert!(dry.estimate.seconds > 0.0 && dry.estimate.disk_bytes > 0);
    assert!(!place.path("runs").exists());
    let report = train(&place.plan(), &mut ()).unwrap();
    assert_eq!(report.run, dry.run);
    assert_eq!(dry_run(&place.plan(), &mut ()).unwrap().estimate.cached, 30);
}

#[test]
fn runs_are_listed_found_compared_and_removed() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 8, 0);
    let runs_dir = place.path("runs");
    assert!(runs::list(&runs_dir).unwrap().is_empty());
    for name in ["b", "a"] {
        train(&TrainPlan { name: Some(name.into()), ..place.plan() }, &mut ()).unwrap();
    }
    fs::create_dir(runs_dir.join("not-a-run")).unwrap();
    let list = runs::list(&runs_dir).unwrap();
    assert_eq!(list.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(list[0].manifest_sha256, list[1].manifest_sha256);
    let found = runs::find(&runs_dir, "b").unwrap();
    assert_eq!(runs::compare(std::slice::from_ref(&found)).unwrap()[0].accuracy, list[1].accuracy);
    assert_eq!(runs::find(&runs_dir, "c").unwrap_err().exit_code(), 2);
    assert!(runs::remove(&runs_dir.join("not-a-run")).is_err());
    runs::remove(&found).unwrap();
    assert_eq!(runs::list(&runs_dir).unwrap().len(), 1);
}

#[test]
fn figures_that_flatter_or_say_nothing_are_told() {
    let place = Place::new();
    for (split, each, first) in [("train", 6, 0), ("val", 2, 10), ("test", 3, 20)] {
        write_folder(&place.path("data"), split, each, first);
    }
    let clean = train(&place.plan(), &mut ()).unwrap();
    assert!(clean.warnings.is_empty(), "{:?}", clean.warnings);
    let data = place.path("data");
    fs::copy(data.join("train/plain/0000.pgm"), data.join("test/plain/copy.pgm")).unwrap();
    fs::remove_dir_all(data.join("test/down")).unwrap();
    // The second run meets a damaged cache as well.
    for chunk in files(&place.path("cache")).into_iter().filter(|f| f.ends_with(".rows")) {
        let path = place.path("cache").join(chunk);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let told = train(&place.plan(), &mut ()).unwrap().warnings.join("\n");
    for part in ["1 sample is in two splits", "no test sample is of `down`", "was damaged"] {
        assert!(told.contains(part), "{told}");
    }
}
