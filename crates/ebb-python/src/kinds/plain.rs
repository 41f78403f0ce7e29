//! Objects looked at where no code of theirs runs: those of builtin types, subclasses aside, are read, hashed and compared,
//! and types are asked what they have.
#![allow(unsafe_code)] // CPython's own functions for builtin types, and slots of types

use crate::python::make;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyInt;
use std::ptr::fn_addr_eq;

/// The object as the bytes of a reference, which is counted by [`keep`] once the bytes are where they stay.
#[inline]
pub(crate) fn word_of(object: &Bound<'_, PyAny>) -> [u8; 8] {
    (object.as_ptr() as usize as u64).to_ne_bytes()
}

/// Count the reference that bytes written to a table are.
#[inline]
pub(crate) fn keep(object: &Bound<'_, PyAny>) {
    std::mem::forget(object.clone());
}

/// Whether it is the type of ints, strs or bytes, subclasses aside: hashing and comparing them takes no Python code.
#[inline(always)]
pub(crate) fn is_plain(kind: *mut ffi::PyTypeObject) -> bool {
    kind == &raw mut ffi::PyLong_Type || kind == &raw mut ffi::PyUnicode_Type || kind == &raw mut ffi::PyBytes_Type
}

/// The hash of an int, str or bytes, which no user code has a part in.
#[inline]
#[expect(clippy::disallowed_methods, reason = "no Python code has a part in it")]
pub(crate) fn plain_hash(object: &Bound<'_, PyAny>) -> Option<i64> {
    // SAFETY: the object is alive; hashing one of these types neither fails nor runs Python code.
    unsafe {
        let plain = is_plain(ffi::Py_TYPE(object.as_ptr()));
        plain.then(|| ffi::PyObject_Hash(object.as_ptr()) as i64)
    }
}

/// The value of an int, or of an instance of a subclass; `None` beyond 64 bits.
#[inline]
pub(crate) fn any_int(int: &Bound<'_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: the object is an int; the call neither fails nor runs Python code for one.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(int.as_ptr(), &mut overflow) };
    (overflow == 0).then_some(value)
}

#[inline]
pub(crate) fn plain_int(object: &Bound<'_, PyAny>) -> Option<i64> {
    any_int(object.cast_exact::<PyInt>().ok()?)
}

/// The value of an int that has at most one digit, of 30 bits, read where CPython keeps it; `None` for another object.
#[inline(always)]
pub(crate) fn short_int(object: &Bound<'_, PyAny>) -> Option<i64> {
    // SAFETY: 1. The object is an int. 2. An int is its header, a word that tells its sign and its number of digits,
    // and the digits; there is room for one even in 0. `ints_are_as_expected` has seen that it is so in this
    // interpreter.
    unsafe {
        if ffi::PyLong_CheckExact(object.as_ptr()) == 0 {
            return None;
        }
        let word = object.as_ptr().add(1).cast::<isize>();
        let (size, digit) = (*word, i64::from(*word.add(1).cast::<u32>()));
        #[cfg(not(Py_3_12))] // the number of digits, negative for a negative int
        return ((-1..=1).contains(&size)).then_some(size as i64 * digit);
        #[cfg(Py_3_12)] // eight times the number of digits, and 0, 1 or 2 for above, at or below 0
        return ((0..16).contains(&size)).then_some((1 - (size as i64 & 3)) * digit);
    }
}

/// What `hash()` is of such an int.
#[inline(always)]
pub(crate) fn short_int_hash(object: &Bound<'_, PyAny>) -> Option<i64> {
    short_int(object).map(|int| if int == -1 { -2 } else { int })
}

/// Whether this interpreter's ints are laid out as `short_int` reads them.
pub(crate) fn ints_are_as_expected(py: Python<'_>) -> bool {
    let largest = (1 << 30) - 1;
    [0, 1, -1, 12_345, -12_345, largest, -largest, largest + 1, -largest - 1, i64::MAX, i64::MIN].iter().all(|&value| {
        let expected = (-largest..=largest).contains(&value).then_some(value);
        make::signed(py, value).is_ok_and(|int| short_int(&int) == expected)
    })
}

/// An ASCII str, which is its own UTF-8, read in place.
#[inline]
pub(crate) fn plain_text<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    // SAFETY: 1. Checked to be a str, compact and ASCII: its data are so many bytes, and immutable. 2. The borrow ends
    // before the object's does.
    unsafe {
        let pointer = object.as_ptr();
        if ffi::PyUnicode_Check(pointer) == 0 || !one_byte_a_character(pointer) {
            return None;
        }
        let len = ffi::PyUnicode_GET_LENGTH(pointer) as usize;
        let text: &[u8] = std::slice::from_raw_parts(ffi::PyUnicode_DATA(pointer).cast(), len);
        (cfg!(not(Py_3_14)) || text.is_ascii()).then_some(text)
    }
}

/// Whether a str is ASCII; from CPython 3.14 on, which keeps that bit to itself, whether it is Latin-1.
///
/// # Safety
/// `text` is a str.
#[inline]
unsafe fn one_byte_a_character(text: *mut ffi::PyObject) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        #[cfg(not(Py_3_14))]
        return ffi::PyUnicode_IS_COMPACT_ASCII(text) != 0;
        #[cfg(Py_3_14)]
        return ffi::PyUnicode_KIND(text) == ffi::PyUnicode_1BYTE_KIND;
    }
}

#[inline]
pub(crate) fn plain_bytes<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    // SAFETY: 1. Checked to be bytes, which are immutable. 2. The borrow ends before the object's does.
    unsafe {
        let pointer = object.as_ptr();
        if ffi::PyBytes_Check(pointer) == 0 {
            return None;
        }
        let len = ffi::Py_SIZE(pointer) as usize;
        Some(std::slice::from_raw_parts(ffi::PyBytes_AS_STRING(pointer).cast(), len))
    }
}

/// Tuples around one another that are compared without a call.
const DEEPEST_KEY: usize = 3;

/// Compare with `==`, where both are of a builtin type whose comparison runs no user code; `None` where it may.
#[inline]
pub(crate) fn builtin_equal(left: &Bound<'_, PyAny>, right: &Bound<'_, PyAny>) -> Option<bool> {
    // SAFETY: both are alive, and bound to a thread that is attached.
    unsafe { plainly_equal(left.as_ptr(), right.as_ptr(), DEEPEST_KEY) }
}

/// See [`builtin_equal`].
///
/// # Safety
/// Called attached, with objects that are alive.
#[inline(always)]
unsafe fn plainly_equal(left: *mut ffi::PyObject, right: *mut ffi::PyObject, depth: usize) -> Option<bool> {
    // SAFETY: 1. As the caller says. 2. The type's own function gives a new reference to a bool for two of its
    // instances. `PyObject_RichCompare` might not: to it this is one more call, and fails where that is one too deep.
    unsafe {
        let kind = ffi::Py_TYPE(left);
        if kind != ffi::Py_TYPE(right) {
            return None;
        }
        if !is_plain(kind) {
            return if kind == &raw mut ffi::PyTuple_Type { tuples_equal(left, right, depth) } else { None };
        }
        let equal = (*kind).tp_richcompare?(left, right, ffi::Py_EQ);
        if equal.is_null() {
            ffi::PyErr_Clear(); // a str that was never made ready, and can't be: whoever asks again meets that
            return None;
        }
        ffi::Py_DECREF(equal);
        Some(equal == ffi::Py_True())
    }
}

/// As [`plainly_equal`], for tuples: `None` from the first items on whose comparison may run user code.
///
/// # Safety
/// As for `plainly_equal`, with tuples.
#[inline(never)]
unsafe fn tuples_equal(left: *mut ffi::PyObject, right: *mut ffi::PyObject, depth: usize) -> Option<bool> {
    if depth == 0 {
        return None;
    }
    // SAFETY: as the caller says: a tuple holds its items, and never changes.
    unsafe {
        let len = ffi::PyTuple_GET_SIZE(left);
        if len != ffi::PyTuple_GET_SIZE(right) {
            return Some(false);
        }
        for i in 0..len {
            let (left, right) = (ffi::PyTuple_GET_ITEM(left, i), ffi::PyTuple_GET_ITEM(right, i));
            if left != right && !plainly_equal_item(left, right, depth - 1)? {
                return Some(false);
            }
        }
    }
    Some(true)
}

/// As [`plainly_equal`], which is compiled into its callers.
///
/// # Safety
/// As for `plainly_equal`.
#[inline(never)]
unsafe fn plainly_equal_item(left: *mut ffi::PyObject, right: *mut ffi::PyObject, depth: usize) -> Option<bool> {
    // SAFETY: as the caller says.
    unsafe { plainly_equal(left, right, depth) }
}

/// Whether an object is an int or says which int it is.
pub(crate) fn has_index(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is alive; its type is looked at.
    unsafe { ffi::PyIndex_Check(object.as_ptr()) != 0 }
}

/// Whether it is of a class whose instances may be good for one use only: iterators, and what is awaited.
pub(crate) fn may_be_used_up(object: &Bound<'_, PyAny>) -> bool {
    let class = object.get_type_ptr();
    // SAFETY: the class is alive; its slots are only read.
    unsafe {
        let methods = (*class).tp_as_async;
        ffi::PyIter_Check(object.as_ptr()) != 0
            || (!methods.is_null() && ((*methods).am_await.is_some() || (*methods).am_anext.is_some()))
    }
}

/// What an object's type says of how it is compared and referred to.
pub(crate) struct Identity {
    /// It hashes as plain objects do: by identity.
    pub(crate) hashes: bool,
    /// It compares as plain objects do.
    pub(crate) compares: bool,
    /// It can be referred to weakly.
    pub(crate) has_weak: bool,
}

impl Identity {
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> Self {
        let class = object.get_type_ptr();
        let plain = &raw mut ffi::PyBaseObject_Type;
        // SAFETY: the types are alive; their slots are only read.
        let (hashes, compares, has_weak) = unsafe {
            (
                ((*class).tp_hash, (*plain).tp_hash),
                ((*class).tp_richcompare, (*plain).tp_richcompare),
                (*class).tp_weaklistoffset != 0,
            )
        };
        let hashes = matches!(hashes, (Some(its), Some(plain)) if fn_addr_eq(its, plain));
        let compares = matches!(compares, (Some(its), Some(plain)) if fn_addr_eq(its, plain));
        Identity { hashes, compares, has_weak }
    }
}
