//! All that a table held, on its way out.

use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::layout::Layout;
use crate::kinds::objects::Leaving;
use crate::python::pace::Rests;
use crate::table::store::Store;
use ebb::{Cursor, RawTable, Table};
use pyo3::prelude::*;

/// Bytes of a table with so many pages that giving them back takes a while.
const LARGE: usize = 1 << 20;

/// What a map held, on its way out.
#[must_use]
pub(crate) struct Contents<T: RawTable = Table> {
    layout: Layout,
    table: T,
}

impl<T: RawTable> Contents<T> {
    /// Call `visit` with every entry.
    pub(crate) fn each(&self, mut visit: impl FnMut(Layout, &[u8])) {
        let mut cursor = Cursor::default();
        while let Some(entry) = self.table.next(&mut cursor) {
            visit(self.layout, entry);
        }
    }

    /// Drop every object, then the memory, and let other threads have the interpreter every few milliseconds. Runs
    /// `__del__`, so never under a lock.
    pub(crate) fn release(self, py: Python<'_>) {
        if self.layout.has_objects() {
            self.release_objects(py);
        }
        if self.is_large() {
            let table = self.table;
            py.detach(|| drop(table)); // many pages
        }
    }

    fn release_objects(&self, py: Python<'_>) {
        let mut rests = Rests::default();
        let mut cursor = Cursor::default();
        while let Some(entry) = self.table.next(&mut cursor) {
            if self.layout.key == KeyKind::Object {
                Leaving::of(&entry[8..]).release(py);
            }
            if self.layout.value == ValueKind::Object {
                Leaving::of(self.layout.value(entry)).release(py);
            }
            rests.dropped(py);
        }
    }

    /// Whether it is worth to release the interpreter while the memory is given back.
    pub(crate) fn is_large(&self) -> bool {
        self.table.bytes() > LARGE
    }

    /// Whether there is anything that takes Python to release.
    pub(crate) fn has_objects(&self) -> bool {
        self.layout.has_objects() && !self.table.is_empty()
    }
}

impl<T: RawTable> Store<T> {
    /// All there is, to be released.
    pub(crate) fn into_contents(self) -> Contents<T> {
        Contents { layout: self.layout, table: self.table }
    }
}

impl Store {
    /// Everything, leaving nothing.
    pub(crate) fn take(&mut self) -> Contents {
        let mut empty = Store::new(self.layout);
        empty.changes = self.changes + 1;
        let store = std::mem::replace(self, empty);
        store.into_contents()
    }
}
