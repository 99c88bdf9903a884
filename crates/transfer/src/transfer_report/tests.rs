use super::cell::CoursePoint;
use super::document::*;
use super::*;

fn count(relation: Relation, labels: f64) -> LabelCount {
    LabelCount { relation, labels }
}

fn curve(model: Option<&str>, method: &str, accuracies: &[f64]) -> Curve {
    let point = |(i, &accuracy): (usize, &f64)| CurvePoint {
        labels: 10 << (2 * i),
        share: 0.1,
        accuracy,
        accuracy_ci: [accuracy - 0.05, accuracy + 0.05],
        accuracies: vec![accuracy; 3],
        val_accuracy: Some(accuracy),
        seconds: 1.0,
        kept_probe: 0,
    };
    let points = accuracies.iter().enumerate().map(point).collect();
    Curve { model: model.map(Into::into), method: method.into(), points }
}

fn saving(relation: Relation, needed: f64, saved_ci: [f64; 2]) -> LabelSaving {
    LabelSaving {
        model: "m".into(),
        method: "lp-ft".into(),
        versus: "scratch".into(),
        versus_labels: 160,
        versus_accuracy: 0.5,
        needed: count(relation, needed),
        needed_ci: [count(Relation::AtMost, 10.0), count(Relation::About, 30.0)],
        saved: 1.0 - needed / 160.0,
        saved_ci,
    }
}

fn cell(data: &str, model: &str, gap: f64, verdict: Verdict) -> MatrixCell {
    MatrixCell {
        data: data.into(),
        model: model.into(),
        method: "lp-ft".into(),
        versus: "scratch".into(),
        labels: 160,
        gap,
        gap_ci: [gap - 0.04, gap + 0.04],
        verdict,
        by_labels: vec![Gap { labels: 160, gap, gap_ci: [gap - 0.04, gap + 0.04] }],
    }
}

fn target(data: &str, saving: Option<LabelSaving>) -> TargetReport {
    let point = |epoch, accuracy| CoursePoint { epoch, seconds: 0.5 + f64::from(epoch), accuracy };
    TargetReport {
        data: data.into(),
        classes: 4,
        labels: 160,
        test: 100,
        notes: vec![],
        curves: vec![
            curve(Some("m"), "scratch", &[0.3, 0.4, 0.5]),
            curve(Some("m"), "lp-ft", &[0.45, 0.6, 0.8]),
        ],
        equivalents: vec![LabelEquivalent {
            model: "m".into(),
            method: "lp-ft".into(),
            versus: "scratch".into(),
            labels: 10,
            accuracy: 0.45,
            equivalent: count(Relation::About, 80.0),
            equivalent_ci: [count(Relation::About, 60.0), count(Relation::MoreThan, 160.0)],
            saved: 0.875,
            over_full: -0.05,
            over_full_ci: [-0.1, 0.01],
        }],
        savings: saving.into_iter().collect(),
        times: vec![TimeToScratch {
            model: "m".into(),
            method: "lp-ft".into(),
            labels: 160,
            scratch_best: 0.5,
            scratch_seconds: 9.0,
            scratch_epochs: 8.0,
            reached: 1,
            seeds: 1,
            seconds: Some(1.5),
            seconds_range: Some([1.5, 1.5]),
            epochs: Some(1.0),
            epochs_range: Some([1.0, 1.0]),
            courses: vec![vec![point(0, 0.4), point(1, 0.6)]],
            scratch_courses: vec![vec![point(1, 0.2), point(8, 0.5)]],
        }],
        answer: vec![],
    }
}

fn told(saving: Option<LabelSaving>, cell: MatrixCell) -> answer::Answer {
    answer::whole(&[target("d", saving)], &[cell])
}

#[test]
fn the_answer_says_what_is_sure_and_no_more() {
    let helps = || cell("d", "m", -0.3, Verdict::Helps);
    let about = told(Some(saving(Relation::About, 16.0, [0.8, 0.95])), helps());
    assert_eq!(about.figure.replace('\u{202f}', " "), "90 %");
    assert!(
        about.headline.contains("with about 16 labels (95 % CI at most 10 to 30)"),
        "{about:?}"
    );
    assert!(
        about.sentences.iter().any(|s| s.contains("with about 80 (95 % CI 60 to more than 160)"))
    );

    let at_once = told(Some(saving(Relation::AtMost, 10.0, [0.9, 0.95])), helps());
    assert!(at_once.figure.starts_with('≥') && at_once.headline.contains("the fewest tried"));

    let unsure = told(Some(saving(Relation::About, 100.0, [0.0, 0.7])), helps());
    assert_eq!(unsure.figure, "Unclear");

    let hurts = cell("d", "m", 0.2, Verdict::Hurts);
    let never = told(Some(saving(Relation::MoreThan, 160.0, [0.0, 0.0])), hurts);
    assert!(
        never.figure.starts_with('−') && never.headline.contains("negative transfer"),
        "{never:?}"
    );
    // Told once; another source that hurts is told, too, without the folders that it lies in.
    assert!(!never.sentences.iter().any(|s| s.starts_with("Negative")));
    let both = [cell("d", "m", 0.2, Verdict::Hurts), cell("d", "r@a/b.pth", 0.1, Verdict::Hurts)];
    let both = answer::whole(&[target("d", None)], &both);
    let harm = "Negative transfer on d: r@b.pth (lp-ft)";
    assert!(both.sentences.iter().any(|s| s.starts_with(harm)), "{both:?}");

    let without_savings = told(None, helps());
    assert_eq!(without_savings.figure, "+30.0 points");
    assert_eq!(answer::whole(&[target("d", None)], &[]).figure, "No answer");
}

#[test]
fn labels_that_transfer_costs_are_told_as_such() {
    let plain = |text: String| text.replace('\u{202f}', " ");
    assert_eq!(plain(answer::saved_cell(0.9)), "90 %");
    assert_eq!(plain(answer::saved_cell(-10.6)), "12 × as many");
    assert_eq!(plain(answer::saved_range([-17.75, -5.67])), "6.7–19 ×");
}

fn report(targets: Vec<TargetReport>, matrix: Vec<MatrixCell>) -> TransferReport {
    let answer = answer::whole(&targets, &matrix);
    TransferReport {
        schema: SCHEMA,
        command: COMMAND.into(),
        run: "runs/x".into(),
        seconds: 12.0,
        figure: answer.figure,
        headline: answer.headline,
        sentences: answer.sentences,
        targets,
        matrix,
        left_out: vec![LeftOut {
            data: "d".into(),
            model: "m".into(),
            method: "scratch".into(),
            labels: 160,
            cells: 3,
            seconds: 90.0,
        }],
        resamples: 1000,
        seeds: 1,
        created: "2026-11-23T11:02:41Z".into(),
        version: "0".into(),
    }
}

#[test]
fn the_page_draws_every_source_and_marks_harm_alone() {
    let matrix = vec![
        cell("d", "m", -0.3, Verdict::Helps),
        cell("d", "n", 0.2, Verdict::Hurts),
        cell("d", "o", 0.01, Verdict::Unclear),
    ];
    let report =
        report(vec![target("d", Some(saving(Relation::About, 16.0, [0.8, 0.95])))], matrix);
    let (page, drawings) = page::render(&report).unwrap();
    let names: Vec<&str> = drawings.iter().map(|d| d.name.as_ref()).collect();
    assert_eq!(names, ["curves-0-0", "course-0-0", "matrix"]);
    assert!(page.contains("default-src 'none'") && !page.contains("<script"));
    // The frame, beside its style.
    assert_eq!(page.matches("class=\"harm\"").count(), 1);
    assert_eq!(page.matches("· lp-ft</text>").count(), 3);
    assert!(page.contains("about 16 labels are as good"));
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let bad = "</text><script>alert(1)</script><img src=x onerror='x'>";
    let mut target = target(bad, Some(saving(Relation::About, 16.0, [0.8, 0.95])));
    target.notes = vec![bad.into()];
    target.curves.iter_mut().for_each(|c| c.model = Some(bad.into()));
    let mut report = report(
        vec![target],
        vec![cell(bad, bad, 0.2, Verdict::Hurts), cell(bad, "n", 0.2, Verdict::Hurts)],
    );
    report.left_out[0].data = bad.into();
    let (page, drawings) = page::render(&report).unwrap();
    for text in drawings.iter().map(|d| d.standalone()).chain([page]) {
        assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
    }
    report.targets[0].data = "=cmd".into();
    for (name, table) in tables::tables(&report).unwrap() {
        let text = String::from_utf8(table).unwrap();
        assert!(!text.contains("\n=cmd"), "{name}: {text}");
    }
}
