//! A small network that learns what a larger one says.

use std::fs;
use std::path::Path;

use offshoot_transfer::{
    Distill, DryRun, Event, Method, Phase, TrainPlan, TransferError, dry_run, runs, train,
};

use super::data::*;
use super::tuning::learned;

/// A run `teacher` on labelled reviews, and the plan of a smaller student.
fn taught(place: &Place, name: &str) -> TrainPlan {
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tiny_bert");
    let mut rows = String::from("review,verdict\n");
    for i in 0..20 {
        rows.push_str(&format!("the weather is lovely {i} man is playing,good\n"));
        rows.push_str(&format!("oil prices fell and shares fell {i},bad\n"));
    }
    fs::write(place.path("reviews.csv"), rows).unwrap();
    let plan = TrainPlan {
        data: place.path("reviews.csv"),
        model: encoder.to_str().unwrap().to_owned(),
        name: Some("teacher".into()),
        ..place.plan()
    };
    if !place.path("runs/teacher").exists() {
        train(&plan, &mut ()).unwrap();
    }
    let mut student = TrainPlan {
        layer: Some("1".into()),
        method: Method::find("full").unwrap(),
        distill: Some(Distill { run: place.path("runs/teacher"), ..Distill::default() }),
        name: Some(name.into()),
        ..plan
    };
    student.finetune.epochs = Some(2);
    student
}

fn with_data(mut plan: TrainPlan, data: &Path) -> TrainPlan {
    plan.distill.as_mut().unwrap().data = Some(data.into());
    plan
}

#[test]
fn unlabelled_samples_join_training_and_what_judges_does_not() {
    let place = Place::new();
    let alone = train(&taught(&place, "alone"), &mut ()).unwrap();
    let more = place.path("more.txt");
    fs::write(&more, "a man is playing\nshares fell\n\nlovely weather\n").unwrap();
    let plan = with_data(taught(&place, "more"), &more);
    let report = train(&plan, &mut ()).unwrap();
    assert_eq!(report.splits["train"], alone.splits["train"] + 3);
    assert_eq!(report.splits["val"], alone.splits["val"]);
    assert_eq!(report.splits["test"], alone.splits["test"]);
    // What joined is written down with the classes that the teacher gave.
    let manifest = fs::read_to_string(report.run.join("data/manifest.csv")).unwrap();
    let joined: Vec<&str> = manifest.lines().filter(|line| line.contains("more.txt:")).collect();
    assert_eq!(joined.len(), 3, "{manifest}");
    assert!(joined[0].contains(",good,train") && joined[1].contains(",bad,train"), "{joined:?}");
    // A dry run counts them, in what they take and not in the splits of the labelled data.
    let rehearsed = |plan: &TrainPlan| dry_run(plan, &mut ()).unwrap();
    let [without, with] = [taught(&place, "one"), TrainPlan { name: None, ..plan.clone() }]
        .map(|plan| rehearsed(&plan));
    assert_eq!(with.splits, without.splits);
    let samples = |dry: &DryRun| dry.estimate.samples + dry.estimate.cached;
    assert_eq!(samples(&with), samples(&without) + 3);
    // The labelled table itself: of it, only what trains may come back.
    let own = with_data(taught(&place, "own"), &plan.data);
    let report = train(&own, &mut ()).unwrap();
    assert_eq!(report.splits["train"], 2 * alone.splits["train"]);
}

#[test]
fn a_student_that_is_stopped_ends_with_the_same_bits() {
    let place = Place::new();
    let more = place.path("more.txt");
    fs::write(&more, "a man is playing\nshares fell\n").unwrap();
    let plan = |name: &str| with_data(taught(&place, name), &more);
    let whole = learned(&train(&plan("whole"), &mut ()).unwrap());
    let updates =
        |event: &Event<'_>| matches!(event, Event::Progress { phase: Phase::Finetune, .. });
    for n in [1, 4] {
        let name = format!("stop-{n}");
        let error = train(&plan(&name), &mut stop_after(n, updates)).unwrap_err();
        assert_eq!(error.exit_code(), 75, "{error}");
        let report = runs::resume(&place.path("runs").join(&name), &mut ()).unwrap();
        assert_eq!(learned(&report), whole, "stopped at {n}");
    }
    // The teacher's answers count: without them the same course ends elsewhere.
    let mut deaf = plan("deaf");
    deaf.distill.as_mut().unwrap().weight = 0.0;
    assert_ne!(learned(&train(&deaf, &mut ()).unwrap()), whole);
}

#[test]
fn teachers_that_cannot_answer_are_refused() {
    let place = Place::new();
    let refused = |change: &dyn Fn(&mut TrainPlan)| -> TransferError {
        let mut plan = taught(&place, "refused");
        change(&mut plan);
        train(&plan, &mut ()).unwrap_err()
    };
    let error = refused(&|plan| plan.method = Method::PROBE);
    assert!(error.to_string().contains("the probe learns from labels alone"), "{error}");
    let error = refused(&|plan| plan.method = Method::find("setfit").unwrap());
    assert!(error.to_string().contains("pairs have no probabilities"), "{error}");
    let error = refused(&|plan| plan.distill.as_mut().unwrap().temperature = 0.0);
    assert_eq!(error.exit_code(), 2, "{error}");
    let other = place.path("other.csv");
    let rows: String = (0..20).map(|i| format!("shares {i},up\nprices {i},down\n")).collect();
    fs::write(&other, format!("review,verdict\n{rows}")).unwrap();
    let error = refused(&|plan| plan.data.clone_from(&other));
    assert!(error.to_string().contains("tells bad, good apart"), "{error}");
}
