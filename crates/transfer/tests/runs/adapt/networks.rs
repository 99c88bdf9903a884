//! Networks and encoders that are adapted, not their features alone.

use super::*;

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

    // A text a line says the same as a table of them.
    let lines = place.path("target.txt");
    let table = fs::read_to_string(place.path("target.csv")).unwrap();
    fs::write(&lines, table.split_once('\n').unwrap().1).unwrap();
    let of_lines = AdaptPlan { target: Some(lines), ..plan };
    let again = adapt(&of_lines, &mut ()).unwrap();
    assert_eq!((again.target.samples, again.method), (60, report.method));
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
