//! A cache as its own object and the sweeper know it.

use crate::cache::chest::state::Chest;
use crate::cache::gone::Gone;
use crate::cache::instances::table::Instances;
use crate::cache::limits::Limits;
use crate::cache::settings::Settings;
use crate::kinds::given::Kinds;
use crate::python::calls::attached;
use crate::python::lock::Guarded;
use ebb::Time;
use pyo3::prelude::*;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

const UNKNOWN: usize = usize::MAX;

pub(crate) struct Shared {
    pub(crate) settings: OnceLock<Settings>,
    pub(crate) chest: Guarded<Chest, true>,
    pub(crate) instances: Instances,
    /// Nothing expires before this millisecond.
    due_at: AtomicU64,
    /// When the sweeper, which found the cache busy, comes again; 0 if it did not.
    retry_at: AtomicU64,
    /// Its place in the sweeper's list; `UNKNOWN` where it is not there.
    place: AtomicUsize,
}

/// A cache's own reference to it.
pub(crate) struct Kept(Option<Arc<Shared>>);

impl Kept {
    pub(crate) fn new(shared: Shared) -> Self {
        Kept(Some(Arc::new(shared)))
    }

    /// Whether there is one: not in an object that CPython drops for want of memory, before it is made. All its bytes are
    /// zero.
    pub(crate) fn is_made(&self) -> bool {
        self.0.is_some()
    }
}

impl Deref for Kept {
    type Target = Arc<Shared>;

    #[inline(always)]
    fn deref(&self) -> &Arc<Shared> {
        self.0.as_ref().expect("a cache that was made") // any other is only dropped, where `is_made` is asked before
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Shared {
            settings: OnceLock::new(),
            chest: Guarded::new(Chest::new(Kinds::OBJECTS.layout(), Limits::NONE)),
            instances: Instances::new(),
            due_at: AtomicU64::new(u64::MAX),
            retry_at: AtomicU64::new(0),
            place: AtomicUsize::new(UNKNOWN),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        self.settings.get_or_init(Settings::plain)
    }

    pub(crate) fn is_known(&self) -> bool {
        self.place() != UNKNOWN
    }

    pub(crate) fn place(&self) -> usize {
        self.place.load(Ordering::Relaxed)
    }

    /// Called under the sweeper's lock.
    pub(crate) fn set_place(&self, place: usize) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// When the sweeper is wanted, in milliseconds, `lag` after something is due.
    pub(crate) fn wanted_at(&self, lag: u64) -> u64 {
        match self.retry_at.load(Ordering::Relaxed) {
            0 => self.due_at.load(Ordering::SeqCst).saturating_add(lag),
            retry => retry,
        }
    }

    pub(crate) fn want_at(&self, millis: u64) {
        self.retry_at.store(millis.max(1), Ordering::Relaxed);
    }

    pub(crate) fn begin_sweep(&self) {
        self.retry_at.store(0, Ordering::Relaxed);
    }

    /// The millisecond before which nothing expires.
    #[inline]
    pub(crate) fn due_at(&self) -> u64 {
        self.due_at.load(Ordering::Relaxed)
    }

    /// Nothing expires before `until`. Called under the cache's lock.
    pub(crate) fn note_due(&self, until: Time) {
        self.due_at.store(until.millis(), Ordering::SeqCst);
    }

    /// Tell of those who left, and drop them. Runs Python code, so never under a lock.
    #[inline]
    pub(crate) fn settle(&self, py: Python<'_>, gone: Gone) {
        if gone.is_untouched() {
            return std::mem::forget(gone); // for dropping takes a call
        }
        // What is told, and an error, is dropped by PyO3. What is only dropped goes past it, and needs no attaching, which takes 15 ns of an
        // eviction's 200.
        let by_pyo3 = self.settings().tells() || gone.has_error();
        if by_pyo3 { attached(py, |py| self.settle_some(py, gone)) } else { self.settle_some(py, gone) }
    }

    #[cold]
    fn settle_some(&self, py: Python<'_>, gone: Gone) {
        let settings = self.settings();
        let on_remove = if settings.tells() { settings.on_remove.get(py) } else { None };
        gone.settle(py, on_remove.as_ref(), settings.kinds.codec.as_ref());
    }
}
