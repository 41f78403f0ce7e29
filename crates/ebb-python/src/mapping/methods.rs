//! What methods of maps and caches have in common.

use crate::python::calls;
use crate::python::errors::missing;
use crate::python::make::{self, Name};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::convert::Infallible;

/// Put what a table holds and has done into `dict`; `own` bytes are around the table.
pub(crate) fn describe(dict: &Bound<'_, PyDict>, stats: &ebb::Stats, payload: usize, own: usize) -> PyResult<()> {
    note(dict, sizes(stats, payload, own).map(|(name, size)| (name, size as u64)))?;
    let counts = [
        ("splits", stats.splits),
        ("merges", stats.merges),
        ("pages_got", stats.blocks_got),
        ("pages_given_back", stats.blocks_returned),
    ];
    note(dict, counts)
}

fn sizes(stats: &ebb::Stats, payload: usize, own: usize) -> [(&'static str, usize); 7] {
    [
        ("entries", stats.entries),
        ("payload_bytes", payload),
        ("nbytes", stats.held_bytes + own),
        ("page_bytes", stats.page_bytes),
        ("index_bytes", stats.index_bytes),
        ("directory_bytes", stats.directory_bytes + own),
        ("segments", stats.segments),
    ]
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
    if calls::hasattr(&slf.get_type(), name)? {
        return Ok(calls::call_method(slf, name, key)?.unbind());
    }
    Err(missing(key))
}
