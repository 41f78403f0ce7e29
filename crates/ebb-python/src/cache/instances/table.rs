//! The marks of the instances that a cache knows, by their addresses.

use crate::kinds::hash::hash_int;
use crate::kinds::layout::word;
use crate::kinds::objects::{self, Leaving};
use crate::python::errors::out_of_memory;
use crate::python::lock::Guarded;
use ebb::{EntrySize, Found, RawTable, Table};
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

/// By the address of an instance: a weak reference to it, and its mark.
pub(crate) struct Instances(pub(super) Guarded<Option<Table>>);

/// An entry of the table: the address, the weak reference, the mark.
const ENTRY: usize = 24;

fn rehash(entry: &[u8]) -> u64 {
    hash_int(word(entry) as i64)
}

pub(super) fn find(table: &Table, id: usize) -> Option<Found> {
    table.find(hash_int(id as i64), |entry| word(entry) == id as u64)
}

/// Take an entry out: the weak reference, and the mark.
pub(super) fn take(table: &mut Table, found: Found) -> (Leaving, Leaving) {
    let entry = table.entry(found);
    let taken = (Leaving::of(&entry[8..16]), Leaving::of(&entry[16..]));
    table.remove(found, &rehash);
    taken
}

impl Instances {
    pub(crate) fn new() -> Self {
        Instances(Guarded::new(None))
    }

    /// The mark of an instance that has one.
    pub(super) fn get(&self, instance: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
        let py = instance.py();
        self.0.with(py, |table| known(py, table.as_ref()?, instance))
    }

    /// Give an instance a mark; the one that it has, if another thread was quicker.
    pub(super) fn add(
        &self,
        reference: &Bound<'_, PyAny>,
        mark: &Bound<'_, PyAny>,
        instance: &Bound<'_, PyAny>,
    ) -> PyResult<Added> {
        let (py, id) = (instance.py(), instance.as_ptr() as usize);
        self.0.with(py, |table| {
            let table = table.get_or_insert_with(|| Table::new(EntrySize::Fixed(ENTRY)));
            if let Some(mark) = known(py, table, instance) {
                return Ok(Added { mark, replaced: None });
            }
            let replaced = find(table, id).map(|found| take(table, found));
            let added = table.insert(hash_int(id as i64), ENTRY, &rehash, |entry| {
                entry[..8].copy_from_slice(&(id as u64).to_ne_bytes());
                entry[8..16].copy_from_slice(&objects::word(reference));
                entry[16..].copy_from_slice(&objects::word(mark));
            });
            added.map_err(out_of_memory)?;
            objects::keep(reference);
            objects::keep(mark);
            Ok(Added { mark: mark.clone().unbind(), replaced })
        })
    }

    /// Let go of all, as the cache goes.
    pub(crate) fn release(&self, py: Python<'_>) {
        let Some(mut table) = self.0.with(py, Option::take) else { return };
        while let Some(found) = table.any() {
            let (reference, mark) = take(&mut table, found);
            reference.release(py);
            mark.release(py);
        }
    }
}

/// What [`Instances::add`] has done.
pub(super) struct Added {
    pub(super) mark: Py<PyAny>,
    /// Of an instance that was at the same address: its death has not been told yet.
    pub(super) replaced: Option<(Leaving, Leaving)>,
}

/// The mark in a table, if it is of this very instance.
fn known(py: Python<'_>, table: &Table, instance: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
    let entry = table.entry(find(table, instance.as_ptr() as usize)?);
    let reference = objects::clone_word(py, &entry[8..16]).into_bound(py);
    // Neither reference is the last one: the table has the one, the caller the other.
    let is_it = reference.cast::<PyWeakrefReference>().is_ok_and(|it| it.upgrade().is_some_and(|it| it.is(instance)));
    is_it.then(|| objects::clone_word(py, &entry[16..]))
}
