//! What lies between the thread that reads inputs and the one that labels them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Items that were read and not yet taken: a bounded number of them, of a bounded total weight.
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    most: usize,
    most_weight: usize,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    weight: usize,
    /// Nothing more will come.
    ended: bool,
    /// Nobody takes any more.
    abandoned: bool,
}

/// The end that puts in.
pub struct Sender<T>(Arc<Shared<T>>);

/// The end that takes out, in order.
pub struct Receiver<T>(Arc<Shared<T>>);

/// What a [`Receiver`] got.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The next item.
    Item(T),
    /// Nothing is there yet.
    Pause,
    /// Nothing more will come.
    End,
}

/// A queue of at most `most` items that weigh at most `most_weight` together; one item may be
/// heavier and is then alone.
pub fn queue<T>(most: usize, most_weight: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { items: VecDeque::new(), weight: 0, ended: false, abandoned: false };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        changed: Condvar::new(),
        most: most.max(1),
        most_weight,
    });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic elsewhere leaves the items whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Waits for room and puts `item` in; false where nobody will take it.
    pub fn send(&self, item: T, weight: usize) -> bool {
        let mut state = self.0.lock();
        let full = |s: &State<T>| {
            !s.items.is_empty()
                && (s.items.len() >= self.0.most || s.weight + weight > self.0.most_weight)
        };
        while full(&state) && !state.abandoned {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.abandoned {
            return false;
        }
        state.weight += weight;
        state.items.push_back((item, weight));
        drop(state);
        self.0.changed.notify_all();
        true
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl<T> Receiver<T> {
    /// The next item; waits for it at most so long.
    pub fn take(&self, wait: Duration) -> Taken<T> {
        let state = self.0.lock();
        let nothing = |s: &mut State<T>| s.items.is_empty() && !s.ended;
        let waited = self.0.changed.wait_timeout_while(state, wait, nothing);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match state.items.pop_front() {
            Some((item, weight)) => {
                state.weight -= weight;
                drop(state);
                self.0.changed.notify_all();
                Taken::Item(item)
            }
            None if state.ended => Taken::End,
            None => Taken::Pause,
        }
    }

    /// How many items wait to be taken.
    pub fn waiting(&self) -> usize {
        self.0.lock().items.len()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.abandoned = true;
        state.items.clear();
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn items_come_out_in_order_and_the_end_is_told() {
        let (sender, receiver) = queue(4, 100);
        assert_eq!(receiver.take(Duration::ZERO), Taken::Pause);
        let thread = std::thread::spawn(move || {
            (0..1000u32).for_each(|i| assert!(sender.send(i, 1 + i as usize % 7)));
        });
        let mut all = Vec::new();
        loop {
            assert!(receiver.waiting() <= 4);
            match receiver.take(LONG) {
                Taken::Item(item) => all.push(item),
                Taken::Pause => {}
                Taken::End => break,
            }
        }
        thread.join().unwrap();
        assert!(all.into_iter().eq(0..1000));
    }

    #[test]
    fn what_is_too_heavy_waits_until_it_is_alone() {
        let (sender, receiver) = queue(10, 5);
        assert!(sender.send("heavy", 50));
        let thread = std::thread::spawn(move || sender.send("light", 1));
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(receiver.waiting(), 1);
        assert_eq!(receiver.take(LONG), Taken::Item("heavy"));
        assert_eq!(receiver.take(LONG), Taken::Item("light"));
        assert_eq!(receiver.take(LONG), Taken::End);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn who_waits_for_room_is_let_go_when_nobody_takes() {
        let (sender, receiver) = queue(1, 5);
        assert!(sender.send(1, 1));
        let thread = std::thread::spawn(move || sender.send(2, 1));
        drop(receiver);
        assert!(!thread.join().unwrap());
    }
}
