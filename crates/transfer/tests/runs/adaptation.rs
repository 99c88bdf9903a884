//! Guessing hidden words of unlabelled texts before a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use offshoot_nn::Array;
use offshoot_transfer::run::RunFolder;
use offshoot_transfer::{
    AdaptMlm, EvalPlan, Event, Guard, Method, Phase, TrainPlan, TransferError, evaluate, runs,
    source, train,
};

use super::data::*;
use super::tuning::learned;

fn reference(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
    path.to_str().unwrap().to_owned()
}

/// Labelled reviews, and unlabelled ones, one a line, of the same kind.
fn plan(place: &Place, name: &str) -> TrainPlan {
    let mut rows = String::from("review,verdict\n");
    let mut lines = String::new();
    for i in 0..20 {
        let more = " again and".repeat(i % 5);
        rows.push_str(&format!("\"the weather is lovely,{more} {i} man is playing\",good\n"));
        rows.push_str(&format!("oil prices fell{more} and shares fell {i},bad\n"));
        lines.push_str(&format!("the weather is lovely, a man is playing{more}\n"));
        lines.push_str(&format!("oil prices rose as opec cut its output{more}\n\n"));
    }
    fs::write(place.path("reviews.csv"), rows).unwrap();
    fs::write(place.path("more.txt"), lines).unwrap();
    let texts = place.path("more.txt");
    TrainPlan {
        data: place.path("reviews.csv"),
        model: reference("tiny_bert"),
        adapt_mlm: Some(AdaptMlm { texts, epochs: 3, lr: 3e-3, batch: 8 }),
        name: Some(name.into()),
        ..place.plan()
    }
}

fn updates(event: &Event<'_>) -> bool {
    matches!(event, Event::Progress { phase: Phase::Adapt, .. })
}

#[test]
fn words_are_guessed_better_and_the_run_goes_on_with_what_was_learned() {
    let place = Place::new();
    for method in ["probe", "lp-ft", "lora"] {
        let mut plan = plan(&place, method);
        plan.method = Method::find(method).unwrap();
        plan.finetune.epochs = Some(1);
        let report = train(&plan, &mut ()).unwrap();
        let adapted = report.adapted.clone().unwrap();
        assert_eq!((adapted.texts, adapted.epochs, adapted.updates), (40, 3, 15), "{adapted:?}");
        assert!(adapted.loss_after < 0.9 * adapted.loss_before, "{adapted:?}");
        // The weights are the run's own now.
        assert!(report.run.join("export/backbone.safetensors").is_file());
        assert!(!report.run.join("checkpoints").exists(), "checkpoints of a finished run go");
        let eval = EvalPlan {
            run: report.run.clone(),
            data: plan.data.clone(),
            columns: Default::default(),
            require: BTreeMap::new(),
            batch: 16,
            cache: plan.cache.clone(),
        };
        assert_eq!(evaluate(&eval, &mut ()).unwrap().figures.n, 40);
    }
}

#[test]
fn an_adaptation_that_is_stopped_at_any_update_ends_with_the_same_bits() {
    let place = Place::new();
    let threads = |n: usize, name: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        learned(&pool.install(|| train(&plan(&place, name), &mut ())).unwrap())
    };
    let whole = threads(2, "whole");
    assert_eq!(threads(1, "one"), whole);
    let mut stops = 0;
    for n in 1.. {
        let name = format!("stop-{n}");
        let stopped = train(&plan(&place, &name), &mut stop_after(n, updates));
        let Err(error) = stopped else { break };
        assert_eq!(error.exit_code(), 75, "{error}");
        stops += 1;
        let report = runs::resume(&place.path("runs").join(&name), &mut ()).unwrap();
        assert_eq!(learned(&report), whole, "stopped at update {n}");
        assert_eq!(report.adapted.unwrap().updates, 15);
    }
    assert!(stops >= 15, "only {stops} stops");
    let texts = plan(&place, "x").adapt_mlm.unwrap().texts;
    let before = fs::read_to_string(&texts).unwrap();
    train(&plan(&place, "other"), &mut stop_after(2, updates)).unwrap_err();
    fs::write(&texts, format!("{before}another text\n")).unwrap();
    let error = runs::resume(&place.path("runs/other"), &mut ()).unwrap_err();
    assert!(error.to_string().contains("the unlabelled texts changed"), "{error}");
    fs::write(&texts, before).unwrap();
    // Stopped after it, a run does not adapt again.
    let later = |event: &Event<'_>| matches!(event, Event::Progress { phase: Phase::Extract, .. });
    train(&plan(&place, "later"), &mut stop_after(1, later)).unwrap_err();
    let mut again = 0;
    let mut count = |event: &Event<'_>| {
        again += usize::from(updates(event));
        offshoot_transfer::Flow::Continue
    };
    let report = runs::resume(&place.path("runs/later"), &mut count).unwrap();
    assert_eq!((learned(&report), again), (whole, 0));
}

#[test]
fn rates_that_help_nothing_leave_the_source_and_end_early() {
    let place = Place::new();
    let mut plan = plan(&place, "wild");
    plan.adapt_mlm.as_mut().unwrap().lr = 0.9;
    plan.adapt_mlm.as_mut().unwrap().epochs = 9;
    match train(&plan, &mut ()) {
        Ok(report) => {
            let adapted = report.adapted.unwrap();
            assert!(adapted.loss_after <= adapted.loss_before, "{adapted:?}");
            assert!(adapted.epochs < 9, "{adapted:?}");
        }
        Err(error) => assert_eq!(error.exit_code(), 6, "{error}"),
    }
}

#[test]
fn an_adaptation_is_taken_where_a_head_is_better_with_it_and_not_where_it_is_worse() {
    let place = Place::new();
    for (name, seed) in [("a", 0), ("b", 1), ("c", 2)] {
        let mut plan = plan(&place, name);
        // Classes that texts say nothing about: whether a head is better before or after is chance.
        let rows: String = (0..24)
            .map(|i| {
                let more = ["playing", "fell", "lovely", "prices"][i % 4];
                format!("the man is {more} again {i} and oil rose,{}\n", i * i * 7 % 11 % 2)
            })
            .collect();
        fs::write(place.path("reviews.csv"), format!("review,verdict\n{rows}")).unwrap();
        (plan.guard, plan.seed) = (Guard::On, seed);
        let report = train(&plan, &mut ()).unwrap();
        let worth = report.adapted.clone().unwrap().worth.unwrap();
        // Those of training and validation, each once.
        assert_eq!(worth.samples, 24 - report.splits["test"]);
        let gain = worth.log_loss_before - worth.log_loss_after;
        assert!((gain - worth.gain).abs() < 1e-12 && worth.gain_error > 0.0, "{worth:?}");
        // This encoder has no head that guesses words: it stays as it is unless it is surely better otherwise.
        let asked = source::open(&plan.model, 0).unwrap().network.unwrap().1;
        assert!(!asked.contains_key("mlm.dense.weight"));
        assert_eq!(worth.kept, worth.gain > worth.gain_error, "{worth:?}");
        let log = fs::read_to_string(report.run.join("log.txt")).unwrap();
        assert_eq!(log.contains("the adapted encoder is taken"), worth.kept);
        let (_, record) = RunFolder::open(&report.run).unwrap();
        // Where the guard ships words in place of either, there is no encoder.
        if record.model.encoder.is_some_and(|encoder| encoder.family == "bert") {
            assert_eq!(record.model.tuned_from_sha256.is_some(), worth.kept);
        }
    }
}

#[test]
fn texts_of_the_test_split_are_left_out() {
    let place = Place::new();
    let mut plan = plan(&place, "own");
    // The labelled table itself, of which a fifth judges.
    plan.adapt_mlm.as_mut().unwrap().texts = plan.data.clone();
    let report = train(&plan, &mut ()).unwrap();
    assert_eq!(report.adapted.unwrap().texts, 40 - report.splits["test"]);
}

#[test]
fn what_cannot_guess_words_is_refused() {
    let place = Place::new();
    let refused = |change: &dyn Fn(&mut TrainPlan)| -> TransferError {
        let mut plan = plan(&place, "refused");
        plan.name = None;
        change(&mut plan);
        train(&plan, &mut ()).unwrap_err()
    };
    let error = refused(&|plan| plan.model = reference("tiny_table"));
    assert!(error.to_string().contains("guess"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let few = place.path("few.txt");
    fs::write(&few, "one\ntwo\n").unwrap();
    let error = refused(&|plan| plan.adapt_mlm.as_mut().unwrap().texts.clone_from(&few));
    assert_eq!(error.exit_code(), 3, "{error}");
    let error = refused(&|plan| plan.adapt_mlm.as_mut().unwrap().epochs = 0);
    assert_eq!(error.exit_code(), 2, "{error}");
}

#[test]
fn the_head_of_a_checkpoint_guesses_from_the_start() {
    let place = Place::new();
    let folder = place.path("with-head");
    let bert = reference("tiny_bert");
    for entry in fs::read_dir(&bert).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::create_dir_all(&folder).unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let pooling = "1_Pooling/config.json";
    fs::copy(Path::new(&bert).join(pooling), folder.join(pooling)).unwrap();
    let weights = folder.join("model.safetensors");
    let mut params = offshoot_weights::read(&weights).unwrap().params;
    let words = params["embeddings.word_embeddings.weight"].shape[0];
    let mut add = |key: &str, shape: &[usize], value: f32| {
        let data = vec![value; shape.iter().product()];
        params.insert(
            format!("cls.predictions.{key}"),
            Array { shape: shape.to_vec(), data: data.into() },
        );
    };
    // A norm of scale zero: whatever the text, the bias alone guesses.
    add("transform.dense.weight", &[32, 32], 0.1);
    add("transform.dense.bias", &[32], 0.0);
    add("transform.LayerNorm.weight", &[32], 0.0);
    add("transform.LayerNorm.bias", &[32], 0.0);
    add("bias", &[words], 0.0);
    let f32 = offshoot_weights::Precision::F32;
    offshoot_weights::write_safetensors(&weights, &params, &BTreeMap::new(), f32).unwrap();
    let model = folder.to_str().unwrap();
    let (_, params) = source::open(model, 0).unwrap().network.unwrap();
    assert_eq!(params["mlm.bias"].data.len(), words);
    let mut plan = plan(&place, "head");
    plan.model = model.to_owned();
    plan.adapt_mlm.as_mut().unwrap().epochs = 1;
    let adapted = train(&plan, &mut ()).unwrap().adapted.unwrap();
    let even = (words as f64).ln();
    assert!((adapted.loss_before - even).abs() < 1e-4, "{adapted:?}, expected {even}");
}
