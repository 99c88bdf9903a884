//! The run folder of what was learnt in a world.

use std::path::Path;

use offshoot_transfer::TransferError;
use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::{DataFacts, ModelFacts, RunRecord, RunState};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Result;
use crate::policy::Policy;

const PLAN: &str = "plan.toml";

/// The command that made the run in `path`, where it was one of these.
pub fn command_of(path: &Path) -> Option<String> {
    let (_, record) = RunFolder::open(path).ok()?;
    record.command.starts_with("rl ").then_some(record.command)
}

/// Whether the run in `path` was made by one of these commands.
pub fn is_rl(path: &Path) -> bool {
    command_of(path).is_some()
}

/// Writes the record of a run that begins.
pub(crate) fn begin(
    folder: &RunFolder,
    command: &str,
    seed: u64,
    world: &str,
    model: &str,
) -> Result<()> {
    let data = DataFacts { name: world.into(), ..DataFacts::default() };
    let model = ModelFacts { name: model.into(), ..ModelFacts::default() };
    folder.save(&RunRecord::begun(folder.name(), command, seed, data, model))
}

/// Writes what goes back in when the run is resumed.
pub(crate) fn write_plan(folder: &RunFolder, plan: &impl Serialize) -> Result<()> {
    let text = toml::to_string(plan).map_err(|e| TransferError::Internal(format!("plan: {e}")))?;
    folder.write(PLAN, text.as_bytes())
}

/// Reads it.
pub(crate) fn read_plan<T: DeserializeOwned>(folder: &RunFolder) -> Result<T> {
    let path = folder.file(PLAN);
    let text = std::fs::read_to_string(&path).map_err(|e| TransferError::io(&path, e))?;
    toml::from_str(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {}", path.display(), e.message())))
}

/// Notes in the record how work ended that did not come to its end, and names the run in the error.
pub(crate) fn settled<T>(folder: &RunFolder, result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        let (state, error) = match error {
            TransferError::Stopped { .. } => {
                (RunState::Stopped, TransferError::Stopped { run: Some(folder.path().into()) })
            }
            other => (RunState::Failed, other),
        };
        // The error that ended the work matters more than one of noting it.
        if let Ok((_, record)) = RunFolder::open(folder.path()) {
            let _ = folder.save(&RunRecord { state, ..record });
        }
        error
    })
}

/// Writes the policy that the run stands for.
pub(crate) fn ship(folder: &RunFolder, policy: &Policy) -> Result<()> {
    Ok(policy.save(&folder.file("policy"))?)
}

/// Marks the run as complete.
pub(crate) fn finish(folder: &RunFolder, seconds: f64) -> Result<()> {
    let (_, mut record) = RunFolder::open(folder.path())?;
    record.state = RunState::Complete;
    record.usage.seconds += seconds;
    record.usage.disk_bytes = folder.bytes();
    record.files = folder.digests()?;
    folder.save(&record)
}
