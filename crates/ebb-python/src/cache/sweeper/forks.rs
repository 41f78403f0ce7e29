//! The sweeper and forks: the list of caches is not being changed while a process forks, and a child starts a thread of its
//! own.

use crate::cache::sweeper::leader::lead;
use crate::cache::sweeper::state::{HELD, lock_attached, sweeper};
use crate::cache::sweeper::thread::start_in_child;
use pyo3::prelude::*;

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
    sweeper.rest(0);
    lead();
    if !sweeper.caches.is_empty() {
        start_in_child(&mut sweeper);
    }
}
