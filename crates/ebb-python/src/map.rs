//! `ebbmap._core.Map`: what has to be native. The rest of the mapping protocol is in `ebbmap/_map.py`.

use crate::calls;
use crate::convert::{Key, Value};
use crate::errors::{error, missing, no_room, out_of_memory};
use crate::iter::{MapIterator, What, snapshot};
use crate::kinds::{KeyKind, Kinds, ValueKind, value_kind};
use crate::layout::New;
use crate::lock::Guarded;
use crate::make::{self, Name};
use crate::objects::release_nested;
use crate::pace::Pace;
use crate::search;
use crate::store::{Dropped, Parts, Store};
use crate::take::{Seen, take_out, take_out_pair};
use ebb::{Found, RawTable};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::convert::Infallible;
use std::sync::OnceLock;

/// The native part of `ebbmap.Map`.
#[pyclass(frozen, mapping, subclass, weakref, generic, module = "ebbmap._core")]
pub(crate) struct Map {
    pub(crate) kinds: OnceLock<Kinds>,
    pub(crate) store: Guarded<Store>,
}

/// Bytes of a map that are not in its table.
const OWN_BYTES: usize = size_of::<Map>() - size_of::<ebb::Table>();

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
        work: impl FnOnce(&mut Store, u64, Option<Found>) -> R,
    ) -> PyResult<R> {
        search::locate(&self.store, py, key, work)
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
        let read = self.locate(py, key, |store, _, found| found.map(|found| store.read_value(py, found)))?;
        self.kinds().finish(py, read)
    }

    pub(crate) fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        self.set_typed(py, &self.key(key)?, &self.value(value)?)
    }

    pub(crate) fn set_typed(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>) -> PyResult<()> {
        let done = self.locate(py, key, |store, hash, found| store.set(found, New { hash, key, value }))?;
        done.map_err(|_| self.no_room(py, key, value))?.release(py); // what was replaced
        Ok(())
    }

    /// `slf[given]`, where `key` is what was given.
    #[inline]
    pub(crate) fn get_item(slf: &Bound<'_, Self>, given: &Bound<'_, PyAny>, key: &Key<'_>) -> PyResult<Py<PyAny>> {
        match slf.get().find_value(given.py(), key)? {
            Some(value) => Ok(value),
            None => call_missing(slf.as_any(), given),
        }
    }

    /// `del self[given]`, where `key` is what was given.
    #[inline]
    pub(crate) fn delete_item(&self, given: &Bound<'_, PyAny>, key: &Key<'_>) -> PyResult<()> {
        let py = given.py();
        let removed = self.locate(py, key, |store, _, found| found.map(|found| store.remove(found)))?;
        removed.map(|removed| removed.release(py)).ok_or_else(|| missing(given))
    }

    #[inline]
    pub(crate) fn contains_item(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        self.locate(py, key, |_, _, found| found.is_some())
    }

    #[cold]
    pub(crate) fn no_room(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>) -> PyErr {
        no_room(py, self.kinds().layout(), New { hash: 0, key, value })
    }

    /// Take an entry out and give its value; where that can't be made, the entry stays.
    fn take(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        let take = || {
            let taken = self.locate(py, key, |store, _, found| {
                let found = found?;
                Some(store.value_to_take(py, found).map(|value| store.remove_made(found, value)))
            })?;
            released(py, taken)
        };
        take_out(take, |read| read.finish(py, self.kinds().codec.as_ref()), |seen| Ok(self.take_seen(py, seen)))
    }

    /// Take some entry out and give its key and value; where they can't be made, it stays.
    fn take_any<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let take = || {
            let taken = self.store.with(py, |store| {
                let found = store.table.any()?;
                Some(store.pair_to_take(py, found).map(|pair| store.remove_made(found, pair)))
            });
            released(py, taken)
        };
        take_out_pair(py, take, |read| self.kinds().finish_both(py, read), |seen| Ok(self.take_seen(py, seen)))
    }

    /// Take out what was seen, if nobody else has changed it; whether it was.
    fn take_seen(&self, py: Python<'_>, seen: &Seen) -> bool {
        let dropped = self.store.with(py, |store| store.find_seen(seen).map(|found| store.remove(found)));
        dropped.map(|dropped| dropped.release(py)).is_some()
    }

    /// Copy all entries, and pause between two parts.
    fn copy_parts(&self, py: Python<'_>, copy: &mut Store) -> PyResult<()> {
        let mut pace = Pace::default();
        for part in Parts::of(self.store.with(py, |store| store.table.len())) {
            let copied = self.store.with(py, |store| store.copy_part(py, part, copy));
            pace.steps(py, copied.map_err(out_of_memory)?)?;
        }
        Ok(())
    }

    /// Set the kinds of a map that has none yet.
    fn set_kinds(&self, py: Python<'_>, kinds: Kinds) -> PyResult<()> {
        let layout = kinds.layout();
        let refused = self.store.with(py, |store| {
            let refused = self.kinds.set(kinds);
            if refused.is_ok() {
                *store = Store::new(layout);
            }
            refused
        });
        match refused {
            Err(kinds) if self.kinds().layout() != kinds.layout() => {
                Err(error::<PyTypeError>(py, format_args!("the kinds of a map can't be changed once it is made")))
            }
            _ => Ok(()),
        }
    }
}

crate::slots::made_without_arguments!(Map);

#[pymethods]
impl Map {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Map { kinds: OnceLock::new(), store: Guarded::new(Store::new(Kinds::OBJECTS.layout())) }
    }

    /// Fix the kinds of key and value; `_map.Map.__init__` calls it.
    fn _set_kinds(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let key_kind = KeyKind::of(key)?;
        let (value_kind, codec) = value_kind(value)?;
        self.set_kinds(key.py(), Kinds { key: key_kind, value: value_kind, codec })
    }

    /// The names of the kinds, and the codec of a dtype.
    fn _kinds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.kinds().names(py)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.store.with(py, |store| store.table.len())
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.contains_item(key.py(), &self.key(key)?)
    }

    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Map::get_item(slf, key, &slf.get().key(key)?)
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set(key, value)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.delete_item(key, &self.key(key)?)
    }

    fn __iter__(slf: &Bound<'_, Self>) -> MapIterator {
        MapIterator::new(slf, What::Keys)
    }

    fn _iter_values(slf: &Bound<'_, Self>) -> MapIterator {
        MapIterator::new(slf, What::Values)
    }

    fn _iter_items(slf: &Bound<'_, Self>) -> MapIterator {
        MapIterator::new(slf, What::Items)
    }

    /// All items that are there all along, as a list of pairs. O(n).
    fn _snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        snapshot(self, py)
    }

    /// The value of `key`, or `default`. O(1).
    #[pyo3(signature = (key, /, default=None))]
    fn get(&self, key: &Bound<'_, PyAny>, default: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.find_value(key.py(), &self.key(key)?)?.or(default))
    }

    /// As `get`, where `key` may be of any type: one that can't be a key here is not in the map.
    fn _peek(&self, key: &Bound<'_, PyAny>, default: Py<PyAny>) -> PyResult<Py<PyAny>> {
        let Some(possible) = Key::new_if_possible(self.kinds().key, key)? else { return Ok(default) };
        Ok(self.find_value(key.py(), &possible)?.unwrap_or(default))
    }

    /// Remove `key` and return its value, or `default`, or raise `KeyError`. O(1).
    #[pyo3(signature = (key, /, default=Fallback(None)), text_signature = "($self, key, /, default=...)")]
    fn pop(&self, key: &Bound<'_, PyAny>, default: Fallback<'_>) -> PyResult<Py<PyAny>> {
        pop(key, default, || self.take(key.py(), &self.key(key)?))
    }

    /// Remove some entry and return it as `(key, value)`; `KeyError` if there is none. O(1) on average.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.take_any(py)?.ok_or_else(|| error::<PyKeyError>(py, format_args!("popitem(): the map is empty")))
    }

    /// The value of `key`; if it has none, `default`, which is set. O(1).
    #[pyo3(signature = (key, /, default=None))]
    fn setdefault(&self, key: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let py = key.py();
        let none = py.None().into_bound(py);
        let default = default.unwrap_or(&none);
        let typed = self.key(key)?;
        // An object is a value in any case: so keys are asked once.
        let is_object = self.kinds().value == ValueKind::Object;
        if !is_object && let Some(value) = self.find_value(py, &typed)? {
            return Ok(value);
        }
        let value = self.value(default)?;
        let read = self.locate(py, &typed, |store, hash, found| match found {
            Some(found) => Ok(Some(store.read_value(py, found))),
            None => store.insert(New { hash, key: &typed, value: &value }).map(|()| None),
        })?;
        match self.kinds().finish(py, read.map_err(|_| self.no_room(py, &typed, &value))?)? {
            Some(value) => Ok(value),
            None if is_object => Ok(default.clone().unbind()),
            None => self.find_value(py, &typed).map(|value| value.unwrap_or_else(|| default.clone().unbind())),
        }
    }

    /// Give `other`, of the same kinds, the contents of this map in place of its own. They are read a part at a time, and
    /// put in place in one step. O(n).
    fn _copy_into(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<()> {
        let other = other.get();
        if other.kinds().layout() != self.kinds().layout() {
            return Err(error::<PyTypeError>(py, format_args!("a copy must be of the same kinds")));
        }
        let mut copy = self.store.with(py, |store| store.empty_like());
        if let Err(error) = self.copy_parts(py, &mut copy) {
            copy.take().release(py);
            return Err(error);
        }
        let replaced = other.store.with(py, |store| {
            let replaced = store.take();
            copy.changes = store.changes;
            *store = copy;
            replaced
        });
        replaced.release(py);
        Ok(())
    }

    /// Remove everything and give all memory back. O(n).
    fn clear(&self, py: Python<'_>) {
        let contents = self.store.with(py, Store::take);
        contents.release(py);
    }

    /// Bytes held now: entries, index, spare pages and this object's own. O(1).
    #[getter]
    fn nbytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size(py, self.store.with(py, |store| store.table.bytes()) + OWN_BYTES)
    }

    fn _stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, payload) = self.store.with(py, |store| store.stats());
        let dict = make::dict(py)?;
        describe(&dict, &stats, payload, OWN_BYTES)?;
        Ok(dict)
    }

    /// Walk every invariant of the table; raises what is broken as a panic. For tests.
    fn _check(&self, py: Python<'_>) {
        self.store.with(py, |store| store.check());
    }

    /// Let only so many more allocations succeed (`None`: all). For tests.
    fn _set_allowance(&self, py: Python<'_>, allocations: Option<u64>) {
        self.store.with(py, |store| store.table.set_allowance(allocations.unwrap_or(u64::MAX)));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if !self.kinds.get().is_some_and(|kinds| kinds.layout().has_objects()) {
            return Ok(());
        }
        // A busy table is skipped: what it holds then looks referenced from outside, which is safe.
        self.store.try_with(|store| store.traverse(visit)).unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        if let Some(contents) = self.store.try_with(Store::take) {
            Python::attach(|py| contents.release(py));
        }
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

/// Put what a table holds and has done into `dict`; `own` bytes are around the table.
pub(crate) fn describe(dict: &Bound<'_, PyDict>, stats: &ebb::Stats, payload: usize, own: usize) -> PyResult<()> {
    let sizes = [
        ("entries", stats.entries),
        ("payload_bytes", payload),
        ("nbytes", stats.held_bytes + own),
        ("page_bytes", stats.page_bytes),
        ("index_bytes", stats.index_bytes),
        ("spare_bytes", stats.spare_bytes),
        ("directory_bytes", stats.directory_bytes + own),
        ("segments", stats.segments),
    ];
    note(dict, sizes.map(|(name, size)| (name, size as u64)))?;
    let counts = [
        ("splits", stats.splits),
        ("merges", stats.merges),
        ("pages_got", stats.blocks_got),
        ("pages_given_back", stats.blocks_returned),
    ];
    note(dict, counts)
}

/// Put figures into `dict`.
pub(crate) fn note<const N: usize>(dict: &Bound<'_, PyDict>, figures: [(&str, u64); N]) -> PyResult<()> {
    let py = dict.py();
    figures.into_iter().try_for_each(|(name, figure)| dict.set_item(make::text(py, name)?, make::int(py, figure)?))
}

/// A default that a call may be given or not.
pub(crate) struct Fallback<'py>(pub(crate) Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Fallback<'py> {
    type Error = Infallible;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Fallback(Some(given.to_owned())))
    }
}

/// What is taken from a map, or the default that was given, or `KeyError`.
pub(crate) fn pop(
    key: &Bound<'_, PyAny>,
    default: Fallback<'_>,
    take: impl FnOnce() -> PyResult<Option<Py<PyAny>>>,
) -> PyResult<Py<PyAny>> {
    match take()? {
        Some(value) => Ok(value),
        None => default.0.map(Bound::unbind).ok_or_else(|| missing(key)),
    }
}

static MISSING: Name = Name::new(c"__missing__");

/// `__getitem__` of an absent key: a subclass may have `__missing__`.
#[cold]
pub(crate) fn call_missing(slf: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let name = MISSING.get(slf.py())?;
    if slf.get_type().hasattr(name)? {
        return Ok(calls::call_method(slf, name, key)?.unbind());
    }
    Err(missing(key))
}

impl Drop for Map {
    fn drop(&mut self) {
        let Some(store) = self.store.get_mut() else { return };
        let contents = store.take();
        if contents.has_objects() || contents.is_large() {
            Python::attach(|py| release_nested(py, |py| contents.release(py)));
        }
    }
}
