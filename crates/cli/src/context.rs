//! What every command has at hand: the settings, and its two voices.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use offshoot_transfer::documents::SCHEMA;
use offshoot_transfer::{Result, TransferError};
use serde::Serialize;

use crate::progress::Progress;
use crate::settings::{Layers, Settings};

/// Name of standard output in errors.
pub const STDOUT: &str = "standard output";

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Errors only.
    Quiet,
    /// What is being done and what is worth knowing.
    Normal,
    /// Notes too.
    Verbose,
}

/// Everything that a command needs.
#[derive(Debug)]
pub struct Context {
    /// All layers merged.
    pub settings: Settings,
    /// Where each of them comes from.
    pub layers: Layers,
    /// A document in place of text.
    pub json: bool,
    /// What goes to standard error.
    pub loudness: Loudness,
    /// When the process began.
    pub started: Instant,
}

/// A document without a type of its own.
#[derive(Debug, Serialize)]
struct Document<'a, T> {
    schema: u32,
    command: &'a str,
    run: Option<PathBuf>,
    seconds: f64,
    #[serde(flatten)]
    body: T,
}

impl Context {
    /// Prints to standard output.
    pub fn print(&self, text: impl Display) -> Result<()> {
        // One write a call: what reads a pipe sees whole lines.
        let text = text.to_string();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|e| TransferError::io(STDOUT, e))
    }

    /// Prints a document over several lines.
    pub fn document(&self, document: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(document).map_err(unwritable)?;
        self.print(text + "\n")
    }

    /// Prints a document on one line.
    pub fn line(&self, document: &impl Serialize) -> Result<()> {
        self.print(serde_json::to_string(document).map_err(unwritable)? + "\n")
    }

    /// Prints documents, each on a line.
    pub fn lines(&self, documents: &[impl Serialize]) -> Result<()> {
        let mut text = String::new();
        for document in documents {
            text.push_str(&serde_json::to_string(document).map_err(unwritable)?);
            text.push('\n');
        }
        self.print(text)
    }

    /// Prints `body` with the keys that every document has.
    pub fn body(&self, command: &str, run: Option<PathBuf>, body: impl Serialize) -> Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        self.document(&Document { schema: SCHEMA, command, run, seconds, body })
    }

    /// Says something on standard error.
    pub fn say(&self, text: impl Display) {
        if self.loudness > Loudness::Quiet {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Watches a run: shows progress, and stops it when a signal came.
    pub fn observer(&self) -> Result<Progress> {
        Ok(Progress::new(self.loudness, io::stderr().is_terminal(), crate::interrupt::flag()?))
    }
}

fn unwritable(error: serde_json::Error) -> TransferError {
    TransferError::Internal(format!("JSON: {error}"))
}

/// A text without characters that would steer a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
