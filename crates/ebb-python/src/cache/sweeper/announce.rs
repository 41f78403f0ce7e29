//! What a cache tells the sweeper: that something will expire, and that the cache has gone.

use crate::cache::shared::Shared;
use crate::cache::sweeper::state::{LAG, RESTING, is_news, plan, with_sweeper};
use crate::cache::sweeper::thread;
use crate::python::{calls, log};
use ebb::Clock;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether it was logged that the thread can't be started.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Have a cache swept once something is due, if the sweeper has not planned to. Never waits for long: the lock is not held
/// over any work.
#[inline(always)]
pub(crate) fn announce(py: Python<'_>, shared: &Arc<Shared>) {
    let due = shared.due_at();
    if due != u64::MAX && (!shared.is_known() || is_news(due)) {
        announce_due(py, shared, due);
    }
}

#[cold]
fn announce_due(py: Python<'_>, shared: &Arc<Shared>, due: u64) {
    let resting = RESTING.load(Ordering::Relaxed);
    if resting == 0 || Clock::now().millis() >= resting {
        calls::attached(py, |py| announce_attached(py, shared, due));
    }
}

fn announce_attached(py: Python<'_>, shared: &Arc<Shared>, due: u64) {
    let has_failed = with_sweeper(py, |sweeper| {
        if sweeper.closed || !sweeper.know(shared) {
            return false; // operations sweep too
        }
        plan(due.saturating_add(LAG));
        thread::start(sweeper);
        sweeper.thread.is_none()
    });
    if has_failed && !TOLD.swap(true, Ordering::SeqCst) {
        let message = "the thread that removes expired entries can't be started and is tried again later; meanwhile only \
                       operations on a cache remove its expired entries";
        log::warn(py, message, None);
    }
}

/// A cache has gone.
pub(crate) fn forget(py: Python<'_>, shared: &Shared) {
    if !shared.is_known() {
        return;
    }
    with_sweeper(py, |sweeper| sweeper.forget(shared));
}
