//! Encoders with a head, and static embeddings, give the vectors of sentence-transformers, model2vec and
//! wordllama. `reference/heads.py` made the reference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use offshoot_data::{Input, Text};
use offshoot_transfer::source::{self, Source};
use offshoot_transfer::store::{AddOptions, Store};
use offshoot_transfer::{
    CachePlan, EvalPlan, ExportPlan, Form, Method, Ready, TrainPlan, evaluate, export, strategy,
    train, verify,
};
use serde_json::Value;

const HEADS: [&str; 6] = ["cls", "max", "sqrt", "last", "two", "layers"];

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

/// Texts, and the vectors of each encoder.
fn expected() -> (Vec<String>, BTreeMap<String, Vec<Vec<f32>>>) {
    let bytes = fs::read(reference().join("heads.json")).unwrap();
    let mut all: BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap();
    let texts = all.remove("texts").unwrap();
    let text = |text: &Value| match text {
        Value::String(text) => text.clone(),
        made => made["repeat"].as_str().unwrap().repeat(made["times"].as_u64().unwrap() as usize),
    };
    let texts = texts.as_array().unwrap().iter().map(text).collect();
    (texts, all.into_iter().map(|(k, v)| (k, serde_json::from_value(v).unwrap())).collect())
}

/// The tiny encoder with one of the heads.
fn folder(head: &str, place: &Path) -> PathBuf {
    let folder = place.join(head);
    copy(&reference().join("tiny_bert"), &folder);
    fs::remove_dir_all(folder.join("1_Pooling")).unwrap();
    copy(&reference().join("heads").join(head), &folder);
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn rows(source: &Source, texts: &[String]) -> Vec<Vec<f32>> {
    let ready = |text: &String| {
        source.inputs.prepare(&Input::Text(Text::from(text.as_str()))).unwrap_or_else(|e| {
            panic!("{text}: {}", e.detail);
        })
    };
    let inputs: Vec<Ready> = texts.iter().map(ready).collect();
    let dim = source.engine.dim();
    let mut rows = vec![f32::NAN; inputs.len() * dim];
    source.engine.run(&inputs.iter().collect::<Vec<_>>(), &mut rows).unwrap();
    rows.chunks_exact(dim).map(<[f32]>::to_vec).collect()
}

fn open(path: &Path) -> Source {
    source::open(path.to_str().unwrap(), 0).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Largest difference relative to the largest value of the expected row.
fn compare(name: &str, source: &Source, texts: &[String], expected: &[Vec<f32>]) {
    let rows = rows(source, texts);
    let mut worst = 0f32;
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(1e-2f32, |m, v| m.max(v.abs()));
        let error = row.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest);
        worst = error.fold(worst, |a, b| if a >= b { a } else { b });
    }
    println!("{name}: {worst:.1e}");
    assert!(worst < 1e-4, "{name}: {worst:e}");
}

#[test]
fn heads_give_the_vectors_of_sentence_transformers() {
    let place = tempfile::tempdir().unwrap();
    let (texts, expected) = expected();
    for head in HEADS {
        compare(head, &open(&folder(head, place.path())), &texts, &expected[head]);
    }
}

#[test]
fn tables_of_words_give_the_vectors_of_their_packages() {
    let (texts, expected) = expected();
    for table in ["tiny_table", "tiny_table_mapped"] {
        compare(table, &open(&reference().join(table)), &texts, &expected[table]);
    }
    // Under sentence-transformers' name of the table, unknown words count.
    let place = tempfile::tempdir().unwrap();
    copy(&reference().join("tiny_table"), place.path());
    let weights = place.path().join("model.safetensors");
    let mut params = offshoot_weights::read(&weights).unwrap().params;
    let table = params.remove("embeddings").unwrap();
    params.insert("embedding.weight".into(), table);
    let f32 = offshoot_weights::Precision::F32;
    offshoot_weights::write_safetensors(&weights, &params, &BTreeMap::new(), f32).unwrap();
    compare("static_embedding", &open(place.path()), &texts, &expected["static_embedding"]);
}

#[test]
fn wordllama_gives_the_vectors_of_its_package() {
    let Some(package) = std::env::var_os("OFFSHOOT_WORDLLAMA") else {
        println!("skipped: OFFSHOOT_WORDLLAMA names no folder (the unpacked package wordllama)");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path());
    let inside = |name: &str| Path::new(&package).join(name);
    let tokenizer = inside("tokenizers/l2_supercat_tokenizer_config.json");
    let options =
        AddOptions { tokenizer: Some(tokenizer.to_str().unwrap().into()), ..AddOptions::default() };
    let entry = store.add(&inside("weights/l2_supercat_256.safetensors"), &options).unwrap();
    assert_eq!(entry.recipe, "wordllama");
    let (texts, expected) = expected();
    compare("wordllama", &open(&store.dir().join("wordllama")), &texts, &expected["wordllama"]);
}

/// Reviews of two classes, as a table.
fn reviews() -> String {
    let mut rows = String::from("review,verdict\n");
    for i in 0..30 {
        rows.push_str(&format!("\"the weather is lovely, {i} man is playing\",good\n"));
        rows.push_str(&format!("oil prices fell and shares fell {i},bad\n"));
    }
    rows
}

fn plan(place: &Path, model: &Path, name: &str) -> TrainPlan {
    let data = place.join("reviews.csv");
    fs::write(&data, reviews()).unwrap();
    TrainPlan {
        data,
        model: model.to_str().unwrap().into(),
        runs_dir: place.join("runs"),
        name: Some(name.into()),
        cache: CachePlan { enabled: false, ..CachePlan::default() },
        guard: offshoot_transfer::Guard::Off,
        ..TrainPlan::default()
    }
}

#[test]
fn heads_and_tables_come_back_from_an_export() {
    let place = tempfile::tempdir().unwrap();
    let (texts, _) = expected();
    let mut folders: Vec<(String, PathBuf)> =
        HEADS.iter().map(|head| ((*head).into(), folder(head, place.path()))).collect();
    for table in ["tiny_table", "tiny_table_mapped"] {
        folders.push((table.into(), reference().join(table)));
    }
    for (name, model) in folders {
        let run = train(&plan(place.path(), &model, &name), &mut ()).unwrap().run;
        let out = place.path().join(format!("{name}-out"));
        export(&ExportPlan { run: run.clone(), form: Form::Hf, out: out.clone() }, &mut ())
            .unwrap();
        verify(&out, &mut ()).unwrap();
        assert_eq!(rows(&open(&out), &texts), rows(&open(&model), &texts), "{name}");
        let plan = EvalPlan {
            run,
            data: place.path().join("reviews.csv"),
            columns: Default::default(),
            require: Default::default(),
            batch: 16,
            cache: CachePlan { enabled: false, ..CachePlan::default() },
        };
        assert!(evaluate(&plan, &mut ()).unwrap().figures.accuracy > 0.7, "{name}");
    }
}

#[test]
fn every_method_tunes_a_head_and_a_table() {
    let place = tempfile::tempdir().unwrap();
    for (name, model) in [
        ("two", folder("two", place.path())),
        ("layers", folder("layers", place.path())),
        ("table", reference().join("tiny_table")),
    ] {
        for entry in strategy::all() {
            let mut plan = plan(place.path(), &model, &format!("{name}-{}", entry.name));
            plan.method = Method::find(entry.name).unwrap();
            plan.finetune.epochs = Some(1);
            match (train(&plan, &mut ()), entry.name) {
                (Ok(_), _) => {}
                // A table has neither norms, nor biases, nor matrices.
                (Err(e), "norm-tune" | "bitfit" | "lora") if name == "table" => {
                    assert!(e.to_string().contains("the network has n"), "{e}");
                }
                (Err(e), method) => panic!("{name} {method}: {e}"),
            }
        }
    }
}

#[test]
fn a_store_keeps_heads_and_tables() {
    let place = tempfile::tempdir().unwrap();
    let (texts, expected) = expected();
    let store = Store::open(place.path().join("models"));
    for (name, path) in [
        ("two", folder("two", place.path())),
        ("tiny_table_mapped", reference().join("tiny_table_mapped")),
    ] {
        let options = AddOptions { name: Some(name.into()), ..AddOptions::default() };
        store.add(&path, &options).unwrap();
        store.verify(name).unwrap();
        let stored = store.load(name).unwrap();
        assert_eq!(stored.recipe.feature_dim, expected[name][0].len());
        let own = open(&path);
        let (recipe, params) = own.network.as_ref().unwrap();
        assert_eq!((&stored.recipe.stages, &stored.params), (&recipe.stages, params), "{name}");
        compare(name, &own, &texts, &expected[name]);
    }
}

#[test]
fn a_head_that_is_not_computed_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    for (file, from, to, reason) in [
        ("1_Pooling/config.json", "\"mean\"", "\"weightedmean\"", "pooling `weightedmean`"),
        ("1_Pooling/config.json", "\"mean\"", "[\"mean\", \"max\"]", "one mode"),
        ("2_Dense/config.json", "activation.GELU", "activation.Softsign", "Softsign"),
        ("modules.json", "\"3_Dense\"", "\"2_Dense\"", "module `Dense` 1 is"),
        ("modules.json", "dense.Dense", "cnn.CNN", "module `CNN`"),
    ] {
        let folder = folder("two", place.path());
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} lacks {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = source::open(folder.to_str().unwrap(), 0).err().unwrap();
        assert_eq!(error.exit_code(), 4, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn what_a_config_says_in_the_wrong_type_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let model = place.path().join("bert");
    copy(&reference().join("tiny_bert"), &model);
    let path = model.join("config.json");
    let right = fs::read_to_string(&path).unwrap();
    let opened = |from: &str, to: &str| {
        fs::write(&path, right.replacen(from, to, 1)).unwrap();
        source::open(model.to_str().unwrap(), 0)
    };
    for (from, to) in [
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": 5"),
        ("\"type_vocab_size\": 2", "\"type_vocab_size\": \"two\""),
        ("\"hidden_size\": 32", "\"hidden_size\": -32"),
        ("\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": [1e-12]"),
    ] {
        let error = opened(from, to).err().unwrap();
        let name = from.split('"').nth(1).unwrap();
        assert_eq!(error.exit_code(), 4, "{error}");
        assert!(error.to_string().contains(&format!("`{name}` is ")), "{error}");
    }
    // What is null is not said.
    opened("\"hidden_act\": \"gelu\"", "\"hidden_act\": null").unwrap();
}

#[test]
fn a_layer_is_chosen_on_validation_and_the_run_goes_on_with_it() {
    let place = tempfile::tempdir().unwrap();
    let bert = reference().join("tiny_bert");
    let with = |name: &str, layer: Option<&str>, pooling: Option<&str>| {
        let layer = layer.map(str::to_string);
        let pooling = pooling.map(str::to_string);
        let plan = TrainPlan { layer, pooling, ..plan(place.path(), &bert, name) };
        train(&plan, &mut ())
    };
    let texts: Vec<String> = vec!["oil prices fell".into(), "a lovely man".into()];
    for (name, layer, pooling) in [
        ("auto", Some("auto"), Some("auto")),
        ("first", Some("1"), None),
        ("mean", Some("last-2"), Some("first")),
        ("max", None, Some("max")),
    ] {
        let report = with(name, layer, pooling).unwrap();
        // The run is read back with the same layers; so is its export.
        let eval = EvalPlan {
            run: report.run.clone(),
            data: place.path().join("reviews.csv"),
            columns: Default::default(),
            require: Default::default(),
            batch: 16,
            cache: CachePlan { enabled: false, ..CachePlan::default() },
        };
        assert_eq!(evaluate(&eval, &mut ()).unwrap().figures.n, 60, "{name}");
        let out = place.path().join(format!("{name}-out"));
        export(&ExportPlan { run: report.run, form: Form::Hf, out: out.clone() }, &mut ()).unwrap();
        verify(&out, &mut ()).unwrap();
        let facts = open(&out).facts.encoder.unwrap();
        match name {
            "first" => assert_eq!((facts.layers, facts.averaged), (1, 1)),
            "mean" => assert_eq!((facts.averaged, facts.pool.as_str()), (2, "first")),
            "max" => assert_eq!((facts.layers, facts.pool.as_str()), (2, "max")),
            _ => assert!(facts.layers >= 1),
        }
        assert!(rows(&open(&out), &texts).iter().flatten().all(|v| v.is_finite()));
    }
    // A chosen layer is an encoder of its own, and can be tuned.
    let plan = TrainPlan {
        layer: Some("last-2".into()),
        method: Method::find("last-k").unwrap(),
        ..plan(place.path(), &bert, "tuned")
    };
    train(&plan, &mut ()).unwrap();

    for (layer, pooling, reason) in [
        (Some("3"), None, "an encoder with 2"),
        (Some("last-3"), None, "mean of 3 layers"),
        (Some("0"), None, "layer `0`"),
        (None, Some("middle"), "pooling `middle`"),
    ] {
        let error = with("wrong", layer, pooling).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    for model in [folder("two", place.path()), reference().join("tiny_table")] {
        let plan =
            TrainPlan { layer: Some("auto".into()), ..self::plan(place.path(), &model, "no") };
        assert_eq!(train(&plan, &mut ()).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn the_layer_that_tells_classes_apart_is_found() {
    // In the last layer, every token is made the same: only the first layer tells texts apart.
    let place = tempfile::tempdir().unwrap();
    let model = place.path().join("spoilt");
    copy(&reference().join("tiny_bert"), &model);
    let weights = model.join("model.safetensors");
    let mut params = offshoot_weights::read(&weights).unwrap().params;
    params.get_mut("encoder.layer.1.output.LayerNorm.weight").unwrap().data.fill(0.0);
    let f32 = offshoot_weights::Precision::F32;
    offshoot_weights::write_safetensors(&weights, &params, &BTreeMap::new(), f32).unwrap();
    let plan = TrainPlan { layer: Some("auto".into()), ..plan(place.path(), &model, "found") };
    let run = train(&plan, &mut ()).unwrap().run;
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    let taken = log.lines().find(|line| line.contains("features from")).unwrap();
    assert!(taken.contains("layer 1,") || taken.contains("last 2 layers"), "{taken}");
    // The choice looks at no test sample: with other texts in the test split it is the same.
    assert!(log.matches("log-loss").count() >= 3, "{log}");
}
