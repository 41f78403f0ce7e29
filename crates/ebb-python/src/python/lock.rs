//! The lock around a table: free on builds with the GIL, an atomic on free-threaded ones, and safe across `fork`.
//!
//! No Python code may run inside: whoever holds it copies out what it needs, and calls and drops objects after.
//! That is also why it need not be re-entrant.
#![allow(unsafe_code)] // a lock

use crate::python::gate::{self, Count, Working};
use crate::python::pace;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU8, Ordering, fence};
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
        gate::wake_waiters();
    }
}

impl Drop for Held<'_> {
    #[cold]
    fn drop(&mut self) {
        self.leave(BROKEN);
    }
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
            let result = match Working::begin() {
                Some(working) => self.work_detached(py, held, working, &mut work),
                None => {
                    // Who forks, or a hook of another module that waits for what this thread holds, must not be waited for.
                    // Without the interpreter nobody gets to fork, so nothing is half done when it happens.
                    // SAFETY: `held` says that nobody else uses the value until it is open.
                    let result = work(unsafe { &mut *self.pointer() });
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

    /// Work for a turn with the interpreter released.
    fn work_detached<R: Send>(
        &self,
        py: Python<'_>,
        held: Held<'_>,
        working: Working,
        work: &mut (impl FnMut(&mut T) -> Option<R> + Send),
    ) -> Option<R>
    where
        T: Send,
    {
        let (value, is_wanted) = (Exclusive(self.pointer()), || self.wanted.any());
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

    /// Without `BEYOND` only from a thread that has the interpreter.
    #[inline(always)]
    fn try_work<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let held = self.try_acquire()?;
        // SAFETY: as in `with`.
        let result = work(unsafe { &mut *self.pointer() });
        held.open();
        Some(result)
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
            py.detach(|| gate::wait_while(|| state.load(Ordering::SeqCst) == BUSY));
            if let Some(held) = self.try_acquire() {
                return held;
            }
        }
    }
}

/// Says that this thread has the interpreter.
///
/// # Safety
/// A value of the type is only in threads that have it.
pub(crate) unsafe trait Attached {}

// SAFETY: what it is for.
unsafe impl Attached for Python<'_> {}
// SAFETY: the garbage collector, which has the interpreter, gives it for the time of a call.
unsafe impl Attached for PyVisit<'_> {}

impl<T> Guarded<T, false> {
    /// Use the value if nobody does: for those who must never wait, as the garbage collector.
    #[inline(always)]
    pub(crate) fn try_with<R>(&self, _: impl Attached, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.try_work(work)
    }
}

impl<T> Guarded<T, true> {
    /// As for other guards, from any thread.
    #[inline(always)]
    pub(crate) fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.try_work(work)
    }

    /// Use the value if nobody does and nobody forks, from a thread that has not attached.
    pub(crate) fn try_with_unattached<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let _working = Working::try_begin()?;
        let result = self.try_with(work);
        // Who began to wait just now may have been overlooked, and would sleep on until its time is up.
        fence(Ordering::SeqCst);
        gate::wake_waiters();
        result
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
        if result.is_some() || is_wanted() || gate::is_fork_wanted() || Instant::now() >= until {
            return result;
        }
    }
}

/// A thread that was woken needs a moment: without this it would find the lock taken again.
fn give_way(is_wanted: impl Fn() -> bool) {
    (0..PATIENCE).take_while(|_| is_wanted()).for_each(|_| std::thread::sleep(PAUSE));
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
