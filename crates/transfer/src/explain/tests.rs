//! Contributions are differences of answers that anybody can get.

use std::fs;
use std::path::Path;

use super::page::explanation_page;
use super::*;
use crate::{CachePlan, PredictPlan, TrainPlan, predict, train};

const TEXTS: [&str; 4] = [
    "the weather is lovely and a man is playing",
    "oil prices fell again and shares fell",
    "a lovely lovely day for oil",
    "man",
];

fn trained(place: &Path, data: &str, model: &str) -> PathBuf {
    let plan = TrainPlan {
        data: place.join(data),
        model: model.into(),
        runs_dir: place.join("runs"),
        name: Some("run".into()),
        cache: CachePlan { enabled: false, ..CachePlan::default() },
        guard: crate::Guard::Off,
        ..TrainPlan::default()
    };
    train(&plan, &mut ()).unwrap().run
}

fn reviews(place: &Path) -> PathBuf {
    let mut rows = String::from("review,verdict\n");
    for i in 0..30 {
        rows.push_str(&format!("\"the weather is lovely, {i} man is playing\",good\n"));
        rows.push_str(&format!("oil prices fell and shares fell {i},bad\n"));
    }
    fs::write(place.join("reviews.csv"), rows).unwrap();
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tiny_bert");
    trained(place, "reviews.csv", encoder.to_str().unwrap())
}

fn plan(run: &Path) -> ExplainPlan {
    ExplainPlan {
        run: run.into(),
        columns: ColumnNames::default(),
        class: None,
        answers: 256,
        batch: 4,
    }
}

fn explained(plan: &ExplainPlan, input: PredictInput) -> Vec<Explanation> {
    let mut all = Vec::new();
    let report = explain(plan, input, &mut (), &mut |one| {
        all.push(one.clone());
        Ok(())
    });
    assert_eq!(report.unwrap().rows, all.iter().filter(|one| one.error.is_none()).count());
    all
}

/// The probability of `class` for each input, by `predict`.
fn predicted(run: &Path, input: PredictInput, class: &str) -> Vec<f64> {
    let plan = PredictPlan {
        run: run.into(),
        columns: Default::default(),
        top: 9,
        promised: 0.9,
        batch: 3,
    };
    let mut all = Vec::new();
    let mut sink = |batch: &[crate::Prediction]| {
        let of = |p: &crate::Prediction| p.top.iter().find(|(name, _)| name == class).unwrap().1;
        all.extend(batch.iter().map(of));
        Ok(())
    };
    predict(&plan, input, &mut (), &mut sink).unwrap();
    all
}

fn lines(lines: &[String]) -> PredictInput {
    PredictInput::Stream(Box::new(std::io::Cursor::new(lines.join("\n"))))
}

#[test]
fn contributions_of_words_are_what_answers_lose_without_them() {
    let place = tempfile::tempdir().unwrap();
    let run = reviews(place.path());
    let typed = TEXTS.map(String::from);
    for one in explained(&plan(&run), PredictInput::Typed(typed.to_vec())) {
        let text = one.text.as_deref().unwrap();
        let class = one.class.as_deref().unwrap();
        assert_eq!(one.class, one.label);
        let words: Vec<&str> = one.words.iter().map(|part| part.word.as_str()).collect();
        assert_eq!(words, text.split(' ').collect::<Vec<_>>());
        if words.len() == 1 {
            // A line without words is no input of `predict`.
            continue;
        }
        let without = |part: &crate::documents::Part| {
            format!("{} {}", &text[..part.start], &text[part.end..]).trim().to_owned()
        };
        let changed: Vec<String> = one.words.iter().map(without).collect();
        let whole = predicted(&run, lines(&[text.to_owned()]), class)[0];
        assert_eq!(one.class_probability, Some(whole));
        for (part, without) in one.words.iter().zip(predicted(&run, lines(&changed), class)) {
            assert_eq!(part.probability, without, "{text}: {}", part.word);
            assert_eq!(part.contribution, log_odds(whole) - log_odds(without), "{}", part.word);
        }
    }
}

#[test]
fn another_class_can_be_asked_about_and_two_classes_mirror_each_other() {
    let place = tempfile::tempdir().unwrap();
    let run = reviews(place.path());
    let of = |class: &str| {
        let plan = ExplainPlan { class: Some(class.into()), ..plan(&run) };
        explained(&plan, PredictInput::Typed(vec![TEXTS[2].into()])).remove(0)
    };
    let (good, bad) = (of("good"), of("bad"));
    for (a, b) in good.words.iter().zip(&bad.words) {
        assert!((a.contribution + b.contribution).abs() < 1e-9);
    }
    let plan = ExplainPlan { class: Some("ugly".into()), ..plan(&run) };
    let refused = explain(&plan, PredictInput::Typed(vec!["x".into()]), &mut (), &mut |_| Ok(()));
    assert!(refused.unwrap_err().to_string().contains("unknown class `ugly`"));
}

#[test]
fn long_texts_are_asked_about_in_windows_that_cover_what_was_read() {
    let place = tempfile::tempdir().unwrap();
    let run = reviews(place.path());
    let text = "lovely weather, ".repeat(400);
    let plan = ExplainPlan { answers: 8, ..plan(&run) };
    let one = explained(&plan, PredictInput::Typed(vec![text.clone()])).remove(0);
    assert!(one.cut && one.words.len() <= 8 && one.words.len() > 4, "{}", one.words.len());
    for pair in one.words.windows(2) {
        assert!(text[pair[0].end..pair[1].start].trim().is_empty());
    }
    let page = explanation_page("run", &[one]).unwrap();
    assert!(page.contains("The end of the text was not read."));
}

#[test]
fn contributions_of_patches_are_what_answers_lose_when_they_are_painted_over() {
    let place = tempfile::tempdir().unwrap();
    let side = 16;
    let picture = |class: usize, number: usize| -> Vec<u8> {
        let noise = |i: usize| ((((number * 7919 + i * 131) * 2654435761) >> 16) & 63) as u8;
        let stripe = |i: usize| [i / side / 2 % 2, i % side / 2 % 2][class] as u8 * 150;
        (0..side * side).map(|i| stripe(i) + noise(i)).collect()
    };
    let write = |name: &str, pixels: &[u8]| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let header = format!("P5 {side} {side} 255\n");
        fs::write(&path, [header.as_bytes(), pixels].concat()).unwrap();
        path
    };
    for i in 0..24 {
        write(&format!("data/{}/{i}.pgm", ["across", "down"][i % 2]), &picture(i % 2, i));
    }
    let run = trained(place.path(), "data", "random:digits_usps");
    let new = picture(0, 99);
    let path = write("new.pgm", &new);
    let one = explained(&plan(&run), PredictInput::Paths(vec![path.clone()])).remove(0);
    let class = one.class.clone().unwrap();
    let patches = one.patches.clone().unwrap();
    assert_eq!((patches.side, patches.contributions.len()), (8, 64));

    let (folder, record) = RunFolder::open(&run).unwrap();
    let (_, source) = Trained::load(&folder, &record).unwrap();
    let mean = source.pictures().unwrap().spec().mean[0];
    let grey = (255.0 * mean).round() as u8;
    let painted: Vec<PathBuf> = (0..64)
        .map(|patch| {
            let inside = |i: usize| i / side / 2 == patch / 8 && i % side / 2 == patch % 8;
            let pixels: Vec<u8> =
                new.iter().enumerate().map(|(i, &v)| if inside(i) { grey } else { v }).collect();
            write(&format!("painted/{patch:02}.pgm"), &pixels)
        })
        .collect();
    let whole = predicted(&run, PredictInput::Paths(vec![path]), &class)[0];
    let without = predicted(&run, PredictInput::Paths(painted), &class);
    assert_eq!(patches.probabilities, without);
    for (contribution, p) in patches.contributions.iter().zip(without) {
        assert_eq!(*contribution, log_odds(whole) - log_odds(p));
    }
    assert!(explanation_page("run", &[one]).unwrap().contains("data:image/png;base64,"));
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let part = |word: &str, start: usize| crate::documents::Part {
        word: word.into(),
        of: "text".into(),
        start,
        end: start + word.len(),
        contribution: 1.0,
        probability: 0.5,
    };
    let told = |text: &str| Explanation {
        label: Some(text.into()),
        class: Some(format!("{text}2")),
        text: Some(text.into()),
        pair: Some(text.into()),
        words: vec![part(text, 0)],
        error: None,
        ..Explanation::of(text)
    };
    let tags = |text: &str| {
        let failed = Explanation { error: Some(text.into()), ..Explanation::of(text) };
        let page = explanation_page(text, &[told(text), failed]).unwrap();
        let name = |rest: &str| rest.split(['>', ' ', '\n']).next().unwrap().to_owned();
        page.split('<').skip(1).map(name).collect::<Vec<_>>()
    };
    let harmless = tags("name");
    for attack in ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</mark><!--"] {
        assert_eq!(tags(attack), harmless, "{attack}");
    }
}
