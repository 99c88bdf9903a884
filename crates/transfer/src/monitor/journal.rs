//! `metrics.jsonl` while a run goes on: every record is there as soon as it is told.

use std::path::{Path, PathBuf};

use super::{History, Record};
use crate::durable::Lines;
use crate::{Result, TransferError};

/// A history, and the file that tells it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Lines of the file before the first record.
    before: Vec<String>,
    history: History,
    lines: Lines,
}

/// A record, or anything else that is told, as a line of the file: keys are sorted.
pub fn line(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_value(value)
        .and_then(|value| serde_json::to_string(&value))
        .map_err(|e| TransferError::Internal(format!("metrics.jsonl: {e}")))
}

impl Journal {
    /// Goes on after `history`. The file is brought to hold `before` and that history and nothing else:
    /// what a killed process told beyond its last checkpoint is told again.
    pub fn open(path: &Path, before: &[String], history: History) -> Result<Self> {
        let lines = Lines::open(path, &all(before, &history)?)?;
        Ok(Self { path: path.into(), before: before.to_vec(), history, lines })
    }

    /// Everything so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// As above, at the end.
    pub fn into_history(self) -> History {
        self.history
    }

    /// Tells one more.
    pub fn tell(&mut self, record: Record) -> Result<()> {
        self.lines.append(line(&record)?)?;
        self.history.records.push(record);
        Ok(())
    }

    /// Takes back what does not hold any more.
    pub fn retain(&mut self, holds: impl Fn(&Record) -> bool) -> Result<()> {
        self.history.records.retain(holds);
        self.lines = Lines::open(&self.path, &all(&self.before, &self.history)?)?;
        Ok(())
    }

    /// Waits until the file is on disk.
    pub fn sync(&mut self) -> Result<()> {
        self.lines.sync()
    }
}

fn all(before: &[String], history: &History) -> Result<Vec<String>> {
    before.iter().cloned().map(Ok).chain(history.records.iter().map(line)).collect()
}
