//! What is source and what is target: runs, domains of a table, samples in both.

use super::*;

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
