//! Classes that one side lacks, and what classes are called.

use super::*;

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
    let input = PredictInput::Paths(vec![place.path("other")]);
    let of = ExplainPlan {
        run: asked.run.clone(),
        columns: Default::default(),
        class: None,
        answers: 4,
        batch: 4,
    };
    let mut called = 0;
    let mut count = |one: &Explanation| {
        called += usize::from(one.unknown);
        Ok(())
    };
    explain(&of, input, &mut (), &mut count).unwrap();
    assert_eq!(called, 30, "an explanation says the same");

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
