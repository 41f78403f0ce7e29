//! Objects of builtin types, made so that a refused allocation is a `MemoryError`. PyO3's own constructors (`PyString::new`,
//! `PyList::empty`, the conversion of a number, a str or a tuple that a method returns) panic instead; `clippy.toml`
//! lists them.
#![allow(unsafe_code)] // CPython's constructors

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use std::ffi::CStr;

/// A str.
pub(crate) fn text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    PyString::from_bytes(py, text.as_bytes())
}

/// An int.
pub(crate) fn int(py: Python<'_>, value: u64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or NULL with MemoryError set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromUnsignedLongLong(value)) }
}

/// A count, or a size in bytes.
pub(crate) fn size(py: Python<'_>, value: usize) -> PyResult<Bound<'_, PyAny>> {
    int(py, value as u64)
}

/// A float.
pub(crate) fn float(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or NULL with MemoryError set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyFloat_FromDouble(value)) }
}

/// A float, or None.
pub(crate) fn float_or_none(py: Python<'_>, value: Option<f64>) -> PyResult<Bound<'_, PyAny>> {
    value.map_or_else(|| Ok(none(py)), |value| float(py, value))
}

/// An int, or None.
pub(crate) fn size_or_none(py: Python<'_>, value: Option<usize>) -> PyResult<Bound<'_, PyAny>> {
    value.map_or_else(|| Ok(none(py)), |value| size(py, value))
}

/// None.
pub(crate) fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    py.None().into_bound(py)
}

/// A tuple of these items.
pub(crate) fn tuple<'py>(
    py: Python<'py>,
    items: impl IntoIterator<Item = Bound<'py, PyAny>, IntoIter: ExactSizeIterator>,
) -> PyResult<Bound<'py, PyTuple>> {
    let mut items = items.into_iter();
    let places = items.len() as ffi::Py_ssize_t;
    // SAFETY: 1. A new reference, or NULL with MemoryError set. 2. A new tuple of so many places, which take over the
    // items' references; a panic drops it with the places that are filled. 3. It is a tuple.
    unsafe {
        let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(places))?;
        for place in 0..places {
            let item = items.next().expect("as many items as said");
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), place, item.into_ptr());
        }
        Ok(tuple.cast_into_unchecked())
    }
}

/// An empty list. Its `append` is fallible already.
pub(crate) fn list(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    // SAFETY: a new reference to a list, or NULL with MemoryError set.
    unsafe { Ok(Bound::from_owned_ptr_or_err(py, ffi::PyList_New(0))?.cast_into_unchecked()) }
}

/// An empty dict.
pub(crate) fn dict(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    // SAFETY: a new reference to a dict, or NULL with MemoryError set.
    unsafe { Ok(Bound::from_owned_ptr_or_err(py, ffi::PyDict_New())?.cast_into_unchecked()) }
}

/// A module, imported if it was not yet.
pub(crate) fn import<'py>(py: Python<'py>, name: &Name) -> PyResult<Bound<'py, PyAny>> {
    let name = name.get(py)?;
    // SAFETY: 1. The name is alive meanwhile. 2. A new reference, or NULL with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyImport_Import(name.as_ptr())) }
}

/// The str of a constant name; returns the error where it can't be made. As `intern!`, which panics.
macro_rules! name {
    ($py:expr, $text:literal) => {{
        static NAME: crate::make::Name = crate::make::Name::new($text);
        NAME.get($py)?
    }};
}
pub(crate) use name;

/// A constant name: a str that is interned, made at the first use and kept. As `intern!`, which panics.
pub(crate) struct Name {
    text: &'static CStr,
    made: PyOnceLock<Py<PyString>>,
}

impl Name {
    pub(crate) const fn new(text: &'static CStr) -> Self {
        Name { text, made: PyOnceLock::new() }
    }

    #[inline]
    pub(crate) fn get<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<&'a Bound<'py, PyString>> {
        let made = match self.made.get(py) {
            Some(made) => made,
            None => self.made.get_or_try_init(py, || interned(py, self.text))?,
        };
        Ok(made.bind(py))
    }
}

#[cold]
fn interned(py: Python<'_>, text: &CStr) -> PyResult<Py<PyString>> {
    // SAFETY: a new reference to a str, or NULL with an exception set.
    unsafe {
        let made = Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_InternFromString(text.as_ptr()))?;
        Ok(made.cast_into_unchecked().unbind())
    }
}
