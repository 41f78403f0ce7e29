//! `ebbmap._core.Map`: what has to be native. The rest of the mapping protocol is in `ebbmap/_internal/map.py`.

use crate::kinds::given::Kinds;
use crate::kinds::kind::ValueKind;
use crate::kinds::layout::no_room;
use crate::kinds::new::{Key, New, Value};
use crate::python::errors::{error, out_of_memory};
use crate::python::lock::Guarded;
use crate::python::pace::Pace;
use crate::python::release::release_nested;
use crate::table::dropped::Dropped;
use crate::table::parts::Parts;
use crate::table::search;
use crate::table::store::{Found, Searched, Store};
use crate::table::take::{Seen, take_out, take_out_pair};
use ebb::{OutOfMemory, RawTable};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::mem::ManuallyDrop;
use std::sync::OnceLock;

/// The native part of `ebbmap.Map`.
#[pyclass(frozen, mapping, subclass, weakref, generic, module = "ebbmap._core")]
pub(crate) struct Map {
    /// CPython drops a map that it has no memory to make, all zero bytes, and an `OnceLock` of those looks full. So this
    /// is dropped by `drop`, which can tell.
    pub(super) kinds: ManuallyDrop<OnceLock<Kinds>>,
    pub(crate) store: Guarded<Store>,
}

impl Map {
    #[inline]
    pub(crate) fn kinds(&self) -> &Kinds {
        self.kinds.get_or_init(|| Kinds::OBJECTS)
    }

    /// See [`search::locate`].
    #[inline]
    pub(crate) fn locate<R>(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        work: impl FnOnce(Searched<'_, Store>, u64) -> R,
    ) -> PyResult<R> {
        search::locate(&self.store, py, key, &mut (), |found, hash, ()| work(found, hash), |_, ()| ())
    }

    pub(crate) fn key<'a>(&self, key: &'a Bound<'_, PyAny>) -> PyResult<Key<'a>> {
        Key::new(self.kinds().key, key)
    }

    pub(crate) fn value<'a>(&self, value: &'a Bound<'_, PyAny>) -> PyResult<Value<'a>> {
        let kinds = self.kinds();
        Value::new(kinds.value, kinds.codec.as_ref(), value)
    }

    #[inline]
    pub(crate) fn find_value(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        let read = self.locate(py, key, |found, _| found.ok().map(|found| found.entry().read_value(py)))?;
        self.kinds().finish(py, read)
    }

    pub(crate) fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        self.set_typed(py, &self.key(key)?, &self.value(value)?)
    }

    pub(crate) fn set_typed(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>) -> PyResult<()> {
        let done = self.locate(py, key, |found, hash| set(found, New { hash, key, value }))?;
        done.map_err(|_| self.no_room(py, key, value))?.release(py); // what was replaced
        Ok(())
    }

    #[cold]
    pub(crate) fn no_room(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>) -> PyErr {
        no_room(py, self.kinds().layout(), New { hash: 0, key, value })
    }

    /// Take an entry out and give its value; where that can't be made, the entry stays.
    pub(super) fn take(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        let take = || {
            let taken = self.locate(py, key, |found, _| {
                let found = found.ok()?;
                Some(found.value_to_take(py).map(|value| found.remove_made(value)))
            })?;
            released(py, taken)
        };
        take_out(take, |read| read.finish(py, self.kinds().codec.as_ref()), |seen| Ok(self.take_seen(py, seen)))
    }

    /// Take some entry out and give its key and value; where they can't be made, it stays.
    pub(super) fn take_any<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let take = || {
            let taken = self.store.with(py, |store| {
                let found = Found::any(store).ok()?;
                Some(found.pair_to_take(py).map(|pair| found.remove_made(pair)))
            });
            released(py, taken)
        };
        take_out_pair(py, take, |read| self.kinds().finish_both(py, read), |seen| Ok(self.take_seen(py, seen)))
    }

    /// Take out what was seen, if nobody else has changed it; whether it was.
    fn take_seen(&self, py: Python<'_>, seen: &Seen) -> bool {
        let dropped = self.store.with(py, |store| Found::seen(store, seen).ok().map(|found| found.remove().1));
        dropped.map(|dropped| dropped.release(py)).is_some()
    }

    /// Copy all entries, and pause between two parts.
    fn copy_parts(&self, py: Python<'_>, copy: &mut Store) -> PyResult<()> {
        let mut pace = Pace::default();
        for part in Parts::of(self.store.with(py, |store| store.table().len())) {
            let copied = self.store.with(py, |store| store.copy_part(py, part, copy));
            pace.steps(py, copied.map_err(out_of_memory)?)?;
        }
        Ok(())
    }

    /// A copy of the table.
    pub(super) fn copied(&self, py: Python<'_>) -> PyResult<Store> {
        let mut copy = self.store.with(py, |store| store.empty_like());
        if let Err(error) = self.copy_parts(py, &mut copy) {
            copy.take().release(py);
            return Err(error);
        }
        Ok(copy)
    }

    /// See `setdefault`.
    pub(super) fn set_default(&self, py: Python<'_>, key: &Key<'_>, default: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        // An object is a value in any case: so keys are asked once.
        let is_object = self.kinds().value == ValueKind::Object;
        if !is_object && let Some(value) = self.find_value(py, key)? {
            return Ok(value);
        }
        let value = self.value(default)?;
        let made = self.kinds().read_back(py, &value, default)?; // before it is set: nothing fails after that
        Ok(self.read_or_set(py, key, &value)?.unwrap_or(made))
    }

    /// The value that is there; nothing if there is none, and `value` was set.
    fn read_or_set(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>) -> PyResult<Option<Py<PyAny>>> {
        let read = self.locate(py, key, |found, hash| match found {
            Ok(found) => Ok(Some(found.entry().read_value(py))),
            Err(store) => store.insert(New { hash, key, value }).map(|()| None),
        })?;
        self.kinds().finish(py, read.map_err(|_| self.no_room(py, key, value))?)
    }

    /// Set the kinds of a map that has none yet.
    pub(super) fn set_kinds(&self, py: Python<'_>, kinds: Kinds) -> PyResult<()> {
        let layout = kinds.layout();
        let refused = self.store.with(py, |store| {
            let set = self.kinds.set(kinds);
            set.inspect(|()| *store = Store::new(layout)) // what is refused has objects, to be dropped outside
        });
        let are_others = refused.is_err() && self.kinds().layout() != layout;
        let message = format_args!("the kinds of a map can't be changed once it is made");
        if are_others { Err(error::<PyTypeError>(py, message)) } else { Ok(()) }
    }
}

/// Insert or replace; what was replaced.
#[inline]
fn set(found: Searched<'_, Store>, new: New<'_>) -> Result<Dropped, OutOfMemory> {
    match found {
        Ok(mut found) => found.overwrite(new),
        Err(store) => store.insert(new).map(|()| Dropped::nothing()),
    }
}

/// What was taken, once the references that the table had are dropped.
#[inline(always)]
fn released<T>(py: Python<'_>, taken: Option<PyResult<(T, Option<Dropped>)>>) -> PyResult<Option<T>> {
    let Some((taken, dropped)) = taken.transpose()? else { return Ok(None) };
    if let Some(dropped) = dropped {
        dropped.release(py);
    }
    Ok(Some(taken))
}

impl Drop for Map {
    fn drop(&mut self) {
        let Some(store) = self.store.get_mut() else { return }; // broken, or never made
        let contents = store.take();
        drop(self.kinds.take());
        if contents.has_objects() || contents.is_large() {
            Python::attach(|py| release_nested(py, |py| contents.release(py)));
        }
    }
}
