//! Tuning an encoder of texts, whole. `tests/reference/sentences.py` made the tiny one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::RunState;
use offshoot_transfer::{EvalPlan, Finetune, Method, TrainPlan, evaluate, runs, strategy, train};

use super::data::*;
use super::tuning::{learned, updates};

/// Reviews of two classes, `each` of both, of different lengths.
fn reviews(each: usize) -> String {
    let mut rows = String::from("review,verdict\n");
    for i in 0..each {
        let more = " again and".repeat(i % 5);
        rows.push_str(&format!("\"the weather is lovely,{more} {i} man is playing\",good\n"));
        rows.push_str(&format!("oil prices fell{more} and shares fell {i},bad\n"));
    }
    rows
}

fn tuned(place: &Place, method: &str) -> TrainPlan {
    let data = place.path("reviews.csv");
    if !data.exists() {
        fs::write(&data, reviews(20)).unwrap();
    }
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tiny_bert");
    TrainPlan {
        data,
        model: encoder.to_str().unwrap().to_owned(),
        method: Method::find(method).unwrap(),
        finetune: Finetune { epochs: Some(2), batch: Some(8), ..Finetune::default() },
        ..place.plan()
    }
}

#[test]
fn every_method_tunes_texts_and_can_be_read_back() {
    let place = Place::new();
    for entry in strategy::all() {
        let mut plan = tuned(&place, entry.name);
        plan.name = Some(entry.name.into());
        let report = train(&plan, &mut ()).unwrap_or_else(|e| panic!("{}: {e}", entry.name));
        let (_, record) = RunFolder::open(&report.run).unwrap();
        assert_eq!(record.state, RunState::Complete, "{}", entry.name);
        let Some(tuning) = &report.tuning else { continue };
        assert_eq!(tuning.epochs, 2, "{}", entry.name);
        let plan = EvalPlan {
            run: report.run.clone(),
            data: plan.data.clone(),
            columns: Default::default(),
            require: BTreeMap::new(),
            batch: 16,
            cache: plan.cache.clone(),
        };
        assert_eq!(evaluate(&plan, &mut ()).unwrap().figures.n, 40, "{}", entry.name);
    }
}

#[test]
fn tuning_of_texts_that_is_stopped_at_any_update_ends_with_the_same_bits() {
    let place = Place::new();
    // `last-k` learns from rows that the frozen layers made.
    for method in ["full", "last-k", "lora"] {
        let plan = |name: String| {
            let mut plan = tuned(&place, method);
            plan.finetune.dropout = 0.2;
            TrainPlan { name: Some(name), ..plan }
        };
        let whole = learned(&train(&plan(format!("{method}-whole")), &mut ()).unwrap());
        let mut stops = 0;
        for n in 1.. {
            let name = format!("{method}-{n}");
            let Err(error) = train(&plan(name.clone()), &mut stop_after(n, updates)) else { break };
            assert_eq!(error.exit_code(), 75, "{error}");
            stops += 1;
            let report = runs::resume(&place.path("runs").join(&name), &mut ()).unwrap();
            assert_eq!(learned(&report), whole, "{method}: stopped at update {n}");
        }
        assert!(stops >= 4, "{method}: only {stops} stops");
    }
}

/// What was learnt from the old data is not mixed with what the new data would teach, and one process at a time
/// works on a run.
#[test]
fn a_run_goes_on_with_what_it_was_begun_with() {
    let place = Place::new();
    let plan = TrainPlan { name: Some("run".into()), ..tuned(&place, "full") };
    train(&plan, &mut stop_after(3, updates)).unwrap_err();
    let run = place.path("runs/run");
    let of_data = fs::read_to_string(&plan.data).unwrap();
    let of_plan = fs::read_to_string(run.join("plan.toml")).unwrap();
    let changed = [
        (plan.data.clone(), of_data.replacen(",good", ",bad", 1), "the data changed"),
        (run.join("plan.toml"), of_plan.replacen("seed = ", "seed = 1", 1), "plan.toml changed"),
    ];
    for (path, text, said) in changed {
        let before = fs::read_to_string(&path).unwrap();
        assert_ne!(text, before, "{said}");
        fs::write(&path, text).unwrap();
        let error = runs::resume(&run, &mut ()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(said), "{error}");
        fs::write(&path, before).unwrap();
    }
    let (folder, _) = RunFolder::open(&run).unwrap();
    let claim = folder.claim().unwrap();
    for refused in [runs::resume(&run, &mut ()).map(drop), runs::remove(&run)] {
        assert!(refused.unwrap_err().to_string().contains("another process"));
    }
    drop(claim);
    let resumed = learned(&runs::resume(&run, &mut ()).unwrap());
    let whole = TrainPlan { name: Some("whole".into()), ..plan };
    assert_eq!(resumed, learned(&train(&whole, &mut ()).unwrap()));
    runs::remove(&run).unwrap();
}

#[test]
fn threads_do_not_change_a_bit_of_a_tuned_encoder() {
    let place = Place::new();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let plan = TrainPlan { name: Some(format!("t{threads}")), ..tuned(&place, "full") };
        let report = pool.install(|| train(&plan, &mut ())).unwrap();
        (learned(&report), report.figures)
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(4));
}

#[test]
fn what_texts_cannot_have_is_refused_before_anything_is_written() {
    let place = Place::new();
    let mut plan = tuned(&place, "full");
    plan.finetune.augment = "light".into();
    let error = train(&plan, &mut ()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    let left = fs::read_dir(place.path("runs")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}
