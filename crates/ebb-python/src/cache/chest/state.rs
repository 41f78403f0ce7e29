//! What a cache holds behind its lock: entries with deadlines, bounds, and counts of all that has happened.
//!
//! Each operation on it is one step that runs no Python code. They are in the files beside this one.

use crate::cache::gone::Cause;
use crate::cache::limits::Limits;
use crate::kinds::layout::Layout;
use crate::table::contents::Contents;
use crate::table::search::Holder;
use crate::table::store::Store;

/// Entries that leave under one hold of the lock.
pub(crate) const BATCH: usize = 256;

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) sets: u64,
    pub(crate) replaced: u64,
    pub(crate) expired: u64,
    pub(crate) evicted_by_count: u64,
    pub(crate) evicted_by_bytes: u64,
    pub(crate) deleted: u64,
    pub(crate) cleared: u64,
    pub(crate) coalesced: u64,
}

impl Counts {
    /// Each with the name that `stats()` has for it.
    pub(crate) fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("hits", self.hits),
            ("misses", self.misses),
            ("sets", self.sets),
            ("replaced", self.replaced),
            ("expired", self.expired),
            ("evicted_by_count", self.evicted_by_count),
            ("evicted_by_bytes", self.evicted_by_bytes),
            ("deleted", self.deleted),
            ("cleared", self.cleared),
            ("removed", self.deleted + self.cleared),
            ("coalesced", self.coalesced),
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

impl Holder for Chest {
    type Table = ebb::Cache;

    #[inline(always)]
    fn store(&mut self) -> &mut Store<ebb::Cache> {
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
        self.counts.sets - self.counts.replaced
    }

    pub(super) fn count(&mut self, cause: Cause) {
        let counts = &mut self.counts;
        let count = match cause {
            Cause::Expired => &mut counts.expired,
            Cause::EvictedByCount => &mut counts.evicted_by_count,
            Cause::EvictedByBytes => &mut counts.evicted_by_bytes,
            Cause::Replaced => &mut counts.replaced,
            Cause::Deleted => &mut counts.deleted,
            Cause::Cleared => &mut counts.cleared,
        };
        *count += 1;
    }

    /// Everything, leaving nothing but what was learned; counted as cleared if it is.
    pub(crate) fn take(&mut self) -> Contents<ebb::Cache> {
        let layout = self.store.layout;
        let mut empty = Store::over(layout, self.limits.table(layout));
        empty.table.learn_from(&self.store.table);
        std::mem::replace(&mut self.store, empty).into_contents()
    }
}
