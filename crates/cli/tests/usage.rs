//! Wrong requests: one line that says what, one that says what to do, and an exit code.

use std::fs;
use std::process::Stdio;

mod workshop;
use workshop::Workshop;

#[test]
fn mistakes_are_told_in_two_lines() {
    let workshop = Workshop::new();
    let mut told = String::new();
    for line in [
        "trian photos",
        "train",
        "train photos --haed ridge",
        "train photos --head logisti",
        "train photos --val 1",
        "train photos --seed -1",
        "train photos --threads 100000",
        "train photos --require acuracy=0.9",
        "train photos --require accuracy",
        "train photos --name ../x",
        "train nowhere",
        "train photos --set train.haed=ridge",
        "train photos --config nowhere.toml",
        "extract photos --shard 4/4",
        "extract photos -o features.txt",
        "extract photos --no-cache",
        "eval none photos",
        "predict none new.png",
        "runs compare one",
        "runs rm none",
        "models info none",
        "models pull mobilenet_v2 --offline",
        "models add nowhere.pth",
        "train photos --model efficientnet-lite-1",
        "check nowhere",
        "train photos --model nothing",
        "train photos --dropout 0.1",
        "train photos --method lp-ft --rank 4",
        "train photos --method setfit --dropout 0.1",
        "adapt photos",
        "adapt photos --target-domain b",
        "adapt photos --target new --method coral --tuning full",
        "adapt photos --target new --tuning full",
    ] {
        let ended = workshop.run(&format!("-q {line}"));
        assert!(ended.stdout.is_empty(), "{line}: {}", ended.stdout);
        told.push_str(&format!("$ offshoot {line}\n{}[{}]\n\n", ended.stderr, ended.code));
    }
    let told = told.replace(&workshop.path("").display().to_string(), "DIR/");
    insta::assert_snapshot!("mistakes", told);
}

#[test]
fn settings_come_from_the_nearest_place() {
    let workshop = Workshop::new();
    fs::write(workshop.path("offshoot.toml"), "seed = 1\nbatch = 4\n[train]\nhead = 'knn'\n")
        .unwrap();
    let value = |key: &str, line: &str| {
        let mut command = workshop.command();
        command
            .env("OFFSHOOT_SEED", "2")
            .args(line.split_whitespace())
            .args(["settings", "--json"]);
        let output = command.output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let settings = document["settings"].as_array().unwrap();
        let setting = settings.iter().find(|s| s["key"] == key).unwrap();
        format!("{} from {}", setting["value"], setting["origin"].as_str().unwrap())
    };
    assert_eq!(value("batch", ""), "4 from offshoot.toml");
    assert_eq!(value("seed", ""), "2 from OFFSHOOT_SEED");
    assert_eq!(value("seed", "--set seed=3"), "3 from flag");
    assert_eq!(value("seed", "--set seed=3 --seed 5"), "5 from flag");
    assert_eq!(value("train.head", ""), "\"knn\" from offshoot.toml");
    assert_eq!(value("train.test", ""), "0.2 from default");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let workshop = Workshop::new();
    let mut child = workshop
        .command()
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = workshop::Ended::of(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn no_colour_leaks_into_a_pipe() {
    let ended = Workshop::new().run("train nowhere");
    assert!(!ended.stderr.contains('\x1b'), "{}", ended.stderr);
}
