//! Errors that most operations may end in.

use pyo3::exceptions::{PyKeyError, PyMemoryError};
use pyo3::prelude::*;

#[cold]
pub(crate) fn out_of_memory<E>(_: E) -> PyErr {
    PyMemoryError::new_err(())
}

/// An empty `Vec` with room for `len`.
pub(crate) fn with_room<T>(len: usize) -> PyResult<Vec<T>> {
    let mut empty = Vec::new();
    empty.try_reserve_exact(len).map_err(out_of_memory)?;
    Ok(empty)
}

#[cold]
pub(crate) fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err((key.clone().unbind(),))
}
