//! Where training goes on after it was stopped, killed or ran out of disk.
//!
//! `checkpoints/step-N/` appears by renaming, when everything in it is on disk; `COMPLETE` holds the
//! sha256 of `state.json`, and that the sha256 of the other files. The one before it goes only then,
//! so whatever happens there is a whole one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use offshoot_nn::Params;
use offshoot_weights::Precision;
use serde::{Deserialize, Serialize};

use super::judge::{Judgement, Verdict};
use crate::digest::Sha;
use crate::guard::sequential::Looks;
use crate::monitor::History;
use crate::{Result, TransferError, durable};

const FOLDER: &str = "checkpoints";
const STATE: &str = "state.json";
const COMPLETE: &str = "COMPLETE";
const SOUP: &str = "soup";
/// How many are kept: the one before the last serves where the last was damaged.
const KEPT: usize = 2;

/// How far training is. Everything else follows from the plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Which schedule was chosen, where the time decided.
    pub schedule: usize,
    /// Phase of the schedule.
    pub phase: usize,
    /// Epochs finished in it.
    pub epoch: usize,
    /// Updates done in this epoch.
    pub batch: usize,
    /// Updates in all.
    pub step: u64,
    /// Epochs in all.
    pub epochs: u64,
    /// Epochs of each phase, as the time budget allows.
    pub planned: Vec<usize>,
    /// How many of the phases were planned when they began.
    pub settled: usize,
    /// Updates of this phase, where the time does not suffice for an epoch.
    pub updates: Option<usize>,
    /// Seconds that the run had taken, earlier processes included.
    pub spent: f64,
    /// The learning rate found by the sweep.
    pub found_lr: Option<f64>,
    /// What divergence has left of the learning rate.
    pub lr_scale: f64,
    /// How often training was rolled back.
    pub rollbacks: u32,
    /// Loss over the samples of this epoch so far, and their number.
    pub loss: [f64; 2],
    /// Right answers among them.
    pub right: usize,
    /// What is kept so far.
    pub best: Option<Best>,
    /// The judgement of the weights that tuning began with.
    pub first: Option<Judgement>,
    /// The best verdict so far, which what is kept must be as good as.
    pub top: Option<Verdict>,
    /// Which validation samples the weights that are kept recognise; `None` before there are any, and
    /// while those that tuning began with are kept.
    pub kept: Option<Vec<bool>>,
    /// What the guard saw.
    pub looks: Looks,
    /// The metric of the last judgement.
    pub last: Option<f64>,
    /// Epochs since then.
    pub stale: usize,
    /// Weights that were averaged so far.
    pub averaged: u64,
    /// Weights that may go into a soup.
    pub ingredients: Vec<Ingredient>,
    /// Why training ended, once it has.
    pub ended: Option<String>,
}

/// Weights after an epoch that may go into a soup, in a file of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ingredient {
    /// Epochs before it.
    pub epoch: u64,
    /// On validation, where there is one.
    pub judged: Option<Judgement>,
    /// Of its file.
    pub sha256: String,
}

/// The weights that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// On validation.
    pub judged: Judgement,
    /// Updates before it.
    pub step: u64,
    /// Epochs before it.
    pub epoch: u64,
}

/// The files of a checkpoint, which [`Checkpoint`] explains.
pub const PARTS: [&str; 7] =
    ["model", "optimizer", "best", "factors", "average", "good", "good_optimizer"];

/// Everything that a checkpoint holds.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// How far training is.
    pub state: State,
    /// What was told so far.
    pub history: History,
    /// What learns, with statistics, head and low-rank factors.
    pub model: Params,
    /// Moments.
    pub optimiser: Params,
    /// The best weights; empty before the first judgement.
    pub best: Params,
    /// Low-rank factors of the best weights; empty without.
    pub factors: Params,
    /// Averaged weights; empty without averaging.
    pub average: Params,
    /// Weights at the start of the epoch, to roll back to, and the optimiser's moments there.
    pub good: Params,
    /// As above.
    pub good_optimiser: Params,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    state: State,
    history: History,
    files: BTreeMap<String, String>,
}

/// A checkpoint on its way to disk. It appears when it is finished, and not at all otherwise.
pub struct Writing {
    run: PathBuf,
    temporary: tempfile::TempDir,
    files: BTreeMap<String, String>,
}

impl Writing {
    /// Begins one below the run folder `run`.
    pub fn begin(run: &Path) -> Result<Self> {
        let root = run.join(FOLDER);
        durable::create_dir(&root)?;
        let temporary = durable::temporary_dir(&root)?;
        Ok(Self { run: run.into(), temporary, files: BTreeMap::new() })
    }

    /// Writes one of [`PARTS`]; empty ones need no file.
    pub fn part(&mut self, part: &str, params: &Params) -> Result<()> {
        if params.is_empty() {
            return Ok(());
        }
        let file = format!("{part}.safetensors");
        let path = self.temporary.path().join(&file);
        let sha256 = durable::write_params(&path, params, &BTreeMap::new(), Precision::F32)?;
        self.files.insert(file, sha256);
        Ok(())
    }

    /// Writes how far training is, gives the checkpoint its name and removes those before the last but one.
    pub fn finish(self, state: &State, history: &History) -> Result<()> {
        let Self { run, temporary, files } = self;
        let root = run.join(FOLDER);
        let path = temporary.path().join(STATE);
        let stored = Stored { state: state.clone(), history: history.clone(), files };
        durable::write_json(&path, &stored)?;
        let sum = Sha::of_file(&path)?.to_string();
        durable::write(&temporary.path().join(COMPLETE), sum.as_bytes())?;
        // One of the same step is there after a return to earlier weights; it stays until this one is whole.
        let name = format!("step-{:08}", state.step);
        let names = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name}-{n}") });
        let free = names.map(|name| root.join(name)).find(|path| !path.exists());
        let target = free.unwrap_or_else(|| root.join(&name));
        durable::rename_dir(temporary.path(), &target)?;
        // It has another name now, and nothing is left to remove.
        let _ = temporary.keep();
        let mut all = folders(&run);
        all.truncate(all.len().saturating_sub(KEPT));
        for old in all {
            // It is only disk space; the next checkpoint tries again.
            let _ = durable::remove_dir(&old);
        }
        Ok(())
    }
}

impl Checkpoint {
    /// The latest whole one below the run folder `run`, and what was wrong with later ones.
    pub fn latest(run: &Path) -> Result<(Option<Self>, Vec<String>)> {
        let mut refused = Vec::new();
        for folder in folders(run).into_iter().rev() {
            match Self::read(&folder) {
                Ok(checkpoint) => return Ok((Some(checkpoint), refused)),
                Err(error) => refused.push(error.to_string()),
            }
        }
        Ok((None, refused))
    }

    fn read(folder: &Path) -> Result<Self> {
        let refused = |file: &str, why: &str| {
            TransferError::ModelRefused(format!("{}: {why}", folder.join(file).display()))
        };
        let read = |file: &str| {
            fs::read(folder.join(file)).map_err(|e| TransferError::io(folder.join(file), e))
        };
        let state = read(STATE)?;
        if read(COMPLETE)? != Sha::of(&[&state]).to_string().as_bytes() {
            return Err(refused(STATE, "changed since it was written"));
        }
        let Stored { state, history, files } = serde_json::from_slice(&state)
            .map_err(|e| refused(STATE, &format!("not a checkpoint's state: {e}")))?;
        let mut parts: BTreeMap<String, Params> = BTreeMap::new();
        for (file, sum) in files {
            let path = folder.join(&file);
            if Sha::of_file(&path)?.to_string() != sum {
                return Err(refused(&file, "changed since it was written"));
            }
            parts.insert(file, offshoot_weights::read(&path)?.params);
        }
        let [model, optimiser, best, factors, average, good, good_optimiser] =
            PARTS.map(|part| parts.remove(&format!("{part}.safetensors")).unwrap_or_default());
        Ok(Self { state, history, model, optimiser, best, factors, average, good, good_optimiser })
    }

    /// What serves as the run folder of another course inside the run folder `run`, so that
    /// [`Checkpoint::clear`] takes its checkpoints along.
    pub fn inside(run: &Path, course: &str) -> PathBuf {
        run.join(FOLDER).join(course)
    }

    /// Where the weights after an epoch wait for a soup, in the run folder `run`.
    pub fn ingredient(run: &Path, epoch: u64) -> PathBuf {
        run.join(FOLDER).join(SOUP).join(format!("epoch-{epoch:06}.safetensors"))
    }

    /// Removes all checkpoints of a finished run.
    pub fn clear(run: &Path) {
        // What stays behind costs disk space and nothing else.
        let _ = fs::remove_dir_all(run.join(FOLDER));
    }
}

/// Folders of checkpoints, oldest first.
fn folders(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join(FOLDER)).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("step-")))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use offshoot_nn::Array;

    fn save(checkpoint: &Checkpoint, run: &Path) {
        let mut writing = Writing::begin(run).unwrap();
        writing.part("model", &checkpoint.model).unwrap();
        writing.part("best", &checkpoint.best).unwrap();
        writing.part("optimizer", &checkpoint.optimiser).unwrap();
        writing.finish(&checkpoint.state, &checkpoint.history).unwrap();
    }

    fn checkpoint(step: u64) -> Checkpoint {
        let array = Array { shape: vec![2], data: vec![step as f32, 0.1 + step as f32].into() };
        let (metric, loss) = (0.1 + 0.2, f64::MAX);
        let judged = Judgement { metric, loss, temperature: 1.0 / 3.0, calibrated: 0.7 };
        Checkpoint {
            state: State {
                step,
                lr_scale: 1.0 / 3.0,
                best: Some(Best { judged, step, epoch: 1 }),
                ..State::default()
            },
            model: Params::from([("w".into(), array.clone())]),
            best: Params::from([("w".into(), array)]),
            ..Checkpoint::default()
        }
    }

    #[test]
    fn what_was_saved_comes_back_to_the_bit() {
        let run = tempfile::tempdir().unwrap();
        assert!(Checkpoint::latest(run.path()).unwrap().0.is_none());
        for step in 1..5 {
            save(&checkpoint(step), run.path());
        }
        // Again, as after a return to earlier weights.
        save(&checkpoint(4), run.path());
        let (found, refused) = Checkpoint::latest(run.path()).unwrap();
        let found = found.unwrap();
        assert!(refused.is_empty());
        assert_eq!(found.state, checkpoint(4).state);
        assert_eq!((found.model, found.best), (checkpoint(4).model, checkpoint(4).best));
        assert!(found.optimiser.is_empty());
        assert_eq!(folders(run.path()).len(), KEPT);
        Checkpoint::clear(run.path());
        assert!(folders(run.path()).is_empty());
    }

    #[test]
    fn a_flipped_bit_in_any_file_falls_back_to_the_one_before() {
        for file in ["model.safetensors", "best.safetensors", STATE, COMPLETE] {
            let run = tempfile::tempdir().unwrap();
            save(&checkpoint(1), run.path());
            save(&checkpoint(2), run.path());
            let path = folders(run.path())[1].join(file);
            let mut bytes = fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(&path, bytes).unwrap();
            let (found, refused) = Checkpoint::latest(run.path()).unwrap();
            assert_eq!(found.unwrap().state.step, 1, "{file}");
            assert_eq!(refused.len(), 1, "{file}");
        }
    }

    #[test]
    fn half_a_checkpoint_is_not_seen() {
        let run = tempfile::tempdir().unwrap();
        save(&checkpoint(1), run.path());
        let half = run.path().join(FOLDER).join(".offshoot-tmp-x");
        fs::create_dir(&half).unwrap();
        fs::write(half.join(STATE), "{").unwrap();
        assert_eq!(Checkpoint::latest(run.path()).unwrap().0.unwrap().state.step, 1);
    }
}
