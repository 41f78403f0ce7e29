//! The lock around a table: free on builds with the GIL, an atomic on free-threaded ones, and safe across `fork`.
//!
//! No Python code may run inside: whoever holds it copies out what it needs, and calls and drops objects after.
//! That is also why it need not be re-entrant.
#![allow(unsafe_code)] // a lock

use crate::cache::sweeper;
use crate::pace;
use pyo3::prelude::*;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// A value that one thread at a time uses; with `BEYOND`, also threads that have not attached to the interpreter.
pub(crate) struct Guarded<T, const BEYOND: bool = false> {
    state: AtomicU8,
    /// How many threads wait.
    wanted: Count,
    value: UnsafeCell<ManuallyDrop<T>>,
}

/// Nobody uses the value. Not 0: an object that CPython drops for want of memory, before it is made, is all zero bytes, and
/// has no value to drop.
const FREE: u8 = 1;
/// Somebody does.
const BUSY: u8 = 2;
/// A panic has unwound through a use of it, and may have left it half changed. Nobody uses it any more, nor drops it.
const BROKEN: u8 = 3;

/// How often who finds the lock taken looks again before it lets the interpreter go: some ten microseconds.
const SPINS: usize = 1000;

// SAFETY: `value` is only reached by whoever made it `BUSY`, which only one can: see `try_acquire`. It is used from many
// threads, one at a time, so it must be Send.
unsafe impl<T: Send, const BEYOND: bool> Sync for Guarded<T, BEYOND> {}

/// The right to use the value, which ends with [`open`](Self::open). Dropped by a panic that unwinds, it leaves the value
/// broken.
#[must_use]
struct Held<'a>(&'a AtomicU8);

impl Held<'_> {
    #[inline(always)]
    fn open(self) {
        self.leave(FREE);
        std::mem::forget(self);
    }

    #[inline(always)]
    fn leave(&self, state: u8) {
        self.0.store(state, Ordering::Release);
        if WAITERS.load(Ordering::Relaxed) > 0 {
            wake_waiters();
        }
    }
}

impl Drop for Held<'_> {
    #[cold]
    fn drop(&mut self) {
        self.leave(BROKEN);
    }
}

#[cold]
fn wake_waiters() {
    // The gate only lets a waiter come that is about to wait. It must not be waited for here: who has closed it may
    // need the interpreter that this thread has.
    let _gate = try_gate();
    FREED.notify_all();
}

impl<T, const BEYOND: bool> Guarded<T, BEYOND> {
    pub(crate) fn new(value: T) -> Self {
        let value = UnsafeCell::new(ManuallyDrop::new(value));
        Guarded { state: AtomicU8::new(FREE), wanted: Count::new(), value }
    }

    /// Use the value. `work` must not run Python code. If it panics, the value is [broken](Self::is_broken).
    ///
    /// # Panics
    /// If the value is broken.
    #[inline]
    pub(crate) fn with<R>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> R) -> R {
        let held = self.acquire(py);
        // SAFETY: `held` says that nobody else uses the value until it is open.
        let result = work(unsafe { &mut *self.pointer() });
        held.open();
        result
    }

    /// Use the value with the interpreter released, for as many calls of `work` as it takes until one gives a result. Each
    /// is to take a millisecond at most. Between two of them, threads that wait for the value get it, a fork goes ahead,
    /// and from time to time signals are handled: what a handler raises ends the work.
    pub(crate) fn with_detached<R: Send>(
        &self,
        py: Python<'_>,
        mut work: impl FnMut(&mut T) -> Option<R> + Send,
    ) -> PyResult<R>
    where
        T: Send,
    {
        loop {
            let held = self.acquire(py);
            let value = Exclusive(self.pointer());
            let result = match Working::begin() {
                Some(working) => {
                    let (work, is_wanted) = (&mut work, || self.wanted.any());
                    py.detach(move || {
                        let value = value; // the whole, not the pointer in it, which is not Send
                        // SAFETY: `held` says that nobody else uses the value until it is open.
                        let result = work_for_a_turn(|| work(unsafe { &mut *value.0 }), is_wanted);
                        held.open();
                        drop(working);
                        if result.is_none() {
                            give_way(is_wanted);
                        }
                        result
                    })
                }
                None => {
                    // Who forks, or a hook of another module that waits for what this thread holds, must not be waited for.
                    // Without the interpreter nobody gets to fork, so nothing is half done when it happens.
                    // SAFETY: `held` says that nobody else uses the value until it is open.
                    let result = work(unsafe { &mut *value.0 });
                    held.open();
                    result
                }
            };
            match result {
                Some(result) => return Ok(result),
                None => pace::pause(py)?,
            }
        }
    }

    /// Use the value if nobody does: for those who must never wait, as the garbage collector. Without `BEYOND` only from
    /// a thread that has the interpreter.
    #[inline(always)]
    pub(crate) fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let held = self.try_acquire()?;
        // SAFETY: as in `with`.
        let result = work(unsafe { &mut *self.pointer() });
        held.open();
        Some(result)
    }

    /// Use the value if nobody does and nobody forks, from a thread that has not attached.
    pub(crate) fn try_with_unattached<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        const { assert!(BEYOND) };
        let _working = Working::try_begin()?;
        let result = self.try_with(work);
        // Who began to wait just now may have been overlooked, and would sleep on until its time is up.
        fence(Ordering::SeqCst);
        if WAITERS.load(Ordering::Relaxed) > 0 {
            wake_waiters();
        }
        result
    }

    /// The value of a guard that is going, unless it is broken.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        (*self.state.get_mut() == FREE).then(|| &mut **self.value.get_mut())
    }

    /// Whether a panic has unwound through a use of the value, and may have left it half changed.
    pub(crate) fn is_broken(&self) -> bool {
        self.state.load(Ordering::Relaxed) == BROKEN
    }

    #[inline(always)]
    fn pointer(&self) -> *mut T {
        self.value.get().cast() // `ManuallyDrop` is transparent
    }

    #[inline]
    fn try_acquire(&self) -> Option<Held<'_>> {
        if BEYOND || cfg!(Py_GIL_DISABLED) {
            let taken = self.state.compare_exchange(FREE, BUSY, Ordering::Acquire, Ordering::Relaxed);
            return taken.is_ok().then(|| Held(&self.state));
        }
        // Only a thread with the GIL gets here, so looking and setting need not be one step. (Without `BEYOND` all come
        // with a `py`, from a type's slot or from the garbage collector.)
        if self.state.load(Ordering::Acquire) != FREE {
            return None;
        }
        self.state.store(BUSY, Ordering::Relaxed);
        Some(Held(&self.state))
    }

    #[inline]
    fn acquire(&self, py: Python<'_>) -> Held<'_> {
        match self.try_acquire() {
            Some(held) => held,
            None => self.wait(py),
        }
    }

    #[cold]
    fn wait(&self, py: Python<'_>) -> Held<'_> {
        self.wanted.add();
        let held = self.spin().unwrap_or_else(|| self.sleep(py));
        self.wanted.subtract();
        held
    }

    /// Who holds the lock without the interpreter holds it for microseconds only.
    fn spin(&self) -> Option<Held<'_>> {
        let turns = if BEYOND { SPINS } else { 0 };
        (0..turns).find_map(|_| {
            std::hint::spin_loop();
            if self.state.load(Ordering::Relaxed) == FREE { self.try_acquire() } else { None }
        })
    }

    /// Let threads that wait for the value have it, from a thread that has neither it nor the interpreter.
    pub(crate) fn give_way(&self) {
        give_way(|| self.wanted.any());
    }

    fn sleep(&self, py: Python<'_>) -> Held<'_> {
        let state = &self.state;
        loop {
            if self.is_broken() {
                refuse();
            }
            py.detach(|| {
                let Some(gate) = try_gate() else {
                    // Who has closed it may wait for this thread in another module's hook.
                    return std::thread::sleep(Duration::from_micros(50));
                };
                WAITERS.fetch_add(1, Ordering::SeqCst);
                if state.load(Ordering::SeqCst) == BUSY {
                    // The time limit covers a holder that looked for waiters just before this one came.
                    drop(FREED.wait_timeout(gate, Duration::from_millis(5)));
                }
                WAITERS.fetch_sub(1, Ordering::SeqCst);
            });
            if let Some(held) = self.try_acquire() {
                return held;
            }
        }
    }
}

/// Raise that a value is broken.
#[cold]
fn refuse() -> ! {
    resume_unwind(Box::new("an internal error has left this map or cache half changed: it can't be used any more"));
}

/// How long work with the interpreter released goes on before it looks for signals.
const TURN: Duration = Duration::from_millis(20);
/// How long a thread sleeps at a time, and how often at most, so that others get a lock.
const PAUSE: Duration = Duration::from_micros(50);
const PATIENCE: usize = 100;

/// Call `work` until it gives a result, the lock is wanted, somebody forks, or a turn is over.
fn work_for_a_turn<R>(mut work: impl FnMut() -> Option<R>, is_wanted: impl Fn() -> bool) -> Option<R> {
    let until = Instant::now() + TURN;
    loop {
        let result = work();
        if result.is_some() || is_wanted() || FORKING.load(Ordering::SeqCst) > 0 || Instant::now() >= until {
            return result;
        }
    }
}

/// A thread that was woken needs a moment: without this it would find the lock taken again.
fn give_way(is_wanted: impl Fn() -> bool) {
    (0..PATIENCE).take_while(|_| is_wanted()).for_each(|_| std::thread::sleep(PAUSE));
}

/// A number of threads of this process: those counted before a fork are not in the child.
struct Count(AtomicU32);

impl Count {
    /// The rest of the bits tell which process it is of.
    const BITS: u32 = 16;

    const fn new() -> Self {
        Count(AtomicU32::new(0))
    }

    fn add(&self) {
        self.update(|count| count.saturating_add(1));
    }

    fn subtract(&self) {
        self.update(|count| count.saturating_sub(1));
    }

    fn any(&self) -> bool {
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

impl<T, const BEYOND: bool> Drop for Guarded<T, BEYOND> {
    fn drop(&mut self) {
        if *self.state.get_mut() == FREE {
            // SAFETY: it is dropped once, here.
            unsafe { ManuallyDrop::drop(self.value.get_mut()) }
        }
    }
}

struct Exclusive<T>(*mut T);
// SAFETY: sent only together with the `Held` that makes the access exclusive.
unsafe impl<T: Send> Send for Exclusive<T> {}

static WAITERS: AtomicUsize = AtomicUsize::new(0);
/// Work under way with the interpreter released; a fork waits until there is none.
static GATE: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();
/// Threads that are about to fork: until they have, no work begins with the interpreter released.
static FORKING: AtomicUsize = AtomicUsize::new(0);
/// How many forks lie between this process and the one that loaded the module.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A number that is another one in a child than in its parent, whatever kind of fork made it.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// See [`forks`].
#[pyfunction]
pub(crate) fn _forks() -> u32 {
    forks()
}

thread_local! {
    /// The gate, closed by the thread that is about to fork until it has.
    static CLOSED: RefCell<Option<MutexGuard<'static, usize>>> = const { RefCell::new(None) };
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

/// Whether it is counted: not that of the thread that forks, in another module's hook.
struct Working(bool);

impl Working {
    /// `None` while somebody is about to fork.
    fn begin() -> Option<Self> {
        loop {
            let begun = Working::try_begin();
            if begun.is_some() || FORKING.load(Ordering::SeqCst) > 0 {
                return begun;
            }
            std::hint::spin_loop();
        }
    }

    /// `None` while somebody is about to fork, or the gate busy for a moment.
    fn try_begin() -> Option<Self> {
        if is_forking() {
            return Some(Working(false));
        }
        let mut gate = try_gate()?;
        let open = FORKING.load(Ordering::SeqCst) == 0;
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

/// Whether this thread has closed the gate.
fn is_forking() -> bool {
    CLOSED.try_with(|closed| closed.borrow().is_some()).unwrap_or(false)
}

/// Close the gate once nothing is under way. Needs no interpreter, and waits only for those who need none.
fn close_gate() {
    let mut gate = gate();
    while *gate > 0 {
        gate = FREED.wait(gate).unwrap_or_else(PoisonError::into_inner);
    }
    CLOSED.set(Some(gate)); // who has the interpreter never waits for it
}

/// Wait until no table is in use without the interpreter, and keep it so. A child would otherwise inherit a table in
/// the middle of a change, and a lock nobody will open. Others have the interpreter meanwhile.
#[pyfunction]
pub(crate) fn _before_fork(py: Python<'_>) {
    FORKING.fetch_add(1, Ordering::SeqCst);
    py.detach(close_gate);
    sweeper::before_fork(py);
}

/// Go on, in the parent.
#[pyfunction]
pub(crate) fn _after_fork() {
    sweeper::after_fork();
    FORKING.fetch_sub(1, Ordering::SeqCst);
    CLOSED.take();
}

/// Go on in the child: no other thread came along.
#[pyfunction]
pub(crate) fn _after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    WAITERS.store(0, Ordering::SeqCst);
    FORKING.store(0, Ordering::SeqCst);
    sweeper::after_fork_in_child();
    CLOSED.take();
}

// --- forks that skip Python's hooks --------------------------------------------------------------------------------
//
// A `fork` from C code, such as uWSGI's, runs none of the hooks above. The C library runs these at every fork; they do
// the same where the hooks have not.

thread_local! {
    /// Whether it was `prepare` that closed the gate.
    static PREPARED: Cell<bool> = const { Cell::new(false) };
}

/// Have the C library call the three functions below at every fork, from now on.
pub(crate) fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions live as long as the process: Python unloads no extension module. Without memory for
        // it the call fails, and Python's hooks are all there is.
        let _ = unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    });
}

extern "C" fn prepare() {
    if is_forking() {
        return; // Python's hooks have run
    }
    quietly(|| {
        FORKING.fetch_add(1, Ordering::SeqCst);
        close_gate();
        sweeper::before_native_fork();
        PREPARED.set(true);
    });
}

extern "C" fn in_parent() {
    if PREPARED.take() {
        quietly(_after_fork);
    }
}

extern "C" fn in_child() {
    if PREPARED.take() {
        quietly(_after_fork_in_child);
    }
}

/// A panic must not pass through the C library; the panic hook has told of it.
fn quietly(work: fn()) {
    drop(catch_unwind(work));
}
