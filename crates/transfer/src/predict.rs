//! Labels for new inputs.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use crate::documents::{PredictReport, Prediction};
use crate::plan::PredictPlan;
use crate::{Observer, Result};

/// What to label.
pub enum PredictInput<'a> {
    /// Files, folders (every image below them, sorted) and manifests (`.csv` with a `path` column).
    Paths(Vec<PathBuf>),
    /// Standard input: the bytes of one image, or a list of paths, one a line. Which of them is
    /// decided by the first bytes.
    Stream(&'a mut (dyn BufRead + 'a)),
}

/// Labels inputs in their order and hands each row to `sink` as soon as its batch is done.
/// Unreadable inputs give a row with `error`; memory follows the batch, not the input.
pub fn predict(
    plan: &PredictPlan,
    input: PredictInput<'_>,
    observer: &mut dyn Observer,
    sink: &mut dyn FnMut(&Prediction) -> Result<()>,
) -> Result<PredictReport> {
    let _ = (plan, observer, sink);
    if let PredictInput::Stream(s) = input {
        let _ = s.bytes();
    }
    Err(crate::TransferError::Internal("not there yet".into()))
}
