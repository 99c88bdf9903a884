//! Texts on standard input, for as long as they come.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

mod workshop;
use workshop::Workshop;

/// A workshop with a run on texts, called `reviews`. The tiny encoder is one of the tests of `transfer`.
fn trained() -> Workshop {
    let workshop = Workshop::new();
    let mut rows = String::from("review,verdict\n");
    for i in 0..30 {
        rows.push_str(&format!("\"the weather is lovely, {i} man is playing\",good\n"));
        rows.push_str(&format!("oil prices fell and shares fell {i},bad\n"));
    }
    fs::write(workshop.path("reviews.csv"), rows).unwrap();
    let encoder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../transfer/tests/reference/tiny_bert");
    std::os::unix::fs::symlink(encoder.canonicalize().unwrap(), workshop.path("tiny")).unwrap();
    workshop.good("train reviews.csv --model tiny --name reviews -q");
    workshop
}

fn listening(workshop: &Workshop, line: &str) -> Child {
    workshop
        .command()
        .args(line.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn an_answer_does_not_wait_for_more_input() {
    let workshop = trained();
    let mut child = listening(&workshop, "predict reviews - -q");
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for (number, (text, class)) in
        [("a lovely man is playing", "good"), ("shares fell", "bad"), ("lovely weather", "good")]
            .into_iter()
            .enumerate()
    {
        writeln!(stdin, "{text}").unwrap();
        // Standard input stays open; a program that waits for its end would hang here.
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("-:{}\t{class}\t", number + 1)), "{answer}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn answers_come_in_order_and_memory_does_not_grow_with_the_input() {
    const LINES: usize = 20_000;
    let workshop = trained();
    let mut child = listening(&workshop, "predict reviews - -q");
    let mut stdin = child.stdin.take().unwrap();
    let long = "lovely weather and playing men ".repeat(320);
    let writer = std::thread::spawn(move || {
        let mut bytes = 0;
        for i in 0..LINES {
            let line = format!("{} {long}\n", ["oil", "weather"][i % 2]);
            bytes += line.len();
            stdin.write_all(line.as_bytes()).unwrap();
        }
        bytes
    });
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let stdout = BufReader::new(child.stdout.take().unwrap());
    for (i, line) in stdout.lines().enumerate() {
        let line = line.unwrap();
        assert!(line.starts_with(&format!("-:{}\t", i + 1)), "{line}");
        // More answers are to come than a pipe holds, so the program is still there.
        if i == LINES - 5000 {
            let status = fs::read_to_string(&status).unwrap();
            let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
            peak = line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() >> 10;
        }
    }
    let sent = writer.join().unwrap() >> 20;
    assert!(child.wait().unwrap().success());
    println!("{sent} MiB sent, {peak} MiB at most in memory");
    assert!(sent > 180 && peak < 130, "{sent} MiB sent, {peak} MiB in memory");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let workshop = trained();
    let mut child = listening(&workshop, "predict reviews - -q");
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    writeln!(stdin, "shares fell").unwrap();
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    // The program may be gone before everything is written; standard input stays open.
    while writeln!(stdin, "shares fell").is_ok() {}
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

#[test]
fn a_line_that_is_no_text_does_not_keep_the_others_from_their_answers() {
    let workshop = trained();
    let mut child = listening(&workshop, "predict reviews -");
    child.stdin.take().unwrap().write_all(b"shares fell\nlovely\n\0\nmore\n").unwrap();
    let ended = workshop::Ended::of(child.wait_with_output().unwrap());
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!((ended.code, lines.len()), (0, 4), "{ended:?}");
    assert!(lines[2].starts_with("-:3\t-\t-\t") && lines[3].starts_with("-:4\t"), "{ended:?}");
    assert!(ended.stderr.contains("1 input could not be read"), "{ended:?}");
    let typed = workshop.run("predict reviews lovely -q");
    assert!(typed.code == 3 && typed.stdout.contains("go to standard input"), "{typed:?}");
}

#[test]
fn an_answer_is_explained_word_by_word() {
    let workshop = trained();
    let mut command = workshop.command();
    command.args(["explain", "reviews", "lovely weather but shares fell", "--json", "-q"]);
    let ended = workshop::Ended::of(command.args(["--html", "why.html"]).output().unwrap());
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = lines[0]["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["word"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["lovely", "weather", "but", "shares", "fell"]);
    assert_eq!(lines[1]["answers"], 6);
    assert!(fs::read_to_string(workshop.path("why.html")).unwrap().contains("<mark class=\""));
    // A pipe gets words and figures, no colours.
    let mut command = workshop.command();
    command.args(["explain", "reviews", "lovely weather", "-q"]);
    let plain = workshop::Ended::of(command.output().unwrap());
    assert!(plain.stdout.contains("log-odds") && !plain.stdout.contains('\x1b'), "{plain:?}");
}

#[test]
fn texts_are_measured_by_the_tokenizer_of_the_encoder_they_are_for() {
    let workshop = trained();
    let long = "lovely weather ".repeat(100);
    fs::write(workshop.path("long.csv"), format!("text,label\n{long},a\nshares fell,b\n")).unwrap();
    let checked = workshop.run("check long.csv --model tiny --json");
    let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    let problems = report["problems"].as_array().unwrap();
    let found: Vec<&str> = problems
        .iter()
        .filter(|p| p["kind"] == "long-texts")
        .map(|p| p["detail"].as_str().unwrap())
        .collect();
    assert_eq!(found.len(), 1, "{report}");
    assert!(
        found[0].starts_with("1 of 2 texts (50.0 %) have more than the 24 tokens"),
        "{found:?}"
    );
    let refused = workshop.run("check photos --model tiny");
    assert!(refused.code == 2 && refused.stderr.contains("holds no texts"), "{refused:?}");
}
