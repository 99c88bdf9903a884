//! From a folder of pictures to answers about new ones.

use std::fs;
use std::io::Write;
use std::process::Stdio;

mod workshop;
use workshop::{Ended, Workshop, keys};

#[test]
fn a_folder_becomes_a_classifier() {
    let workshop = Workshop::new();

    let check = workshop.good("check photos");
    insta::assert_snapshot!("check", workshop.redacted(&check));

    let line = "train photos --name first --baselines --also-eval other=other";
    let trained = workshop.run(line);
    assert_eq!(trained.code, 0, "{trained:?}");
    insta::assert_snapshot!("train", table(&workshop.redacted(&trained.stdout)));
    assert!(trained.stderr.contains("offshoot predict first"), "{}", trained.stderr);
    assert!(workshop.path("runs/first/report.html").is_file());

    let predicted = workshop.good("predict first new.png photos");
    assert_eq!(predicted.lines().count(), 1 + 28);
    assert!(predicted.starts_with("new.png\tface\t"), "{predicted}");

    fs::write(workshop.path("list.csv"), "path\nnew.png\nphotos/face\n").unwrap();
    let listed = workshop.run("predict first list.csv");
    assert!(listed.stdout.contains("new.png\tface\t"), "{listed:?}");

    let eval = workshop.json("eval first other");
    assert_eq!(eval["n"], 28);
    assert!(eval["accuracy"].as_f64().unwrap() > 0.8);

    let report = workshop.good("report first");
    assert_eq!(report.trim(), "runs/first/report.html");

    workshop.good("train photos --name second --head centroid --seed 1 -q");
    let listed = workshop.good("runs list");
    insta::assert_snapshot!("runs-list", workshop.redacted(&listed));
    let compared = workshop.run("runs compare second first");
    assert!(compared.stdout.find("second") < compared.stdout.find("first"));
    assert!(compared.stderr.contains("do not compare"), "{}", compared.stderr);
    workshop.good("train photos --name third --head centroid --val 0.3 -q");
    let compared = workshop.run("runs compare first third");
    assert!(compared.stderr.contains("another division"), "{}", compared.stderr);
    assert!(!compared.stderr.contains("do not compare"), "{}", compared.stderr);
    workshop.good("runs rm second third");
    assert_eq!(workshop.json("runs list")["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn documents_keep_their_keys() {
    let workshop = Workshop::new();
    let mut all = String::new();
    for line in [
        "check photos",
        "train photos --name first --dry-run",
        "train photos --name first --baselines --also-eval other=other",
        "eval first photos",
        "extract photos -o features.npz",
        "rank photos --verify 1",
        "report first",
        "runs list",
        "runs gc",
        "runs rm first",
        "models list",
        "models verify",
        "doctor",
        "settings",
    ] {
        let document = workshop.json(line);
        for key in ["schema", "command", "run", "seconds"] {
            assert!(document.get(key).is_some(), "{line}: {key}");
        }
        let command = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let command = if line.starts_with("runs") || line.starts_with("models") {
            command
        } else {
            line.split(' ').next().unwrap().into()
        };
        assert_eq!(document["command"].as_str(), Some(command.as_str()));
        all.push_str(&format!("# {line}\n{}\n\n", keys(&document)));
    }
    insta::assert_snapshot!("documents", all);
}

#[test]
fn answers_in_json_are_one_a_line() {
    let workshop = Workshop::new();
    workshop.good("train photos --name first -q");
    let lines = workshop.good("predict first new.png nothing.png --json --top 1");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["label"], "face");
    assert_eq!(lines[0]["top"].as_array().unwrap().len(), 1);
    assert!(lines[1]["label"].is_null() && lines[1]["error"].is_string());
    assert_eq!((&lines[2]["rows"], &lines[2]["unreadable"]), (&1.into(), &1.into()));
}

#[test]
fn standard_input_takes_a_picture_or_a_list() {
    let workshop = Workshop::new();
    workshop.good("train photos --name first -q");
    let ask = |bytes: &[u8]| {
        let mut child = workshop
            .command()
            .args(["predict", "first", "-", "-q"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        Ended::of(child.wait_with_output().unwrap())
    };
    let picture = ask(&fs::read(workshop.path("new.png")).unwrap());
    assert!(picture.stdout.starts_with("-\tface\t"), "{picture:?}");
    let list = ask(b"new.png\nnew.png\n");
    assert_eq!(list.stdout.matches("new.png\tface\t").count(), 2, "{list:?}");
    let nothing = ask(b"");
    assert_eq!((nothing.code, nothing.stdout.as_str()), (3, ""), "{nothing:?}");
}

#[test]
fn a_gate_that_is_not_reached_fails_with_seven() {
    let workshop = Workshop::new();
    let strict = workshop.run("train photos --name strict --require ece=0.0000000001 -q");
    assert_eq!(strict.code, 7, "{strict:?}");
    assert!(strict.stderr.contains("required ece"), "{}", strict.stderr);
    assert!(strict.stdout.contains("log-loss"), "the figures are shown all the same: {strict:?}");
    assert!(workshop.path("runs/strict/report.html").is_file());
    let mild = workshop.run("eval strict photos --require accuracy=0.1 -q");
    assert_eq!(mild.code, 0, "{mild:?}");
}

#[test]
fn data_that_cannot_be_trained_on_is_refused_before_training() {
    let workshop = Workshop::new();
    for name in fs::read_dir(workshop.path("photos/face")).unwrap() {
        fs::write(name.unwrap().path(), "<html>not found</html>").unwrap();
    }
    let check = workshop.run("check photos");
    assert_eq!(check.code, 3, "{check:?}");
    assert!(check.stdout.contains("photos/face/") || check.stdout.contains("face/"), "{check:?}");
    let train = workshop.run("train photos -q");
    assert_eq!(train.code, 3, "{train:?}");
    assert!(train.stderr.contains("hint: `offshoot check"), "{}", train.stderr);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let workshop = Workshop::new();
    let trained = |threads: usize| {
        let name = format!("with-{threads}");
        workshop.good(&format!("train photos -q --no-cache --threads {threads} --name {name}"));
        ["export/model.safetensors", "eval/predictions.csv", "plots/feature-map.svg"]
            .map(|file| fs::read(workshop.path(&format!("runs/{name}/{file}"))).unwrap())
    };
    let one = trained(1);
    assert!(trained(2) == one && trained(4) == one);
}

/// The table of figures, without the sentences before it, which depend on them.
fn table(text: &str) -> String {
    let start = text.find("features  samples");
    start.map_or_else(|| format!("no table in {text}"), |start| text[start..].into())
}

#[test]
fn check_refuses_what_train_refuses_for_the_same_reason() {
    let workshop = Workshop::new();
    let picture = fs::read(workshop.path("new.png")).unwrap();
    let plant = |file: &str, bytes: &[u8]| {
        let path = workshop.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    plant("one/only/a.png", &picture);
    for i in 0..8 {
        plant(&format!("same/{}/{i}.png", ["a", "b"][i % 2]), &picture);
        plant(&format!("broken/{}/{i}.png", ["a", "b"][i % 2]), &picture[..20 * i]);
    }
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }";
    let vectors =
        [b"\x93NUMPY\x01\0\x76\0", format!("{header:<117}\n").as_bytes(), &[0; 8]].concat();
    plant("unlabelled.npy", &vectors);
    let mut nested = b"\x93NUMPY\x01\0\0\x80".to_vec();
    nested.resize(10 + 0x8000, b'(');
    plant("nested.npy", &nested);
    plant("words.txt", b"no data");
    for data in ["one", "same", "broken", "unlabelled.npy", "nested.npy", "words.txt"] {
        let ended =
            [workshop.run(&format!("check {data}")), workshop.run(&format!("train {data}"))];
        let [check, train] = ended.map(|ended| {
            assert_eq!(ended.code, 3, "{ended:?}");
            let line = ended.stderr.lines().find_map(|line| line.strip_prefix("error: "));
            line.unwrap().to_string()
        });
        let reason = check.strip_prefix("`train` would refuse this data: ").unwrap_or(&check);
        assert_eq!(reason, train);
        assert!(reason.chars().count() < 500 && !reason.contains('\u{fffd}'), "{reason}");
    }
}

#[test]
fn a_run_is_exported_and_replayed_and_a_flipped_bit_is_found() {
    let workshop = Workshop::new();
    workshop.good("train photos --name a -q");
    workshop.good("verify a");
    for (form, extra) in [("hf", ""), ("safetensors", " --out shipped")] {
        let report = workshop.json(&format!("export a --to {form}{extra}"));
        let folder = report["out"].as_str().unwrap().to_string();
        workshop.good(&format!("verify {folder}"));
        assert_eq!(workshop.run(&format!("export a --to {form}{extra}")).code, 2);
        let path = workshop.path(&folder).join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(workshop.run(&format!("verify {folder}")).code, 4);
    }
    workshop.good("train photos --name b --model random:digits_usps -q");
    let refused = workshop.run("export b --to hf");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--to safetensors"), "{refused:?}");
}
