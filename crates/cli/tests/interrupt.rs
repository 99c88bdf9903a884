//! Signals: the first saves and stops, the second ends the process at once.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

mod workshop;
use workshop::Workshop;

/// Starts a run and returns once it speaks: from then on it listens to signals.
fn started(workshop: &Workshop, line: &str) -> (Child, BufReader<impl Read + use<>>) {
    let mut command = workshop.command();
    command.args(line.split_whitespace()).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    (child, stderr)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_stopped_run_goes_on_to_the_same_result() {
    let workshop = Workshop::new();
    workshop.good("train photos --name whole -q");
    let weights = |run: &str| {
        std::fs::read(workshop.path(&format!("runs/{run}/export/model.safetensors"))).unwrap()
    };
    for name in ["INT", "TERM"] {
        let line = format!("train photos --name {name} --no-cache -v");
        let (mut child, mut stderr) = started(&workshop, &line);
        signal(&child, name);
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(75), "{said}");
        let runs = workshop.json("runs list");
        let state = |run: &serde_json::Value| run["name"] == name && run["state"] == "stopped";
        if runs["runs"].as_array().unwrap().iter().any(state) {
            assert!(said.contains(&format!("`offshoot runs resume {name}` goes on")), "{said}");
            workshop.good(&format!("runs resume {name} -q"));
        } else {
            // It was so quick that no folder had been made: the same command goes on.
            assert!(said.contains("the same command goes on"), "{said}");
            workshop.good(&format!("{line} -q").replace(" -v", ""));
        }
        assert_eq!(weights(name), weights("whole"));
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let workshop = Workshop::new();
    workshop.good("train photos --name first -q");
    let (mut child, mut stderr) = started(&workshop, "predict first - -v");
    let _open = child.stdin.take().unwrap();
    // Halted, it cannot answer the first signal before the second is there. Two of a kind would be one.
    ["STOP", "INT", "TERM", "CONT"].iter().for_each(|name| signal(&child, name));
    stderr.read_to_string(&mut String::new()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// How often a run is killed; `OFFSHOOT_TEST_KILLS` asks for more.
fn kills() -> u64 {
    std::env::var("OFFSHOOT_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// `kill -9` at any moment of tuning: the run goes on without a hand and ends with the same bits.
#[test]
fn a_killed_tuning_goes_on_to_the_same_bits() {
    let workshop = Workshop::new();
    let line = |name: &str| {
        format!(
            "train photos --name {name} --model random:digits_usps --method full --epochs 12 \
             --watch log_loss --set finetune.checkpoint_every=0 -v"
        )
    };
    workshop.good(&line("whole"));
    let weights = |run: &str| {
        ["model", "backbone"].map(|file| {
            let path = format!("runs/{run}/export/{file}.safetensors");
            std::fs::read(workshop.path(&path)).ok()
        })
    };
    let mut within = 0;
    let kills = kills();
    for number in 0..kills {
        let name = format!("killed-{number}");
        let (mut child, _stderr) = started(&workshop, &line(&name));
        // At moments spread over the run, from its first checkpoint on: a few milliseconds an update.
        let run = workshop.path(&format!("runs/{name}"));
        while !run.join("checkpoints").exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_millis(160 * number / kills));
        child.kill().unwrap();
        child.wait().unwrap();
        within += usize::from(run.join("checkpoints").exists());
        let runs = workshop.json("runs list");
        let complete = |run: &serde_json::Value| run["name"] == *name && run["state"] == "complete";
        if !runs["runs"].as_array().unwrap().iter().any(complete) {
            workshop.good(&format!("runs resume {name} -q"));
        }
        assert_eq!(weights(&name), weights("whole"), "{name}");
    }
    println!("{within} of {kills} kills were within tuning");
    assert!(within > 0);
}

/// A disk that takes no more than a part of a checkpoint: the run ends with exit code 5, says what it
/// needs, and goes on once there is room.
#[test]
fn a_run_without_room_for_a_checkpoint_goes_on_when_there_is_some() {
    let workshop = Workshop::new();
    let line = |name: &str| {
        format!(
            "train photos --name {name} --model random:digits_usps --method full --epochs 3 \
             --watch log_loss --guard off --set finetune.checkpoint_every=0 -q"
        )
    };
    workshop.good(&line("whole"));
    let weights = |run: &str| {
        ["model", "backbone"].map(|file| {
            let path = format!("runs/{run}/export/{file}.safetensors");
            std::fs::read(workshop.path(&path)).unwrap()
        })
    };
    // Files may hold 256 blocks of 512 bytes, the weights of this network more; without the signal, the
    // write fails as on a full disk.
    let program = env!("CARGO_BIN_EXE_offshoot");
    let limited = format!("trap '' XFSZ; ulimit -f 256; exec '{program}' {}", line("limited"));
    let mut command = Command::new("sh");
    workshop.furnish(&mut command);
    let ended = workshop::Ended::of(command.arg("-c").arg(limited).output().unwrap());
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(
        ended.stderr.contains("checkpoints") && ended.stderr.contains("bytes needed"),
        "{ended:?}"
    );
    workshop.good("runs resume limited -q");
    assert_eq!(weights("limited"), weights("whole"));
}
