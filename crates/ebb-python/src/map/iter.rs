//! Iterators over a map: one entry a step, each step atomic.

use crate::kinds::read::Read;
use crate::map::class::Map;
use crate::mapping::iter::{Ended, Next, What, reduced};
use crate::python::errors::push_with;
use crate::python::lock::Guarded;
use crate::python::make;
use crate::python::pace::{self, Pace};
use crate::table::parts::{Part, Parts};
use crate::table::store::Store;
use ebb::{Cursor, RawTable};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// Over the keys, values or items of a map. Values may be replaced meanwhile; inserting or removing ends it with
/// `RuntimeError`. Threads that share one get each entry once.
#[pyclass(frozen, module = "ebbmap._core")]
pub(crate) struct MapIterator {
    what: What,
    changes: u64,
    /// Taken after the map's lock, where both are.
    walk: Guarded<Walk>,
}

struct Walk {
    /// `None` once the end was reached.
    map: Option<Py<Map>>,
    cursor: Cursor,
    left: usize,
    pace: Pace,
}

impl MapIterator {
    pub(crate) fn new(map: &Bound<'_, Map>, what: What) -> Self {
        let (changes, left) = map.get().store.with(map.py(), |store| (store.changes(), store.table().len()));
        let walk = Walk { map: Some(map.clone().unbind()), cursor: Cursor::default(), left, pace: Pace::default() };
        MapIterator { what, changes, walk: Guarded::new(walk) }
    }

    /// The next entry that the walk comes to, as [`Next`].
    fn next_read(&self, py: Python<'_>, store: &Store) -> Result<Option<Next>, Ended> {
        if store.changes() != self.changes {
            return Err(Ended::Changed);
        }
        self.walk.with(py, |walk| {
            let Some(entry) = store.next(&mut walk.cursor) else { return Ok(None) };
            walk.left = walk.left.saturating_sub(1);
            let key = (self.what != What::Values).then(|| entry.read_key(py)).transpose()?;
            let value = (self.what != What::Keys).then(|| entry.read_value(py)).transpose()?;
            Ok(Some((key, value)))
        })
    }
}

/// All items: those of a part at one moment, with pauses between the parts.
pub(crate) fn snapshot<'py>(map: &Map, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let items = make::list(py)?;
    let mut pace = Pace::default();
    for part in Parts::of(map.store.with(py, |store| store.table().len())) {
        let reads = map.store.with(py, |store| read_part(py, store, part))?;
        pace.steps(py, 2 * reads.len())?;
        for read in reads {
            items.append(map.kinds().finish_pair(py, read)?)?;
        }
    }
    Ok(items)
}

/// The items of a part.
fn read_part(py: Python<'_>, store: &Store, part: Part) -> PyResult<Vec<(Read, Read)>> {
    let mut reads = Vec::new();
    let mut done = Ok(());
    // Where one can't be made, those before it are dropped under the lock: the table has these objects too, or they are
    // of builtin types.
    store.visit_part(part, |_, seen| {
        if done.is_ok() {
            done = push_with(&mut reads, || seen.entry().read_pair(py));
        }
    });
    done.map(|()| reads)
}

#[pymethods]
impl MapIterator {
    /// What is left, for copies and pickles; the iterator stays where it is. O(n).
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let at = self.walk.with(py, |walk| walk.map.as_ref().map(|map| (map.clone_ref(py), walk.cursor)));
        let Some((map, cursor)) = at else { return reduced(py, || Ok(None)) };
        let copy = MapIterator { changes: self.changes, ..MapIterator::new(map.bind(py), self.what) };
        copy.walk.with(py, |walk| walk.cursor = cursor);
        reduced(py, || copy.__next__(py))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __length_hint__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size(py, self.walk.with(py, |walk| walk.left))
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let (map, due) = self.walk.with(py, |walk| {
            let map = walk.map.as_ref().map(|map| map.clone_ref(py));
            (map, walk.pace.is_due(1))
        });
        let Some(map) = map else { return Ok(None) };
        if due {
            pace::pause(py)?;
        }
        let read = map.get().store.with(py, |store| self.next_read(py, store));
        let next = read.map_err(|ended| ended.into_error(py, "map changed size during iteration"))?;
        if next.is_none() {
            drop(self.walk.with(py, |walk| walk.map.take()));
        }
        next.map(|next| map.get().kinds().finish_next(py, next)).transpose()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.walk.try_with(visit, |walk| walk.map.as_ref().map_or(Ok(()), |map| visit.call(map))).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.walk.try_with(py, |walk| walk.map.take()));
    }
}
