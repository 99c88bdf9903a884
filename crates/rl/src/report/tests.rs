use super::*;
use crate::film::Film;
use crate::world::find;
use offshoot_random::generator;
use rand::RngExt;

/// Ten seeds that rise from `start` at `speed` to `end`.
fn way(method: &str, start: f64, speed: f64, end: f64) -> Way {
    let steps: Vec<f64> = (0..=20).map(|i| 2500.0 * f64::from(i)).collect();
    let returns = (0..10)
        .map(|seed| {
            let mut draws = generator(3, method, 0, seed);
            let top = end * draws.random_range(0.9..1.0);
            steps
                .iter()
                .map(|s| {
                    let noise = draws.random_range(-8.0..8.0);
                    top + (start - top) * (-speed * s / 50_000.0).exp() + noise
                })
                .collect()
        })
        .collect();
    let curves = ReturnCurves::new(steps, returns).unwrap();
    Way { method: method.into(), summary: format!("{method} in words"), curves, seconds: 12.5 }
}

fn study(methods: Vec<Way>) -> Study {
    let kind = find("cart-pole").unwrap();
    let facts =
        |settings: &[(String, f64)]| WorldFacts::of(kind, &Constants::of(kind, settings).unwrap());
    Study {
        run: "runs/x".into(),
        source: facts(&[]),
        target: facts(&[("gravity".into(), 15.0), ("length".into(), 1.5)]),
        learner: "ppo".into(),
        threshold: Some(400.0),
        source_steps: 50_000,
        episodes: 10,
        scratch: way(SCRATCH, 20.0, 3.0, 480.0),
        methods,
        seed: 0,
        seconds: 61.0,
        created: "2026-11-27T12:00:00Z".into(),
    }
}

#[test]
fn a_good_source_is_shipped_and_said_to_be_good() {
    let report =
        judge(&study(vec![way("frozen", 90.0, 4.0, 430.0), way("warm-start", 200.0, 8.0, 490.0)]))
            .unwrap();
    assert_eq!((report.best.as_str(), report.shipped.as_str()), ("warm-start", "warm-start"));
    assert_eq!((report.verdict, report.fell_back), (Verdict::Helps, false));
    let ratio = report.figures.time_to_threshold.unwrap();
    assert!(ratio < 0.5, "{ratio}");
    assert!(report.headline.contains("warm-start"), "{}", report.headline);
    assert!(report.figures.jumpstart > 150.0);
    // 50,000 steps of the source are more than was saved.
    assert!(report.figures.time_to_threshold_with_source.unwrap() > 1.0);
    assert!(report.sentences.iter().any(|s| s.contains("costs more than it brings")));
}

#[test]
fn a_harmful_source_is_called_and_scratch_is_shipped() {
    let report = judge(&study(vec![way("warm-start", 5.0, 0.5, 300.0)])).unwrap();
    assert_eq!((report.verdict, report.fell_back), (Verdict::Hurts, true));
    assert_eq!(report.shipped, SCRATCH);
    assert!(report.figure.starts_with('−'), "{}", report.figure);
    assert!(report.sentences.iter().any(|s| s.contains("Negative transfer: warm-start")));
    assert!(report.sentences[0].contains("returns less on the way"), "{:?}", report.sentences);
    // Never there: no bound is a number.
    assert_eq!(report.figures.time_to_threshold_ci, Some([None, None]));
    // What is as good on the way but worse in the end is not shipped either.
    let fades = judge(&study(vec![way("frozen", 400.0, 3.0, 350.0)])).unwrap();
    assert!(fades.figures.asymptotic_ci[1] < 0.0);
    assert_eq!((fades.fell_back, fades.shipped.as_str()), (true, SCRATCH));
    assert!(fades.sentences[0].contains("returns less in the end"), "{:?}", fades.sentences);
    // One that is late and then the same is called, and not said to return more or less in the end.
    let mut late = study(vec![way(SCRATCH, 20.0, 3.0, 480.0)]);
    let delayed = |seed: &Vec<f64>| -> Vec<f64> {
        let keep = |(i, v): (usize, &f64)| if i < 10 { 0.0 } else { *v };
        seed.iter().enumerate().map(keep).collect()
    };
    let steps = late.scratch.curves.steps().to_vec();
    let delayed = late.scratch.curves.returns().iter().map(delayed).collect();
    late.methods[0].curves = ReturnCurves::new(steps, delayed).unwrap();
    let late = judge(&late).unwrap();
    assert!(late.sentences[1].contains("in the end as much as scratch"), "{:?}", late.sentences);
    assert!(late.sentences[0].contains("returns less on the way"), "{:?}", late.sentences);
}

#[test]
fn no_difference_is_unclear_and_not_a_reason_to_fall_back() {
    let mut same = way("warm-start", 20.0, 3.0, 480.0);
    // Another draw of the same.
    same.curves = way("another", 20.0, 3.0, 480.0).curves;
    let report = judge(&study(vec![same])).unwrap();
    assert_eq!((report.verdict, report.fell_back), (Verdict::Unclear, false));
    assert!(report.headline.contains("cannot tell"), "{}", report.headline);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    assert!(judge(&study(vec![])).unwrap_err().to_string().contains("no method"));
    let mut odd = way("warm-start", 20.0, 3.0, 480.0);
    odd.curves = ReturnCurves::new(vec![0.0, 1.0], vec![vec![0.0, 1.0]; 10]).unwrap();
    let message = judge(&study(vec![odd])).unwrap_err().to_string();
    assert!(message.starts_with("`warm-start` against scratch"), "{message}");
}

#[test]
fn keys_of_the_document_are_stable() {
    let report = judge(&study(vec![way("warm-start", 200.0, 8.0, 490.0)])).unwrap();
    let value = serde_json::to_value(&report).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let figures = "asymptotic asymptotic_ci jumpstart jumpstart_ci reached scratch_reached \
        scratch_steps_to_threshold steps_to_threshold time_is_upper_bound time_to_threshold \
        time_to_threshold_ci time_to_threshold_with_source time_to_threshold_with_source_ci \
        total_reward total_reward_ci total_reward_with_source total_reward_with_source_ci \
        transfer_ratio transfer_ratio_ci worth";
    let with = |others: &str| {
        let mut all: Vec<String> = figures
            .split_whitespace()
            .chain(others.split_whitespace())
            .map(str::to_owned)
            .collect();
        all.sort_unstable();
        all
    };
    let sorted = |mut keys: Vec<String>| {
        keys.sort_unstable();
        keys
    };
    let top = "best command created episodes fell_back figure headline learner methods resamples \
        run schema seconds seeds sentences shipped source source_steps target threshold verdict \
        version";
    assert_eq!(sorted(keys(&value)), with(top));
    let methods = value["methods"].as_array().unwrap();
    assert_eq!(sorted(keys(&methods[0])), ["curve", "method", "seconds", "summary"]);
    assert_eq!(sorted(keys(&methods[1])), with("curve method seconds summary"));
    assert_eq!(sorted(keys(&methods[1]["curve"][0])), ["median", "quartiles", "returns", "steps"]);
    let read: TransferReport = serde_json::from_value(value).unwrap();
    assert_eq!(read, report);
}

#[test]
fn the_page_shows_everything_and_runs_nothing() {
    let mut study = study(vec![way("warm-start", 200.0, 8.0, 490.0)]);
    study.methods[0].method = "<script>alert(1)</script>".into();
    study.target.constants.insert("<img src=x>".into(), 1.0);
    let report = judge(&study).unwrap();
    let mut world = find("cart-pole").unwrap().make(&[]).unwrap();
    let film = Film::shoot(world.as_mut(), &mut generator(0, "film", 0, 0), 6, |seen, action| {
        action.push(f32::from(u8::from(seen[2] + 0.3 * seen[3] > 0.0)));
    });
    assert_eq!(film.length, 500);
    let (page, drawings) = render(&report, &[film.strip("film-0", "Balancing")]).unwrap();
    assert_eq!(drawings.len(), 2);
    for bad in ["<script", "<img", "NaN", "http-equiv=\"refresh"] {
        assert!(!page.contains(bad), "{bad}");
    }
    for good in
        ["Balancing", "step 500", "Of scratch’s", "gravity", "solved at 400", "&lt;script&gt;"]
    {
        assert!(page.contains(good) || page.contains(&good.replace('<', "&#60;")), "{good}");
    }
    // Neither does it load anything.
    let links = page.matches("http").count() - page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(links, page.matches("http-equiv").count());
}
