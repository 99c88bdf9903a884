//! What `--help` teaches, word for word.

mod workshop;
use workshop::Workshop;

const COMMANDS: &[&str] = &[
    "",
    "adapt",
    "check",
    "completions",
    "demo",
    "doctor",
    "eval",
    "explain",
    "export",
    "extract",
    "models",
    "models add",
    "models pull",
    "predict",
    "rank",
    "report",
    "rl",
    "rl train",
    "rl transfer",
    "rl report",
    "runs",
    "runs compare",
    "runs resume",
    "settings",
    "shift",
    "train",
    "transfer-report",
    "verify",
];

#[test]
fn every_help_page() {
    let workshop = Workshop::new();
    for command in COMMANDS {
        let page = workshop.good(&format!("{command} --help"));
        let name = format!("help {command}");
        let page = match *command {
            "adapt" => without_methods(&page),
            "rl train" => without_registries(&page),
            _ => page,
        };
        insta::assert_snapshot!(name.trim().replace(' ', "-"), page);
    }
}

/// Methods of adaptation are listed from their registry, so that a new one is told without a change here.
fn without_methods(page: &str) -> String {
    let parts = page.split_once("\n  auto  ");
    let parts = parts.and_then(|(before, list)| Some((before, list.split_once("\n\n")?.1)));
    match parts {
        Some((before, after)) => format!("{before}\n  METHODS\n\n{after}"),
        None => panic!("a page without its list of methods:\n{page}"),
    }
}

/// Likewise worlds, their constants and learners.
fn without_registries(page: &str) -> String {
    let parts = page.split_once("Worlds, and");
    let parts = parts.and_then(|(before, list)| Some((before, list.split_once("\n\nSettings")?.1)));
    match parts {
        Some((before, after)) => format!("{before}REGISTRIES\n\nSettings{after}"),
        None => panic!("a page without its registries:\n{page}"),
    }
}

#[test]
fn rl_train_teaches_every_world_and_learner() {
    let page = Workshop::new().good("rl train --help");
    for kind in offshoot_rl::world::WORLDS {
        assert!(page.contains(&format!("\n  {}  ", kind.name)), "{}", kind.name);
    }
    for learner in offshoot_rl::learn::LEARNERS {
        assert!(page.contains(&format!("\n  {}  ", learner.name)), "{}", learner.name);
    }
}

#[test]
fn adapt_teaches_every_method() {
    let page = Workshop::new().good("adapt --help");
    for method in offshoot_transfer::adapt::method::methods() {
        assert!(page.contains(&format!("\n  {} ", method.name)), "{}", method.name);
    }
}

#[test]
fn every_command_has_a_page_here() {
    let page = Workshop::new().good("--help");
    let commands = page.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for command in commands.lines().filter_map(|line| line.split_whitespace().next()) {
        assert!(COMMANDS.contains(&command), "{command}");
    }
}

#[test]
fn completions_know_every_command() {
    let workshop = Workshop::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = workshop.good(&format!("completions {shell}"));
        assert!(script.contains("predict") && script.contains("runs-dir"), "{shell}");
    }
}
