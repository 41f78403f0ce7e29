//! Errors that most operations may end in.

use crate::layout::{Layout, New};
use ebb::MAX_ENTRY_BYTES;
use pyo3::exceptions::{PyKeyError, PyMemoryError, PyOverflowError};
use pyo3::prelude::*;

#[cold]
pub(crate) fn out_of_memory<E>(_: E) -> PyErr {
    PyMemoryError::new_err(())
}

#[cold]
pub(crate) fn too_long(bytes: usize) -> PyErr {
    PyOverflowError::new_err(format!("an entry takes at most {MAX_ENTRY_BYTES} bytes, its key and value, not {bytes}"))
}

/// Why an entry could not be put into a table.
#[cold]
pub(crate) fn no_room(layout: Layout, new: New<'_>) -> PyErr {
    let bytes = layout.entry_len(new);
    if bytes > MAX_ENTRY_BYTES { too_long(bytes) } else { out_of_memory(()) }
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
