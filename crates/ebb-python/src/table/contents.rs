//! All that a table held, on its way out.

use crate::kinds::entry::Entry;
use crate::python::pace::Rests;
use crate::table::store::{Drain, Store};
use ebb::{Cursor, RawTable, Table};
use pyo3::prelude::*;

/// Bytes of a table with so many pages that giving them back takes a while.
const LARGE: usize = 1 << 20;

/// What a map held, on its way out.
#[must_use]
pub(crate) struct Contents<T: RawTable = Table> {
    store: Store<T>,
}

impl<T: RawTable> Contents<T> {
    /// Call `visit` with every entry.
    pub(crate) fn each(&self, mut visit: impl FnMut(Entry<'_>)) {
        let mut cursor = Cursor::default();
        while let Some(entry) = self.store.next(&mut cursor) {
            visit(entry);
        }
    }

    /// Drop every object, then the memory, and let other threads have the interpreter every few milliseconds. Runs
    /// `__del__`, so never under a lock.
    pub(crate) fn release(self, py: Python<'_>) {
        let (has_objects, is_large) = (self.has_objects(), self.is_large());
        let mut entries = Drain::of(self.store);
        if has_objects {
            release_objects(py, &mut entries);
        }
        if is_large {
            let table = entries.into_table();
            py.detach(|| drop(table)); // many pages
        }
    }

    /// Whether it is worth to release the interpreter while the memory is given back.
    pub(crate) fn is_large(&self) -> bool {
        self.store.table().bytes() > LARGE
    }

    /// Whether there is anything that takes Python to release.
    pub(crate) fn has_objects(&self) -> bool {
        self.store.layout().has_objects() && !self.store.table().is_empty()
    }
}

fn release_objects<T: RawTable>(py: Python<'_>, entries: &mut Drain<T>) {
    let mut rests = Rests::default();
    while let Some(dropped) = entries.next() {
        dropped.release(py);
        rests.dropped(py);
    }
}

impl<T: RawTable> Store<T> {
    /// All there is, to be released.
    pub(crate) fn into_contents(self) -> Contents<T> {
        Contents { store: self }
    }
}

impl Store {
    /// Everything, leaving nothing.
    pub(crate) fn take(&mut self) -> Contents {
        self.take_all().into_contents()
    }

    /// Everything, leaving another store's contents.
    pub(crate) fn replace_by(&mut self, other: Store) -> Contents {
        self.take_for(other).into_contents()
    }
}
