//! The README's quick start does what it says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

mod workshop;
use workshop::{Ended, Workshop};

/// Lines after `$ ` of the blocks fenced as `console`.
fn console_lines(markdown: &str) -> Vec<&str> {
    let blocks = markdown.split("```console\n").skip(1).filter_map(|b| b.split("\n```").next());
    blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// The README's part under this heading.
fn part<'a>(readme: &'a str, heading: &str) -> &'a str {
    let rest = readme.split_once(&format!("\n## {heading}\n")).unwrap().1;
    rest.split("\n## ").next().unwrap()
}

fn readme() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    std::fs::read_to_string(readme).unwrap()
}

/// Every line succeeds and prints something, in order and offline, in a folder where `assets/` is this
/// repository's.
#[cfg(unix)]
fn run(workshop: &Workshop, lines: &[String]) {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    std::os::unix::fs::symlink(assets, workshop.path("assets")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_offshoot")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    for line in lines {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        workshop.furnish(&mut command);
        command.env("PATH", format!("{}:{path}", programs.display()));
        command.env("OFFSHOOT_OFFLINE", "1");
        let ended = Ended::of(command.output().unwrap());
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
        assert!(!ended.stdout.is_empty(), "{line} prints nothing");
    }
}

#[test]
#[cfg(unix)]
fn the_quick_start_runs() {
    let readme = readme();
    let lines: Vec<String> = console_lines(part(&readme, "Quick start"))
        .into_iter()
        .filter(|line| line.contains("offshoot "))
        .map(String::from)
        .collect();
    assert!(lines.len() >= 5, "the quick start has {} commands", lines.len());
    run(&Workshop::new(), &lines);
}

/// Needs the encoder that its first command pulls: `OFFSHOOT_MINILM` names its folder, which is added to
/// the store in place of the pull.
#[test]
#[cfg(unix)]
fn the_commands_for_sentences_run() {
    let readme = readme();
    let lines = console_lines(part(&readme, "Sentences"));
    assert!(lines.len() >= 5 && lines[0].starts_with("offshoot models pull all-minilm-l6-v2 && "));
    let Some(folder) = std::env::var_os("OFFSHOOT_MINILM") else {
        println!(
            "skipped: OFFSHOOT_MINILM names no folder; transfer/tests/reference/fetch_minilm.sh"
        );
        return;
    };
    let add = format!("offshoot models add '{}' --name", folder.to_str().unwrap());
    let lines: Vec<String> =
        lines.iter().map(|line| line.replace("offshoot models pull", &add)).collect();
    run(&Workshop::new(), &lines);
}

#[test]
fn only_console_blocks_count() {
    let text =
        "```sh\n$ rm -rf /\n```\n\n```console\n$ offshoot demo\nout\n$ offshoot runs list\n```\n";
    assert_eq!(console_lines(text), ["offshoot demo", "offshoot runs list"]);
}
