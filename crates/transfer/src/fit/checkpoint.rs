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
use crate::monitor::History;
use crate::{Result, TransferError, durable};

const FOLDER: &str = "checkpoints";
const STATE: &str = "state.json";
const COMPLETE: &str = "COMPLETE";
/// How many are kept: the one before the last serves where the last was damaged.
const KEPT: usize = 2;

/// How far training is. Everything else follows from the plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
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
    /// Seconds from the last update to the end of the run, where there is a time budget.
    pub after: Option<f64>,
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
    /// The metric of the last judgement.
    pub last: Option<f64>,
    /// Epochs since then.
    pub stale: usize,
    /// Weights that were averaged so far.
    pub averaged: u64,
    /// Why training ended, once it has.
    pub ended: Option<String>,
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

impl Checkpoint {
    fn parts(&self) -> [(&'static str, &Params); 7] {
        [
            ("model", &self.model),
            ("optimizer", &self.optimiser),
            ("best", &self.best),
            ("factors", &self.factors),
            ("average", &self.average),
            ("good", &self.good),
            ("good_optimizer", &self.good_optimiser),
        ]
    }

    /// Writes it below the run folder `run` and removes those before the last but one.
    pub fn save(&self, run: &Path) -> Result<()> {
        let root = run.join(FOLDER);
        durable::create_dir(&root)?;
        let name = format!("step-{:08}", self.state.step);
        let target = root.join(&name);
        let temporary = tempfile::Builder::new()
            .prefix(durable::TEMPORARY_PREFIX)
            .tempdir_in(&root)
            .map_err(|e| TransferError::io(&root, e))?;
        let mut files = BTreeMap::new();
        for (part, params) in self.parts() {
            if params.is_empty() {
                continue;
            }
            let file = format!("{part}.safetensors");
            let path = temporary.path().join(&file);
            offshoot_weights::write_safetensors(&path, params, &BTreeMap::new(), Precision::F32)?;
            files.insert(file, Sha::of_file(&path)?.to_string());
        }
        let stored = Stored { state: self.state.clone(), history: self.history.clone(), files };
        let path = temporary.path().join(STATE);
        durable::write_json(&path, &stored)?;
        let sum = Sha::of_file(&path)?.to_string();
        durable::write(&temporary.path().join(COMPLETE), sum.as_bytes())?;
        if target.exists() {
            // Written before by a process that was killed right after, with the same content.
            fs::remove_dir_all(&target).map_err(|e| TransferError::io(&target, e))?;
        }
        durable::rename_dir(&temporary.keep(), &target)?;
        let mut all = folders(run);
        all.truncate(all.len().saturating_sub(KEPT));
        for old in all {
            // It is only disk space; the next checkpoint tries again.
            let _ = fs::remove_dir_all(old);
        }
        Ok(())
    }

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
        let mut take =
            |part: &str| parts.remove(&format!("{part}.safetensors")).unwrap_or_default();
        Ok(Self {
            state,
            history,
            model: take("model"),
            optimiser: take("optimizer"),
            best: take("best"),
            factors: take("factors"),
            average: take("average"),
            good: take("good"),
            good_optimiser: take("good_optimizer"),
        })
    }

    /// What serves as the run folder of another course inside the run folder `run`, so that
    /// [`Checkpoint::clear`] takes its checkpoints along.
    pub fn inside(run: &Path, course: &str) -> PathBuf {
        run.join(FOLDER).join(course)
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

    fn checkpoint(step: u64) -> Checkpoint {
        let array = Array { shape: vec![2], data: vec![step as f32, 0.1 + step as f32] };
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
            checkpoint(step).save(run.path()).unwrap();
        }
        // Again, as after a kill right behind the last one.
        checkpoint(4).save(run.path()).unwrap();
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
            checkpoint(1).save(run.path()).unwrap();
            checkpoint(2).save(run.path()).unwrap();
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
        checkpoint(1).save(run.path()).unwrap();
        let half = run.path().join(FOLDER).join(".offshoot-tmp-x");
        fs::create_dir(&half).unwrap();
        fs::write(half.join(STATE), "{").unwrap();
        assert_eq!(Checkpoint::latest(run.path()).unwrap().0.unwrap().state.step, 1);
    }
}
