//! The sweeper's thread: it waits until something is due, and sweeps it.

use crate::cache::chest::state::Chest;
use crate::cache::gone::Gone;
use crate::cache::moment::Moment;
use crate::cache::shared::Shared;
use crate::cache::step::Step;
use crate::cache::sweeper::leader::{ROLE, Role, is_alone, leader_is_gone};
use crate::cache::sweeper::state::{LAG, PLANNED, Sweeper, WAKE, sweeper};
use crate::python::process;
use ebb::Clock;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Milliseconds until a cache that was busy is tried again.
const RETRY: u64 = 2;
/// Milliseconds until one whose sweep has panicked is tried again; its own operations sweep it meanwhile.
const SHUN: u64 = 60_000;
/// Entries looked at under one hold of a cache's lock: some ten microseconds.
const SWEPT: usize = 64;
/// How long the sweeper keeps the interpreter, if it had not to wait for it; and at most, if it had to wait as long.
const TURN: Duration = Duration::from_micros(500);
const LONGEST_TURN: Duration = Duration::from_millis(4);
/// Milliseconds until the thread, which could not be started, is tried again: at first, and at most.
const FIRST_WAIT: u64 = 1_000;
const LONGEST_WAIT: u64 = 60_000;
/// How often the sweeper of a child whose first thread has ended looks whether others are left, in milliseconds.
const COUNT_THREADS: u64 = 500;
/// How long it stays away for others.
const PAUSE: Duration = Duration::from_micros(50);
/// How long a thread started in a child leaves the interpreter alone: whoever forked may still have to tell it that it
/// is a child, which ends all threads that it knows.
const SETTLING: Duration = Duration::from_millis(200);
/// As much as Python's own threads have: `on_remove` and `__del__` are any Python code. Only what is used becomes
/// resident.
const STACK_BYTES: usize = if cfg!(target_os = "macos") { 16 << 20 } else { 8 << 20 };
/// More bytes than the C library, Rust and CPython allocate in a new thread.
const MORE_FOR_THREAD: usize = 256 << 10;

/// Whether the next thread is the first of a child.
static CHILD: AtomicBool = AtomicBool::new(false);

/// Start the thread, unless there is one.
pub(super) fn start(sweeper: &mut Sweeper) {
    if sweeper.thread.is_some() {
        return;
    }
    sweeper.generation += 1;
    sweeper.thread = spawn(sweeper.generation);
    if sweeper.thread.is_some() {
        sweeper.rest(0);
    } else {
        sweeper.rest((2 * sweeper.pause).clamp(FIRST_WAIT, LONGEST_WAIT));
        // Operations still sweep; the first one after the pause that has something to expire tries again.
        PLANNED.store(u64::MAX, Ordering::SeqCst);
    }
}

/// As [`start`], as the first thread of a child.
pub(super) fn start_in_child(sweeper: &mut Sweeper) {
    CHILD.store(true, Ordering::SeqCst);
    start(sweeper);
}

fn spawn(generation: u64) -> Option<JoinHandle<()>> {
    if !process::has_address_space(STACK_BYTES + MORE_FOR_THREAD) {
        return None;
    }
    let thread = std::thread::Builder::new().name("ebbmap-sweeper".into()).stack_size(STACK_BYTES);
    thread.spawn(move || run(generation)).ok()
}

fn run(generation: u64) {
    if CHILD.swap(false, Ordering::SeqCst) {
        std::thread::sleep(SETTLING);
    }
    ROLE.set(Role::Sweeper);
    let mut due = Vec::new();
    while wait_and_collect(generation, &mut due) {
        due.drain(..).for_each(|shared| work_on(generation, shared));
    }
}

/// Sweep a cache, and note that this thread does.
fn work_on(generation: u64, shared: Arc<Shared>) {
    begin_work(generation, &shared);
    // What is wrong with one cache, which the panic has told of, is no reason to leave all others unswept. If it was under
    // the lock, the cache is broken, and is not swept again.
    if catch_unwind(AssertUnwindSafe(|| sweep(&shared))).is_err() {
        shared.want_at(Clock::now().millis() + SHUN);
    }
    if ROLE.get() == Role::Forked {
        process::end();
    }
    sweeper().at_work.retain(|&(at, _)| at != generation);
    release(shared);
}

/// Note what this thread is at, where that may run Python code.
fn begin_work(generation: u64, shared: &Arc<Shared>) {
    let mut sweeper = sweeper();
    if !shared.settings().is_silent() && sweeper.at_work.try_reserve(1).is_ok() {
        sweeper.at_work.push((generation, Arc::downgrade(shared)));
    }
}

/// Sleep until something is due; `false` when this thread has to end.
fn wait_and_collect(generation: u64, due: &mut Vec<Arc<Shared>>) -> bool {
    let mut sweeper = sweeper();
    while sweeper.generation == generation && !is_alone() {
        // Before the caches are looked at: who comes later sees that it has to announce.
        PLANNED.store(u64::MAX, Ordering::SeqCst);
        let now = Clock::now().millis();
        if sweeper.caches.is_empty() && now >= sweeper.lingers_until {
            sweeper.retire();
            return false;
        }
        let next = collect(&sweeper, now, due);
        if !due.is_empty() {
            return true;
        }
        PLANNED.store(next, Ordering::SeqCst);
        let until = if leader_is_gone() { next.min(now + COUNT_THREADS) } else { next };
        sweeper = wait(sweeper, until, now);
    }
    false
}

/// The caches with something due, once one has been due for the lag; else when one will have been, or the thread ends.
/// Those due for less come along, so that the thread of many caches looks at all of them ten times a second at most.
fn collect(sweeper: &Sweeper, now: u64, due: &mut Vec<Arc<Shared>>) -> u64 {
    let next = known(sweeper).map(|shared| shared.wanted_at(LAG)).min().unwrap_or(sweeper.lingers_until);
    if next > now {
        return next;
    }
    for shared in known(sweeper).filter(|shared| shared.wanted_at(0) <= now) {
        if due.try_reserve(1).is_ok() {
            due.push(shared);
        }
    }
    now + RETRY // for those that no memory was left to note
}

/// The caches known. As they are alive, none of these references is the last.
fn known(sweeper: &Sweeper) -> impl Iterator<Item = Arc<Shared>> {
    sweeper.caches.iter().filter_map(Weak::upgrade)
}

fn wait(sweeper: MutexGuard<'static, Sweeper>, until: u64, now: u64) -> MutexGuard<'static, Sweeper> {
    match until {
        u64::MAX => WAKE.wait(sweeper).unwrap_or_else(PoisonError::into_inner),
        until => {
            let pause = Duration::from_millis(until - now);
            WAKE.wait_timeout(sweeper, pause).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

/// Let go of a cache, with the interpreter if it is the last to know it and there are objects to drop.
pub(super) fn release(shared: Arc<Shared>) {
    if let Some(shared) = Arc::into_inner(shared) {
        if !process::can_attach() {
            return std::mem::forget(shared); // the process is about to end
        }
        let _ = Python::try_attach(|_| drop(shared));
    }
}

/// Remove what has expired, some at a time, and let who wants the cache or the interpreter have it between.
fn sweep(shared: &Arc<Shared>) {
    shared.begin_sweep();
    loop {
        if shared.chest.is_broken() {
            return shared.want_at(u64::MAX);
        }
        let more = if shared.settings().is_silent() { sweep_silently(shared) } else { sweep_attached(shared) };
        match more {
            Ok(true) if !sweeper().closed && !is_alone() => {}
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

/// As [`sweep_silently`], for a share of the interpreter's time: it is kept for several holds of the lock, and for as long
/// as it was waited for. A busy thread gives it up only every five milliseconds.
fn sweep_attached(shared: &Arc<Shared>) -> More {
    std::thread::sleep(PAUSE);
    if !process::can_attach() {
        return Err(LAG);
    }
    let asked = Instant::now();
    let swept = Python::try_attach(|py| {
        // Of the processor's time: while `on_remove` runs, other threads may have had the interpreter.
        let until = process::processor_time() + asked.elapsed().clamp(TURN, LONGEST_TURN);
        loop {
            let more = sweep_some(py, shared);
            if more != Ok(true) || process::processor_time() >= until {
                return more;
            }
        }
    });
    swept.unwrap_or(Err(RETRY))
}

/// Sweep for one hold of the lock, and tell of what has left.
fn sweep_some(py: Python<'_>, shared: &Shared) -> More {
    let mut gone = Gone::default();
    let swept = shared.chest.try_with(|chest| {
        let now = Clock::now();
        let swept = chest.sweep(&mut Step { py, moment: &Moment::at(now), gone: &mut gone }, SWEPT);
        (swept, note(shared, chest, now))
    });
    shared.settle(py, gone);
    match swept {
        Some((Ok(()), more)) => Ok(more),
        Some((Err(_), _)) => Err(LAG), // no memory to tell of it
        None => Err(RETRY),
    }
}

fn note(shared: &Shared, chest: &Chest, now: ebb::Time) -> bool {
    let until = chest.store.table().quiet_until();
    shared.note_due(until);
    until <= now
}
