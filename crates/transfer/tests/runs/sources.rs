//! Several sources, whole: tables of words that know different words of the same texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use offshoot_random::generator;
use offshoot_transfer::run::RunFolder;
use offshoot_transfer::{
    EvalPlan, ExplainPlan, ExportPlan, Form, Guard, Method, PredictInput, PredictPlan,
    SourceReport, TrainPlan, TrainReport, TransferError, dry_run, evaluate, explain, export,
    predict, redraw, runs, train, verify,
};
use rand::RngExt;

use super::data::*;

const TOPICS: usize = 3;
/// Words of each topic that one source knows.
const SYNONYMS: usize = 12;
const FILLERS: usize = 60;

/// `n` in letters, so that a tokenizer takes it for a word.
fn letters(n: usize) -> String {
    [n / 26, n % 26].map(|digit| char::from(b'a' + digit as u8)).iter().collect()
}

/// A word that says its topic, to who knows the lexicon.
fn topical(lexicon: usize, topic: usize, synonym: usize) -> String {
    format!("l{}t{}s{}", letters(lexicon), letters(topic), letters(synonym))
}

fn filler(n: usize) -> String {
    format!("filler{}", letters(n))
}

/// A text of filler words and one word of its topic, from one of `lexicons`.
fn write_texts(place: &Place, lexicons: usize, each: usize) -> PathBuf {
    let mut rows = String::from("text,label\n");
    for i in 0..each * TOPICS {
        let mut rng = generator(1, "texts", 0, i as u64);
        let mut draw = |n: usize| rng.random_range(0..n);
        let word = topical(draw(lexicons), i % TOPICS, draw(SYNONYMS));
        let mut words: Vec<String> = (0..7).map(|_| filler(draw(FILLERS))).collect();
        words.insert(draw(7), word);
        rows.push_str(&format!("{},topic{}\n", words.join(" "), i % TOPICS));
    }
    let path = place.path("texts.csv");
    fs::write(&path, rows).unwrap();
    path
}

/// A table of words whose vectors are `vector(word)`, as a folder.
fn write_table(place: &Place, name: &str, d: usize, vector: impl Fn(&str) -> Vec<f32>) -> String {
    let folder = place.path(name);
    fs::create_dir_all(&folder).unwrap();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let mut words = special.to_vec();
    for lexicon in 0..3 {
        for topic in 0..TOPICS {
            words.extend((0..SYNONYMS).map(|synonym| topical(lexicon, topic, synonym)));
        }
    }
    words.extend((0..FILLERS).map(filler));
    fs::write(folder.join("vocab.txt"), words.join("\n")).unwrap();
    let config = r#"{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}"#;
    fs::write(folder.join("tokenizer_config.json"), config).unwrap();
    let values: Vec<u8> =
        words.iter().flat_map(|word| vector(word)).flat_map(f32::to_le_bytes).collect();
    let header = format!(
        r#"{{"embedding.weight":{{"dtype":"F32","shape":[{},{d}],"data_offsets":[0,{}]}}}}"#,
        words.len(),
        values.len()
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(values);
    fs::write(folder.join("model.safetensors"), file).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// Draws `d` values from a word.
fn drawn(word: &str, d: usize) -> Vec<f32> {
    let mut rng = generator(7, word, 0, 0);
    (0..d).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Knows the topics of one lexicon, and nothing of other words. What words have beside their topic is `own` long.
fn knowing(place: &Place, lexicon: usize, own: f32) -> String {
    const D: usize = 8;
    write_table(place, &format!("lexicon{lexicon}"), D, |word| {
        let known = (0..TOPICS)
            .find(|&topic| word.starts_with(&format!("l{}t{}", letters(lexicon), letters(topic))));
        let Some(topic) = known else { return vec![0.0; D] };
        let drawn = drawn(word, D);
        (0..D).map(|k| f32::from(u8::from(k % TOPICS == topic)) + own * drawn[k]).collect()
    })
}

/// Knows filler words only, which say nothing of a topic.
fn noise(place: &Place) -> String {
    const D: usize = 100;
    write_table(place, "noise", D, |word| match word.starts_with("filler") {
        true => drawn(word, D),
        false => vec![0.0; D],
    })
}

fn plan(place: &Place, models: &[&str]) -> TrainPlan {
    TrainPlan { data: place.path("texts.csv"), model: models.join(","), ..place.plan() }
}

fn told<'a>(report: &'a TrainReport, model: &str) -> &'a SourceReport {
    report.sources.iter().find(|told| told.model == model).unwrap()
}

#[test]
fn noise_is_named_and_left_out() {
    let place = Place::new();
    write_texts(&place, 1, 160);
    let (good, noise) = (knowing(&place, 0, 2.0), noise(&place));
    let plan = TrainPlan { guard: Guard::On, ..plan(&place, &[&good, &noise]) };
    let report = train(&plan, &mut ()).unwrap();
    println!("{:#?}", report.sources);
    let bad = told(&report, &noise);
    // Whether it surely harms is for the samples to say; that it is left out is not.
    assert!(bad.left_out.is_some() && bad.weight == 0.0);
    assert!(bad.harm.unwrap() > 0.0);
    assert!(told(&report, &good).left_out.is_none());
    let gaps = &report.guard.as_ref().unwrap().by_source;
    println!("{gaps:?}");
    assert!(gaps.len() == 2 && gaps[1].source == noise);
    assert!(gaps[0].gap.value < 0.0, "without the good one nothing is known");
    let page = fs::read_to_string(report.run.join("report.html")).unwrap();
    assert!(page.contains("What each source is worth") && page.contains("left out: it "));
    // What stays alone is a source like any other; a guard might ship words instead of it.
    let plan = TrainPlan { guard: Guard::Off, ..plan };
    let both = train(&plan, &mut ()).unwrap();
    assert_eq!(both.model, good);
    let alone = train(&TrainPlan { model: good, ..plan }, &mut ()).unwrap();
    assert_eq!(alone.figures, both.figures);
}

/// Three sources that each know a third of the words.
fn three(place: &Place) -> TrainPlan {
    write_texts(place, 3, 80);
    let models = [0, 1, 2].map(|lexicon| knowing(place, lexicon, 0.5));
    plan(place, &models.each_ref().map(String::as_str))
}

#[test]
fn three_sources_that_help_stay_and_are_worth_more_than_each() {
    let place = Place::new();
    let plan = three(&place);
    let report = train(&plan, &mut ()).unwrap();
    println!("{:#?}", report.sources);
    assert_eq!(report.sources.len(), 3);
    for told in &report.sources {
        assert!(told.left_out.is_none() && told.weight > 0.3, "{told:?}");
        assert!(told.harm_ci.unwrap()[1] < 0.0, "{told:?}");
    }
    let one = TrainPlan { model: plan.model.split(',').next().unwrap().into(), ..plan.clone() };
    let one = train(&one, &mut ()).unwrap();
    assert!(report.figures.accuracy > one.figures.accuracy + 0.2);
    assert!(one.sources.is_empty());

    // The run can be used without the folders that it came from.
    let (folder, record) = RunFolder::open(&report.run).unwrap();
    assert_eq!((record.model.parts.len(), record.model.dim), (3, 24));
    for lexicon in 0..3 {
        fs::remove_dir_all(place.path(&format!("lexicon{lexicon}"))).unwrap();
    }
    assert!(folder.verify(&record, "").is_ok());
    let eval = EvalPlan {
        run: report.run.clone(),
        data: place.path("texts.csv"),
        columns: Default::default(),
        require: BTreeMap::new(),
        batch: 16,
        cache: place.cache(),
    };
    assert_eq!(evaluate(&eval, &mut ()).unwrap().figures.n, 240);
    let ask = PredictPlan {
        run: report.run.clone(),
        columns: Default::default(),
        top: 1,
        promised: 0.9,
        batch: 4,
    };
    let text = format!("fillera {} {} fillerb", topical(2, 1, 3), topical(1, 1, 4));
    let mut labels = Vec::new();
    let inputs = || PredictInput::Typed(vec![text.clone()]);
    predict(&ask, inputs(), &mut (), &mut |batch| {
        labels.extend(batch.iter().map(|p| p.label.clone()));
        Ok(())
    })
    .unwrap();
    assert_eq!(labels, [Some("topic1".to_string())]);

    // Each topical word speaks for the answer, whichever source knows it.
    let ask = ExplainPlan {
        run: report.run.clone(),
        columns: Default::default(),
        class: Some("topic1".into()),
        answers: 64,
        batch: 8,
    };
    explain(&ask, inputs(), &mut (), &mut |told| {
        assert_eq!(told.words.len(), 4, "{told:?}");
        for (word, speaks) in told.words.iter().zip([false, true, true, false]) {
            assert_eq!(word.contribution > 0.3, speaks, "{word:?}");
        }
        Ok(())
    })
    .unwrap();
    redraw(&report.run).unwrap();
    verify(&report.run, &mut ()).unwrap();
    let asked = ExportPlan { run: report.run.clone(), form: Form::Hf, out: place.path("out") };
    let refused = export(&asked, &mut ()).unwrap_err();
    assert!(refused.exit_code() == 2 && refused.to_string().contains("3 sources"), "{refused}");
    assert!(!place.path("out").exists());
}

#[test]
fn a_stopped_run_of_several_sources_ends_with_the_same_bits_for_any_number_of_threads() {
    let place = Place::new();
    let named =
        |name: &str| TrainPlan { name: Some(name.into()), guard: Guard::On, ..three(&place) };
    let bits = |report: &TrainReport| {
        (
            sha(&report.run.join("export/model.safetensors")),
            report.figures.clone(),
            report.sources.clone(),
            report.guard.as_ref().unwrap().by_source.clone(),
        )
    };
    let whole = bits(&train(&named("whole"), &mut ()).unwrap());
    for n in [20, 60, 90] {
        let name = format!("stop-{n}");
        let error = match train(&named(&name), &mut stop_after(n, |_| true)) {
            Err(error) => error,
            Ok(_) => continue,
        };
        assert!(matches!(error, TransferError::Stopped { run: Some(_) }), "{n}: {error}");
        let again = runs::resume(&place.path("runs").join(&name), &mut ()).unwrap();
        assert_eq!(bits(&again), whole, "stopped at event {n}");
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let plan = named(&format!("threads-{threads}"));
        assert_eq!(pool.install(|| bits(&train(&plan, &mut ()).unwrap())), whole);
    }
}

#[test]
fn pictures_go_through_sources_of_different_sizes() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    let models = "random:digits_usps,pixels,random:digits_svhn";
    let plan = TrainPlan { model: models.into(), ..place.plan() };
    let estimate = dry_run(&plan, &mut ()).unwrap();
    assert_eq!(estimate.estimate.cached, 0);
    let report = train(&plan, &mut ()).unwrap();
    println!("{:#?}", report.sources);
    assert_eq!(report.sources.len(), 3);
    assert!(report.figures.accuracy > 0.8);
    let (_, record) = RunFolder::open(&report.run).unwrap();
    if record.model.parts.is_empty() {
        return;
    }
    let ask = ExplainPlan {
        run: report.run.clone(),
        columns: Default::default(),
        class: None,
        answers: 64,
        batch: 8,
    };
    let inputs = PredictInput::Paths(vec![place.path("data/down/0003.pgm")]);
    let mut patches = 0;
    explain(&ask, inputs, &mut (), &mut |told| {
        patches = told.patches.as_ref().unwrap().contributions.len();
        Ok(())
    })
    .unwrap();
    assert!(patches > 4, "{patches}");
    // Everything was in the cache of each source.
    assert!(dry_run(&plan, &mut ()).unwrap().estimate.cached >= 55);
}

#[test]
fn what_several_sources_cannot_do_is_refused_before_any_work() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 8, 0);
    write_texts(&place, 1, 10);
    let several = || TrainPlan { model: "pixels,random:digits_usps".into(), ..place.plan() };
    let refused = |plan: TrainPlan, says: &str| {
        let error = train(&plan, &mut ()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(says), "{error}");
        let left = fs::read_dir(place.path("runs")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{says}");
    };
    let method = Method::find("lp-ft").unwrap();
    refused(TrainPlan { method, ..several() }, "tunes one network");
    refused(TrainPlan { layer: Some("1".into()), ..several() }, "--layer");
    refused(TrainPlan { weighting: "nothing".into(), ..several() }, "unknown weighting");
    let named = |model: &str| TrainPlan { model: model.into(), ..several() };
    refused(named("pixels,pixels"), "named twice");
    refused(named("pixels,auto"), "does not name a source");
    refused(named("pixels,"), "does not name a source");
    refused(named("pixels,nothing"), "unknown model `nothing`");
    let words = knowing(&place, 0, 0.5);
    refused(named(&format!("pixels,{words}")), "the data holds no texts");
}
