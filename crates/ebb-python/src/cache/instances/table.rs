//! The marks of the instances that a cache knows.

use crate::cache::instances::mark::InstanceMark;
use crate::kinds::hash::hash_int;
use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::layout::Layout;
use crate::kinds::new::{Key, New, Value};
use crate::python::errors::out_of_memory;
use crate::python::lock::Guarded;
use crate::python::reserve::has_room_for;
use crate::table::dropped::Dropped;
use crate::table::store::{Found, Store};
use ebb::OutOfMemory;
use pyo3::prelude::*;

/// The mark of each instance, by its address.
///
/// In a box, as few caches have any.
pub(crate) struct Instances(Guarded<Option<Box<Store>>>);

fn find(marks: &mut Store, address: usize) -> Option<Found<'_, Store>> {
    Found::int(marks, hash_int(address as i64), address as i64).ok()
}

fn mark_of<'py>(py: Python<'py>, found: &Found<'_, Store>) -> Option<Bound<'py, InstanceMark>> {
    let mark = found.entry().value_object()?.bind(py).to_owned();
    mark.cast_into_exact().ok()
}

/// Take a mark out, with the table's reference to it.
fn take<'py>(py: Python<'py>, found: Found<'_, Store>) -> Option<Taken<'py>> {
    let mark = mark_of(py, &found)?;
    Some(Taken { mark, dropped: found.remove().1 })
}

/// A mark that was taken out, whose references are dropped outside the lock.
#[must_use]
pub(super) struct Taken<'py> {
    pub(super) mark: Bound<'py, InstanceMark>,
    pub(super) dropped: Dropped,
}

/// What [`Instances::add`] has done.
pub(super) struct Added<'py> {
    pub(super) mark: Bound<'py, InstanceMark>,
    /// Of an instance that was at the same address: its death has not been told yet.
    pub(super) replaced: Option<Taken<'py>>,
}

/// The mark of this very instance.
fn known<'py>(marks: &mut Store, instance: &Bound<'py, PyAny>) -> Option<Bound<'py, InstanceMark>> {
    let mark = mark_of(instance.py(), &find(marks, instance.as_ptr() as usize)?)?;
    mark.get().is_of(instance).then_some(mark)
}

fn new_store() -> Result<Box<Store>, OutOfMemory> {
    if !has_room_for::<Store>() {
        return Err(OutOfMemory);
    }
    Ok(Box::new(Store::new(Layout::new(KeyKind::Int, ValueKind::Object))))
}

impl Instances {
    pub(crate) fn new() -> Self {
        Instances(Guarded::new(None))
    }

    /// The mark of an instance that has one.
    pub(super) fn get<'py>(&self, instance: &Bound<'py, PyAny>) -> Option<Bound<'py, InstanceMark>> {
        self.0.with(instance.py(), |marks| known(marks.as_mut()?, instance))
    }

    /// Give an instance a mark; the one that it has, if another thread was quicker.
    pub(super) fn add<'py>(
        &self,
        mark: &Bound<'py, InstanceMark>,
        instance: &Bound<'py, PyAny>,
    ) -> PyResult<Added<'py>> {
        let address = instance.as_ptr() as usize;
        self.0.with(instance.py(), |marks| {
            if marks.is_none() {
                *marks = Some(new_store().map_err(out_of_memory)?);
            }
            let marks = marks.as_mut().expect("just made");
            if let Some(mark) = known(marks, instance) {
                return Ok(Added { mark, replaced: None });
            }
            let replaced = find(marks, address).and_then(|found| take(instance.py(), found));
            let (hash, key) = (hash_int(address as i64), Key::Int(address as i64));
            let value = Value::Object(mark.as_any().as_borrowed());
            marks.insert(New { hash, key: &key, value: &value }).map_err(out_of_memory)?;
            Ok(Added { mark: mark.clone(), replaced })
        })
    }

    /// Take out the mark of an instance that has died, which `reference` was to.
    pub(super) fn take_dead<'py>(&self, address: usize, reference: &Bound<'py, PyAny>) -> Option<Taken<'py>> {
        let py = reference.py();
        self.0.with(py, |marks| {
            let marks = marks.as_mut()?;
            let found = find(marks, address)?;
            let is_it = mark_of(py, &found)?.get().is_referred_to_by(reference);
            if is_it { take(py, found) } else { None }
        })
    }

    /// Let go of all, as the cache goes.
    pub(crate) fn release(&self, py: Python<'_>) {
        let Some(marks) = self.0.with(py, Option::take) else { return };
        marks.into_contents().release(py);
    }
}
