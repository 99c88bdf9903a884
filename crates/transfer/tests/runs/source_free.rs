//! A run's network adapts to pictures of another kind, without its training data and without labels.

use std::fs;

use offshoot_transfer::source_free::{self, Order, Settings, StreamPlan, StreamReport, stream};
use offshoot_transfer::{Finetune, Method, train};

use super::data::*;

/// The pictures of `write_folder`, pale and light: every class is still there, but no statistic of a norm is.
fn write_pale(place: &Place, each: usize, first: usize) {
    for (class, name) in CLASSES.iter().enumerate() {
        let dir = place.path("pale").join(name);
        fs::create_dir_all(&dir).unwrap();
        for i in first..first + each {
            let mut bytes = picture(class, i);
            let pixels = bytes.len() - SIDE * SIDE;
            bytes[pixels..].iter_mut().for_each(|b| *b = 230 + *b / 20);
            fs::write(dir.join(format!("{i:04}.pgm")), bytes).unwrap();
        }
    }
}

fn tuned(place: &Place) -> std::path::PathBuf {
    write_folder(&place.path("data"), "", 40, 0);
    write_pale(place, 40, 500);
    let finetune = Finetune { epochs: Some(8), batch: Some(8), ..Finetune::default() };
    let plan = offshoot_transfer::TrainPlan {
        method: Method::find("scratch").unwrap(),
        finetune,
        model: "random:digits_svhn".into(),
        ..place.plan()
    };
    train(&plan, &mut ()).unwrap().run
}

fn plan(place: &Place, run: &std::path::Path, method: &str) -> StreamPlan {
    StreamPlan {
        run: run.into(),
        data: place.path("pale"),
        columns: Default::default(),
        method: method.into(),
        settings: Settings { batch: 24, ..Settings::default() },
    }
}

fn last(report: &StreamReport) -> f64 {
    report.after.last().copied().unwrap()
}

#[test]
fn a_network_finds_its_way_in_pale_pictures_and_any_number_of_threads_agrees() {
    let place = Place::new();
    let run = tuned(&place);
    for method in source_free::all() {
        let report = stream(&plan(&place, &run, method.name), &mut ()).unwrap();
        println!("{report:#?}");
        assert!(report.before.unwrap() < 0.7, "{}", method.name);
        assert!(last(&report) > report.before.unwrap() + 0.2, "{}", method.name);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let again = one.install(|| stream(&plan(&place, &run, method.name), &mut ()).unwrap());
        assert_eq!(
            StreamReport { seconds: 0.0, ..again },
            StreamReport { seconds: 0.0, ..report },
            "{}",
            method.name
        );
    }
}

/// Where nobody says how much the source's statistics count for, AdaBN leaves a state with half of them, too.
#[test]
fn statistics_of_both_sides_may_be_mixed() {
    let place = Place::new();
    let run = tuned(&place);
    let both = stream(&plan(&place, &run, "adabn"), &mut ()).unwrap();
    assert_eq!(both.after.len(), 2);
    assert_eq!((both.facts[0]["prior"], both.facts[1].get("prior")), (120.0, None));
    let asked = |prior: f64| {
        let settings = Settings { batch: 24, prior: Some(prior), ..Settings::default() };
        stream(&StreamPlan { settings, ..plan(&place, &run, "adabn") }, &mut ()).unwrap()
    };
    assert_eq!(asked(120.0).after, [both.after[0]]);
    assert_eq!(asked(0.0).after, [both.after[1]]);
    // With all of the source's statistics, the network is what it was.
    assert_eq!(asked(1e9).after[0], both.before.unwrap());
}

#[test]
fn classes_in_sequence_are_seen_and_the_network_stays() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 40, 0);
    let run = tuned(&place);
    // Folders are read class by class. The run is good at these pictures, so its answers show the order.
    let given = StreamPlan {
        data: place.path("data"),
        settings: Settings { batch: 24, order: Order::Given, ..Settings::default() },
        ..plan(&place, &run, "tent")
    };
    let report = stream(&given, &mut ()).unwrap();
    assert!(report.after.is_empty() && report.meanwhile.is_none(), "{report:?}");
    assert!(report.warnings[0].starts_with("classes come one after the other"), "{report:?}");
    let shuffled = StreamPlan {
        settings: Settings { order: Order::Shuffled, ..given.settings },
        ..given.clone()
    };
    let report = stream(&shuffled, &mut ()).unwrap();
    assert!(report.warnings.is_empty() && last(&report) > 0.9, "{report:?}");
}

#[test]
fn what_cannot_adapt_is_refused() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    write_pale(&place, 10, 500);
    // This network has no norms.
    let of = offshoot_transfer::TrainPlan { model: "random:digits_mnist".into(), ..place.plan() };
    let frozen = train(&of, &mut ()).unwrap().run;
    for method in ["adabn", "tent"] {
        let error = stream(&plan(&place, &frozen, method), &mut ()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{method}: {error}");
    }
    let error = stream(&plan(&place, &frozen, "nothing"), &mut ()).unwrap_err();
    assert!(error.to_string().contains("`nothing`"), "{error}");
}
