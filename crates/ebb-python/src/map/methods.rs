//! The methods of `Map` for one key, for all, and for the interpreter; those for many keys are in `bulk`.

use crate::kinds::given::Kinds;
use crate::kinds::new::Key;
use crate::map::class::Map;
use crate::map::iter::{MapIterator, snapshot};
use crate::mapping::iter::What;
use crate::mapping::methods::{Fallback, describe, pop};
use crate::mapping::slots::{HasLanes, made_without_arguments};
use crate::python::errors::error;
use crate::python::lock::Guarded;
use crate::python::make;
use crate::table::store::Store;
use ebb::RawTable;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::mem::ManuallyDrop;
use std::sync::OnceLock;

/// Bytes of a map that are not in its table.
const OWN_BYTES: usize = size_of::<Map>() - size_of::<ebb::Table>();

made_without_arguments!(Map);

#[pymethods]
impl Map {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Map { kinds: ManuallyDrop::new(OnceLock::new()), store: Guarded::new(Store::new(Kinds::OBJECTS.layout())) }
    }

    /// Fix the kinds of key and value; `Map.__init__` calls it.
    fn _set_kinds(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_kinds(key.py(), Kinds::of(key, value)?)
    }

    /// The names of the kinds, and the codec of a dtype.
    fn _kinds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.kinds().names(py)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.store.with(py, |store| store.table().len())
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
        let none = make::none(key.py());
        self.set_default(key.py(), &self.key(key)?, default.unwrap_or(&none))
    }

    /// Give `other`, of the same kinds, the contents of this map in place of its own. They are read a part at a time, and
    /// put in place in one step. O(n).
    fn _copy_into(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<()> {
        let other = other.get();
        if other.kinds().layout() != self.kinds().layout() {
            return Err(error::<PyTypeError>(py, format_args!("a copy must be of the same kinds")));
        }
        let copy = self.copied(py)?;
        other.store.with(py, |store| store.replace_by(copy)).release(py);
        Ok(())
    }

    /// Remove everything and give all memory back. O(n).
    fn clear(&self, py: Python<'_>) {
        let contents = self.store.with(py, Store::take);
        contents.release(py);
    }

    /// Bytes held now: entries, index and this object's own. O(1).
    #[getter]
    fn nbytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size(py, self.store.with(py, |store| store.table().bytes()) + OWN_BYTES)
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
        self.store.with(py, |store| store.set_allowance(allocations));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if !self.kinds.get().is_some_and(|kinds| kinds.layout().has_objects()) {
            return Ok(());
        }
        // A busy table is skipped: what it holds then looks referenced from outside, which is safe.
        self.store.try_with(visit, |store| store.traverse(visit)).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        if let Some(contents) = self.store.try_with(py, Store::take) {
            contents.release(py);
        }
    }
}
