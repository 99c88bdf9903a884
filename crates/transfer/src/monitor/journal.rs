//! `metrics.jsonl` and TensorBoard's events while a run goes on: every record is there as soon as it is told.

use std::path::{Path, PathBuf};

use super::tensorboard::Events;
use super::{History, Record};
use crate::durable::Growing;
use crate::train::folder::METRICS;
use crate::{Result, TransferError};

/// A history, and the files that tell it.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    /// Lines of the file before the first record.
    before: Vec<String>,
    history: History,
    lines: Growing,
    events: Events,
}

/// A record, or anything else that is told, as a line of the file: keys are sorted.
pub fn line(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_value(value)
        .and_then(|value| serde_json::to_string(&value))
        .map_err(|e| TransferError::Internal(format!("{METRICS}: {e}")))
}

impl Journal {
    /// Goes on after `history` in the folder of a run. The files are brought to hold `before` and that history
    /// and nothing else: what a killed process told beyond its last checkpoint is told again.
    pub fn open(folder: &Path, before: &[String], history: History) -> Result<Self> {
        let (lines, events) = files(folder, before, &history)?;
        Ok(Self { folder: folder.into(), before: before.to_vec(), history, lines, events })
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
        self.lines.append_line(&line(&record)?)?;
        self.events.tell(&record)?;
        self.history.records.push(record);
        Ok(())
    }

    /// Takes back what does not hold any more.
    pub fn retain(&mut self, holds: impl Fn(&Record) -> bool) -> Result<()> {
        self.history.records.retain(holds);
        (self.lines, self.events) = files(&self.folder, &self.before, &self.history)?;
        Ok(())
    }

    /// Waits until the files are on disk.
    pub fn sync(&mut self) -> Result<()> {
        self.lines.sync()?;
        self.events.sync()
    }
}

fn files(folder: &Path, before: &[String], history: &History) -> Result<(Growing, Events)> {
    let lines: Result<Vec<String>> =
        before.iter().cloned().map(Ok).chain(history.records.iter().map(line)).collect();
    // What stands before may be of another kind: a search over strengths of the head, hidden words.
    let earlier = before.iter().filter_map(|line| serde_json::from_str(line).ok());
    let records: Vec<Record> = earlier.chain(history.records.iter().cloned()).collect();
    Ok((Growing::lines(&folder.join(METRICS), &lines?)?, Events::open(folder, &records)?))
}
