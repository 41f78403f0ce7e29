//! Python objects as eight bytes in an entry: the table owns one reference to each.
//!
//! What is called `word` here are such bytes and no others: [`Layout`](crate::layout::Layout) says where in an entry
//! they are. That the object is alive, and whose the reference is, rests on it.
#![allow(unsafe_code)] // reference counts by hand

use crate::calls;
use crate::reserve::has_room_for;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::cell::RefCell;
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

/// Show the object to the garbage collector.
pub(crate) fn visit_word(visit: PyVisit<'_>, word: &[u8]) -> Result<(), PyTraverseError> {
    let Some(object) = NonNull::new(pointer(word)) else { return Ok(()) };
    // SAFETY: 1. `Py` is a transparent `NonNull<PyObject>`. 2. The reference stays the table's: it is not dropped here.
    let object: ManuallyDrop<Py<PyAny>> = unsafe { std::mem::transmute(object) };
    visit.call(&*object)
}

/// Whether it is the type of ints, strs or bytes, subclasses aside: hashing and comparing them takes no Python code.
#[inline(always)]
pub(crate) fn is_plain(kind: *mut ffi::PyTypeObject) -> bool {
    kind == &raw mut ffi::PyLong_Type || kind == &raw mut ffi::PyUnicode_Type || kind == &raw mut ffi::PyBytes_Type
}

/// Compare with `==`, where both are of a builtin type whose comparison runs no user code; `None` where it may.
pub(crate) fn builtin_equal(left: &[u8], right: &Bound<'_, PyAny>) -> Option<bool> {
    // SAFETY: both are alive: one is the table's, one the caller's.
    unsafe { plainly_equal(pointer(left), right.as_ptr(), DEEPEST_KEY) }
}

/// Tuples around one another that are compared without a call.
const DEEPEST_KEY: usize = 3;

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

/// Deeper than this, what a dying map held waits until the maps around it have gone: a map in a map in a map, ten
/// thousand deep, must not use up the stack.
const DEEPEST: usize = 40;

type Release = Box<dyn FnOnce(Python<'_>)>;

thread_local! {
    /// How deep in drops this thread is, and what waits until they are done.
    static DYING: RefCell<(usize, Vec<Release>)> = const { RefCell::new((0, Vec::new())) };
}

/// Run `release`, which drops objects, now or once the drops it is part of are done. Where there is no memory to put it
/// off, it is now, at the cost of stack.
pub(crate) fn release_nested<F: FnOnce(Python<'_>) + 'static>(py: Python<'_>, release: F) {
    let depth = DYING.with_borrow_mut(|(depth, _)| {
        *depth += 1;
        *depth
    });
    let has_room = || has_room_for::<F>() && DYING.with_borrow_mut(|(_, waiting)| waiting.try_reserve(1).is_ok());
    if depth > DEEPEST && has_room() {
        DYING.with_borrow_mut(|(_, waiting)| waiting.push(Box::new(release)));
    } else {
        release(py);
    }
    if depth == 1 {
        while let Some(next) = DYING.with_borrow_mut(|(_, waiting)| waiting.pop()) {
            next(py);
        }
    }
    DYING.with_borrow_mut(|(depth, _)| *depth -= 1);
}
