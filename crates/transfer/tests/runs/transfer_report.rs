//! A transfer report, whole: what it promises of its cells, and that an interruption leaves no trace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use offshoot_transfer::run::record::RunState;
use offshoot_transfer::transfer_report::plan::TransferReportPlan;
use offshoot_transfer::transfer_report::{redraw, resume};
use offshoot_transfer::{
    Event, Finetune, Phase, TrainPlan, runs, transfer_report, transfer_report_dry_run,
};

use super::data::*;

fn plan(place: &Place, name: &str) -> TransferReportPlan {
    let finetune = Finetune { epochs: Some(2), batch: Some(8), ..Finetune::default() };
    let usual = TransferReportPlan::default();
    TransferReportPlan {
        targets: vec![place.path("data")],
        models: vec![place.plan().model],
        shares: vec![0.01, 0.5, 1.0],
        seeds: 2,
        training: TrainPlan {
            name: Some(name.into()),
            finetune,
            command: usual.training.command.clone(),
            ..place.plan()
        },
        ..usual
    }
}

/// Puts zero in place of every time, which differ from run to run.
fn timeless(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "seconds" => *value = 0.5.into(),
                    _ => timeless(value),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(timeless),
        _ => {}
    }
}

/// Takes the times out of a report's finished cells and lets it be written from them again. Returns every
/// file but the log and the record.
fn without_times(run: &Path) -> BTreeMap<String, String> {
    for cell in fs::read_dir(run.join("cells")).unwrap() {
        let path = cell.unwrap().path();
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        timeless(&mut value);
        fs::write(&path, serde_json::to_string(&value).unwrap()).unwrap();
    }
    let name = run.file_name().unwrap().to_str().unwrap();
    let clean = |text: String| text.replace(name, "NAME");
    resume(run, &mut ()).unwrap();
    let mut files = BTreeMap::new();
    for dir in ["", "cells", "plots"] {
        for entry in fs::read_dir(run.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap().to_string();
            if path.is_file() && !["log.txt", "run.json"].contains(&file.as_str()) {
                files.insert(format!("{dir}/{file}"), clean(fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

#[test]
fn a_report_that_was_interrupted_ends_with_the_same_bytes() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let created = |run: &Path| {
        let path = run.join("run.json");
        let mut value: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        value["created"] = "2026-11-23T11:02:41Z".into();
        fs::write(&path, value.to_string()).unwrap();
    };
    let whole = transfer_report(&plan(&place, "whole"), &mut ()).unwrap();
    created(&whole.run);
    let expected = without_times(&whole.run);
    let cells = expected.keys().filter(|file| file.starts_with("cells/")).count();
    // Three numbers of labels, four methods, two seeds.
    assert_eq!(cells, 3 * 4 * 2, "{:?}", expected.keys());

    // Stopped within cells, each time a little later: at an update, and between cells.
    let updates = |event: &Event<'_>| matches!(event, Event::Progress { phase: Phase::Curves, .. });
    let mut stops = 0;
    let report = loop {
        match transfer_report(&plan(&place, "often"), &mut stop_after(15, updates)) {
            Ok(report) => break report,
            Err(error) => assert_eq!(error.exit_code(), 75, "{error}"),
        }
        stops += 1;
        assert!(stops < 500, "it does not come on");
        let state = runs::list(&place.path("runs")).unwrap();
        assert!(state.iter().any(|r| r.name == "often" && r.state == RunState::Stopped));
    };
    assert!(stops >= 3, "only {stops} stops");
    assert!(!report.run.join("checkpoints").exists());
    created(&report.run);
    let found = without_times(&report.run);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (file, text) in &expected {
        assert_eq!(&found[file], text, "{file}");
    }
}

#[test]
fn a_finished_report_is_not_made_again_and_other_data_is_noticed() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let mut plan = plan(&place, "report");
    plan.methods = ["probe", "pixels"].map(Into::into).into();
    let first = transfer_report(&plan, &mut ()).unwrap();
    let page = fs::read(first.run.join("report.html")).unwrap();
    let mut worked = false;
    let mut watching = |event: &Event<'_>| {
        worked |= matches!(event, Event::Progress { phase: Phase::Curves, .. });
        offshoot_transfer::Flow::Continue
    };
    // More time for the same plan is the same report.
    plan.time = Some(100.0);
    let again = transfer_report(&plan, &mut watching).unwrap();
    assert!(!worked);
    assert_eq!(again, first);
    fs::remove_file(first.run.join("report.html")).unwrap();
    redraw(&first.run).unwrap();
    assert_eq!(fs::read(first.run.join("report.html")).unwrap(), page);

    write_folder(&place.path("data"), "", 14, 1);
    let other = transfer_report(&plan, &mut ()).unwrap();
    assert_ne!(other.targets[0].labels, first.targets[0].labels);
    let mut fewer = plan.clone();
    fewer.seeds = 1;
    assert_eq!(transfer_report(&fewer, &mut ()).unwrap_err().exit_code(), 2, "the name is taken");
}

#[test]
fn the_time_leaves_out_the_most_labels_and_says_so() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let mut plan = plan(&place, "short");
    let dry = transfer_report_dry_run(&plan, &mut ()).unwrap();
    assert!(!dry.run.exists());
    assert_eq!(dry.cells.iter().map(|cells| cells.cells).sum::<usize>(), 24);
    assert!(dry.cells.iter().all(|cells| cells.affordable));
    // No time at all: not even a probe.
    plan.time = Some(0.0);
    let report = transfer_report(&plan, &mut ()).unwrap();
    assert_eq!(report.left_out.iter().map(|left| left.cells).sum::<usize>(), 24);
    assert_eq!(report.figure, "No answer");
    let page = fs::read_to_string(report.run.join("report.html")).unwrap();
    assert!(page.contains("What the time did not suffice for"));
    // The same command without a limit goes on in the same folder.
    plan.time = None;
    let whole = transfer_report(&plan, &mut ()).unwrap();
    assert_eq!(whole.run, report.run);
    assert!(whole.left_out.is_empty());
    for target in &whole.targets {
        for curve in &target.curves {
            for point in &curve.points {
                let [low, high] = point.accuracy_ci;
                assert!(low <= point.accuracy && point.accuracy <= high);
            }
        }
    }
}
