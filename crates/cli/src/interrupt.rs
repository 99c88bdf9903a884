//! Ctrl-C and SIGTERM: the first asks the run to save and stop, the second ends the process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use offshoot_transfer::{Result, TransferError};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What a shell expects of a process that Ctrl-C ended.
const AT_ONCE: i32 = 130;

/// From now on true after the first signal.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down and raises it.
        flag::register_conditional_shutdown(signal, AT_ONCE, Arc::clone(&asked))
            .and_then(|_| flag::register(signal, Arc::clone(&asked)))
            .map_err(|e| TransferError::io(Path::new("signal handler"), e))?;
    }
    Ok(asked)
}
