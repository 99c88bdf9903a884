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

/// In a folder where `assets/` is this repository's, every line that runs `offshoot` succeeds and
/// prints something, in order and offline.
#[test]
#[cfg(unix)]
fn the_quick_start_runs() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let lines: Vec<&str> =
        console_lines(&readme).into_iter().filter(|line| line.contains("offshoot ")).collect();
    assert!(lines.len() >= 5, "the quick start has {} commands", lines.len());
    let workshop = Workshop::new();
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
fn only_console_blocks_count() {
    let text =
        "```sh\n$ rm -rf /\n```\n\n```console\n$ offshoot demo\nout\n$ offshoot runs list\n```\n";
    assert_eq!(console_lines(text), ["offshoot demo", "offshoot runs list"]);
}
