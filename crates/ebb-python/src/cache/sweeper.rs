//! The one thread of the process that removes what has expired from caches nobody touches. It exists while there is a
//! cache with something to expire, sleeps until the first entry may be due, and takes the interpreter only where
//! objects have to be dropped or `on_remove` called.

use crate::cache::chest::Chest;
use crate::cache::gone::Gone;
use crate::cache::shared::Shared;
use crate::calls;
use ebb::Clock;
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Milliseconds from an entry's deadline to its sweep, so that those due about the same time go together.
const LAG: u64 = 100;
/// Milliseconds until a cache that was busy is tried again.
const RETRY: u64 = 2;
/// Milliseconds until one whose sweep has panicked is tried again; its own operations sweep it meanwhile.
const SHUN: u64 = 60_000;
/// Entries looked at under one hold of a cache's lock: some ten microseconds.
const SWEPT: usize = 64;
/// How long the sweeper keeps the interpreter.
const TURN: Duration = Duration::from_micros(500);
/// How long it stays away for others.
const PAUSE: Duration = Duration::from_micros(50);
/// As much as Python's own threads have: `on_remove` and `__del__` are any Python code. Only what is used becomes
/// resident.
const STACK_BYTES: usize = if cfg!(target_os = "macos") { 16 << 20 } else { 8 << 20 };

struct Sweeper {
    caches: Vec<Weak<Shared>>,
    thread: Option<JoinHandle<()>>,
    /// Those told to end, which may still be in an `on_remove`: the interpreter must not go before they have.
    ended: Vec<JoinHandle<()>>,
    /// Counts threads started, so that one that should have ended knows.
    generation: u64,
    /// No thread any more: the interpreter is going.
    closed: bool,
}

static SWEEPER: Mutex<Sweeper> =
    Mutex::new(Sweeper { caches: Vec::new(), thread: None, ended: Vec::new(), generation: 0, closed: false });
static WAKE: Condvar = Condvar::new();
/// When the sweeper will look again, in milliseconds of the system's clock.
static PLANNED: AtomicU64 = AtomicU64::new(u64::MAX);

/// Whether the next thread is the first of a child.
static CHILD: AtomicBool = AtomicBool::new(false);

fn sweeper() -> MutexGuard<'static, Sweeper> {
    SWEEPER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`sweeper`], from a thread that has the interpreter. Who forks keeps the lock through other modules' hooks, which
/// need the interpreter: so it is let go while waiting. Those hooks may use caches themselves.
fn with_sweeper<R>(py: Python<'_>, work: impl FnOnce(&mut Sweeper) -> R) -> R {
    if let Some(mut held) = HELD.try_with(RefCell::take).ok().flatten() {
        let result = work(&mut held);
        HELD.set(Some(held));
        return result;
    }
    work(&mut lock_attached(py))
}

/// The lock, for a thread that has the interpreter. It lets the interpreter go to wait, and has it back before it takes
/// the lock: attaching may run any Python code, which must find the lock free.
fn lock_attached(py: Python<'_>) -> MutexGuard<'static, Sweeper> {
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
pub(crate) fn is_news(due: u64) -> bool {
    due.saturating_add(LAG) < PLANNED.load(Ordering::SeqCst)
}

/// Have a cache swept once something is due at `due`. Never waits for long: the lock is not held over any work.
#[cold]
pub(crate) fn announce(py: Python<'_>, shared: &Arc<Shared>, due: u64) {
    calls::attached(py, |py| announce_attached(py, shared, due));
}

fn announce_attached(py: Python<'_>, shared: &Arc<Shared>, due: u64) {
    with_sweeper(py, |sweeper| {
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
        start(sweeper);
        WAKE.notify_one();
    });
}

/// A cache has gone.
pub(crate) fn forget(py: Python<'_>, shared: &Shared) {
    if !shared.is_known() {
        return;
    }
    with_sweeper(py, |sweeper| {
        sweeper.caches.retain(|known| !std::ptr::eq(known.as_ptr(), shared));
        if sweeper.caches.is_empty() {
            sweeper.caches = Vec::new();
            stop(sweeper);
        }
    });
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
    sweeper.thread = thread.ok();
    if sweeper.thread.is_none() {
        // Operations still sweep; the next one that has something to expire tries again.
        PLANNED.store(u64::MAX, Ordering::SeqCst);
    }
}

/// Have the thread end, by itself.
fn stop(sweeper: &mut Sweeper) {
    sweeper.generation += 1;
    PLANNED.store(u64::MAX, Ordering::SeqCst);
    WAKE.notify_one();
    sweeper.ended.retain(|thread| !thread.is_finished());
    sweeper.ended.extend(sweeper.thread.take());
}

/// What this thread is to the sweeper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Other,
    Sweeper,
    /// It was the sweeper when an `on_remove` forked. In the child it is the only thread, and has nothing else to do.
    Forked,
}

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

/// End a process whose only task, the rest of an `on_remove`, is done: as one ends whose only thread returns.
#[allow(unsafe_code)] // a function of the C library
fn end_child() -> ! {
    // SAFETY: it may be called at any time.
    unsafe { libc::_exit(0) }
}

/// How long a thread started in a child leaves the interpreter alone: whoever forked may still have to tell it that it
/// is a child, which ends all threads that it knows.
const SETTLING: Duration = Duration::from_millis(200);

fn run(generation: u64) {
    if CHILD.swap(false, Ordering::SeqCst) {
        std::thread::sleep(SETTLING);
    }
    ROLE.set(Role::Sweeper);
    let mut due = Vec::new();
    loop {
        if !wait_and_collect(generation, &mut due) {
            return;
        }
        for shared in due.drain(..) {
            // What is wrong with one cache, which the panic has told of, is no reason to leave all others unswept.
            if catch_unwind(AssertUnwindSafe(|| sweep(&shared))).is_err() {
                shared.want_at(Clock::now().millis() + SHUN);
            }
            if ROLE.get() == Role::Forked {
                end_child();
            }
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
                wanted if wanted <= now && due.try_reserve(1).is_ok() => due.push(shared),
                wanted if wanted <= now => next = next.min(now + RETRY), // no memory to note it
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
        let more = if shared.settings().is_silent() { sweep_silently(shared) } else { sweep_attached(shared) };
        match more {
            Ok(true) if !sweeper().closed => {}
            Ok(_) => return,
            Err(wait) => return shared.want_at(Clock::now().millis() + wait),
        }
    }
}

/// Whether there is more, or after how many milliseconds to try again.
type More = Result<bool, u64>;

fn sweep_silently(shared: &Shared) -> More {
    shared.chest.give_way();
    let swept = shared.chest.try_with_unattached(|chest| {
        let now = Clock::now();
        chest.sweep_silently(now, SWEPT);
        note(shared, chest, now)
    });
    swept.ok_or(RETRY)
}

/// As [`sweep_silently`], for a share of the interpreter's time: who runs gives it up only every five milliseconds, so
/// it is kept for several holds of the lock.
fn sweep_attached(shared: &Arc<Shared>) -> More {
    std::thread::sleep(PAUSE);
    let swept = Python::try_attach(|py| {
        let until = Instant::now() + TURN;
        loop {
            let mut gone = Gone::default();
            let swept = shared.chest.try_with(|chest| {
                let now = Clock::now();
                let swept = chest.sweep(py, now, SWEPT, &mut gone);
                let more = note(shared, chest, now);
                swept.map_or(Err(LAG), |()| Ok(more)) // no memory to tell of it
            });
            shared.settle(py, gone);
            let more = swept.unwrap_or(Err(RETRY));
            if more != Ok(true) || Instant::now() >= until {
                return more;
            }
        }
    });
    swept.unwrap_or(Err(RETRY))
}

fn note(shared: &Shared, chest: &Chest, now: ebb::Time) -> bool {
    let until = chest.store.table.quiet_until();
    shared.note_due(until);
    until <= now
}

/// End the thread, and wait until it has, and those before it, which may be in an `on_remove`: the interpreter is going.
/// A signal ends the wait, by what its handler raises.
#[pyfunction]
pub(crate) fn _stop_sweeper(py: Python<'_>) -> PyResult<()> {
    let ended = with_sweeper(py, |sweeper| {
        sweeper.closed = true;
        stop(sweeper);
        std::mem::take(&mut sweeper.ended)
    });
    for thread in ended {
        while !thread.is_finished() {
            py.detach(|| std::thread::sleep(PAUSE));
            py.check_signals()?;
        }
        drop(thread.join());
    }
    Ok(())
}

/// Keep the list of caches from changing while a process forks.
pub(crate) fn before_fork(py: Python<'_>) {
    HELD.set(Some(lock_attached(py)));
}

/// As [`before_fork`], without the interpreter; nobody holds the lock for long, or needs the interpreter meanwhile.
pub(crate) fn before_native_fork() {
    HELD.set(Some(sweeper()));
}

pub(crate) fn after_fork() {
    HELD.take();
}

/// The thread did not come along: start another one if there is something to sweep.
pub(crate) fn after_fork_in_child() {
    let Some(mut sweeper) = HELD.take() else { return };
    std::mem::forget((sweeper.thread.take(), std::mem::take(&mut sweeper.ended))); // of the parent
    if ROLE.get() == Role::Sweeper {
        ROLE.set(Role::Forked);
    }
    if !sweeper.caches.is_empty() {
        CHILD.store(true, Ordering::SeqCst);
        start(&mut sweeper);
    }
}
