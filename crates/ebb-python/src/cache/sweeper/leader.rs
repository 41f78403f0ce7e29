//! What a thread is in a forked process: the one that the process began with, or the sweeper.

use crate::cache::sweeper::state::{WAKE, sweeper};
use crate::python::process;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process was forked, and the thread that it began with has ended.
static LEADER_IS_GONE: AtomicBool = AtomicBool::new(false);

/// What this thread is to the sweeper.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Other,
    Sweeper,
    /// It was the sweeper when an `on_remove` forked. In the child it is the only thread, and has nothing else to do.
    Forked,
}

thread_local! {
    pub(super) static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

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

/// This thread is the first of a child.
pub(super) fn lead() {
    if ROLE.get() == Role::Sweeper {
        ROLE.set(Role::Forked);
    }
    LEADER_IS_GONE.store(false, Ordering::SeqCst);
    let _ = LEADER.try_with(|_| ()); // has its end noticed
}

/// Whether the thread that a forked process began with has ended.
pub(super) fn leader_is_gone() -> bool {
    LEADER_IS_GONE.load(Ordering::SeqCst)
}

/// Whether the calling thread is the only one left of a process whose first one has ended; also if that can't be found out.
pub(super) fn is_alone() -> bool {
    leader_is_gone() && process::threads().is_none_or(|threads| threads <= 1)
}
