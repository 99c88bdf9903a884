//! What `--help` teaches, word for word.

mod workshop;
use workshop::Workshop;

const COMMANDS: &[&str] = &[
    "",
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
        insta::assert_snapshot!(name.trim().replace(' ', "-"), page);
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
