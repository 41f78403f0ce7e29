//! What stands in a key for an instance.

use crate::cache::instances::hashes::Hashes;
use crate::python::errors::{Shown, written};
use crate::python::make;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyWeakrefMethods, PyWeakrefReference};
use std::sync::{Mutex, PoisonError};

/// In a key: the instance whose other arguments follow. Equal only to itself.
#[pyclass(frozen, module = "ebbmap._core")]
pub(crate) struct InstanceMark {
    /// The name of the instance's class.
    pub(super) of: Py<PyString>,
    /// A weak reference to the instance.
    pub(super) reference: Py<PyWeakrefReference>,
    /// Used under the cache's lock.
    pub(super) hashes: Mutex<Hashes>,
}

impl InstanceMark {
    /// Whether it stands for this very instance, which is alive. Neither reference that is dropped here is the last one:
    /// the mark has the one, the caller the other.
    pub(super) fn is_of(&self, instance: &Bound<'_, PyAny>) -> bool {
        self.reference.bind(instance.py()).upgrade().is_some_and(|it| it.is(instance))
    }

    /// Whether this is its weak reference.
    pub(super) fn is_referred_to_by(&self, reference: &Bound<'_, PyAny>) -> bool {
        self.reference.is(reference)
    }
}

#[pymethods]
impl InstanceMark {
    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        written(py, format_args!("<an instance of {}>", Shown::text(self.of.bind(py))?))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    /// How many entries it knows of, for tests.
    fn _known<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size(py, self.hashes.lock().unwrap_or_else(PoisonError::into_inner).all.len())
    }
}

/// Tuples around one another in which a mark is looked for.
const DEEPEST_MARK: usize = 2;

/// The mark in a key.
pub(crate) fn mark_in<'py>(key: &Bound<'py, PyAny>) -> Option<Bound<'py, InstanceMark>> {
    find_in(key, DEEPEST_MARK, &|object| object.cast_exact::<InstanceMark>().ok().cloned())
}

/// Whether a mark is in a key.
pub(super) fn has_mark(key: &Bound<'_, PyAny>, mark: &Bound<'_, InstanceMark>) -> bool {
    find_in(key, DEEPEST_MARK, &|object| object.is(mark).then_some(())).is_some()
}

/// What `find` gives first: for a key itself, or for what is in tuples, `depth` of them around one another.
fn find_in<'py, R>(
    key: &Bound<'py, PyAny>,
    depth: usize,
    find: &impl Fn(&Bound<'py, PyAny>) -> Option<R>,
) -> Option<R> {
    let found = find(key);
    if found.is_some() || depth == 0 {
        return found;
    }
    let items = key.cast_exact::<PyTuple>().ok()?;
    items.iter_borrowed().find_map(|item| find_in(&item, depth - 1, find))
}
