//! When a fit must end, whether or not it is good enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Ends an iterative fit early; what it has by then is its result, and `converged` is false. Closed forms
/// are not interrupted.
#[derive(Debug, Clone, Default)]
pub struct Limit {
    /// Raised by someone who no longer wants the result.
    pub stop: Option<Arc<AtomicBool>>,
    /// When the time is used up.
    pub until: Option<Instant>,
}

impl Limit {
    /// Whether to end now.
    pub fn is_reached(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
            || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The same for a first part of the work, which may take `share` of the time left.
    pub(super) fn first(&self, share: f64) -> Self {
        let now = Instant::now();
        let until = self.until.map(|until| {
            now + Duration::from_secs_f64(
                share * until.saturating_duration_since(now).as_secs_f64(),
            )
        });
        Self { stop: self.stop.clone(), until }
    }
}
