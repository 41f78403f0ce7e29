//! What a store has its table do, and all its contents at once.

use crate::kinds::typed::TypedKey;
use crate::table::store::{Store, rehasher};
use ebb::RawTable;

impl<T: RawTable> Store<T> {
    /// See [`RawTable::prefetch_removal`].
    #[inline(always)]
    pub(crate) fn prefetch_removal<K: TypedKey>(&self) {
        self.table.prefetch_removal(&rehasher::<K>(&self.layout));
    }

    /// Let only so many more allocations succeed, for tests.
    pub(crate) fn set_allowance(&mut self, allocations: Option<u64>) {
        self.table.set_allowance(allocations.unwrap_or(u64::MAX));
    }
}

impl Store {
    /// Everything, leaving nothing.
    pub(crate) fn take_all(&mut self) -> Store {
        let mut empty = Store::new(self.layout);
        empty.changes = self.changes + 1;
        std::mem::replace(self, empty)
    }

    /// Everything, leaving another store's contents.
    pub(crate) fn take_for(&mut self, mut other: Store) -> Store {
        other.changes = self.changes + 1;
        std::mem::replace(self, other)
    }
}

impl Store<ebb::Cache> {
    /// Go on with what another store's table has learned: see [`ebb::Cache::learn_from`].
    pub(crate) fn learn_from(&mut self, other: &Self) {
        self.table.learn_from(&other.table);
    }

    /// See [`ebb::Cache::was_limited`].
    pub(crate) fn was_limited(&mut self) -> bool {
        self.table.was_limited()
    }

    /// See [`ebb::Cache::begin_walk`].
    pub(crate) fn begin_walk(&mut self) -> bool {
        self.table.begin_walk()
    }

    /// See [`ebb::Cache::release_spares`].
    pub(crate) fn release_spares(&mut self) {
        self.table.release_spares();
    }

    /// Give back all memory of a table that is empty.
    pub(crate) fn release_tables(&mut self) {
        debug_assert!(self.table.is_empty()); // its objects would never be dropped
        self.table.clear();
    }
}
