//! Iterators over a map: one entry a step, each step atomic.

use crate::convert::{Read, read_value};
use crate::errors::with_room;
use crate::kinds::Kinds;
use crate::map::Map;
use ebb::{Cursor, RawTable};
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Keys,
    Values,
    Items,
}

/// Over the keys, values or items of a map. Values may be replaced meanwhile; inserting or removing ends it with
/// `RuntimeError`.
#[pyclass(module = "ebbmap._core")]
pub(crate) struct MapIterator {
    /// `None` once the end was reached.
    map: Option<Py<Map>>,
    what: What,
    cursor: Cursor,
    changes: u64,
    left: usize,
}

impl MapIterator {
    pub(crate) fn new(map: &Bound<'_, Map>, what: What) -> Self {
        let (changes, left) = map.get().store.with(map.py(), |store| (store.changes, store.table.len()));
        MapIterator { map: Some(map.clone().unbind()), what, cursor: Cursor::default(), changes, left }
    }
}

/// All items at one moment.
pub(crate) fn snapshot<'py>(map: &Map, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let reads = map.store.with(py, |store| {
        let mut reads = with_room::<(Read, Read)>(store.table.len())?;
        let mut cursor = Cursor::default();
        // Where one can't be made, those before it are dropped under the lock: the table has these objects too, or they
        // are of builtin types.
        while let Some(entry) = store.table.next(&mut cursor) {
            let value = read_value(py, store.layout.value, store.layout.value(entry))?;
            reads.push((store.read_key(py, entry)?, value));
        }
        Ok::<_, PyErr>(reads)
    })?;
    let items = PyList::empty(py);
    for read in reads {
        items.append(map.kinds().finish_pair(py, read)?)?;
    }
    Ok(items)
}

/// What an iterator gives next: a key, a value or both.
pub(crate) type Next = (Option<Read>, Option<Read>);

impl Kinds {
    pub(crate) fn finish_next(&self, py: Python<'_>, next: Next) -> PyResult<Py<PyAny>> {
        match next {
            (Some(key), Some(value)) => self.finish_pair(py, (key, value)).map(Bound::unbind),
            (Some(key), None) => key.finish(py, None),
            (None, Some(value)) => value.finish(py, self.codec.as_ref()),
            (None, None) => unreachable!("an iterator is over something"),
        }
    }
}

#[pymethods]
impl MapIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __length_hint__(&self) -> usize {
        self.left
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(map) = self.map.as_ref().map(|map| map.clone_ref(py)) else { return Ok(None) };
        let (what, changes) = (self.what, self.changes);
        let mut cursor = self.cursor;
        let step = map.get().store.with(py, |store| {
            if store.changes != changes {
                return None;
            }
            let entry = store.table.next(&mut cursor);
            Some(entry.map(|entry| -> PyResult<Next> {
                let key = if what == What::Values { None } else { Some(store.read_key(py, entry)?) };
                let value = (what != What::Keys).then(|| read_value(py, store.layout.value, store.layout.value(entry)));
                Ok((key, value.transpose()?))
            }))
        });
        let Some(step) = step else {
            return Err(PyRuntimeError::new_err("map changed size during iteration"));
        };
        self.cursor = cursor;
        let Some(next) = step else {
            self.map = None;
            return Ok(None);
        };
        self.left = self.left.saturating_sub(1);
        map.get().kinds().finish_next(py, next?).map(Some)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.map.as_ref().map_or(Ok(()), |map| visit.call(map))
    }

    fn __clear__(&mut self) {
        self.map = None;
    }
}
