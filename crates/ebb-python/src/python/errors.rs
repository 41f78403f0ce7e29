//! Errors that most operations may end in, made so that a refused allocation is a `MemoryError`.
//!
//! PyO3's `PyErr::new` only notes what to make. It makes the exception where it can't fail, on the way back to Python,
//! and aborts the process if there is no memory. Here the exception is made at once.

use crate::python::{calls, make};
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyKeyError, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::fmt::{self, Write};

/// The exception `E` with a message; `MemoryError` where there is no room for it. Never under a lock: making an object
/// may run the garbage collector.
#[cold]
#[inline(never)]
pub(crate) fn error<E: PyTypeInfo>(py: Python<'_>, message: fmt::Arguments<'_>) -> PyErr {
    match written(py, message) {
        Ok(text) => make::exception::<E>(py, text.as_any()),
        Err(error) => error,
    }
}

/// A message as a str.
pub(crate) fn written<'py>(py: Python<'py>, message: fmt::Arguments<'_>) -> PyResult<Bound<'py, PyString>> {
    match message.as_str() {
        Some(text) => make::text(py, text),
        None => {
            let mut text = Text(Vec::new());
            text.write_fmt(message).map_err(out_of_memory)?;
            PyString::from_bytes(py, &text.0)
        }
    }
}

/// Text that can fail to grow, which `String` can't.
struct Text(Vec<u8>);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A Python str in a message. Lone surrogates become escapes.
pub(crate) struct Shown<'py>(Bound<'py, PyBytes>);

impl<'py> Shown<'py> {
    pub(crate) fn text(text: &Bound<'py, PyString>) -> PyResult<Self> {
        make::utf8(text, c"backslashreplace").map(Shown)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(self.0.as_bytes()).unwrap_or("?") // it is UTF-8
    }

    /// As `repr()` gives it.
    pub(crate) fn repr(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        Shown::text(&calls::repr(object)?)
    }

    /// As `str()` gives it.
    pub(crate) fn str(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        Shown::text(&calls::str(object)?)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

/// Whether making something has failed for want of memory, rather than in the user's code.
pub(crate) fn is_out_of_memory(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyMemoryError>(py)
}

/// Takes no memory, so it may be made anywhere: CPython keeps some of these ready.
#[cold]
#[allow(clippy::disallowed_methods)] // of no arguments: the empty tuple and the box of nothing are not allocated
pub(crate) fn out_of_memory<E>(_: E) -> PyErr {
    PyMemoryError::new_err(())
}

/// An empty `Vec` with room for `len`.
pub(crate) fn with_room<T>(len: usize) -> PyResult<Vec<T>> {
    let mut empty = Vec::new();
    empty.try_reserve_exact(len).map_err(out_of_memory)?;
    Ok(empty)
}

/// Push what `make` gives, if there is room for it; only then is it called.
pub(crate) fn push_with<T>(list: &mut Vec<T>, make: impl FnOnce() -> PyResult<T>) -> PyResult<()> {
    list.try_reserve(1).map_err(out_of_memory)?;
    list.push(make()?);
    Ok(())
}

/// A copy of bytes that may be many.
pub(crate) fn copy_of(bytes: &[u8]) -> PyResult<Vec<u8>> {
    let mut copy = with_room(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cold]
#[inline(never)]
pub(crate) fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    let py = key.py();
    // A tuple, as a key that is one would be taken for several arguments.
    match make::tuple(py, [key.clone()]) {
        Ok(arguments) => make::exception::<PyKeyError>(py, arguments.as_any()),
        Err(error) => error,
    }
}
