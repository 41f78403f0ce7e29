//! What a store has its table do, all its contents at once, and what is said of it.

use crate::kinds::kind::KeyKind;
use crate::kinds::typed::TypedKey;
use crate::table::store::{Store, rehasher};
use ebb::{Cursor, RawTable, Stats};
use pyo3::gc::{PyTraverseError, PyVisit};

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

    /// Bytes of keys and values; an object counts as the pointer it is here.
    pub(crate) fn payload_bytes(&self) -> usize {
        let hashes = if self.layout.key_kind() == KeyKind::Object { 8 * self.table.len() } else { 0 };
        self.table.entry_bytes() - hashes - self.overhead
    }

    pub(crate) fn stats(&self) -> (Stats, usize) {
        (self.table.stats(), self.payload_bytes())
    }

    /// Walk every invariant.
    pub(crate) fn check(&self) {
        let layout = self.layout;
        self.table.check(&|entry| layout.hash(entry));
        let mut overhead = 0;
        let mut cursor = Cursor::default();
        while let Some(entry) = self.table.next(&mut cursor) {
            overhead += layout.overhead(entry);
        }
        assert_eq!(overhead, self.overhead);
    }

    pub(crate) fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let mut cursor = Cursor::default();
        while let Some(entry) = self.next(&mut cursor) {
            entry.objects().try_for_each(|object| object.visit(visit))?;
        }
        Ok(())
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

    /// Give back all memory of a table that is empty.
    pub(crate) fn release_tables(&mut self) {
        debug_assert!(self.table.is_empty()); // its objects would never be dropped
        self.table.clear();
    }
}
