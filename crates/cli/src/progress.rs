//! What a run is doing, on standard error: a bar with the time left on a terminal, otherwise a
//! line every ten seconds.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use offshoot_transfer::report::words;
use offshoot_transfer::{Event, Flow, Observer, Phase};

use crate::context::{Loudness, clean};

const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// Phases shorter than this are not worth a line.
const SHORT: f64 = 0.05;

/// Shows events, and asks to stop when the flag is up.
#[derive(Debug)]
pub struct Progress {
    loudness: Loudness,
    terminal: bool,
    stop: Arc<AtomicBool>,
    told_to_stop: bool,
    bar: Option<ProgressBar>,
    /// Where training stands.
    standing: String,
    began: Instant,
    last_line: Instant,
    /// What the last line told, so that waiting is not told again and again.
    last_done: usize,
}

impl Progress {
    /// For standard error; `stop` is raised by a signal.
    pub fn new(loudness: Loudness, terminal: bool, stop: Arc<AtomicBool>) -> Self {
        let now = Instant::now();
        let (told_to_stop, bar, standing) = (false, None, String::new());
        let (began, last_line) = (now, now);
        Self {
            loudness,
            terminal,
            stop,
            told_to_stop,
            bar,
            standing,
            began,
            last_line,
            last_done: 0,
        }
    }

    fn started(&mut self, phase: Phase, total: Option<usize>) {
        self.standing.clear();
        self.began = Instant::now();
        (self.last_line, self.last_done) = (self.began, 0);
        if !self.terminal || self.loudness == Loudness::Quiet {
            return;
        }
        let target = ProgressDrawTarget::stderr_with_hz(8);
        let bar = ProgressBar::with_draw_target(total.filter(|n| *n > 0).map(|n| n as u64), target);
        let template = match bar.length() {
            Some(_) => "{prefix:<20} {bar:32} {human_pos} of {human_len}  {msg}",
            None => "{prefix:<20} {spinner} {elapsed}",
        };
        // The templates are ours; one that does not parse would only cost the bar its look.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(phase.verb());
        bar.enable_steady_tick(Duration::from_millis(250));
        self.bar = Some(bar);
    }

    fn progress(&mut self, phase: Phase, done: usize, total: usize, cached: usize) {
        let left = time_left(self.began.elapsed().as_secs_f64(), done, total, cached);
        let mut left = left.map(|s| format!("{} left", words::seconds(s))).unwrap_or_default();
        if phase == Phase::Finetune && !self.standing.is_empty() {
            let gap = if left.is_empty() { "" } else { " · " };
            left = format!("{}{gap}{left}", self.standing);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(left);
        } else if self.last_line.elapsed() >= BETWEEN_LINES && done != self.last_done {
            (self.last_line, self.last_done) = (Instant::now(), done);
            let [done, total] = [done, total].map(words::count);
            let left = if left.is_empty() { left } else { format!(", {left}") };
            self.say(Loudness::Normal, &format!("{}: {done} of {total}{left}", phase.verb()));
        }
    }

    fn finished(&mut self, phase: Phase, seconds: f64) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if seconds >= SHORT || self.loudness == Loudness::Verbose {
            let text = format!("{:<20} {}", phase.verb(), words::seconds(seconds));
            self.say(Loudness::Normal, &text);
        }
    }

    fn say(&self, least: Loudness, text: &str) {
        if self.loudness < least {
            return;
        }
        let text = clean(text);
        // Nobody is left to be told when standard error is closed.
        let write = || drop(writeln!(std::io::stderr(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event<'_>) -> Flow {
        match *event {
            Event::Started { phase, total } => self.started(phase, total),
            Event::Progress { phase, done, total, cached } => {
                self.progress(phase, done, total, cached);
            }
            Event::Training { epoch, epochs, loss, metric, last, best, lr } => {
                self.standing = standing(epoch, epochs, loss, metric, last.zip(best), lr);
            }
            Event::Working => {}
            Event::Finished { phase, seconds } => self.finished(phase, seconds),
            Event::Warning(text) => self.say(Loudness::Normal, &format!("warning: {text}")),
            Event::Chosen(text) => self.say(Loudness::Normal, text),
            Event::Note(text) => self.say(Loudness::Verbose, text),
        }
        if !self.stop.load(Ordering::Relaxed) {
            return Flow::Continue;
        }
        if !self.told_to_stop {
            self.told_to_stop = true;
            self.say(Loudness::Normal, "stopping; once more to quit at once");
        }
        Flow::Stop
    }
}

/// Bars do not stay behind when an error ends a phase.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// `epoch 3 of 10 · loss 0.42 · accuracy 81.2 % (best 82.0 %) · lr 3.1e-4`.
fn standing(
    epoch: f64,
    epochs: usize,
    loss: f64,
    metric: &str,
    judged: Option<(f64, f64)>,
    lr: f64,
) -> String {
    let number = epoch.ceil().max(1.0);
    let share = ["accuracy", "macro_f1", "balanced_accuracy", "top5_accuracy"].contains(&metric);
    let shown = |v: f64| if share { words::percent(v) } else { format!("{v:.3}") };
    let judged = judged.map_or_else(String::new, |(last, best)| {
        format!(" · {metric} {} (best {})", shown(last), shown(best))
    });
    format!("epoch {number:.0} of {epochs} · loss {loss:.3}{judged} · lr {lr:.1e}")
}

/// Cached samples cost no time, so only the others tell how long the rest takes.
fn time_left(elapsed: f64, done: usize, total: usize, cached: usize) -> Option<f64> {
    let computed = done.saturating_sub(cached);
    let ahead = total.saturating_sub(done);
    (computed > 0 && ahead > 0).then(|| elapsed / computed as f64 * ahead as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_samples_do_not_promise_speed() {
        assert_eq!(time_left(10.0, 60, 100, 50), Some(40.0));
        assert_eq!(time_left(10.0, 50, 100, 50), None);
        assert_eq!(time_left(10.0, 100, 100, 0), None);
    }

    #[test]
    fn training_tells_where_it_stands() {
        assert_eq!(
            standing(2.25, 10, 0.4218, "accuracy", Some((0.812, 0.82)), 3.1e-4),
            "epoch 3 of 10 · loss 0.422 · accuracy 81.2\u{202f}% (best 82.0\u{202f}%) · lr 3.1e-4"
        );
        assert_eq!(
            standing(0.0, 2, 1.0, "log_loss", None, 0.1),
            "epoch 1 of 2 · loss 1.000 · lr 1.0e-1"
        );
    }

    #[test]
    fn a_raised_flag_stops_at_the_next_event() {
        let stop = Arc::new(AtomicBool::new(false));
        let mut progress = Progress::new(Loudness::Quiet, false, Arc::clone(&stop));
        assert_eq!(progress.on(&Event::Note("x")), Flow::Continue);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(progress.on(&Event::Note("x")), Flow::Stop);
    }
}
