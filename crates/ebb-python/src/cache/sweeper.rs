//! The one thread of the process that removes what has expired from caches nobody touches. It exists while there is a
//! cache with something to expire, sleeps until the first entry may be due, and takes the interpreter only where
//! objects have to be dropped or `on_remove` called.

use crate::cache::Shared;
use crate::cache::chest::Chest;
use crate::cache::gone::Gone;
use ebb::Clock;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Milliseconds from an entry's deadline to its sweep, so that those due about the same time go together.
const LAG: u64 = 100;
/// Milliseconds until a cache that was busy is tried again.
const RETRY: u64 = 2;
/// Entries looked at under one hold of a cache's lock: some ten microseconds.
const SWEPT: usize = 64;
/// How long the sweeper keeps the interpreter.
const TURN: Duration = Duration::from_micros(500);
/// How long it stays away for others, and how often at most.
const PAUSE: Duration = Duration::from_micros(50);
const PATIENCE: usize = 100;
/// As much as Python's own threads have: `on_remove` and `__del__` are any Python code. Only what is used becomes resident.
const STACK_BYTES: usize = if cfg!(target_os = "macos") { 16 << 20 } else { 8 << 20 };

struct Sweeper {
    caches: Vec<Weak<Shared>>,
    thread: Option<JoinHandle<()>>,
    /// Counts threads started, so that one that should have ended knows.
    generation: u64,
    /// No thread any more: the interpreter is going.
    closed: bool,
}

static SWEEPER: Mutex<Sweeper> = Mutex::new(Sweeper { caches: Vec::new(), thread: None, generation: 0, closed: false });
static WAKE: Condvar = Condvar::new();
/// When the sweeper will look again, in milliseconds of the system's clock.
static PLANNED: AtomicU64 = AtomicU64::new(u64::MAX);

fn sweeper() -> MutexGuard<'static, Sweeper> {
    SWEEPER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether something due at `due` (milliseconds) would be swept too late as things are planned.
#[inline]
pub(crate) fn is_news(due: u64) -> bool {
    due.saturating_add(LAG) < PLANNED.load(Ordering::SeqCst)
}

/// Have a cache swept once something is due at `due`. Never waits for long: the lock is not held over any work.
#[cold]
pub(crate) fn announce(shared: &Arc<Shared>, due: u64) {
    let mut sweeper = sweeper();
    if sweeper.closed {
        return;
    }
    if !shared.is_known() {
        if sweeper.caches.try_reserve(1).is_err() {
            return; // operations sweep too
        }
        sweeper.caches.push(Arc::downgrade(shared));
        shared.set_known();
    }
    PLANNED.fetch_min(due.saturating_add(LAG), Ordering::SeqCst);
    start(&mut sweeper);
    WAKE.notify_one();
}

/// A cache has gone.
pub(crate) fn forget(shared: &Shared) {
    if !shared.is_known() {
        return;
    }
    let mut sweeper = sweeper();
    sweeper.caches.retain(|known| !std::ptr::eq(known.as_ptr(), shared));
    if sweeper.caches.is_empty() {
        sweeper.caches = Vec::new();
        drop(stop(&mut sweeper)); // it ends by itself
    }
}

fn start(sweeper: &mut Sweeper) {
    if sweeper.thread.is_some() {
        return;
    }
    sweeper.generation += 1;
    let generation = sweeper.generation;
    let thread = std::thread::Builder::new()
        .name("ebbmap-sweeper".into())
        .stack_size(STACK_BYTES)
        .spawn(move || run(generation));
    // Without a thread operations still sweep; the next announcement tries again.
    sweeper.thread = thread.ok();
}

fn stop(sweeper: &mut Sweeper) -> Option<JoinHandle<()>> {
    sweeper.generation += 1;
    PLANNED.store(u64::MAX, Ordering::SeqCst);
    WAKE.notify_one();
    sweeper.thread.take()
}

fn run(generation: u64) {
    let mut due = Vec::new();
    loop {
        if !wait_and_collect(generation, &mut due) {
            return;
        }
        for shared in due.drain(..) {
            sweep(&shared);
            release(shared);
        }
    }
}

/// Sleep until something is due; `false` when this thread has to end.
fn wait_and_collect(generation: u64, due: &mut Vec<Arc<Shared>>) -> bool {
    let mut sweeper = sweeper();
    while sweeper.generation == generation {
        // Before the caches are looked at: who comes later sees that it has to announce.
        PLANNED.store(u64::MAX, Ordering::SeqCst);
        let now = Clock::now().millis();
        let mut next = u64::MAX;
        // Those in the list are alive, as a cache leaves it before it goes; so none of these is dropped here.
        for shared in sweeper.caches.iter().filter_map(Weak::upgrade) {
            match shared.wanted_at(LAG) {
                wanted if wanted <= now => due.push(shared),
                wanted => next = next.min(wanted),
            }
        }
        if !due.is_empty() {
            return true;
        }
        PLANNED.store(next, Ordering::SeqCst);
        sweeper = match next {
            u64::MAX => WAKE.wait(sweeper).unwrap_or_else(PoisonError::into_inner),
            next => {
                let pause = Duration::from_millis(next - now);
                WAKE.wait_timeout(sweeper, pause).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
    false
}

thread_local! {
    /// The lock, held by the thread that is about to fork until it has.
    static HELD: RefCell<Option<MutexGuard<'static, Sweeper>>> = const { RefCell::new(None) };
}

/// Let go of a cache, with the interpreter if it is the last to know it and there are objects to drop.
fn release(shared: Arc<Shared>) {
    if let Some(shared) = Arc::into_inner(shared) {
        let _ = Python::try_attach(|_| drop(shared));
    }
}

/// Remove what has expired, some at a time, and let who wants the cache or the interpreter have it between.
fn sweep(shared: &Arc<Shared>) {
    shared.begin_sweep();
    loop {
        let more = if shared.is_silent() { sweep_silently(shared) } else { sweep_attached(shared) };
        match more {
            Some(true) => {}
            Some(false) => return,
            None => return shared.want_at(Clock::now().millis() + RETRY),
        }
    }
}

/// Whether there is more; `None` if the cache is busy.
fn sweep_silently(shared: &Shared) -> Option<bool> {
    // A thread that has been woken needs a moment; without this it would find the lock taken again.
    (0..PATIENCE).take_while(|_| shared.chest.is_wanted()).for_each(|_| std::thread::sleep(PAUSE));
    shared.chest.try_with_unattached(|chest| {
        let now = Clock::now();
        chest.sweep_silently(now, SWEPT);
        note(shared, chest, now)
    })
}

/// As [`sweep_silently`], for a share of the interpreter's time: who runs gives it up only every five milliseconds, so
/// it is kept for several holds of the lock.
fn sweep_attached(shared: &Arc<Shared>) -> Option<bool> {
    std::thread::sleep(PAUSE);
    Python::try_attach(|py| {
        let until = Instant::now() + TURN;
        loop {
            let mut gone = Gone::default();
            let more = shared.chest.try_with(|chest| {
                let now = Clock::now();
                chest.sweep(py, now, SWEPT, &mut gone);
                note(shared, chest, now)
            });
            shared.settle(py, gone);
            if more != Some(true) || Instant::now() >= until {
                return more;
            }
        }
    })
    .flatten()
}

fn note(shared: &Shared, chest: &Chest, now: ebb::Time) -> bool {
    let until = chest.store.table.quiet_until();
    shared.note_due(until);
    until <= now
}

/// End the thread, and wait until it has: the interpreter is going.
#[pyfunction]
pub(crate) fn _stop_sweeper(py: Python<'_>) {
    let thread = {
        let mut sweeper = sweeper();
        sweeper.closed = true;
        stop(&mut sweeper)
    };
    if let Some(thread) = thread {
        py.detach(|| drop(thread.join()));
    }
}

/// Keep the list of caches from changing while a process forks.
pub(crate) fn before_fork() {
    HELD.set(Some(sweeper()));
}

pub(crate) fn after_fork() {
    HELD.take();
}

/// The thread did not come along: start another one if there is something to sweep.
pub(crate) fn after_fork_in_child() {
    let Some(mut sweeper) = HELD.take() else { return };
    std::mem::forget(sweeper.thread.take()); // of the parent
    if !sweeper.caches.is_empty() {
        start(&mut sweeper);
    }
}
