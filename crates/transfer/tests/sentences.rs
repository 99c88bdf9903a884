//! Tokens and sentence vectors equal Hugging Face transformers'; a run on texts goes its whole way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use offshoot_data::{Input, Text};
use offshoot_transfer::{
    CachePlan, EvalPlan, ExportPlan, ExtractPlan, Form, Precision, PredictInput, PredictPlan,
    Prediction, Ready, TrainPlan, TransferError, evaluate, export, extract, predict, source, train,
    verify,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Repeated { repeat: String, times: usize },
    Pair([Box<Written>; 2]),
}

#[derive(Deserialize)]
struct Expected {
    text: Written,
    ids: Vec<u32>,
    row: Vec<f32>,
}

impl Written {
    fn text(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Repeated { repeat, times } => repeat.repeat(*times),
            Self::Pair(_) => panic!("a pair is not one text"),
        }
    }

    fn input(&self) -> Input {
        Input::Text(match self {
            Self::Pair([text, pair]) => {
                Text { text: text.text().into(), pair: Some(pair.text().into()) }
            }
            one => Text::from(one.text().as_str()),
        })
    }
}

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

fn expected() -> BTreeMap<String, Vec<Expected>> {
    serde_json::from_slice(&fs::read(reference().join("sentences.json")).unwrap()).unwrap()
}

fn compare(folder: &Path, expected: &[Expected]) {
    let source = source::open(folder.to_str().unwrap(), 0).unwrap();
    let dim = source.engine.dim();
    let mut inputs = Vec::new();
    for one in expected {
        let ready = source.inputs.prepare(&one.text.input()).unwrap();
        let Ready::Tokens(tokens) = &ready else { panic!("no tokens") };
        assert_eq!(tokens.ids, one.ids);
        inputs.push(ready);
    }
    let mut rows = vec![0.0; inputs.len() * dim];
    source.engine.run(&inputs.iter().collect::<Vec<_>>(), &mut rows).unwrap();
    let mut worst = 0f32;
    for (row, one) in rows.chunks_exact(dim).zip(expected) {
        assert_eq!(row.len(), one.row.len());
        let largest = one.row.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (a, b) in row.iter().zip(&one.row) {
            worst = worst.max((a - b).abs() / largest.max(1.0));
        }
    }
    println!("{}: {} texts, largest difference {worst:.1e}", folder.display(), expected.len());
    assert!(worst < 1e-4);
}

#[test]
fn tiny_encoders_equal_transformers() {
    let expected = expected();
    for name in ["tiny_bert", "tiny_roberta"] {
        compare(&reference().join(name), &expected[name]);
    }
}

#[test]
fn minilm_equals_transformers() {
    let Some(folder) = std::env::var_os("OFFSHOOT_MINILM") else {
        println!("skipped: OFFSHOOT_MINILM names no folder; tests/reference/fetch_minilm.sh");
        return;
    };
    compare(Path::new(&folder), &expected()["all-minilm-l6-v2"]);
}

/// Reviews of two classes, 60 of each, as a table.
fn reviews() -> String {
    let mut rows = String::from("review,verdict\n");
    for i in 0..60 {
        rows.push_str(&format!("\"the weather is lovely, {i} man is playing\",good\n"));
        rows.push_str(&format!("oil prices fell and shares fell {i},bad\n"));
    }
    rows
}

fn tiny_bert() -> String {
    reference().join("tiny_bert").to_str().unwrap().to_owned()
}

#[test]
fn a_table_of_texts_becomes_a_classifier() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::write(path("reviews.csv"), reviews()).unwrap();
    let cache = CachePlan { dir: Some(path("cache")), ..CachePlan::default() };
    let plan = TrainPlan {
        data: path("reviews.csv"),
        model: tiny_bert(),
        baselines: true,
        runs_dir: path("runs"),
        name: Some("reviews".into()),
        cache: cache.clone(),
        guard: offshoot_transfer::Guard::Off,
        ..TrainPlan::default()
    };
    let report = train(&plan, &mut ()).unwrap();
    assert!(report.figures.accuracy > 0.9, "{:?}", report.figures);
    let baselines: Vec<&str> = report.baselines.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(baselines, ["majority", "random"]);
    // The run is complete without the folder that the encoder came from.
    assert!(report.run.join("export/tokenizer.json").is_file());
    assert!(report.run.join("export/backbone.safetensors").is_file());

    let plan = EvalPlan {
        run: report.run.clone(),
        data: path("reviews.csv"),
        columns: Default::default(),
        require: Default::default(),
        batch: 4,
        cache: cache.clone(),
    };
    assert_eq!(evaluate(&plan, &mut ()).unwrap().figures.n, 120);

    let plan = PredictPlan {
        run: report.run.clone(),
        columns: Default::default(),
        top: 1,
        promised: 0.9,
        batch: 1,
    };
    let answers = |input: PredictInput| {
        let mut rows: Vec<(String, Option<String>)> = Vec::new();
        let mut sink = |batch: &[Prediction]| -> Result<(), TransferError> {
            rows.extend(batch.iter().map(|p| (p.input.clone(), p.label.clone())));
            Ok(())
        };
        predict(&plan, input, &mut (), &mut sink).unwrap();
        rows
    };
    let good = |id: &str| (id.to_owned(), Some("good".to_owned()));
    let bad = |id: &str| (id.to_owned(), Some("bad".to_owned()));
    let stream = |bytes: &'static [u8]| PredictInput::Stream(Box::new(bytes));
    let lines = stream(b"the weather is lovely\n\noil and shares fell\n");
    assert_eq!(answers(lines), [good("-:1"), bad("-:3")]);
    let json = stream(b"{\"text\":\"oil prices fell\"}\n{\"text\":\"a lovely man is playing\"}");
    assert_eq!(answers(json), [bad("-:1"), good("-:2")]);
    fs::write(path("new.csv"), "text\nshares fell\n").unwrap();
    fs::write(path("one.txt"), "the weather is lovely today").unwrap();
    let paths = vec![path("new.csv"), path("one.txt")];
    let found = answers(PredictInput::Paths(paths));
    assert_eq!(found[0], bad("new.csv:2"));
    assert_eq!(found[1].1.as_deref(), Some("good"));

    // A mistake is shown with its text.
    let page = fs::read_to_string(report.run.join("report.html")).unwrap();
    assert!(page.contains("reviews"), "the report names its data");

    // Another tokenizer gives other tokens, so it is refused.
    let tokenizer = report.run.join("export/tokenizer.json");
    fs::write(&tokenizer, fs::read_to_string(&tokenizer).unwrap().replace("##ing", "##ung"))
        .unwrap();
    let refused = predict(&plan, stream(b"x\n"), &mut (), &mut |_| Ok(()));
    assert_eq!(refused.unwrap_err().exit_code(), 4);
}

#[test]
fn an_exported_encoder_comes_back_with_its_features_and_a_change_is_found() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::write(path("reviews.csv"), reviews()).unwrap();
    for model in ["tiny_bert", "tiny_roberta"] {
        let plan = TrainPlan {
            data: path("reviews.csv"),
            model: reference().join(model).to_str().unwrap().to_owned(),
            runs_dir: path("runs"),
            name: Some(model.into()),
            cache: CachePlan { enabled: false, ..CachePlan::default() },
            guard: offshoot_transfer::Guard::Off,
            ..TrainPlan::default()
        };
        let run = train(&plan, &mut ()).unwrap().run;
        let out = path(&format!("{model}-hf"));
        let plan = ExportPlan { run, form: Form::Hf, out: out.clone() };
        export(&plan, &mut ()).unwrap();
        verify(&out, &mut ()).unwrap();
        let twice = export(&plan, &mut ()).unwrap_err();
        assert_eq!(twice.exit_code(), 2, "{twice}");

        let text = Ready::Tokens(
            match source::open(out.to_str().unwrap(), 0)
                .unwrap()
                .inputs
                .prepare(&Input::Text(Text::from("oil prices fell")))
            {
                Ok(Ready::Tokens(tokens)) => tokens,
                _ => panic!("no tokens"),
            },
        );
        let features = |name: &Path| {
            let source = source::open(name.to_str().unwrap(), 0).unwrap();
            let mut row = vec![0.0; source.engine.dim()];
            source.engine.run(&[&text], &mut row).unwrap();
            row
        };
        assert_eq!(features(&out), features(&reference().join(model)), "{model}");

        let classifier = out.join("classifier.safetensors");
        let mut bytes = fs::read(&classifier).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&classifier, bytes).unwrap();
        assert_eq!(verify(&out, &mut ()).unwrap_err().exit_code(), 4);
    }
}

#[test]
fn rows_are_cached_by_the_text_and_do_not_depend_on_company() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::write(path("reviews.csv"), reviews()).unwrap();
    let extraction = |batch, out: &str| {
        let plan = ExtractPlan {
            data: path("reviews.csv"),
            columns: Default::default(),
            model: tiny_bert(),
            size: None,
            layer: None,
            pooling: None,
            precision: Precision::F32,
            shard: None,
            out: Some(path(out)),
            batch,
            seed: 0,
            cache: CachePlan {
                dir: Some(path(out).with_extension("cache")),
                ..CachePlan::default()
            },
        };
        extract(&plan, &mut ()).unwrap()
    };
    let first = extraction(1, "a.npz");
    assert_eq!((first.computed, first.cached, first.rows, first.dim), (120, 0, 120, 32));
    let again = extraction(1, "a.npz");
    assert_eq!((again.computed, again.cached), (0, 120));
    extraction(16, "b.npz");
    assert_eq!(fs::read(path("a.npz")).unwrap(), fs::read(path("b.npz")).unwrap());
}

#[test]
fn texts_and_sources_of_pictures_do_not_mix() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("d.csv"), reviews()).unwrap();
    let refused = |data: PathBuf, model: &str| {
        let plan = TrainPlan {
            data,
            model: model.into(),
            runs_dir: place.path().join("runs"),
            cache: CachePlan { enabled: false, ..CachePlan::default() },
            guard: offshoot_transfer::Guard::Off,
            ..TrainPlan::default()
        };
        train(&plan, &mut ()).unwrap_err()
    };
    let error = refused(place.path().join("d.csv"), source::DEFAULT);
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("holds texts"), "{error}");
    let error = refused("demo:google".into(), &tiny_bert());
    assert!(error.to_string().contains("holds no texts"), "{error}");
    assert_eq!(fs::read_dir(place.path().join("runs")).unwrap().count(), 0);
}

/// Copies the tiny encoder and changes one of its files.
fn changed(name: &str, from: &str, to: &str) -> Result<source::Source, TransferError> {
    let place = tempfile::tempdir().unwrap();
    let copy = |inner: &str| {
        let target = place.path().join(inner);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(reference().join("tiny_bert").join(inner), target).unwrap();
    };
    for inner in [
        "config.json",
        "model.safetensors",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
        "vocab.txt",
    ] {
        copy(inner);
    }
    let path = place.path().join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} lacks {from}");
    fs::write(&path, text.replace(from, to)).unwrap();
    source::open(place.path().to_str().unwrap(), 0)
}

#[test]
fn a_folder_that_asks_for_more_than_facts_is_refused() {
    for (name, from, to, reason) in [
        ("modules.json", "1_Pooling", "../1_Pooling", "no folder inside"),
        ("modules.json", "1_Pooling", "/etc", "no folder inside"),
        ("modules.json", "models.Normalize", "models.CNN", "module `CNN`"),
        ("config.json", "\"model_type\": \"bert\"", "\"model_type\": \"mpnet\"", "type `mpnet`"),
        ("config.json", "\"gelu\"", "\"gelu_new\"", "activation `gelu_new`"),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 1e99", "hidden_size"),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 999999", "features 999999"),
        ("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "fit recipe"),
        ("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "heads share"),
        ("1_Pooling/config.json", "max_tokens\": false", "max_tokens\": true", "one mode"),
        ("vocab.txt", "[SEP]", "[SAP]", "no token `[SEP]`"),
        ("vocab.txt", "##ing", "##ing\nmore", "the encoder's table has"),
    ] {
        let error = changed(name, from, to).err().expect(reason);
        assert_eq!(error.exit_code(), 4, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(changed("modules.json", "models.Normalize", "models.Normalize").is_ok());
}
