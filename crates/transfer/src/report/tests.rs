use std::collections::BTreeMap;

use super::data::*;
use super::*;
use crate::documents::{Baseline, DataProblem, Figures};
use crate::explain::shades::Shade;
use crate::guard::document::{
    CandidateReport, ClassGap, Gap as NtGap, GuardReport, SourceGap, Watched,
};
use crate::run::record::PhaseSeconds;
use crate::trust::HeldOut;
use crate::trust::document::{AlarmFigures, ClassCoverage, SetFigures};
use crate::{Phase, SourceReport};

fn figures(n: usize, accuracy: f64) -> Figures {
    let around = |v: f64| [v - 0.03, v + 0.03];
    Figures {
        n,
        resamples: 1000,
        accuracy,
        accuracy_ci: around(accuracy),
        macro_f1: accuracy,
        macro_f1_ci: around(accuracy),
        log_loss: 0.3,
        log_loss_ci: around(0.3),
        ece: 0.04,
        ece_ci: around(0.04),
    }
}

/// A source that helps but for one class.
fn guard(text: &str) -> GuardReport {
    let t = || text.to_string();
    let gap = |value: f64, p| NtGap { value, ci: [value - 0.02, value + 0.02], p, n: 120 };
    let candidate = |name: &str, uses_source, accuracy| CandidateReport {
        name: name.into(),
        summary: t(),
        uses_source,
        held_out: Some(0.9),
        held_out_samples: 40,
        accuracy,
        accuracy_ci: [accuracy - 0.03, accuracy + 0.03],
        seconds: 1.0,
    };
    GuardReport {
        mode: "on".into(),
        verdict: "helps".into(),
        shipped: "probe".into(),
        fell_back: false,
        reason: t(),
        without: Some("pixels".into()),
        nt_gap: Some(gap(-0.531, 1e-9)),
        by_class: vec![ClassGap { class: t(), gap: gap(0.3, 0.01), adjusted_p: 0.02 }],
        by_source: vec![SourceGap { source: t(), gap: gap(0.04, 0.03) }],
        gaps: BTreeMap::from([("pixels".into(), gap(-0.531, 1e-9))]),
        shipped_gaps: BTreeMap::from([("pixels".into(), gap(-0.531, 1e-9))]),
        candidates: vec![candidate("probe", true, 0.941), candidate("pixels", false, 0.41)],
        watch: Some(Watched { looks: 2, stopped_after: None, rule: t() }),
        seconds: 1.0,
        overhead: 0.125,
    }
}

/// A report in which every text from outside is `text`.
fn report(text: &str) -> ReportData {
    let t = || text.to_string();
    let class = |n, recall| ClassFigures { name: t(), n, precision: recall, recall, f1: recall };
    let bin = CalibrationBin { n: 3, confidence: 0.8, accuracy: 0.7 };
    let point =
        |correct| MapPoint { x: 1.0, y: -2.0, label: 1, correct, split: t(), domain: Some(t()) };
    let shade = |step| Shade { text: t(), step, contribution: Some(0.7) };
    ReportData {
        title: t(),
        command: t(),
        run: RunFacts {
            created: t(),
            version: t(),
            platform: t(),
            isa: Some(t()),
            method: t(),
            head: t(),
            lambda: Some(0.01),
            temperature: Some(1.2),
            fitted_on: t(),
            memory_bytes: Some(1),
            cached: 1,
            ..RunFacts::default()
        },
        data: DataSummary {
            name: t(),
            pictures: true,
            classes: vec![ClassCount { name: t(), train: 8, val: 1, test: 2 }],
            unreadable: 1,
            problems: vec![DataProblem { path: t(), kind: t(), severity: t(), detail: t() }],
            manifest_sha256: t(),
        },
        model: ModelCard {
            name: t(),
            recipe: format!("{text}2"),
            origin: Some(t()),
            trained_on: Some(t()),
            adapted: Some(t()),
            licence: Some(t()),
            sha256: t(),
            dim: 4,
            preprocessing: t(),
            precision: t(),
        },
        figures: figures(120, 0.941),
        baselines: vec![Baseline {
            name: "pixels".into(),
            summary: t(),
            figures: figures(120, 0.41),
            seconds: 1.0,
        }],
        gains: BTreeMap::from([("pixels".into(), Gain { accuracy: 0.531, ci: [0.47, 0.59] })]),
        domains: vec![Domain { name: t(), figures: figures(80, 0.7) }],
        per_class: vec![class(2, Some(0.5)), class(0, None)],
        confusion: vec![1, 1, 0, 0],
        calibration: Some(Calibration {
            before: vec![bin],
            after: vec![bin],
            ece_before: 0.08,
            ece_after: 0.03,
        }),
        trust: Some(TrustShown {
            sets: Some(SetFigures {
                promised: 0.9,
                coverage: 0.925,
                coverage_ci: [0.86, 0.96],
                mean_size: 1.25,
                mean_size_ci: [1.1, 1.4],
                sizes: vec![90, 30],
                single_right: Some(0.95),
                worst_class: Some(ClassCoverage { class: t(), n: 60, coverage: 0.85 }),
                score: t(),
                by_class: true,
                held_out: HeldOut::Folds,
                calibration: 400,
                least: 9,
            }),
            alarms: AlarmFigures {
                detectors: vec![t(), t()],
                promised: 0.01,
                share: 0.025,
                share_ci: [0.009, 0.07],
                calibration: 400,
                leave_class_out: BTreeMap::from([("a".into(), 0.7), (t(), 0.8)]),
            },
            strange: vec![
                StrangeBin { from: 0.5, to: 1.0, right: 110, wrong: 7 },
                StrangeBin { from: 1.0, to: 2.0, right: 1, wrong: 2 },
            ],
        }),
        mistakes: vec![Mistake {
            id: t(),
            label: t(),
            predicted: t(),
            confidence: 0.9,
            thumbnail: b"\x89PNG\r\n\x1a\n".to_vec(),
            words: vec![shade(3), shade(0), shade(-2)],
        }],
        examples: vec![Example { id: t(), label: t(), confidence: 0.8, words: vec![shade(1)] }],
        lengths: Some(Lengths {
            texts: 9,
            measured: 3,
            limit: 8,
            longer: 1,
            unread: 0.3,
            median: 6,
            longest: 12,
            bins: vec![
                LengthBin { from: 1, to: 8, fitted: 1, judged: 1 },
                LengthBin { from: 9, to: 16, fitted: 1, judged: 0 },
            ],
        }),
        map: Some(FeatureMap {
            explained: [0.3, 0.2],
            points: vec![point(None), point(Some(true)), point(Some(false))],
        }),
        guard: Some(guard(text)),
        sources: vec![
            SourceReport {
                harm: Some(-0.02),
                harm_ci: Some([-0.03, -0.01]),
                ..SourceReport::new(text)
            },
            SourceReport {
                weight: 0.0,
                harm: Some(0.05),
                harm_ci: Some([0.02, 0.08]),
                harm_p: Some(0.004),
                harm_samples: 400,
                left_out: Some("harm".into()),
                ..SourceReport::new(text)
            },
        ],
        training: None,
        phases: vec![PhaseSeconds { phase: Phase::Extract, seconds: 2.0 }],
        warnings: vec![t()],
    }
}

/// Tags of a document, each as it stands between `<` and `>`.
fn tags(document: &str) -> Vec<&str> {
    document.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
}

#[test]
fn a_source_that_harms_is_named() {
    let page = render(&report("x")).unwrap().replace('\u{202f}', " ");
    for said in ["What each source is worth", "left out: it harms", "harmful and left out: “x”"]
    {
        assert!(page.contains(said), "{said}");
    }
    let mut helpful = report("x");
    helpful.sources.pop();
    assert!(render(&helpful).unwrap().contains("most is owed to “x”"));
    helpful.sources.clear();
    assert!(!render(&helpful).unwrap().contains("What each source is worth"));
}

#[test]
fn sets_and_alarms_are_told_in_words() {
    let page = render(&report("x")).unwrap().replace('\u{202f}', " ");
    for said in [
        "Sets that promise 90 % held the right class in 92.5 % (86–96 %), with 1.25 classes on average.",
        "for every class by itself",
        "Covered least: x, 85.0 % of 60 samples.",
        "in practice rather than by proof",
        "2.5 % (1–7 %) are called unfamiliar",
        "called unfamiliar from here",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let mut few = report("x");
    let sets = few.trust.as_mut().and_then(|t| t.sets.as_mut()).unwrap();
    (sets.calibration, sets.sizes) = (8, vec![0, 120]);
    let page = render(&few).unwrap().replace('\u{202f}', " ");
    assert!(page.contains("8 calibration samples cannot promise 90 %: 9 are needed"));
}

#[test]
fn the_answer_comes_first_and_in_words() {
    let said = summary(&report("twitter")).join("\n").replace('\u{202f}', " ");
    assert_eq!(
        said,
        "94.1 % right (91–97 %) on 120 test pictures it never saw\n\
         Of 2 sources, harmful and left out: “twitter” (+5.0 points of 400 held-out samples are right \
         without it).\n\
         The same head on raw pixels gets 41.0 %, so transfer bought +53.1 points (+47 to +59).\n\
         On twitter it is right in 70.0 % (67–73 %) of 80 cases: −24.1 points.\n\
         The hardest class is “twitter”: 50.0 % of its 2 test samples were recognised, most often \
         taken for “twitter”.\n\
         Its stated confidence is off by 3.0 % on average, so it can be taken at its word."
    );
    let page = render(&report("twitter")).unwrap();
    assert!(page.find("94.1").unwrap() < page.find("What transfer bought").unwrap());
}

#[test]
fn harm_and_doubt_are_said() {
    let with = |accuracy, ci| {
        let mut report = ReportData { sources: Vec::new(), ..report("x") };
        report.gains.insert("pixels".into(), Gain { accuracy, ci });
        summary(&report)[1].clone()
    };
    assert!(with(-0.1, [-0.15, -0.05]).contains("transfer cost −10.0 points"));
    assert!(with(0.01, [-0.02, 0.04]).contains("too small"));
}

#[test]
fn all_right_is_not_taken_for_perfect() {
    let mut report = report("x");
    report.figures = figures(20, 1.0);
    let said = summary(&report).join(" ").replace('\u{202f}', " ");
    assert!(said.contains("No mistake in 20 answers still allows for 13.9 %"), "{said}");
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let harmless = report("name");
    let [expected, drawn] = [render(&harmless).unwrap(), join(plots(&harmless))];
    for attack in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onload='alert(1)",
        "</style></title></svg><svg/onload=alert(1)>",
        "{{ 7 * 7 }}&lt;script&gt;",
        "<!--",
        "]]>",
    ] {
        // The same tags in the same order, whatever the texts are: nothing was added or closed.
        let names = |page: &str| -> Vec<String> {
            let name = |t: &&str| t.split([' ', '\n']).next().unwrap_or_default().to_string();
            tags(page).iter().map(name).collect()
        };
        let hostile = report(attack);
        assert_eq!(names(&render(&hostile).unwrap()), names(&expected), "{attack}");
        assert_eq!(names(&join(plots(&hostile))), names(&drawn), "{attack}");
        for tag in tags(&render(&hostile).unwrap()) {
            let outside_quotes: String = tag.split('"').step_by(2).collect();
            assert!(!outside_quotes.contains("alert"), "{tag}");
        }
    }
}

#[test]
fn the_page_holds_no_script_and_loads_nothing() {
    let page = render(&report("name")).unwrap();
    assert!(
        page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"")
    );
    for tag in tags(&page) {
        let name = tag.split([' ', '\n']).next().unwrap();
        assert!(!["script", "link", "iframe", "object", "a", "form"].contains(&name), "{tag}");
        let loads = tag.contains("src=") && !tag.contains("src=\"data:image/png;base64,");
        assert!(!loads && !tag.contains("href="), "{tag}");
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
}

#[test]
fn every_drawing_is_told_in_words() {
    let plots = plots(&report("name"));
    let names: Vec<&str> = plots.iter().map(|(name, _)| name.as_str()).collect();
    let all = [
        "accuracy",
        "guard",
        "confusion",
        "reliability",
        "sets",
        "strange",
        "feature-map",
        "lengths",
        "timing",
    ];
    assert_eq!(names, all.map(|n| format!("{n}.svg")));
    for (name, svg) in &plots {
        assert!(svg.contains("<title id=") && svg.contains("<desc id="), "{name}");
        assert!(svg.contains("role=\"img\"") && svg.contains("prefers-color-scheme"), "{name}");
    }
}

#[test]
fn what_is_kept_as_json_draws_the_same_page() {
    let report = report("<name>");
    let kept = serde_json::to_string(&report).unwrap();
    assert!(kept.contains(r#""thumbnail":"iVBORw0KGgo=""#), "{kept}");
    assert_eq!(serde_json::from_str::<ReportData>(&kept).unwrap(), report);
}

#[test]
fn a_run_without_anything_to_show_is_still_a_page() {
    let mut report = report("name");
    report.figures = figures(0, f64::NAN);
    report.baselines.clear();
    report.gains.clear();
    report.domains.clear();
    report.per_class.clear();
    report.confusion.clear();
    report.calibration = None;
    report.mistakes.clear();
    report.examples.clear();
    report.lengths = Some(Lengths::default());
    report.map = Some(FeatureMap {
        points: vec![MapPoint { x: f32::NAN, label: 99, ..MapPoint::default() }],
        ..FeatureMap::default()
    });
    report.phases.clear();
    report.data = DataSummary::default();
    let page = render(&report).unwrap();
    assert!(page.contains("No fault.") && !page.contains("NaN"));
}

#[test]
fn a_hundred_classes_stay_readable() {
    let mut report = report("name");
    let class = |i| ClassFigures {
        name: format!("{i}-{}", "long ".repeat(100)),
        n: 1,
        f1: Some(0.5),
        ..ClassFigures::default()
    };
    report.per_class = (0..100).map(class).collect();
    report.confusion = (0..100 * 100).map(|cell| usize::from(cell % 101 == 0)).collect();
    report.confusion[1] = 2;
    let page = render(&report).unwrap();
    assert!(page.contains("85 more classes"));
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(page.contains("Point at a cell"));
}

fn join(plots: Vec<(String, String)>) -> String {
    plots.into_iter().map(|(_, svg)| svg).collect()
}

#[test]
fn the_guard_is_told_in_words() {
    let flat = |text: String| text.replace('\u{202f}', " ");
    let mut report = report("twitter");
    let page = flat(render(&report).unwrap());
    assert!(page.contains("The source helps: 53.1 points fewer errors than without it"), "{page}");
    assert!(page.contains("Classes for which the source hurts"));
    let guard = report.guard.as_mut().unwrap();
    guard.fell_back = true;
    guard.shipped = "pixels".into();
    guard.verdict = "hurts".into();
    let harm = NtGap { value: 0.12, ci: [0.08, 0.16], p: 1e-6, n: 120 };
    guard.nt_gap = Some(harm);
    guard.candidates[1].summary = "16×16 raw pixels".into();
    let said = flat(summary(&report).join("\n"));
    assert!(
        said.contains(
            "The source hurts here: shipped is 16×16 raw pixels, which needs none, as it was ahead on \
             held-out samples; the test agrees: with the source 94.1 % right, −12.0 points"
        ),
        "{said}"
    );
    assert!(!said.contains("transfer bought"), "{said}");
    let page = flat(render(&report).unwrap());
    assert!(page.contains("The source hurts: 12.0 points more errors than without it"));
}
