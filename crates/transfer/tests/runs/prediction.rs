use std::fs;
use std::path::PathBuf;

use offshoot_transfer::{
    ExportPlan, Form, Method, PredictInput, PredictPlan, Prediction, TrainPlan, export, predict,
    train, verify,
};

use super::data::*;

fn trained(place: &Place) -> PredictPlan {
    write_folder(&place.path("data"), "", 20, 0);
    let report = train(&place.plan(), &mut ()).unwrap();
    PredictPlan { run: report.run, columns: Default::default(), top: 2, promised: 0.9, batch: 4 }
}

fn rows(plan: &PredictPlan, input: PredictInput) -> Vec<Prediction> {
    let mut rows = Vec::new();
    predict(plan, input, &mut (), &mut |batch| {
        rows.extend_from_slice(batch);
        Ok(())
    })
    .unwrap();
    rows
}

#[test]
fn files_folders_lists_and_bytes_get_the_same_answer() {
    let place = Place::new();
    let plan = trained(&place);
    let folder = place.path("new");
    fs::create_dir_all(&folder).unwrap();
    let names: Vec<PathBuf> = (0..7).map(|i| folder.join(format!("{i}.pgm"))).collect();
    for (i, name) in names.iter().enumerate() {
        fs::write(name, picture(i % 3, 500 + i)).unwrap();
    }
    let by_file = rows(&plan, PredictInput::Paths(names.clone()));
    assert_eq!(by_file.len(), 7);
    for row in &by_file {
        assert_eq!(row.top.len(), 2);
        assert!(row.top[0].1 >= row.top[1].1 && row.probability == Some(row.top[0].1));
    }
    assert_eq!(rows(&plan, PredictInput::Paths(vec![folder.clone()])), by_file);
    let list: String = names.iter().map(|n| format!("{}\n", n.display())).collect();
    assert_eq!(rows(&plan, PredictInput::Stream(Box::new(std::io::Cursor::new(list)))), by_file);
    let csv: String =
        "path\n".to_string() + &(0..7).map(|i| format!("{i}.pgm\n")).collect::<String>();
    fs::write(folder.join("list.csv"), csv).unwrap();
    let by_csv = rows(&plan, PredictInput::Paths(vec![folder.join("list.csv")]));
    let answers = |rows: &[Prediction]| rows.iter().map(|r| r.top.clone()).collect::<Vec<_>>();
    assert_eq!(answers(&by_csv), answers(&by_file));
}

#[test]
fn what_is_exported_keeps_its_promises() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 20, 0);
    let plan = TrainPlan { model: "random:mobilenet_v2".into(), size: Some(32), ..place.plan() };
    let run = train(&plan, &mut ()).unwrap().run;
    let out = place.path("out");
    export(&ExportPlan { run: run.clone(), form: Form::Hf, out: out.clone() }, &mut ()).unwrap();
    verify(&out, &mut ()).unwrap();
    let read = |path: PathBuf| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let (trust, config) = (read(out.join("trust.json")), read(run.join("export/config.json")));
    assert_eq!(
        (&trust["trust"], &trust["temperature"]),
        (&config["trust"], &config["temperature"])
    );
    // The thresholds are those by which the run itself forms sets.
    let test = read(run.join("export/selftest.json"));
    assert_eq!(trust["thresholds"]["0.9"], test["trust"]["thresholds"]);
    assert_eq!(trust["classes"].as_array().unwrap().len(), 3);
    assert!(trust["rules"].as_array().unwrap().len() >= 3, "{}", trust["rules"]);
    // A threshold that somebody moved is found: an alarm is worth what its numbers are.
    let path = out.join("trust.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(verify(&out, &mut ()).unwrap_err().exit_code(), 4);
}

/// A run on pictures of another size is tuned, read back, exported and verified at that size.
#[test]
fn the_size_of_pictures_stays_with_the_run() {
    let place = Place::new();
    write_folder(&place.path("data"), "", 10, 0);
    let mut usual = Vec::new();
    for (method, size) in [("probe", None), ("probe", Some(32)), ("lp-ft", Some(32))] {
        let mut plan = TrainPlan { model: "random:mobilenet_v2".into(), size, ..place.plan() };
        plan.method = Method::find(method).unwrap();
        plan.finetune.epochs = Some(1);
        let run = train(&plan, &mut ()).unwrap().run;
        let expected = size.map_or("224x224x3", |_| "32x32x3");
        let record = fs::read_to_string(run.join("run.json")).unwrap();
        assert!(record.contains(expected), "{method} {size:?}");
        let out = place.path(&format!("{method} {size:?}"));
        let form = Form::Hf;
        export(&ExportPlan { run: run.clone(), form, out: out.clone() }, &mut ()).unwrap();
        verify(&out, &mut ()).unwrap();
        verify(&run, &mut ()).unwrap();
        let plan =
            PredictPlan { run, columns: Default::default(), top: 2, promised: 0.9, batch: 4 };
        let found = rows(&plan, PredictInput::Paths(vec![place.path("data/down")]));
        assert!(found.iter().all(|row| row.error.is_none()));
        usual.push(found.iter().map(|row| row.top.clone()).collect::<Vec<_>>());
    }
    assert_ne!(usual[0], usual[1]);
    // Two linear layers are for features of one size only; a text or pixels have none.
    for (model, size) in
        [("random:digits_mnist", 32), ("pixels", 4096), ("random:mobilenet_v2", 4096)]
    {
        let plan = TrainPlan { model: model.into(), size: Some(size), ..place.plan() };
        assert_eq!(train(&plan, &mut ()).unwrap_err().exit_code(), 2, "{model}");
    }
}

#[test]
fn an_unreadable_input_is_one_row_and_nothing_readable_is_an_error() {
    let place = Place::new();
    let plan = trained(&place);
    let bad = place.path("bad.pgm");
    fs::write(&bad, b"P5 16 16 255\nshort").unwrap();
    let good = place.path("data/down/0000.pgm");
    let absent = place.path("absent.png");
    let rows = rows(&plan, PredictInput::Paths(vec![bad.clone(), good, absent]));
    assert!(rows[0].error.is_some() && rows[0].label.is_none());
    assert_eq!(rows[1].label.as_deref(), Some("down"));
    assert!(rows[2].error.is_some());
    let none = predict(&plan, PredictInput::Paths(vec![bad]), &mut (), &mut |_| Ok(()));
    assert_eq!(none.unwrap_err().exit_code(), 3);
}
