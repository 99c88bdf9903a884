//! A disk that fails at any call: what was written before stays whole, and the run goes on to the same bits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::{Checkpoint, Finetune};
use crate::durable::faults::failing;
use crate::made_data::{Place, sha, write_folder};
use crate::plan::{CachePlan, Method};
use crate::{Result, TrainPlan, TrainReport, runs, train};

fn plan(place: &Place, name: &str) -> TrainPlan {
    let finetune = Finetune {
        epochs: Some(2),
        batch: Some(16),
        checkpoint_every: 0.0,
        watch: "log_loss".into(),
        layers: 1,
        ..Finetune::default()
    };
    TrainPlan {
        name: Some(name.into()),
        method: Method::find("last-k").unwrap(),
        finetune,
        val: Some(0.2),
        refit: false,
        cache: CachePlan {
            dir: Some(place.path(&format!("cache-{name}"))),
            ..CachePlan::default()
        },
        ..place.plan()
    }
}

fn learned(report: &TrainReport) -> [String; 2] {
    ["model", "backbone"].map(|file| sha(&report.run.join(format!("export/{file}.safetensors"))))
}

/// Lets the `n`-th call fail; afterwards the same command, or `runs resume`, must end as `whole` did.
fn survives(place: &Place, whole: &[String; 2], n: usize, stays: bool) {
    let name = format!("{}-{n}", if stays { "full" } else { "once" });
    let plan = plan(place, &name);
    let (result, _): (Result<TrainReport>, _) = failing(Some(n), stays, || train(&plan, &mut ()));
    let run = place.path("runs").join(&name);
    let report = match result {
        // What failed was of no importance, such as removing an old checkpoint.
        Ok(report) => report,
        Err(error) => {
            assert_eq!(error.exit_code(), 5, "{name}: {error}");
            let (_, refused) = Checkpoint::latest(&run).unwrap();
            assert!(refused.is_empty(), "{name}: {refused:?}");
            match run.join("run.json").exists() {
                true => runs::resume(&run, &mut ()).unwrap(),
                false => {
                    assert!(!run.exists(), "{name}: neither a run nor a free name");
                    train(&plan, &mut ()).unwrap()
                }
            }
        }
    };
    assert_eq!(&learned(&report), whole, "{name}");
    for folder in [run, place.path(&format!("cache-{name}"))] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Every call of a short run takes a minute; each test run takes one in so many, and
/// `OFFSHOOT_TEST_EVERY=1` all of them.
fn every() -> usize {
    std::env::var("OFFSHOOT_TEST_EVERY").ok().and_then(|n| n.parse().ok()).unwrap_or(9)
}

#[test]
fn a_disk_that_fails_at_any_call_costs_nothing_that_was_written() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 8, 0);
    let (whole, calls) = failing(None, false, || train(&plan(&place, "whole"), &mut ()));
    let whole = learned(&whole.unwrap());
    // Full from this call on, as disks usually are; and one failure, after which all is well again.
    let failed: Vec<usize> = (1..=calls).step_by(every().max(1)).collect();
    for (i, &n) in failed.iter().enumerate() {
        survives(&place, &whole, n, i % 4 != 3);
    }
    println!("{} of {calls} calls of a run failed, one after the other", failed.len());
    assert!(calls > 100, "{calls}");
}

#[test]
fn a_full_disk_is_told_with_what_the_checkpoint_needs() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 8, 0);
    let (_, calls) = failing(None, false, || train(&plan(&place, "whole"), &mut ()));
    let told = (calls / 4..calls).step_by(7).find_map(|n| {
        let (result, _) =
            failing(Some(n), true, || train(&plan(&place, &format!("full-{n}")), &mut ()));
        let error = result.err()?.to_string();
        error.contains("/checkpoints").then_some(error)
    });
    let told = told.unwrap();
    let bytes: u64 = told.split('(').nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    // A head on 256 features and its moments, several times: more than any one of the files.
    assert!(told.ends_with("bytes needed)") && bytes > 10_000, "{told}");
}
