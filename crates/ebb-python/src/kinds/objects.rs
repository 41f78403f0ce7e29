//! Python objects as eight bytes in an entry: the table owns one reference to each.
//!
//! What is called `word` here are such bytes and no others: [`Layout`](crate::kinds::layout::Layout) says where in an entry
//! they are. That the object is alive, and whose the reference is, rests on it.
#![allow(unsafe_code)] // reference counts by hand

use crate::kinds::plain;
use crate::python::calls;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// The object as bytes; the reference is counted by [`keep`], once the bytes are where they stay.
#[inline]
pub(crate) fn word(object: &Bound<'_, PyAny>) -> [u8; 8] {
    (object.as_ptr() as usize as u64).to_ne_bytes()
}

/// Count the reference that bytes written to a table are.
#[inline]
pub(crate) fn keep(object: &Bound<'_, PyAny>) {
    std::mem::forget(object.clone());
}

#[inline]
fn pointer(word: &[u8]) -> *mut ffi::PyObject {
    u64::from_ne_bytes(word[..8].try_into().expect("eight bytes")) as usize as *mut ffi::PyObject
}

/// Where the object is.
#[inline]
pub(crate) fn address(word: &[u8]) -> usize {
    pointer(word) as usize
}

/// Whether the bytes are a reference to this very object.
#[inline]
pub(crate) fn is_same(word: &[u8], object: &Bound<'_, PyAny>) -> bool {
    pointer(word) == object.as_ptr()
}

/// A new reference to the object whose bytes a table holds.
#[inline]
pub(crate) fn clone_word(py: Python<'_>, word: &[u8]) -> Py<PyAny> {
    // SAFETY: the bytes in a table are a reference it owns, so the object is alive.
    unsafe { Bound::from_borrowed_ptr(py, pointer(word)).unbind() }
}

/// The object whose bytes a table holds.
pub(crate) fn borrowed<'a, 'py>(py: Python<'py>, word: &'a [u8]) -> Borrowed<'a, 'py, PyAny> {
    // SAFETY: the bytes in a table are a reference it owns, so the object is alive.
    unsafe { Borrowed::from_ptr(py, pointer(word)) }
}

/// Count one more reference to the object whose bytes a table holds, for a copy of the bytes.
pub(crate) fn keep_word(py: Python<'_>, word: &[u8]) {
    std::mem::forget(clone_word(py, word));
}

/// A reference that leaves a table. It has no destructor: a panic that unwinds through a lock leaks it, and no object
/// is dropped there.
#[must_use]
pub(crate) struct Leaving(NonNull<ffi::PyObject>);

impl Leaving {
    /// The reference that is in a table. The bytes there must not be used again.
    #[inline(always)]
    pub(crate) fn of(word: &[u8]) -> Self {
        Leaving(NonNull::new(pointer(word)).expect("an object"))
    }

    /// The object, outside the lock.
    #[inline]
    pub(crate) fn into_object(self, py: Python<'_>) -> Py<PyAny> {
        // SAFETY: the table's reference has passed to this, and passes on.
        unsafe { Bound::from_owned_ptr(py, self.0.as_ptr()).unbind() }
    }

    /// Drop the reference, perhaps the last. Runs `__del__`, so never under a lock.
    #[inline]
    pub(crate) fn release(self, py: Python<'_>) {
        calls::release(py, self.into_object(py));
    }
}

/// Show the object to the garbage collector.
pub(crate) fn visit_word(visit: PyVisit<'_>, word: &[u8]) -> Result<(), PyTraverseError> {
    let Some(object) = NonNull::new(pointer(word)) else { return Ok(()) };
    // SAFETY: 1. `Py` is a transparent `NonNull<PyObject>`. 2. The reference stays the table's: it is not dropped here.
    let object: ManuallyDrop<Py<PyAny>> = unsafe { std::mem::transmute(object) };
    visit.call(&*object)
}

/// Compare with `==`, where both are of a builtin type whose comparison runs no user code; `None` where it may.
pub(crate) fn builtin_equal(left: &[u8], right: &Bound<'_, PyAny>) -> Option<bool> {
    // SAFETY: the bytes in a table are a reference it owns, so the object is alive.
    let left = unsafe { Borrowed::from_ptr(right.py(), pointer(left)) };
    plain::builtin_equal(&left, right)
}
