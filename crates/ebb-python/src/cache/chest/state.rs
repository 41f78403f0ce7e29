//! What a cache holds behind its lock: entries with deadlines, bounds, and counts of all that has happened.
//!
//! Each operation on it is one step that runs no Python code. They are in the files beside this one.
#![allow(unsafe_code)] // a promise about a field

use crate::cache::gone::Cause;
use crate::cache::limits::Limits;
use crate::kinds::layout::Layout;
use crate::table::contents::Contents;
use crate::table::store::{Holder, Store};
use std::cell::Cell;

/// Entries that leave under one hold of the lock.
pub(crate) const BATCH: usize = 256;

/// A number of events. It is counted on while an entry is held, which borrows all else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count(Cell<u64>);

impl Count {
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }

    #[inline(always)]
    pub(crate) fn add(&self, events: u64) {
        self.0.set(self.0.get() + events);
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) hits: Count,
    pub(crate) misses: Count,
    pub(crate) sets: Count,
    pub(crate) replaced: Count,
    pub(crate) expired: Count,
    pub(crate) evicted_by_count: Count,
    pub(crate) evicted_by_bytes: Count,
    pub(crate) deleted: Count,
    pub(crate) cleared: Count,
    pub(crate) coalesced: Count,
}

impl Counts {
    /// Each with the name that `stats()` has for it.
    pub(crate) fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("hits", self.hits.get()),
            ("misses", self.misses.get()),
            ("sets", self.sets.get()),
            ("replaced", self.replaced.get()),
            ("expired", self.expired.get()),
            ("evicted_by_count", self.evicted_by_count.get()),
            ("evicted_by_bytes", self.evicted_by_bytes.get()),
            ("deleted", self.deleted.get()),
            ("cleared", self.cleared.get()),
            ("removed", self.deleted.get() + self.cleared.get()),
            ("coalesced", self.coalesced.get()),
        ]
    }
}

pub(crate) struct Chest {
    pub(crate) store: Store<ebb::Cache>,
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
    /// The thread that last added a key.
    pub(crate) last_inserter: usize,
    /// The number of the process in which somebody walks over the entries in the order in which they came in.
    pub(crate) walked_in: Option<u32>,
}

// SAFETY: a field of it.
unsafe impl Holder for Chest {
    type Table = ebb::Cache;

    #[inline(always)]
    fn store(&self) -> &Store<ebb::Cache> {
        &self.store
    }

    #[inline(always)]
    fn store_mut(&mut self) -> &mut Store<ebb::Cache> {
        &mut self.store
    }
}

/// A number for the calling thread.
#[inline]
pub(crate) fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl Chest {
    pub(crate) fn new(layout: Layout, limits: Limits) -> Self {
        let store = Store::over(layout, limits.table(layout));
        Chest { store, limits, counts: Counts::default(), last_inserter: 0, walked_in: None }
    }

    /// How many keys were added so far, and all those removed.
    pub(crate) fn inserts(&self) -> u64 {
        self.counts.sets.get() - self.counts.replaced.get()
    }

    pub(super) fn count(&self, cause: Cause) {
        let counts = &self.counts;
        let count = match cause {
            Cause::Expired => &counts.expired,
            Cause::EvictedByCount => &counts.evicted_by_count,
            Cause::EvictedByBytes => &counts.evicted_by_bytes,
            Cause::Replaced => &counts.replaced,
            Cause::Deleted => &counts.deleted,
            Cause::Cleared => &counts.cleared,
        };
        count.add(1);
    }

    /// Everything, leaving nothing but what was learned; counted as cleared if it is.
    pub(crate) fn take(&mut self) -> Contents<ebb::Cache> {
        let layout = self.store.layout();
        let mut empty = Store::over(layout, self.limits.table(layout));
        empty.learn_from(&self.store);
        std::mem::replace(&mut self.store, empty).into_contents()
    }
}
