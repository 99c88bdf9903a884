//! One seed from its first step to its last, and all of them side by side.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use offshoot_transfer::{Event, Flow, Observer, Phase, TransferError, durable};
use offshoot_weights::Precision;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::RlError;
use crate::learn::{Entry, Learner, Snapshot, Task, evaluate};
use crate::policy::Policy;

/// How often a curve is asked for, beside its beginning.
pub const POINTS: u64 = 50;
/// Episodes of each answer.
pub const EPISODES: usize = 10;
/// Which of a seed's evaluation episodes make its curve.
const CURVE: u64 = 1;
/// Work that a killed process may lose.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(30);
/// How often it is asked whether to go on.
const TICK: Duration = Duration::from_millis(100);

const CHECKPOINT: &str = "checkpoint.safetensors";
const CURVE_FILE: &str = "curve.json";

/// One training.
#[derive(Debug, Clone)]
pub struct Course {
    /// What is to be learnt.
    pub task: Task,
    /// By which learner.
    pub learner: &'static Entry,
    /// Where its policy, its curve and its checkpoint go.
    pub folder: PathBuf,
}

/// What a policy was worth after so many steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Steps in the world.
    pub steps: u64,
    /// Mean return of evaluation episodes.
    pub mean_return: f64,
}

/// What a course came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// At its end.
    pub policy: Policy,
    /// From before the first step on.
    pub curve: Vec<Point>,
    /// Steps in the world.
    pub steps: u64,
    /// Time that learning took, without the evaluations.
    pub seconds: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Curve {
    points: Vec<Point>,
    steps: u64,
    seconds: f64,
}

/// Runs all courses, as many at a time as there are cores. What is finished is not done again.
///
/// # Errors
/// The first course's that failed, or [`TransferError::Stopped`]; then checkpoints hold what was done.
pub fn all(courses: &[Course], observer: &mut dyn Observer) -> Result<Vec<Learnt>> {
    let phase = Phase::Learn;
    let began = Instant::now();
    let stop = AtomicBool::new(false);
    let done: Vec<AtomicU64> = courses.iter().map(|_| AtomicU64::new(0)).collect();
    let mut total = 0;
    let mut finished = 0;
    for (course, done) in courses.iter().zip(&done) {
        let budget = (course.learner.begin)(&course.task)?.budget();
        total += budget;
        if course.folder.join(CURVE_FILE).is_file() {
            done.store(budget, Ordering::Relaxed);
            finished += budget;
        }
    }
    let mut tell = |event: &Event<'_>| observer.on(event) == Flow::Stop;
    let mut told = tell(&Event::Started { phase, total: Some(total as usize) });
    let (ended, result) = sync_channel(1);
    let learnt = std::thread::scope(|threads| {
        let (stop, done) = (&stop, &done);
        threads.spawn(move || {
            let each = courses.par_iter().zip(done).with_max_len(1);
            // On a thread of the pool, even where there is one course: from outside, each of the kernels' shared
            // loops is handed over and waited for, which made a course five times as long.
            let learnt: Result<Vec<Option<Learnt>>> =
                rayon::scope(|_| each.map(|(course, done)| course.run(stop, done)).collect());
            // The receiver lives until something came.
            let _ = ended.send(learnt);
        });
        loop {
            stop.store(told, Ordering::Relaxed);
            match result.recv_timeout(TICK) {
                Ok(learnt) => return learnt,
                Err(RecvTimeoutError::Timeout) => {
                    let done: u64 = done.iter().map(|d| d.load(Ordering::Relaxed)).sum();
                    let (done, total, cached) = (done as usize, total as usize, finished as usize);
                    told |= tell(&Event::Progress { phase, done, total, cached });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TransferError::Internal("a course panicked".into()));
                }
            }
        }
    })?;
    let whole: Vec<Learnt> = learnt.into_iter().flatten().collect();
    if told || whole.len() < courses.len() {
        return Err(TransferError::Stopped { run: None });
    }
    tell(&Event::Finished { phase, seconds: began.elapsed().as_secs_f64() });
    Ok(whole)
}

impl Course {
    /// Runs to the end; `None` where `stop` was raised before, with a checkpoint. `done` counts steps.
    fn run(&self, stop: &AtomicBool, done: &AtomicU64) -> Result<Option<Learnt>> {
        if let Some(learnt) = self.finished()? {
            return Ok(Some(learnt));
        }
        durable::create_dir(&self.folder)?;
        let mut learner = (self.learner.begin)(&self.task)?;
        let mut curve = self.go_back(learner.as_mut())?;
        let mut saved = Instant::now();
        loop {
            done.store(learner.steps(), Ordering::Relaxed);
            self.ask(learner.as_ref(), &mut curve)?;
            if learner.is_done() {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                self.save(learner.as_ref(), &curve)?;
                return Ok(None);
            }
            if saved.elapsed() > BETWEEN_CHECKPOINTS {
                self.save(learner.as_ref(), &curve)?;
                saved = Instant::now();
            }
            let began = Instant::now();
            learner.update()?;
            curve.seconds += began.elapsed().as_secs_f64();
        }
        curve.steps = learner.steps();
        let policy = learner.policy().clone();
        policy.save(&self.folder)?;
        // The curve comes last: with it the course counts as finished.
        durable::write_json(&self.folder.join(CURVE_FILE), &curve)?;
        let checkpoint = self.folder.join(CHECKPOINT);
        if checkpoint.is_file() {
            fs::remove_file(&checkpoint).map_err(|e| TransferError::io(&checkpoint, e))?;
        }
        let Curve { points, steps, seconds } = curve;
        Ok(Some(Learnt { policy, curve: points, steps, seconds }))
    }

    /// What an earlier process finished.
    ///
    /// # Errors
    /// For files that are damaged.
    pub fn finished(&self) -> Result<Option<Learnt>> {
        finished(&self.folder)
    }

    /// Adds to the curve what is due after the steps so far.
    fn ask(&self, learner: &dyn Learner, curve: &mut Curve) -> Result<()> {
        let next = curve.points.len() as u64 * learner.budget() / POINTS;
        // An update may be longer than the distance between two points; then they tell the same.
        if learner.steps() < next || curve.points.last().is_some_and(|p| p.steps == learner.steps())
        {
            return Ok(());
        }
        let Task { kind, constants, seed, .. } = &self.task;
        let judged = evaluate(learner.policy(), kind, constants, EPISODES, (*seed, CURVE))?;
        curve.points.push(Point { steps: learner.steps(), mean_return: judged.mean() });
        Ok(())
    }

    fn save(&self, learner: &dyn Learner, curve: &Curve) -> Result<()> {
        let Snapshot { params, state } = learner.snapshot()?;
        let text = |value: &serde_json::Value| value.to_string();
        let curve = serde_json::to_value(curve).map_err(|e| RlError::Internal(e.to_string()))?;
        let metadata =
            BTreeMap::from([("state".into(), text(&state)), ("curve".into(), text(&curve))]);
        durable::write_params(&self.folder.join(CHECKPOINT), &params, &metadata, Precision::F32)?;
        Ok(())
    }

    /// Goes back to the checkpoint, where there is one; the curve so far.
    fn go_back(&self, learner: &mut dyn Learner) -> Result<Curve> {
        let path = self.folder.join(CHECKPOINT);
        if !path.is_file() {
            return Ok(Curve { points: Vec::new(), steps: 0, seconds: 0.0 });
        }
        let checkpoint = offshoot_weights::read(&path)?;
        let refused =
            |detail: String| TransferError::ModelRefused(format!("{}: {detail}", path.display()));
        let text = |key: &str| {
            let text = checkpoint.metadata.get(key);
            text.ok_or_else(|| refused(format!("`{key}` is missing")))
        };
        let state = serde_json::from_str(text("state")?).map_err(|e| refused(e.to_string()))?;
        let curve = serde_json::from_str(text("curve")?).map_err(|e| refused(e.to_string()))?;
        learner.restore(Snapshot { params: checkpoint.params.clone(), state })?;
        Ok(curve)
    }
}

/// What a finished course left in `folder`; `None` where there is none.
///
/// # Errors
/// For files that are damaged.
pub fn finished(folder: &Path) -> Result<Option<Learnt>> {
    let path = folder.join(CURVE_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read(&path).map_err(|e| TransferError::io(&path, e))?;
    let Curve { points, steps, seconds } = serde_json::from_slice(&text)
        .map_err(|e| TransferError::ModelRefused(format!("{}: {e}", path.display())))?;
    Ok(Some(Learnt { policy: Policy::load(folder)?, curve: points, steps, seconds }))
}
