//! A run whose policies are reused.

use std::path::{Path, PathBuf};

use offshoot_transfer::TransferError;
use offshoot_transfer::run::RunFolder;
use offshoot_transfer::run::record::RunState;

use super::document::TransferDocument;
use super::methods::{Given, Method};
use super::remap::{Matched, Remapping, remap};
use crate::learn::{Start, Task};
use crate::policy::{Names, Policy};
use crate::report::document::WorldFacts;
use crate::train::document::{SeedReport, TrainReport};
use crate::train::{self, Result};
use crate::world::Spec;

/// A finished run, read and put into the target's names.
pub(super) struct Source {
    /// Its folder.
    pub run: PathBuf,
    /// Its world, in words.
    pub told: String,
    /// The same as data.
    pub world: WorldFacts,
    /// Its learner.
    pub learner: String,
    /// Steps that each policy took.
    pub steps: u64,
    /// As they were learnt.
    pub policies: Vec<Policy>,
    /// In the target's names.
    pub moved: Vec<Policy>,
    /// Where the target's names are in the source's.
    pub matched: Matched,
}

impl Source {
    /// Reads the run in `path`: every seed of a training, or what a transfer shipped.
    ///
    /// # Errors
    /// For a folder that is no such run, or not finished, and for names of `remapping` that do not exist.
    pub fn load(path: &Path, target: &Spec, remapping: &Remapping) -> Result<Self> {
        let (folder, record) = RunFolder::open(path)?;
        let name = folder.name();
        if record.state != RunState::Complete {
            return Err(TransferError::usage(
                format!("run `{name}` is not finished"),
                format!("`offshoot runs resume {name}` goes on with it"),
            ));
        }
        let (told, world, learner, steps, policies) = match record.command.as_str() {
            train::COMMAND => {
                let report: TrainReport = folder.drawn_from("report.json")?;
                folder.verify(&record, "seeds/")?;
                let load =
                    |s: &SeedReport| Policy::load(&folder.file(&format!("seeds/{}", s.seed)));
                let policies = report.seeds.iter().map(load).collect::<crate::Result<Vec<_>>>()?;
                let steps = report.seeds.iter().map(|s| s.steps).max().unwrap_or(0);
                let TrainReport { told, world, constants, learner, .. } = report;
                (told, WorldFacts { world, constants }, learner, steps, policies)
            }
            super::COMMAND => {
                let document: TransferDocument = folder.drawn_from("report.json")?;
                folder.verify(&record, "policy/")?;
                let policy = Policy::load(&folder.file("policy"))?;
                let TransferDocument { told, steps, report, .. } = document;
                (told, report.target, report.learner, steps, vec![policy])
            }
            other => {
                return Err(TransferError::usage(
                    format!("run `{name}` is of `{other}` and holds no policy"),
                    "`offshoot rl train WORLD` makes one that does",
                ));
            }
        };
        let Some(first) = policies.first() else {
            return Err(TransferError::ModelRefused(format!("{}: no policy", path.display())));
        };
        let matched = remapping.matched(&first.names, &Names::of(target))?;
        let moved = policies
            .iter()
            .map(|policy| remap(policy, target, &matched))
            .collect::<crate::Result<Vec<_>>>()?;
        Ok(Self { run: path.into(), told, world, learner, steps, policies, moved, matched })
    }
}

/// What `task` begins with by `method` and source `chosen`. Seed `i` takes the `i`-th policy of each source,
/// over and over.
pub(super) fn start(
    method: &Method,
    sources: &[Source],
    chosen: usize,
    task: &Task,
    target: &Spec,
) -> Result<Start> {
    let source = &sources[chosen];
    if !method.maps {
        source.matched.shares_something(&source.policies[0].names, target)?;
    }
    let at = |policies: &[Policy]| (task.seed % policies.len() as u64) as usize;
    let all: Vec<Policy> = sources.iter().map(|s| s.moved[at(&s.moved)].clone()).collect();
    let original = (&source.policies[at(&source.policies)], &source.matched);
    let given = Given { source: &all[chosen], original, sources: &all, task };
    Ok((method.start)(&given)?)
}
