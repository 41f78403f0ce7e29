//! Objects of builtin types, made so that a refused allocation is a `MemoryError`. PyO3's own constructors (`PyString::new`,
//! `PyList::empty`, the conversion of a number, a str or a tuple that a method returns) panic instead; `clippy.toml`
//! lists them.
#![allow(unsafe_code)] // CPython's constructors

use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use std::ffi::CStr;
use std::sync::OnceLock;

/// A str.
#[inline]
pub(crate) fn text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    PyString::from_bytes(py, text.as_bytes())
}

/// A copy of bytes.
#[inline(always)]
pub(crate) fn bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: 1. The call copies so many bytes. 2. A new reference, or NULL with MemoryError set.
    unsafe {
        let made = ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as ffi::Py_ssize_t);
        Bound::from_owned_ptr_or_err(py, made)
    }
}

/// The str of UTF-8, in which lone surrogates are three bytes each.
pub(crate) fn text_with_surrogates<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let (data, len, errors) = (text.as_ptr().cast(), text.len() as ffi::Py_ssize_t, c"surrogatepass".as_ptr());
    // SAFETY: 1. The call copies so many bytes. 2. A new reference, or NULL with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_DecodeUTF8(data, len, errors)) }
}

/// A str as UTF-8, where `errors` says what becomes of lone surrogates.
pub(crate) fn utf8<'py>(text: &Bound<'py, PyString>, errors: &CStr) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: a new reference to bytes, or NULL with an exception set.
    unsafe {
        let encoded = ffi::PyUnicode_AsEncodedString(text.as_ptr(), c"utf-8".as_ptr(), errors.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(text.py(), encoded)?.cast_into_unchecked())
    }
}

/// The exception that `E(value)` is, or `E(*value)` of a tuple; or what making it has raised.
pub(crate) fn exception<E: PyTypeInfo>(py: Python<'_>, value: &Bound<'_, PyAny>) -> PyErr {
    // SAFETY: both are alive. CPython raises SystemError for a class that is none of exceptions.
    unsafe { ffi::PyErr_SetObject(E::type_object_raw(py).cast(), value.as_ptr()) };
    PyErr::fetch(py)
}

/// An int.
pub(crate) fn int(py: Python<'_>, value: u64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or NULL with MemoryError set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromUnsignedLongLong(value)) }
}

/// An int that may be negative.
#[inline(always)]
pub(crate) fn signed(py: Python<'_>, value: i64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or NULL with MemoryError set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLongLong(value)) }
}

/// A count, or a size in bytes.
pub(crate) fn size(py: Python<'_>, value: usize) -> PyResult<Bound<'_, PyAny>> {
    int(py, value as u64)
}

/// A float.
#[inline(always)]
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

/// A tuple of two; `MemoryError` where there is no room for it.
#[inline]
pub(crate) fn pair<'py>(py: Python<'py>, first: &Py<PyAny>, second: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    pair_of(first.bind(py), second.bind(py))
}

/// As [`pair`], of what is bound.
#[inline]
pub(crate) fn pair_of<'py>(first: &Bound<'py, PyAny>, second: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: 1. Two objects, as announced, and both alive. 2. A new reference, or NULL with MemoryError set.
    unsafe { Bound::from_owned_ptr_or_err(first.py(), ffi::PyTuple_Pack(2, first.as_ptr(), second.as_ptr())) }
}

/// A tuple of `first`, and of the items from `skip` on; `MemoryError` where there is no room for it.
pub(crate) fn prefixed<'py>(
    first: &Bound<'py, PyAny>,
    items: &Bound<'py, PyTuple>,
    skip: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    let len = items.len().saturating_sub(skip);
    // SAFETY: 1. A new reference, or NULL with MemoryError set. 2. The tuple has room for one item more than are left, and
    // nobody else has it; each place is filled once, with a reference of its own. 3. A tuple holds its items.
    unsafe {
        let made = Bound::from_owned_ptr_or_err(first.py(), ffi::PyTuple_New(1 + len as ffi::Py_ssize_t))?;
        ffi::PyTuple_SET_ITEM(made.as_ptr(), 0, first.clone().into_ptr());
        for i in 0..len {
            let item = ffi::PyTuple_GET_ITEM(items.as_ptr(), (skip + i) as ffi::Py_ssize_t);
            ffi::Py_INCREF(item);
            ffi::PyTuple_SET_ITEM(made.as_ptr(), 1 + i as ffi::Py_ssize_t, item);
        }
        Ok(made.cast_into_unchecked())
    }
}

/// A tuple of two to be filled later, which can't fail. The garbage collector doesn't know of it until then, so nobody
/// else can come by it.
pub(crate) struct RoomForPair<'py>(Bound<'py, PyAny>);

impl<'py> RoomForPair<'py> {
    /// `MemoryError` where there is none.
    #[inline]
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        // SAFETY: a new reference, or NULL with MemoryError set.
        let tuple = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(2)) }?;
        // SAFETY: it may be given what is tracked or not. Dropping a tuple takes no tracking, nor items.
        unsafe { ffi::PyObject_GC_UnTrack(tuple.as_ptr().cast()) };
        Ok(RoomForPair(tuple))
    }

    #[inline]
    pub(crate) fn fill(self, first: Py<PyAny>, second: Py<PyAny>) -> Bound<'py, PyAny> {
        let tuple = self.0.as_ptr();
        // SAFETY: 1. A tuple of two that has no items yet, and that nobody else has; it takes over their references.
        // 2. It is not tracked, and has all its items.
        unsafe {
            ffi::PyTuple_SET_ITEM(tuple, 0, first.into_ptr());
            ffi::PyTuple_SET_ITEM(tuple, 1, second.into_ptr());
            ffi::PyObject_GC_Track(tuple.cast());
        }
        self.0
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

/// The str of a constant name; returns the error where it can't be made. As `intern!`, which panics.
macro_rules! name {
    ($py:expr, $text:literal) => {{
        static NAME: crate::python::make::Name = crate::python::make::Name::new($text);
        NAME.get($py)?
    }};
}
pub(crate) use name;

/// A constant name: a str that is interned, made at the first use and kept. As `intern!`, which panics. Not a `PyOnceLock`,
/// which lets go of the interpreter while it is at it: a child forked then would wait for it for ever.
pub(crate) struct Name {
    text: &'static CStr,
    made: OnceLock<Py<PyString>>,
}

impl Name {
    pub(crate) const fn new(text: &'static CStr) -> Self {
        Name { text, made: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn get<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<&'a Bound<'py, PyString>> {
        let made = match self.made.get() {
            Some(made) => made,
            None => self.make(py)?,
        };
        Ok(made.bind(py))
    }

    #[cold]
    fn make(&self, py: Python<'_>) -> PyResult<&Py<PyString>> {
        let made = interned(py, self.text)?;
        if let Err(second) = self.made.set(made) {
            drop(second.into_bound(py)); // another thread was first, with the same str
        }
        Ok(self.made.get().expect("a name that was set"))
    }
}

fn interned(py: Python<'_>, text: &CStr) -> PyResult<Py<PyString>> {
    // SAFETY: a new reference to a str, or NULL with an exception set.
    unsafe {
        let made = Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_InternFromString(text.as_ptr()))?;
        Ok(made.cast_into_unchecked().unbind())
    }
}
