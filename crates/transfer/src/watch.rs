//! One place through which a run speaks: to the observer, to `log.txt` and to its own record.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::run::record::PhaseSeconds;
use crate::{Event, Flow, Observer, Phase, Result, TransferError};

/// How often the observer is asked while work goes on that tells nothing.
const TICK: Duration = Duration::from_millis(50);

/// Passes events on and remembers warnings and wall times.
pub struct Watch<'o> {
    observer: &'o mut dyn Observer,
    started: Instant,
    /// Seconds that earlier processes worked on the same run.
    earlier: f64,
    /// Wall times of finished phases, in order.
    pub phases: Vec<PhaseSeconds>,
    /// Every warning so far.
    pub warnings: Vec<String>,
    log: Option<File>,
    // Lines from before the run folder existed.
    early: Vec<String>,
    // Phases inside a phase are the outer one's business; only the log tells of them.
    depth: usize,
}

impl<'o> Watch<'o> {
    /// Starts the clock.
    pub fn new(observer: &'o mut dyn Observer) -> Self {
        Self {
            observer,
            started: Instant::now(),
            earlier: 0.0,
            phases: Vec::new(),
            warnings: Vec::new(),
            log: None,
            early: Vec::new(),
            depth: 0,
        }
    }

    /// Wall time since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The same with the time of earlier processes that worked on this run.
    pub fn spent(&self) -> f64 {
        self.earlier + self.seconds()
    }

    /// The run had taken so many seconds when it was written down what now goes on.
    pub fn goes_on_from(&mut self, seconds: f64) {
        self.earlier = self.earlier.max(seconds);
    }

    /// From now on lines also go to `path`; what was said before goes there first.
    pub fn log_to(&mut self, path: &Path) -> Result<()> {
        let file = File::options().create(true).append(true).open(path);
        self.log = Some(file.map_err(|e| TransferError::io(path, e))?);
        for line in std::mem::take(&mut self.early) {
            self.write_line(line);
        }
        Ok(())
    }

    /// Runs one phase: announces it, times it, and stops when the observer asks for it.
    pub fn phase<T>(
        &mut self,
        phase: Phase,
        total: Option<usize>,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = self.depth == 0;
        if outer {
            self.tell(&Event::Started { phase, total })?;
        }
        let start = Instant::now();
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        let result = result?;
        let seconds = start.elapsed().as_secs_f64();
        self.log_line(&format!("{} took {seconds:.2} s", phase.verb()));
        if outer {
            self.phases.push(PhaseSeconds { phase, seconds });
            self.tell(&Event::Finished { phase, seconds })?;
        }
        Ok(result)
    }

    /// Reports progress; an error means that the observer wants to stop.
    pub fn progress(
        &mut self,
        phase: Phase,
        done: usize,
        total: usize,
        cached: usize,
    ) -> Result<()> {
        self.tell(&Event::Progress { phase, done, total, cached })
    }

    /// Asks whether to go on, where there is nothing to tell.
    pub fn ask(&mut self) -> Result<()> {
        self.tell(&Event::Working)
    }

    /// Runs work that tells nothing, and asks all the while whether to go on. Where the answer is no, the
    /// flag that `work` was given goes up, and what it returns is dropped.
    pub fn listening<T: Send>(
        &mut self,
        work: impl FnOnce(&Arc<AtomicBool>) -> T + Send,
    ) -> Result<T> {
        let stop = Arc::new(AtomicBool::new(false));
        self.ask()?;
        // A thread of the pool that only waited would be missing from the work.
        if rayon::current_thread_index().is_some() {
            return Ok(work(&stop));
        }
        let (done, result) = sync_channel(1);
        std::thread::scope(|threads| {
            let flag = Arc::clone(&stop);
            threads.spawn(move || done.send(work(&flag)));
            let mut told = Ok(());
            loop {
                match result.recv_timeout(TICK) {
                    Ok(result) => return told.map(|()| result),
                    Err(RecvTimeoutError::Timeout) if told.is_ok() => {
                        told = self.ask();
                        stop.store(told.is_err(), Ordering::Relaxed);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(TransferError::Internal("a worker panicked".into()));
                    }
                }
            }
        })
    }

    /// Tells where training stands.
    pub fn training(&mut self, event: &Event<'_>) -> Result<()> {
        self.tell(event)
    }

    /// Worth telling, goes on.
    pub fn warn(&mut self, text: impl Into<String>) -> Result<()> {
        let text = text.into();
        self.log_line(&format!("warning: {text}"));
        let result = self.tell(&Event::Warning(&text));
        self.warnings.push(text);
        result
    }

    /// For `-v` and the log.
    pub fn note(&mut self, text: &str) -> Result<()> {
        self.log_line(text);
        self.tell(&Event::Note(text))
    }

    /// What was chosen for the user.
    pub fn chose(&mut self, text: &str) -> Result<()> {
        self.log_line(text);
        self.tell(&Event::Chosen(text))
    }

    /// Only for the log.
    pub fn log_line(&mut self, text: &str) {
        // One line an entry, whatever file names hold.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.write_line(format!("{:9.3} {text}\n", self.seconds()));
    }

    fn write_line(&mut self, line: String) {
        match &mut self.log {
            // The log is the least of a full disk's victims; what matters is written durably.
            Some(file) => drop(file.write_all(line.as_bytes())),
            None => self.early.push(line),
        }
    }

    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        match self.observer.on(event) {
            Flow::Continue => Ok(()),
            Flow::Stop => Err(TransferError::Stopped { run: None }),
        }
    }
}
