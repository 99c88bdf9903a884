//! A folder to work in: pictures, an empty cache and store, and nothing of the user's own.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot make its data fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A temporary folder with `photos/` (two classes), `other/` (the same classes, drawn by another
/// vendor) and `new.png`.
pub struct Workshop {
    dir: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

const CLASSES: [&str; 2] = ["face", "vehicle"];
const PICTURES: usize = 14;

impl Workshop {
    pub fn new() -> Self {
        let workshop = Self { dir: tempfile::tempdir().unwrap() };
        for (folder, vendor) in [("photos", "google"), ("other", "twitter")] {
            for class in CLASSES {
                let to = workshop.path(folder).join(class);
                fs::create_dir_all(&to).unwrap();
                for file in emoji(vendor, class).into_iter().take(PICTURES) {
                    fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
                }
            }
        }
        let last = emoji("google", "face").pop().unwrap();
        fs::copy(last, workshop.path("new.png")).unwrap();
        workshop
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// The program, as a stranger would run it here.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offshoot"));
        self.furnish(&mut command);
        command
    }

    /// Gives a command this folder and none of the user's settings.
    pub fn furnish(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OFFSHOOT_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, inside) in [
            ("OFFSHOOT_CACHE", "cache"),
            ("OFFSHOOT_HOME", "home"),
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "home/config"),
        ] {
            command.env(name, self.path(inside));
        }
    }

    /// Runs `offshoot LINE`.
    pub fn run(&self, line: &str) -> Ended {
        Ended::of(self.command().args(line.split_whitespace()).output().unwrap())
    }

    /// Runs `offshoot LINE` and expects success.
    pub fn good(&self, line: &str) -> String {
        let ended = self.run(line);
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
        ended.stdout
    }

    /// The document that `offshoot LINE --json` prints.
    pub fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.good(&format!("{line} --json"))).unwrap()
    }

    /// A text without what differs from machine to machine: this folder, numbers, column widths.
    pub fn redacted(&self, text: &str) -> String {
        let text = text.replace(&self.dir.path().display().to_string(), "DIR");
        let mut redacted = String::new();
        let mut number = false;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let digit = |c: &char| c.is_ascii_digit();
            // A dot or comma belongs to a number when a digit follows.
            number = digit(&c) || (number && ".,:".contains(c) && rest.peek().is_some_and(digit));
            if !number {
                redacted.push(c);
            } else if !redacted.ends_with('#') {
                redacted.push('#');
            }
        }
        let lines =
            redacted.lines().map(|l| l.split("  ").filter(|w| !w.is_empty()).map(str::trim));
        lines.map(|words| words.collect::<Vec<_>>().join("  ")).collect::<Vec<_>>().join("\n")
    }
}

impl Ended {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn emoji(vendor: &str, class: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/emoji");
    let entries = fs::read_dir(folder.join(vendor).join(class)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Every key of a document with the kind of its value; of a list, the first element counts.
pub fn keys(value: &serde_json::Value) -> String {
    fn walk(value: &serde_json::Value, path: &str, lines: &mut Vec<String>) {
        use serde_json::Value;
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        if !path.is_empty() {
            lines.push(format!("{path}: {kind}"));
        }
        match value {
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    walk(first, &format!("{path}[]"), lines);
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(field, &format!("{path}{dot}{key}"), lines);
                }
            }
            _ => {}
        }
    }
    let mut lines = Vec::new();
    walk(value, "", &mut lines);
    lines.sort();
    lines.join("\n")
}
