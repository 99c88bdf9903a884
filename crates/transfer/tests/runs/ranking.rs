use std::fs;

use offshoot_transfer::rank::Verified;
use offshoot_transfer::{Event, Finetune, Method, RankPlan, RankReport, TransferError, rank};

use super::data::*;

const MODELS: [&str; 4] = ["pixels", "random:digits_usps", "random:digits_mnist", "nothing"];

fn plan(place: &Place) -> RankPlan {
    RankPlan {
        data: place.path("data"),
        models: MODELS.map(String::from).to_vec(),
        cache: place.cache(),
        batch: 8,
        ..RankPlan::default()
    }
}

/// What a ranking says, without how long it took.
fn said(report: &RankReport) -> String {
    let lines: Vec<String> = report
        .ranking
        .iter()
        .map(|r| format!("{} {:?} {} {:?} {:?}", r.model, r.variant, r.rank, r.ci, r.scores))
        .collect();
    lines.join("\n")
}

#[test]
fn sources_are_ranked_and_one_that_cannot_be_is_told() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    let all = RankPlan { scores: vec!["all".into()], verify: 3, ..plan(&place) };
    let report = rank(&all, &mut ()).unwrap();
    assert_eq!(report.ranking.len(), 3);
    let best = report.ranking.iter().map(|r| r.score.unwrap()).fold(f64::MIN, f64::max);
    assert_eq!(report.ranking[0].score, Some(best));
    for line in &report.ranking {
        let [low, high] = line.ci.unwrap();
        assert!(1.0 <= low && low <= high && high <= 3.0, "{line:?}");
        assert_eq!(line.samples, report.samples);
        // Neither these weights nor pixels have a classifier of their own that was trained.
        assert!(line.scores.len() > 9 && line.scores["logme"].is_some());
        assert!(line.model != "pixels" || line.scores["leep"].is_none());
    }
    assert_eq!(report.left_out.len(), 1);
    assert_eq!(report.left_out[0].model, "nothing");
    assert!(report.left_out[0].reason.contains("unknown model"), "{:?}", report.left_out);
    let verified = report.verified.as_ref().unwrap();
    assert_eq!(verified.models.len(), 3);
    assert!(verified.models.iter().all(|m| (0.0..=1.0).contains(&m.accuracy)));
    assert!(report.agreement.iter().any(|g| g.b == "weights"));
    // The same again, from the cache and on one thread.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(said(&report), said(&pool.install(|| rank(&all, &mut ())).unwrap()));
}

#[test]
fn a_ranking_is_verified_by_tuning_too() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    let finetune = Finetune { epochs: Some(2), batch: Some(8), ..Finetune::default() };
    let verify_method = Method::find("lp-ft").unwrap();
    let tuned = RankPlan { verify: 3, verify_method, finetune, ..plan(&place) };
    let report = rank(&tuned, &mut ()).unwrap();
    let verified = report.verified.as_ref().unwrap();
    assert_eq!((verified.method.as_str(), verified.models.len()), ("lp-ft", 3));
    assert!(verified.models.iter().all(|m| (0.0..=1.0).contains(&m.accuracy)), "{verified:?}");
    let probed = rank(&RankPlan { verify: 3, ..plan(&place) }, &mut ()).unwrap().verified.unwrap();
    let loss = |verified: &Verified, model: &str| {
        verified.models.iter().find(|m| m.model == model).unwrap().log_loss
    };
    // Pixels have nothing to tune.
    let pixels = [verified, &probed].map(|verified| loss(verified, "pixels"));
    assert!((pixels[0] - pixels[1]).abs() < 0.2, "{pixels:?}");
    // The same again from one thread, and it leaves nothing behind.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = pool.install(|| rank(&tuned, &mut ())).unwrap().verified.unwrap();
    let said = |v: &Verified| v.models.iter().map(|m| (m.accuracy, m.log_loss)).collect::<Vec<_>>();
    assert_eq!(said(&again), said(verified));
    assert!(!place.path("runs").exists());
}

#[test]
fn the_test_split_has_no_say() {
    let place = Place::new();
    write_folder(&place.path("data"), "train", 12, 0);
    write_folder(&place.path("data"), "test", 5, 100);
    let before = rank(&plan(&place), &mut ()).unwrap();
    // Other pictures, and every one of them under a wrong name.
    fs::remove_dir_all(place.path("data/test")).unwrap();
    for (class, name) in CLASSES.iter().enumerate() {
        let dir = place.path("data/test").join(name);
        fs::create_dir_all(&dir).unwrap();
        for i in 0..9 {
            fs::write(dir.join(format!("{i}.pgm")), picture((class + 1) % 3, 500 + i)).unwrap();
        }
    }
    assert_eq!(said(&before), said(&rank(&plan(&place), &mut ()).unwrap()));
}

#[test]
fn without_time_the_worse_leave_early_and_it_is_told() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 60, 0);
    let short = RankPlan { time: Some(0.001), ..plan(&place) };
    let report = rank(&short, &mut ()).unwrap();
    assert_eq!(report.ranking.len(), 3);
    assert!(report.samples < 100 && report.ranking.iter().all(|r| r.score.is_some()));
    assert!(report.notes.iter().any(|note| note.contains("time")), "{:?}", report.notes);
    // An hour is enough for everyone.
    let long = RankPlan { time: Some(3600.0), ..plan(&place) };
    let long = rank(&long, &mut ()).unwrap();
    assert_eq!(said(&long), said(&rank(&plan(&place), &mut ()).unwrap()));
    assert!(long.notes.is_empty(), "{:?}", long.notes);
}

#[test]
fn sizes_of_pictures_are_ranked_one_by_one() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 12, 0);
    let models = vec!["random:mobilenet_v2".to_string()];
    let sizes = RankPlan { models, sizes: vec![32, 64], references: false, ..plan(&place) };
    let report = rank(&sizes, &mut ()).unwrap();
    let mut flags: Vec<String> = report.ranking.iter().map(|r| r.flags.join(" ")).collect();
    flags.sort();
    assert_eq!(flags, ["--size 32", "--size 64"]);
}

#[test]
fn what_cannot_be_ranked_by_is_refused_before_any_work() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 8, 0);
    let refused = |plan: RankPlan| rank(&plan, &mut ()).unwrap_err();
    let error = refused(RankPlan { scores: vec!["logmee".into()], ..plan(&place) });
    assert_eq!((error.exit_code(), error.to_string().as_str()), (2, "unknown score `logmee`"));
    assert_eq!(refused(RankPlan { limit: 1, ..plan(&place) }).exit_code(), 2);
    let nobody = RankPlan { models: vec!["nothing".into()], references: false, ..plan(&place) };
    assert!(refused(nobody).to_string().contains("none of the models"));
    let stops = |event: &Event<'_>| matches!(event, Event::Progress { .. });
    let error = rank(&plan(&place), &mut stop_after(4, stops)).unwrap_err();
    assert!(matches!(error, TransferError::Stopped { run: None }), "{error}");
}
