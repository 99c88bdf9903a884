//! The guard, whole: sources that help and sources that hurt are told apart, and what is shipped is safe.

use std::collections::BTreeMap;
use std::fs;

use offshoot_transfer::guard::document::GuardReport;
use offshoot_transfer::run::RunFolder;
use offshoot_transfer::{
    EvalPlan, Finetune, Guard, Method, PredictInput, PredictPlan, TrainPlan, TrainReport, evaluate,
    predict, runs, train,
};

use super::data::*;
use super::tuning::updates;

/// Noise in which one of four neighbouring points is lighter: raw pixels tell the classes apart by it, a
/// network of random weights pools the four into one.
fn write_points(place: &Place, each: usize) {
    for class in 0..4usize {
        let dir = place.path("data").join(format!("point{class}"));
        fs::create_dir_all(&dir).unwrap();
        for number in 0..each {
            let mut bytes = format!("P5 {SIDE} {SIDE} 255\n").into_bytes();
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let noise = (number * 7919 + y * 131 + x * 37 + class * 17) * 2654435761;
                    let light = (y, x) == (4 + class / 2, 4 + class % 2);
                    bytes.push(((noise >> 22) % 120 + if light { 100 } else { 0 }) as u8);
                }
            }
            fs::write(dir.join(format!("{number:04}.pgm")), bytes).unwrap();
        }
    }
}

fn guarded(report: &TrainReport) -> &GuardReport {
    report.guard.as_ref().unwrap()
}

fn guarding(place: &Place) -> TrainPlan {
    TrainPlan { guard: Guard::On, ..place.plan() }
}

fn eval_plan(place: &Place, report: &TrainReport) -> EvalPlan {
    EvalPlan {
        run: report.run.clone(),
        data: place.path("data"),
        columns: Default::default(),
        require: BTreeMap::new(),
        batch: 16,
        cache: place.cache(),
    }
}

#[test]
fn a_source_of_noise_hurts_and_raw_pixels_are_shipped_that_work() {
    let place = Place::new();
    write_points(&place, 60);
    let plan = || TrainPlan { guard: Guard::Full, ..guarding(&place) };
    let report = train(&plan(), &mut ()).unwrap();
    let guard = guarded(&report);
    println!("{guard:#?}");
    assert!(guard.fell_back && guard.shipped == "pixels", "{guard:?}");
    assert_eq!(report.model, "pixels");
    assert_eq!(guard.candidates[0].name, "probe");
    assert!(guard.nt_gap.unwrap().value > 0.0);
    assert!(report.warnings.iter().any(|w| w.starts_with("the source hurts")));
    // The probe stays among the baselines, so that its figures are there.
    assert!(report.baselines.iter().any(|b| b.name == "probe"));
    assert_eq!(report.figures.accuracy, guard.candidates[1].accuracy);
    let page = fs::read_to_string(report.run.join("report.html")).unwrap();
    assert!(page.contains("Did the source help or hurt?"));
    // What is shipped is a model like any other.
    let again = evaluate(&eval_plan(&place, &report), &mut ()).unwrap();
    assert!(again.figures.accuracy >= report.figures.accuracy - 0.1);
    let picture = place.path("data/point2/0003.pgm");
    let ask = PredictPlan {
        run: report.run.clone(),
        columns: Default::default(),
        top: 1,
        batch: 4,
        promised: 0.9,
    };
    let mut labels = Vec::new();
    let inputs = PredictInput::Paths(vec![picture]);
    predict(&ask, inputs, &mut (), &mut |batch| {
        labels.extend(batch.iter().map(|p| p.label.clone()));
        Ok(())
    })
    .unwrap();
    assert_eq!(labels, [Some("point2".to_string())]);
    let (folder, record) = RunFolder::open(&report.run).unwrap();
    assert_eq!((record.model.name.as_str(), record.model.dim), ("pixels", 3 * 24 * 24));
    assert!(folder.verify(&record, "").is_ok());
    let required = BTreeMap::from([("no-harm".to_string(), 0.0)]);
    let gated = train(&TrainPlan { require: required, ..plan() }, &mut ()).unwrap_err();
    assert_eq!(gated.exit_code(), 7, "{gated}");
    assert!(gated.to_string().starts_with("required no-harm"), "{gated}");
}

#[test]
fn without_the_guard_what_was_asked_for_is_shipped() {
    let place = Place::new();
    write_points(&place, 20);
    let report = train(&TrainPlan { guard: Guard::Off, ..guarding(&place) }, &mut ()).unwrap();
    assert!(report.guard.is_none() && report.model == "random:digits_usps");
    let required = BTreeMap::from([("no-harm".to_string(), 0.0)]);
    let refused = TrainPlan { guard: Guard::Off, require: required, ..guarding(&place) };
    assert_eq!(train(&refused, &mut ()).unwrap_err().exit_code(), 2);
    // Nothing is transferred from pixels, so there is nothing to guard against.
    let pixels = TrainPlan { model: "pixels".into(), ..guarding(&place) };
    assert!(train(&pixels, &mut ()).unwrap().guard.is_none());
}

#[test]
fn everything_is_fitted_with_the_full_guard_and_a_stopped_run_ends_with_the_same_bits() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 12, 0);
    let finetune = Finetune { epochs: Some(2), batch: Some(8), ..Finetune::default() };
    let method = Method::find("full").unwrap();
    let plan = |name: &str| TrainPlan {
        guard: Guard::Full,
        method,
        finetune: finetune.clone(),
        name: Some(name.into()),
        ..guarding(&place)
    };
    let whole = train(&plan("whole"), &mut ()).unwrap();
    let names: Vec<&str> = guarded(&whole).candidates.iter().map(|c| c.name.as_str()).collect();
    assert!(names.ends_with(&["pixels", "random", "scratch"]), "{names:?}");
    assert!(["tuned", "probe"].contains(&names[0]));
    assert!(whole.run.join("guard/scratch/metrics.jsonl").is_file());
    let mut stops = 0;
    for n in [2, 9, 14] {
        let name = format!("stop-{n}");
        let Err(error) = train(&plan(&name), &mut stop_after(n, updates)) else { continue };
        assert_eq!(error.exit_code(), 75, "{error}");
        stops += 1;
        let again = runs::resume(&place.path("runs").join(&name), &mut ()).unwrap();
        let same = |r: &TrainReport| {
            (
                sha(&r.run.join("export/model.safetensors")),
                r.figures.clone(),
                guarded(r).gaps.clone(),
            )
        };
        assert_eq!(same(&again), same(&whole), "stopped at update {n}");
    }
    assert!(stops >= 2, "{stops}");
}

#[test]
fn embedded_drawings_are_told_apart() {
    let place = Place::new();
    let plan = |model: &str, size| TrainPlan {
        data: "demo:google".into(),
        model: model.into(),
        size,
        batch: 32,
        baselines: false,
        ..guarding(&place)
    };
    let helps = train(&plan("efficientnet_lite0", Some(64)), &mut ()).unwrap();
    let guard = guarded(&helps);
    println!("embedded weights: {:?}, overhead {:.2}", guard.nt_gap, guard.overhead);
    assert_eq!((guard.verdict.as_str(), guard.shipped.as_str()), ("helps", "probe"));
    assert!(!guard.fell_back && guard.nt_gap.unwrap().value < -0.05);
}
