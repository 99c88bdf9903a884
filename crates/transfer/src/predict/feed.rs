//! Inputs in batches, read by a thread of their own.
//!
//! What labels never waits for a full batch: it takes what is there, so an answer leaves as soon as
//! its input came, and batches are full whenever inputs come faster than they are labelled.

use std::thread::JoinHandle;
use std::time::Duration;

use offshoot_data::{ColumnNames, Input, Sample};

use super::inputs::{Inputs, PredictInput};
use super::queue::{Receiver, Sender, Taken, queue};
use crate::{Result, TransferError};

/// Bytes of texts and pictures in memory that wait, and that a batch holds; one sample may be
/// larger and is then alone.
const MOST_BYTES: usize = 16 << 20;
/// How often who waits for input asks whether to go on waiting.
const PATIENCE: Duration = Duration::from_millis(200);

/// Samples in their order.
pub struct Feed {
    queue: Receiver<Result<Sample>>,
    reader: Option<JoinHandle<()>>,
    /// What ended the inputs, told after the samples before it.
    failed: Option<TransferError>,
}

impl Feed {
    /// Begins to read, at most a batch ahead. `columns` as in [`Inputs::new`].
    pub fn open(
        mut input: PredictInput,
        columns: Option<ColumnNames>,
        batch: usize,
    ) -> Result<Self> {
        let (sender, receiver) = queue(batch, MOST_BYTES);
        let read = move || send(&mut input, columns.as_ref(), &sender);
        let reader = std::thread::Builder::new()
            .name("inputs".into())
            .spawn(read)
            .map_err(|e| TransferError::io("a thread for inputs", e))?;
        Ok(Self { queue: receiver, reader: Some(reader), failed: None })
    }

    /// Up to `n` samples that are there already.
    pub fn at_hand(&mut self, n: usize) -> Vec<Sample> {
        let mut batch = Vec::new();
        self.fill(&mut batch, n);
        batch
    }

    /// One to `n` samples; none at the end. While nothing comes, `wait` says by an error whether to
    /// give up.
    pub fn next(&mut self, n: usize, mut wait: impl FnMut() -> Result<()>) -> Result<Vec<Sample>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match self.queue.take(PATIENCE) {
                Taken::Item(first) => {
                    let mut batch = vec![first?];
                    self.fill(&mut batch, n);
                    return Ok(batch);
                }
                Taken::Pause => wait()?,
                Taken::End => {
                    // An end that nobody meant must not pass for one.
                    return match self.reader.take().map(JoinHandle::join) {
                        Some(Err(_)) => {
                            Err(TransferError::Internal("reading the inputs failed".into()))
                        }
                        _ => Ok(Vec::new()),
                    };
                }
            }
        }
    }

    /// How many more are known to come.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    fn fill(&mut self, batch: &mut Vec<Sample>, n: usize) {
        let mut bytes: usize = batch.iter().map(weight).sum();
        while self.failed.is_none() && batch.len() < n && bytes < MOST_BYTES {
            match self.queue.take(Duration::ZERO) {
                Taken::Item(Ok(sample)) => {
                    bytes += weight(&sample);
                    batch.push(sample);
                }
                Taken::Item(Err(error)) => self.failed = Some(error),
                Taken::Pause | Taken::End => break,
            }
        }
    }
}

fn send(input: &mut PredictInput, columns: Option<&ColumnNames>, to: &Sender<Result<Sample>>) {
    let inputs = match Inputs::new(input, columns) {
        Ok(inputs) => inputs,
        Err(error) => {
            to.send(Err(error), 0);
            return;
        }
    };
    for sample in inputs {
        let bytes = sample.as_ref().map_or(0, weight);
        let failed = sample.is_err();
        if !to.send(sample, bytes) || failed {
            return;
        }
    }
}

/// Bytes that a sample keeps in memory.
fn weight(sample: &Sample) -> usize {
    sample.id.len()
        + match &sample.input {
            Input::Text(text) => text.text.len() + text.pair.as_ref().map_or(0, |p| p.len()),
            Input::Encoded(bytes) => bytes.len(),
            _ => 0,
        }
}
