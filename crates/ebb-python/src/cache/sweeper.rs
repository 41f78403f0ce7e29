//! The one thread of the process that removes what has expired from caches nobody touches. It exists while there is a
//! cache with something to expire, sleeps until the first entry may be due, and takes the interpreter only where
//! objects have to be dropped or `on_remove` called.

use crate::cache::chest::Chest;
use crate::cache::gone::Gone;
use crate::cache::shared::Shared;
use crate::calls;
use crate::make::{self, Name, name};
use ebb::Clock;
use pyo3::ffi;
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
/// How long the sweeper keeps the interpreter, if it had not to wait for it; and at most, if it had to wait as long.
const TURN: Duration = Duration::from_micros(500);
const LONGEST_TURN: Duration = Duration::from_millis(4);
/// More bytes than the C library, Rust and CPython allocate in a new thread.
const MORE_FOR_THREAD: usize = 256 << 10;
/// Milliseconds until the thread, which could not be started, is tried again: at first, and at most.
const FIRST_WAIT: u64 = 1_000;
const LONGEST_WAIT: u64 = 60_000;
/// How long the end of the interpreter waits before it says for what.
const SILENCE: Duration = Duration::from_secs(5);
/// How often the sweeper of a child whose first thread has ended looks whether others are left, in milliseconds.
const COUNT_THREADS: u64 = 500;
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
    /// Milliseconds between the last two attempts to start the thread, where all since the last success have failed.
    pause: u64,
    /// Counts threads started, so that one that should have ended knows.
    generation: u64,
    /// No thread any more: the interpreter is going.
    closed: bool,
    /// What each thread is at, by its generation, where that may run Python code.
    at_work: Vec<(u64, Weak<Shared>)>,
}

static SWEEPER: Mutex<Sweeper> = Mutex::new(Sweeper {
    caches: Vec::new(),
    thread: None,
    ended: Vec::new(),
    pause: 0,
    generation: 0,
    closed: false,
    at_work: Vec::new(),
});
static WAKE: Condvar = Condvar::new();
/// When the sweeper will look again, in milliseconds of the system's clock.
static PLANNED: AtomicU64 = AtomicU64::new(u64::MAX);

/// Until when no attempt is made to start the thread, in milliseconds of the system's clock.
static RESTING: AtomicU64 = AtomicU64::new(0);
/// Whether it was logged that the thread can't be started.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Whether the next thread is the first of a child.
static CHILD: AtomicBool = AtomicBool::new(false);
/// Whether this process was forked, and the thread that it began with has ended.
static LEADER_IS_GONE: AtomicBool = AtomicBool::new(false);

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
    let resting = RESTING.load(Ordering::Relaxed);
    if resting == 0 || Clock::now().millis() >= resting {
        calls::attached(py, |py| announce_attached(py, shared, due));
    }
}

fn announce_attached(py: Python<'_>, shared: &Arc<Shared>, due: u64) {
    let has_failed = with_sweeper(py, |sweeper| {
        if sweeper.closed {
            return false;
        }
        if !shared.is_known() {
            if sweeper.caches.try_reserve(1).is_err() {
                return false; // operations sweep too
            }
            sweeper.caches.push(Arc::downgrade(shared));
            shared.set_known();
        }
        PLANNED.fetch_min(due.saturating_add(LAG), Ordering::SeqCst);
        start(sweeper);
        WAKE.notify_one();
        sweeper.thread.is_none()
    });
    if has_failed && !TOLD.swap(true, Ordering::SeqCst) {
        let message = "the thread that removes expired entries can't be started and is tried again later; meanwhile only \
                       operations on a cache remove its expired entries";
        warn(py, message, None);
    }
}

/// Log a warning, with an object that its text names. Runs Python code, so never under a lock.
fn warn<'py>(py: Python<'py>, message: &str, named: Option<&Bound<'py, PyAny>>) {
    if let Err(error) = log(py, message, named) {
        error.write_unraisable(py, None);
    }
}

fn log<'py>(py: Python<'py>, message: &str, named: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
    static LOGGING: Name = Name::new(c"logging");
    let get_logger = make::import(py, &LOGGING)?.getattr(name!(py, c"getLogger"))?;
    let logger = calls::call(&get_logger, [name!(py, c"ebbmap").as_any()])?;
    let (warning, message) = (logger.getattr(name!(py, c"warning"))?, make::text(py, message)?);
    match named {
        Some(named) => calls::call(&warning, [message.as_any(), named])?,
        None => calls::call(&warning, [message.as_any()])?,
    };
    Ok(())
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
    sweeper.thread = spawn(generation);
    if sweeper.thread.is_some() {
        rest(sweeper, 0);
    } else {
        rest(sweeper, (2 * sweeper.pause).clamp(FIRST_WAIT, LONGEST_WAIT));
        // Operations still sweep; the first one after the pause that has something to expire tries again.
        PLANNED.store(u64::MAX, Ordering::SeqCst);
    }
}

/// Make no attempt to start the thread for `pause` milliseconds.
fn rest(sweeper: &mut Sweeper, pause: u64) {
    sweeper.pause = pause;
    RESTING.store(if pause == 0 { 0 } else { Clock::now().millis() + pause }, Ordering::Relaxed);
}

fn spawn(generation: u64) -> Option<JoinHandle<()>> {
    if !has_room_for_thread() {
        return None;
    }
    let thread = std::thread::Builder::new().name("ebbmap-sweeper".into()).stack_size(STACK_BYTES);
    thread.spawn(move || run(generation)).ok()
}

/// Whether the address space has room for a thread's stack, and for what the C library and CPython allocate in the new
/// thread: there they abort the process if they get no memory.
#[allow(unsafe_code)] // mmap, munmap
fn has_room_for_thread() -> bool {
    const BYTES: usize = STACK_BYTES + MORE_FOR_THREAD;
    let (access, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE);
    // SAFETY: 1. A new mapping, placed by the system. 2. It is given back whole, and was not used.
    unsafe {
        let block = libc::mmap(std::ptr::null_mut(), BYTES, access, flags, -1, 0);
        block != libc::MAP_FAILED && libc::munmap(block, BYTES) == 0
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

/// The thread that a forked process began with. When it returns, nobody calls `exit`: the process ends with its last
/// thread, which must not be the sweeper.
struct Leader;

impl Drop for Leader {
    fn drop(&mut self) {
        LEADER_IS_GONE.store(true, Ordering::SeqCst);
        drop(sweeper()); // so that the sweeper either has not looked yet, or waits
        WAKE.notify_one();
    }
}

thread_local! {
    static LEADER: Leader = const { Leader };
}

/// Whether the calling thread is the only one left of a process whose first one has ended; also if that can't be found out.
fn is_alone() -> bool {
    LEADER_IS_GONE.load(Ordering::SeqCst) && threads().is_none_or(|threads| threads <= 1)
}

/// How many threads this process has, without a first one that has ended.
#[cfg(target_os = "linux")]
fn threads() -> Option<usize> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    // The name, in parentheses, may have any character in it; the count is the 18th field after it.
    let threads: usize = stat.rsplit_once(')')?.1.split_whitespace().nth(17)?.parse().ok()?;
    Some(threads - 1) // the first stays as a zombie until the process ends
}

#[cfg(target_os = "macos")]
#[allow(unsafe_code)] // a function of the C library
fn threads() -> Option<usize> {
    let mut info = std::mem::MaybeUninit::<libc::proc_taskinfo>::uninit();
    let size = size_of::<libc::proc_taskinfo>() as i32;
    // SAFETY: 1. `info` has room for `size` bytes. 2. It is read only if the call has filled it.
    unsafe {
        let filled = libc::proc_pidinfo(libc::getpid(), libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), size);
        (filled == size).then(|| info.assume_init().pti_threadnum as usize)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn threads() -> Option<usize> {
    None
}

/// Whether a thread can attach. Where no Python thread is left, CPython 3.11 aborts the process if one tries; and where it
/// has no memory for the thread's state.
#[allow(unsafe_code)] // functions of CPython
fn can_attach() -> bool {
    const MORE_THAN_A_STATE: usize = 16 << 10;
    // SAFETY: 1. The main interpreter is alive: its end waits for this thread. Its list of states is only looked at. 2. The
    // block is given back once, unused. None of this needs the interpreter.
    unsafe {
        let block = ffi::PyMem_RawMalloc(MORE_THAN_A_STATE);
        ffi::PyMem_RawFree(block);
        let interpreter = ffi::PyInterpreterState_Main();
        !block.is_null() && !interpreter.is_null() && !ffi::PyInterpreterState_ThreadHead(interpreter).is_null()
    }
}

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
            begin_work(generation, &shared);
            // What is wrong with one cache, which the panic has told of, is no reason to leave all others unswept. If it
            // was under the lock, the cache is broken, and is not swept again.
            if catch_unwind(AssertUnwindSafe(|| sweep(&shared))).is_err() {
                shared.want_at(Clock::now().millis() + SHUN);
            }
            if ROLE.get() == Role::Forked {
                end_child();
            }
            sweeper().at_work.retain(|&(at, _)| at != generation);
            release(shared);
        }
    }
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
        let until = if LEADER_IS_GONE.load(Ordering::SeqCst) { next.min(now + COUNT_THREADS) } else { next };
        sweeper = match until {
            u64::MAX => WAKE.wait(sweeper).unwrap_or_else(PoisonError::into_inner),
            until => {
                let pause = Duration::from_millis(until - now);
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
        if !can_attach() {
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
    if !can_attach() {
        return Err(LAG);
    }
    let asked = Instant::now();
    let swept = Python::try_attach(|py| {
        // Of the processor's time: while `on_remove` runs, other threads may have had the interpreter.
        let until = processor_time() + asked.elapsed().clamp(TURN, LONGEST_TURN);
        loop {
            let mut gone = Gone::default();
            let swept = shared.chest.try_with(|chest| {
                let now = Clock::now();
                let swept = chest.sweep(py, now, SWEPT, &mut gone);
                (swept, note(shared, chest, now))
            });
            shared.settle(py, gone);
            let more = match swept {
                Some((Ok(()), more)) => Ok(more),
                Some((Err(_), _)) => Err(LAG), // no memory to tell of it
                None => Err(RETRY),
            };
            if more != Ok(true) || processor_time() >= until {
                return more;
            }
        }
    });
    swept.unwrap_or(Err(RETRY))
}

/// How long this thread has run.
#[allow(unsafe_code)] // a function of the C library
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn note(shared: &Shared, chest: &Chest, now: ebb::Time) -> bool {
    let until = chest.store.table.quiet_until();
    shared.note_due(until);
    until <= now
}

/// End the thread, and wait until it has, and those before it, which may be in an `on_remove`: the interpreter is going.
/// A signal ends the wait, by what its handler raises. What takes long is named in the log.
#[pyfunction]
pub(crate) fn _stop_sweeper(py: Python<'_>) -> PyResult<()> {
    let mut say_at = Some(Instant::now() + SILENCE);
    let ended = with_sweeper(py, |sweeper| {
        sweeper.closed = true;
        stop(sweeper);
        std::mem::take(&mut sweeper.ended)
    });
    for thread in ended {
        while !thread.is_finished() {
            py.detach(|| std::thread::sleep(PAUSE));
            py.check_signals()?;
            if say_at.is_some_and(|moment| Instant::now() >= moment) {
                say_at = None;
                tell_of_work(py);
            }
        }
        drop(thread.join());
    }
    Ok(())
}

/// Log what the end of the interpreter waits for.
fn tell_of_work(py: Python<'_>) {
    let at_work = with_sweeper(py, |sweeper| sweeper.at_work.iter().find_map(|(_, shared)| shared.upgrade()));
    let Some(shared) = at_work else { return };
    match shared.settings().on_remove.get(py) {
        Some(on_remove) => {
            warn(py, "the interpreter can't exit before on_remove=%r returns", Some(on_remove.bind(py)));
        }
        None => warn(py, "the interpreter can't exit before an expired object's __del__ returns", None),
    }
    release(shared);
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
    sweeper.at_work.clear();
    rest(&mut sweeper, 0);
    if ROLE.get() == Role::Sweeper {
        ROLE.set(Role::Forked);
    }
    LEADER_IS_GONE.store(false, Ordering::SeqCst);
    let _ = LEADER.try_with(|_| ()); // has its end noticed
    if !sweeper.caches.is_empty() {
        CHILD.store(true, Ordering::SeqCst);
        start(&mut sweeper);
    }
}
