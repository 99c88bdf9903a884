//! Adapting to a target without labels: planted shifts, what is left, and what labels may not do.

use std::fs;
use std::path::Path;

use offshoot_transfer::adapt::document::AdaptReport;
use offshoot_transfer::adapt::plan::{AdaptPlan, Classes, TEST, VAL};
use offshoot_transfer::adapt::{adapt, adapt_dry_run, is_adaptation, resume};
use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::RunState;
use offshoot_transfer::{
    EvalPlan, ExportPlan, Form, Method, Phase, PredictInput, PredictPlan, TrainPlan, TransferError,
    evaluate, export, predict, redraw, runs, train, verify,
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

/// Pictures whose domain a manifest names, and those pictures as a run.
#[test]
fn a_domain_column_and_a_run_name_the_sides() {
    let place = Place::new();
    let mut manifest = String::from("path,label,domain\n");
    fs::create_dir_all(place.path("all")).unwrap();
    for (class, name) in CLASSES.iter().enumerate() {
        for i in 0..30 {
            let (domain, mut bytes) = (["day", "night"][i % 2], picture(class, i));
            if domain == "night" {
                let start = bytes.len() - SIDE * SIDE;
                bytes[start..].iter_mut().for_each(|p| *p = *p / 2 + 20);
            }
            let file = format!("{name}-{i:03}.pgm");
            fs::write(place.path("all").join(&file), bytes).unwrap();
            manifest.push_str(&format!("{file},{name},{domain}\n"));
        }
    }
    fs::write(place.path("all/all.csv"), manifest).unwrap();
    let training =
        TrainPlan { data: place.path("all/all.csv"), val: Some(0.3), test: 0.2, ..place.plan() };
    let by_domain = AdaptPlan {
        target: None,
        target_domain: Some("night".into()),
        training: training.clone(),
        ..plan(&place)
    };
    let report = adapt(&by_domain, &mut ()).unwrap();
    assert_eq!((report.source.name.as_str(), report.target.name.as_str()), ("day", "night"));
    assert_eq!((report.source.samples, report.target.samples), (45, 45));
    let unknown = AdaptPlan { target_domain: Some("dusk".into()), ..by_domain.clone() };
    let error = adapt(&unknown, &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.hint().unwrap().contains("day, night"), "{error:?}");
    let dry = adapt_dry_run(&by_domain, &mut ()).unwrap();
    assert_eq!((dry.target.used, dry.classes), (45, Classes::Same));
    assert!(!dry.run.exists());

    write_folder(&place.path("data"), "", 20, 100);
    let trained = train(&TrainPlan { val: Some(0.2), ..place.plan() }, &mut ()).unwrap();
    write_folder(&place.path("other"), "", 10, 500);
    let of_run = AdaptPlan {
        source_run: Some(trained.run.clone()),
        target: Some(place.path("other")),
        training: place.plan(),
        ..plan(&place)
    };
    let report = adapt(&of_run, &mut ()).unwrap();
    assert_eq!(report.source.samples, 60);
    assert!(report.run_accuracy.is_some(), "the run's own classifier is judged, too");
    let again = AdaptPlan { source_run: Some(report.run.clone()), ..of_run };
    let error = adapt(&again, &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
}

/// One table whose domains are two labelled sources, each lit in its own way, and a target without labels.
#[test]
fn several_labelled_domains_and_an_unlabelled_one_come_in_one_table() {
    let place = Place::new();
    let mut manifest = String::from("path,label,domain\n");
    fs::create_dir_all(place.path("all")).unwrap();
    for (class, name) in CLASSES.iter().enumerate() {
        for i in 0..105 {
            let domain = ["day", "dusk", "night"][i % 3];
            let mut bytes = picture(class, i);
            let start = bytes.len() - SIDE * SIDE;
            bytes[start..].iter_mut().for_each(|p| match domain {
                "dusk" => *p = *p / 2 + 20,
                "night" => *p /= 3,
                _ => {}
            });
            let file = format!("{name}-{i:03}.pgm");
            fs::write(place.path("all").join(&file), bytes).unwrap();
            let label = if domain == "night" { "" } else { name };
            manifest.push_str(&format!("{file},{label},{domain}\n"));
        }
    }
    fs::write(place.path("all/all.csv"), manifest).unwrap();
    let of = |method: &str| AdaptPlan {
        target: None,
        target_domain: Some("night".into()),
        method: method.into(),
        training: TrainPlan {
            data: place.path("all/all.csv"),
            val: Some(0.3),
            test: 0.1,
            ..place.plan()
        },
        ..plan(&place)
    };
    let report = adapt(&of("domain-coral"), &mut ()).unwrap();
    assert_eq!((report.source.samples, report.target.labelled, report.accuracy), (210, 0, None));
    let names: Vec<&str> = report.domains.iter().map(|d| d.domain.as_str()).collect();
    assert_eq!(names, ["dusk", "day"], "the nearest comes first: {:?}", report.domains);
    let sum: f64 = report.domains.iter().map(|d| d.share).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    for one in &report.domains {
        assert!(one.samples > 80 && (0.0..=1.0).contains(&one.distance), "{one:?}");
        assert!(one.source_accuracy.is_some() && one.unseen_accuracy.is_some(), "{one:?}");
        assert!(one.elsewhere.is_some() && one.lead_without.is_some(), "{one:?}");
        assert_eq!(one.on_target, None, "nothing judges");
    }
    let candidate = report.candidates.iter().find(|c| c.name == "domain-coral").unwrap();
    assert_eq!(candidate.family, "domains");
    let page = fs::read_to_string(report.run.join("report.html")).unwrap();
    assert!(page.contains("Domains of the source") && page.contains("dusk"));
    assert!(report.sentences.iter().any(|s| s.contains("“dusk” is nearest")));

    let tried = adapt(&of("auto"), &mut ()).unwrap();
    let families: Vec<&str> = tried.candidates.iter().map(|c| c.family.as_str()).collect();
    assert!(families.iter().filter(|f| **f == "domains").count() == 3, "{families:?}");
    // Labels of the target change nothing but what is told of it afterwards.
    let table = fs::read_to_string(place.path("all/all.csv")).unwrap();
    let labelled = table.lines().map(|line| match line.split_once(",,") {
        Some((file, rest)) => format!("{file},{},{rest}\n", file.split('-').next().unwrap()),
        None => format!("{line}\n"),
    });
    fs::write(place.path("all/all.csv"), labelled.collect::<String>()).unwrap();
    let judged = adapt(&of("auto"), &mut ()).unwrap();
    assert_eq!((head(&judged), judged.method.as_str()), (head(&tried), tried.method.as_str()));
    assert!(judged.domains.iter().all(|d| d.on_target.is_some()));
    assert_ne!(judged.verdict, "hurts");
}

/// A target without one of three classes: said to be partial, most of that class is left out of what is adapted, while the
/// source's own classifier keeps it.
#[test]
fn a_class_that_the_target_lacks_is_left_out() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 30, 0);
    write_folder(&place.path("other"), "", 30, 500);
    fs::remove_dir_all(place.path("other").join(CLASSES[2])).unwrap();
    let partial = AdaptPlan {
        target: Some(place.path("other")),
        method: "coral".into(),
        classes: Classes::Partial,
        training: TrainPlan { val: Some(0.3), ..place.plan() },
        ..plan(&place)
    };
    let report = adapt(&partial, &mut ()).unwrap();
    let weights: Vec<f64> = report.classes.iter().map(|c| c.weight).collect();
    assert!(weights[..2].iter().all(|w| *w > 0.8) && weights[2] < 0.5, "{weights:?}");
    assert!(report.sentences.iter().any(|s| s.contains("seems to lack") && s.contains(CLASSES[2])));
    assert!(report.source.used < 81, "{}", report.source.used);
    assert_ne!(report.verdict, "hurts");
    let all = AdaptPlan { classes: Classes::Same, ..partial };
    let same = adapt(&all, &mut ()).unwrap();
    assert!(same.classes.iter().all(|c| c.weight == 1.0));
    let own = |report: &AdaptReport| report.candidates[0].accuracy;
    assert_eq!(own(&same), own(&report), "the source's classifier is the same");
}

/// A target with a class that the source lacks: what is too unsure is called unknown, by labels that only judge, in the
/// answers and in every later prediction.
#[test]
fn samples_of_a_class_that_the_source_lacks_are_called_unknown() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 30, 0);
    fs::remove_dir_all(place.path("data").join(CLASSES[2])).unwrap();
    write_folder(&place.path("other"), "", 30, 500);
    let open = AdaptPlan {
        target: Some(place.path("other")),
        method: "coral".into(),
        classes: Classes::Open,
        training: TrainPlan {
            val: Some(0.3),
            model: "random:mobilenet_v2".into(),
            size: Some(32),
            ..place.plan()
        },
        ..plan(&place)
    };
    let report = adapt(&open, &mut ()).unwrap();
    let found = report.unknown.clone().unwrap();
    let figures = found.figures.unwrap();
    assert_eq!((figures.known, figures.unknown), (60, 30));
    assert_eq!(report.target_figures.as_ref().unwrap().n, 60, "others do not judge recognition");
    assert!(figures.auroc.unwrap() > 0.65 && figures.harmonic.unwrap() > 0.5, "{figures:?}");
    assert!(
        report.sentences.iter().any(|s| s.contains("called unknown")),
        "{:?}",
        report.sentences
    );
    assert!(report.next.iter().any(|s| s.contains("--unknown-share")));
    let answers = fs::read_to_string(report.run.join("eval/predictions.csv")).unwrap();
    let called = answers.lines().filter(|line| line.ends_with(",true")).count();
    assert_eq!(called, (found.share * 90.0).round() as usize);

    // A share that is named is kept, and a run's later answers follow the same rule.
    let named =
        adapt(&AdaptPlan { unknown_share: Some(1.0 / 3.0), ..open.clone() }, &mut ()).unwrap();
    let found = named.unknown.clone().unwrap();
    assert!((found.share - 1.0 / 3.0).abs() < 0.01, "{}", found.share);
    let run = named.run;
    let asked = PredictPlan { run, columns: Default::default(), top: 1, promised: 0.9, batch: 4 };
    let input = PredictInput::Paths(vec![place.path("other")]);
    let report = predict(&asked, input, &mut (), &mut |_| Ok(())).unwrap();
    assert_eq!((report.rows, report.unknown), (90, 30));

    // `eval` judges it on both kinds of samples, and recognition on known ones; a changed rule is noticed.
    let judged = evaluate(&eval(&place, &asked.run, "other"), &mut ()).unwrap();
    let figures = judged.open.unwrap();
    assert_eq!((judged.figures.n, figures.known, figures.unknown), (60, 60, 30));
    assert_eq!(Some(figures), found.figures);
    let known = evaluate(&eval(&place, &asked.run, "data"), &mut ()).unwrap().open.unwrap();
    assert_eq!((known.unknown, known.unknown_recall), (0, None));
    assert!((0.0..1.0).contains(&known.known_called_unknown), "{known:?}");
    let out = place.path("exported");
    let exported = ExportPlan { run: asked.run.clone(), form: Form::Hf, out: out.clone() };
    export(&exported, &mut ()).unwrap();
    verify(&out, &mut ()).unwrap();
    let text = fs::read_to_string(out.join("trust.json")).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&text).unwrap();
    changed["unknown"]["above"] = 0.99.into();
    fs::write(out.join("trust.json"), changed.to_string()).unwrap();
    let error = verify(&out, &mut ()).unwrap_err();
    assert!(error.to_string().contains("unknown"), "{error}");

    let same = AdaptPlan { classes: Classes::Same, ..open.clone() };
    assert!(adapt(&same, &mut ()).unwrap().unknown.is_none());
    let refused = AdaptPlan { unknown_share: Some(0.1), ..same };
    assert!(matches!(adapt(&refused, &mut ()), Err(TransferError::Usage { .. })));
    let refused = AdaptPlan { unknown_share: Some(f64::NAN), ..open };
    assert!(matches!(adapt(&refused, &mut ()), Err(TransferError::Usage { .. })));
}

/// Answers for a target without labels have the names of the source's classes; two samples are too few to choose by, and
/// vectors of another length are refused.
#[test]
fn a_target_without_labels_is_answered_in_the_words_of_the_source() {
    let place = Place::new();
    let plan = AdaptPlan { method: "coral".into(), ..sides(&place, elsewhere, alternating, false) };
    let report = adapt(&plan, &mut ()).unwrap();
    assert_eq!(report.method, "coral", "{}", report.reason);
    let answers = fs::read_to_string(report.run.join("eval/predictions.csv")).unwrap();
    let said: Vec<&str> =
        answers.lines().skip(1).filter_map(|line| line.split(',').nth(2)).collect();
    assert_eq!(said.len(), 240);
    assert!(said.iter().all(|name| ["0", "1"].contains(name)), "{:?}", &said[..5]);

    let (data, _) = rows(2, 1000, alternating, elsewhere);
    write_rows(&place.path("few"), &data, None);
    let few = AdaptPlan { target: Some(place.path("few/x.npy")), ..plan.clone() };
    let report = adapt(&few, &mut ()).unwrap();
    assert!(report.fell_back && report.reason.contains("too few"), "{}", report.reason);

    fs::create_dir_all(place.path("wide")).unwrap();
    let wide = npy("<f4", "(3, 5)", &[0; 60]);
    fs::write(place.path("wide/x.npy"), wide).unwrap();
    let wide = AdaptPlan { target: Some(place.path("wide/x.npy")), ..plan };
    let error = adapt(&wide, &mut ()).unwrap_err().to_string();
    assert!(error.contains("5 values, where 4 are read"), "{error}");
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

/// Every state of a network has a name of its own, and its course is drawn.
#[test]
fn states_of_a_network_are_told_apart_and_drawn() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    write_folder(&place.path("other"), "", 20, 500);
    for (method, states) in [("fixmatch", 4), ("mcc", 1)] {
        let mut training = TrainPlan { val: Some(0.3), ..place.plan() };
        training.model = "random:digits_svhn".into();
        training.finetune.epochs = (method == "mcc").then_some(3);
        let target = Some(place.path("other"));
        let plan = AdaptPlan { target, method: method.into(), training, ..plan(&place) };
        let report = adapt(&plan, &mut ()).unwrap();
        let networks: Vec<_> = report.candidates.iter().filter(|c| c.family == "network").collect();
        assert_eq!(networks.len(), states, "{method}: {:?}", report.left_out);
        let names: std::collections::BTreeSet<_> = networks.iter().map(|c| &c.name).collect();
        assert_eq!(names.len(), states, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with(method)), "{names:?}");
        let svg = report.run.join(format!("plots/course-{method}.svg"));
        let drawn = fs::read_to_string(svg).unwrap();
        assert!(drawn.contains("source, held out") && drawn.contains("updates"), "{drawn}");
        if method == "mcc" {
            let course = &networks[0].course;
            assert_eq!(course.len(), 3, "three epochs: {course:?}");
            assert!(course.iter().all(|m| m.values["loss"].is_finite()));
            assert!(course.windows(2).all(|pair| pair[0].step < pair[1].step));
        }
    }
}

#[test]
fn target_samples_that_the_source_holds_do_not_judge() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    write_folder(&place.path("other"), "", 12, 10);
    let plan = AdaptPlan {
        target: Some(place.path("other")),
        training: TrainPlan { val: Some(0.2), ..place.plan() },
        ..plan(&place)
    };
    let report = adapt(&plan, &mut ()).unwrap();
    assert_eq!(report.target_figures.as_ref().unwrap().n, 6, "{:?}", report.warnings);
    assert!(
        report.warnings.iter().any(|w| w.contains("in the source, too")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn texts_are_adapted_like_pictures() {
    let place = Place::new();
    let texts = |name: &str, words: [&str; 2], label: bool| {
        let mut table = String::from(if label { "text,label\n" } else { "text\n" });
        for i in 0..30 {
            for (word, class) in words.iter().zip(["good", "bad"]) {
                let end = if label { format!(",{class}") } else { String::new() };
                table.push_str(&format!("{word} number {i} is here{end}\n"));
            }
        }
        fs::write(place.path(name), table).unwrap();
        place.path(name)
    };
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tiny_bert");
    let source = texts("source.csv", ["the weather", "oil prices"], true);
    let target = texts("target.csv", ["a man", "shares fell"], false);
    let training = TrainPlan {
        data: source,
        model: encoder.to_str().unwrap().into(),
        val: Some(0.3),
        ..place.plan()
    };
    let plan = AdaptPlan { target: Some(target), training, ..plan(&place) };
    let mut phases = Vec::new();
    let report = adapt(&plan, &mut |event: &offshoot_transfer::Event<'_>| {
        if let offshoot_transfer::Event::Finished { phase, .. } = event {
            phases.push(*phase);
        }
        offshoot_transfer::Flow::Continue
    })
    .unwrap();
    assert_eq!(report.accuracy, None);
    assert!(phases.contains(&Phase::Compare) && phases.contains(&Phase::Align), "{phases:?}");
    let answers = fs::read_to_string(report.run.join("eval/predictions.csv")).unwrap();
    assert_eq!(answers.lines().count(), 61);
}

/// Pictures and texts whose network is tuned with a term of alignment, in a way that the plan names.
#[test]
fn terms_of_alignment_tune_the_network_as_the_plan_says() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    write_folder(&place.path("other"), "", 12, 500);
    let texts = |name: &str, labelled: bool| {
        let head = if labelled { "text,label\n" } else { "text\n" };
        let lines = (0..40).map(|i| {
            let (word, label) = [("the weather", "good"), ("oil prices", "bad")][i % 2];
            let label = if labelled { format!(",{label}") } else { String::new() };
            format!("{word} number {i} {name}{label}\n")
        });
        fs::write(place.path(name), head.to_string() + &lines.collect::<String>()).unwrap();
        place.path(name)
    };
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tiny_bert");
    let of_texts = TrainPlan {
        data: texts("source.csv", true),
        model: tiny.to_str().unwrap().into(),
        ..place.plan()
    };
    let cases = [
        (place.plan(), place.path("other"), "full"),
        (of_texts, texts("target.csv", false), "last-k"),
    ];
    for (mut training, target, tuning) in cases {
        training.val = Some(0.3);
        training.method = Method::find(tuning).unwrap();
        training.finetune.epochs = Some(2);
        let method = "mcc".into();
        let plan = AdaptPlan { target: Some(target), method, training, ..plan(&place) };
        let report = adapt(&plan, &mut ()).unwrap();
        let tuned = report.candidates.iter().find(|c| c.name == "mcc").unwrap();
        assert!(
            tuned.facts["updates"] > 0.0 && tuned.facts.contains_key("mcc"),
            "{:?}",
            tuned.facts
        );
        let kept = AdaptPlan { method: "coral".into(), ..plan };
        assert_eq!(adapt(&kept, &mut ()).unwrap_err().exit_code(), 2, "{tuning}");
    }
}
