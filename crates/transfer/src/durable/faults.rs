//! Calls to the operating system that fail, for tests: the n-th of this thread, as a full disk would.

use std::cell::Cell;
use std::io;

thread_local! {
    static SEEN: Cell<usize> = const { Cell::new(0) };
    static FAILING: Cell<Option<usize>> = const { Cell::new(None) };
    static FOR_EVER: Cell<bool> = const { Cell::new(false) };
    static TESTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts a call; an error where it is the one that fails, or comes after it on a disk that stays full.
pub fn call() -> io::Result<()> {
    let n = SEEN.get() + 1;
    SEEN.set(n);
    let fails = FAILING.get().is_some_and(|k| n == k || (FOR_EVER.get() && n > k));
    if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

/// Whether this thread has ever let calls fail.
pub fn are_tested() -> bool {
    TESTED.get()
}

/// Runs `work`, whose `n`-th call fails, and all later ones where `stays`. `None` lets every call through.
/// Returns what `work` returned and how many calls it made.
pub fn failing<T>(n: Option<usize>, stays: bool, work: impl FnOnce() -> T) -> (T, usize) {
    TESTED.set(true);
    SEEN.set(0);
    FAILING.set(n);
    FOR_EVER.set(stays);
    let result = work();
    FAILING.set(None);
    FOR_EVER.set(false);
    (result, SEEN.get())
}
