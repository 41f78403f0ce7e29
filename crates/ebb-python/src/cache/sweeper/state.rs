//! What the sweeper's thread and the threads that use caches share: the caches it knows, and when it looks at them next.

use crate::cache::shared::Shared;
use ebb::Clock;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread::JoinHandle;

/// Milliseconds from an entry's deadline to its sweep, so that those due about the same time go together.
pub(super) const LAG: u64 = 100;
/// Milliseconds that the thread waits for another cache once the last one has gone: starting a thread takes longer than
/// making a cache, and one that ends keeps its stack until it runs.
const LINGER: u64 = 1_000;

pub(super) struct Sweeper {
    /// All of them are alive: a cache leaves the list before it goes. Each knows its place.
    pub(super) caches: Vec<Weak<Shared>>,
    /// When the thread ends if there is no cache until then, in milliseconds of the system's clock.
    pub(super) lingers_until: u64,
    pub(super) thread: Option<JoinHandle<()>>,
    /// Those told to end, which may still be in an `on_remove`: the interpreter must not go before they have.
    pub(super) ended: Vec<JoinHandle<()>>,
    /// Milliseconds between the last two attempts to start the thread, where all since the last success have failed.
    pub(super) pause: u64,
    /// Counts threads started, so that one that should have ended knows.
    pub(super) generation: u64,
    /// No thread any more: the interpreter is going.
    pub(super) closed: bool,
    /// What each thread is at, by its generation, where that may run Python code.
    pub(super) at_work: Vec<(u64, Weak<Shared>)>,
}

static SWEEPER: Mutex<Sweeper> = Mutex::new(Sweeper {
    caches: Vec::new(),
    lingers_until: 0,
    thread: None,
    ended: Vec::new(),
    pause: 0,
    generation: 0,
    closed: false,
    at_work: Vec::new(),
});
pub(super) static WAKE: Condvar = Condvar::new();
/// When the sweeper will look again, in milliseconds of the system's clock.
pub(super) static PLANNED: AtomicU64 = AtomicU64::new(u64::MAX);
/// Until when no attempt is made to start the thread, in milliseconds of the system's clock.
pub(super) static RESTING: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The lock, held by the thread that is about to fork until it has.
    pub(super) static HELD: RefCell<Option<MutexGuard<'static, Sweeper>>> = const { RefCell::new(None) };
}

pub(super) fn sweeper() -> MutexGuard<'static, Sweeper> {
    SWEEPER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`sweeper`], from a thread that has the interpreter. Who forks keeps the lock through other modules' hooks, which
/// need the interpreter: so it is let go while waiting. Those hooks may use caches themselves.
pub(super) fn with_sweeper<R>(py: Python<'_>, work: impl FnOnce(&mut Sweeper) -> R) -> R {
    if let Some(mut held) = HELD.try_with(RefCell::take).ok().flatten() {
        let result = work(&mut held);
        HELD.set(Some(held));
        return result;
    }
    work(&mut lock_attached(py))
}

/// The lock, for a thread that has the interpreter. It lets the interpreter go to wait, and has it back before it takes
/// the lock: attaching may run any Python code, which must find the lock free.
pub(super) fn lock_attached(py: Python<'_>) -> MutexGuard<'static, Sweeper> {
    loop {
        match SWEEPER.try_lock() {
            Ok(held) => return held,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => py.detach(|| drop(sweeper())),
        }
    }
}

/// Whether something due at `due` (milliseconds) would be swept too late as things are planned.
#[inline]
pub(super) fn is_news(due: u64) -> bool {
    due.saturating_add(LAG) < PLANNED.load(Ordering::SeqCst)
}

/// Have the thread look at `moment` (milliseconds) at the latest. Called under the lock.
pub(super) fn plan(moment: u64) {
    if PLANNED.fetch_min(moment, Ordering::SeqCst) > moment {
        WAKE.notify_one();
    }
}

impl Sweeper {
    /// Know a cache, if there is room; whether it does.
    pub(super) fn know(&mut self, shared: &Arc<Shared>) -> bool {
        if !shared.is_known() && self.caches.try_reserve(1).is_ok() {
            shared.set_place(self.caches.len());
            self.caches.push(Arc::downgrade(shared));
        }
        shared.is_known()
    }

    /// Know a cache no more. The last of the list takes its place. O(1).
    pub(super) fn forget(&mut self, shared: &Shared) {
        let place = shared.place();
        self.caches.swap_remove(place);
        if let Some(moved) = self.caches.get(place).and_then(Weak::upgrade) {
            moved.set_place(place);
        }
        if self.caches.len() <= self.caches.capacity() / 4 {
            self.caches.shrink_to(self.caches.len() * 2);
        }
        if self.caches.is_empty() {
            self.linger();
        }
    }

    /// Have the thread end if no cache comes for a while.
    fn linger(&mut self) {
        self.lingers_until = Clock::now().millis() + LINGER;
        plan(self.lingers_until);
    }

    /// Make no attempt to start the thread for `pause` milliseconds.
    pub(super) fn rest(&mut self, pause: u64) {
        self.pause = pause;
        RESTING.store(if pause == 0 { 0 } else { Clock::now().millis() + pause }, Ordering::Relaxed);
    }

    /// Have the thread end, by itself.
    pub(super) fn stop(&mut self) {
        self.generation += 1;
        PLANNED.store(u64::MAX, Ordering::SeqCst);
        WAKE.notify_one();
        self.retire();
    }

    /// The thread is about to end.
    pub(super) fn retire(&mut self) {
        self.ended.retain(|thread| !thread.is_finished());
        self.ended.extend(self.thread.take());
    }
}
