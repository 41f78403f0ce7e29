//! The gate between forks and work that has released the interpreter, and the threads that wait for a lock.
//!
//! A child must not inherit a table in the middle of a change, or a lock that nobody will open. So a thread that is about
//! to fork closes the gate: it waits until no such work is under way, and none begins until the gate is open again.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Threads that wait for a lock.
static WAITERS: AtomicUsize = AtomicUsize::new(0);
/// Work under way with the interpreter released; a fork waits until there is none.
static GATE: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();
/// Threads that are about to fork: until they have, no work begins with the interpreter released.
static FORKING: AtomicUsize = AtomicUsize::new(0);
/// How many forks lie between this process and the one that loaded the module.
static FORKS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The gate, closed by the thread that is about to fork until it has.
    static CLOSED: RefCell<Option<MutexGuard<'static, usize>>> = const { RefCell::new(None) };
}

/// A number that differs between a child and its parent, whatever kind of fork made it.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Wake the threads that wait for a lock, if there are any.
#[inline(always)]
pub(crate) fn wake_waiters() {
    if WAITERS.load(Ordering::Relaxed) > 0 {
        wake();
    }
}

#[cold]
fn wake() {
    // The gate only lets a waiter come that is about to wait. It must not be waited for here: who has closed it may
    // need the interpreter that this thread has.
    let _gate = try_gate();
    FREED.notify_all();
}

/// Wait while a lock is taken, without the interpreter, for at most some milliseconds.
pub(crate) fn wait_while(is_taken: impl Fn() -> bool) {
    let Some(gate) = try_gate() else {
        // Who has closed it may wait for this thread in another module's hook.
        return std::thread::sleep(Duration::from_micros(50));
    };
    WAITERS.fetch_add(1, Ordering::SeqCst);
    if is_taken() {
        // The time limit covers a holder that looked for waiters just before this one came.
        drop(FREED.wait_timeout(gate, Duration::from_millis(5)));
    }
    WAITERS.fetch_sub(1, Ordering::SeqCst);
}

fn gate() -> MutexGuard<'static, usize> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The gate, unless somebody has closed it (perhaps this thread) or is at it for a moment.
fn try_gate() -> Option<MutexGuard<'static, usize>> {
    match GATE.try_lock() {
        Ok(gate) => Some(gate),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Work under way. False for that of the thread that forks, in another module's hook, which is not counted.
pub(crate) struct Working(bool);

impl Working {
    /// `None` while somebody is about to fork.
    pub(crate) fn begin() -> Option<Self> {
        loop {
            let begun = Working::try_begin();
            if begun.is_some() || is_fork_wanted() {
                return begun;
            }
            std::hint::spin_loop();
        }
    }

    /// `None` while somebody is about to fork, or the gate busy for a moment.
    pub(crate) fn try_begin() -> Option<Self> {
        if is_closed_by_this_thread() {
            return Some(Working(false));
        }
        let mut gate = try_gate()?;
        let open = !is_fork_wanted();
        *gate += usize::from(open);
        open.then(|| Working(true))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if self.0 {
            *gate() -= 1;
            FREED.notify_all();
        }
    }
}

/// Whether a thread is about to fork.
pub(crate) fn is_fork_wanted() -> bool {
    FORKING.load(Ordering::SeqCst) > 0
}

/// Whether this thread has closed the gate.
pub(crate) fn is_closed_by_this_thread() -> bool {
    CLOSED.try_with(|closed| closed.borrow().is_some()).unwrap_or(false)
}

/// This thread is about to fork: no work begins from now on.
pub(crate) fn want_fork() {
    FORKING.fetch_add(1, Ordering::SeqCst);
}

/// Close the gate once nothing is under way. Needs no interpreter, and waits only for those who need none.
pub(crate) fn close() {
    let mut gate = gate();
    while *gate > 0 {
        gate = FREED.wait(gate).unwrap_or_else(PoisonError::into_inner);
    }
    CLOSED.set(Some(gate)); // who has the interpreter never waits for it
}

/// Open the gate, in the parent.
pub(crate) fn open() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
    CLOSED.take();
}

/// The process is a child from here on: of its threads only this one came along.
pub(crate) fn enter_child() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    WAITERS.store(0, Ordering::SeqCst);
    FORKING.store(0, Ordering::SeqCst);
}

/// Open the gate, in the child.
pub(crate) fn open_in_child() {
    CLOSED.take();
}

/// A number of threads of this process: those counted before a fork are not in the child.
pub(crate) struct Count(AtomicU32);

impl Count {
    /// The rest of the bits tell which process it is of.
    const BITS: u32 = 16;

    pub(crate) const fn new() -> Self {
        Count(AtomicU32::new(0))
    }

    pub(crate) fn add(&self) {
        self.update(|count| count.saturating_add(1));
    }

    pub(crate) fn subtract(&self) {
        self.update(|count| count.saturating_sub(1));
    }

    pub(crate) fn any(&self) -> bool {
        Count::of_this_process(self.0.load(Ordering::SeqCst)) > 0
    }

    fn update(&self, change: impl Fn(u16) -> u16) {
        let mark = forks() << Count::BITS;
        let changed = |count| Some(mark | u32::from(change(Count::of_this_process(count))));
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, changed);
    }

    fn of_this_process(count: u32) -> u16 {
        if count >> Count::BITS == forks() & u32::from(u16::MAX) { count as u16 } else { 0 }
    }
}
