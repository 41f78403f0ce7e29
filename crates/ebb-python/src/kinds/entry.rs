//! Entries that a table holds, and the references to objects in them: eight bytes each, for which the table owns one
//! reference.
#![allow(unsafe_code)] // which bytes of an entry are references

use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::layout::{Layout, word};
use crate::kinds::lookup::Match;
use crate::kinds::plain;
use crate::kinds::read::{Read, eight, read_inline, read_text};
use crate::python::errors::copy_of;
use crate::python::{calls, make};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A reference that a table owns, borrowed from the bytes of an entry: the object is alive meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct ObjectRef<'a> {
    pointer: NonNull<ffi::PyObject>,
    entry: PhantomData<&'a [u8]>,
}

impl<'a> ObjectRef<'a> {
    /// # Safety
    /// `word` begins with what [`plain::word`] gives of an object, and whoever holds these bytes owns a reference to it for as
    /// long as they are borrowed.
    #[inline(always)]
    pub(crate) unsafe fn new(word: &'a [u8]) -> Self {
        let address = u64::from_ne_bytes(word[..8].try_into().expect("eight bytes"));
        // SAFETY: the address of an object, which is not zero.
        let pointer = unsafe { NonNull::new_unchecked(address as usize as *mut ffi::PyObject) };
        ObjectRef { pointer, entry: PhantomData }
    }

    /// Where the object is.
    #[inline]
    pub(crate) fn address(self) -> usize {
        self.pointer.as_ptr() as usize
    }

    /// Whether it is this very object.
    #[inline]
    pub(crate) fn is(self, object: &Bound<'_, PyAny>) -> bool {
        self.pointer.as_ptr() == object.as_ptr()
    }

    /// The object.
    #[inline(always)]
    pub(crate) fn bind<'py>(self, py: Python<'py>) -> Borrowed<'a, 'py, PyAny> {
        // SAFETY: the object is alive for as long as `'a`: see `new`.
        unsafe { Borrowed::from_ptr(py, self.pointer.as_ptr()) }
    }

    /// A new reference to the object.
    #[inline(always)]
    pub(crate) fn to_object(self, py: Python<'_>) -> Py<PyAny> {
        self.bind(py).to_owned().unbind()
    }

    /// Count one more reference, for a copy of the bytes.
    pub(crate) fn keep(self, py: Python<'_>) {
        plain::keep(&self.bind(py));
    }

    /// Compare with `==`, where that runs no user code; `None` where it may.
    pub(crate) fn builtin_equal(self, object: &Bound<'_, PyAny>) -> Option<bool> {
        plain::builtin_equal(&self.bind(object.py()), object)
    }

    /// Show the object to the garbage collector.
    pub(crate) fn visit(self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: 1. `Py` is a transparent `NonNull<PyObject>`. 2. The reference stays the table's: it is not dropped here.
        let object: ManuallyDrop<Py<PyAny>> = unsafe { std::mem::transmute(self.pointer) };
        visit.call(&*object)
    }

    /// Take the reference out of the table.
    ///
    /// # Safety
    /// The bytes are not used as a reference again: they are removed or written over.
    #[inline(always)]
    pub(crate) unsafe fn take(self) -> Leaving {
        Leaving(self.pointer)
    }
}

/// A reference that leaves a table. It has no destructor: a panic that unwinds through a lock leaks it, and no object
/// is dropped there.
#[must_use]
pub(crate) struct Leaving(NonNull<ffi::PyObject>);

impl Leaving {
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

/// A key of a table, kept aside.
pub(crate) enum KeptKey {
    Object(Py<PyAny>),
    Int(i64),
    Text(Vec<u8>),
}

impl KeptKey {
    pub(crate) fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(match self {
            KeptKey::Object(object) => KeptKey::Object(object.clone_ref(py)),
            KeptKey::Int(int) => KeptKey::Int(*int),
            KeptKey::Text(text) => KeptKey::Text(copy_of(text)?),
        })
    }

    pub(crate) fn object(&self) -> Option<&Py<PyAny>> {
        if let KeptKey::Object(object) = self { Some(object) } else { None }
    }
}

/// The bytes of an entry that a table holds, and their layout.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    layout: Layout,
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// # Safety
    /// A table holds these bytes for as long as they are borrowed. They were written in this layout, and the table owns a
    /// reference to each object in them.
    #[inline(always)]
    pub(crate) unsafe fn new(layout: Layout, bytes: &'a [u8]) -> Self {
        Entry { layout, bytes }
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn layout(self) -> Layout {
        self.layout
    }

    /// The table's hash of the key.
    pub(crate) fn hash(self) -> u64 {
        self.layout.hash(self.bytes)
    }

    /// The key, if keys are objects.
    #[inline(always)]
    pub(crate) fn key_object(self) -> Option<ObjectRef<'a>> {
        // SAFETY: in an entry of such a layout, the key's reference follows its hash.
        (self.layout.key_kind() == KeyKind::Object).then(|| unsafe { ObjectRef::new(&self.bytes[8..16]) })
    }

    /// The value, if values are objects.
    #[inline(always)]
    pub(crate) fn value_object(self) -> Option<ObjectRef<'a>> {
        // SAFETY: in an entry of such a layout, the value is a reference.
        self.layout.has_object_values().then(|| unsafe { ObjectRef::new(self.layout.value(self.bytes)) })
    }

    /// The objects of the entry.
    pub(crate) fn objects(self) -> impl Iterator<Item = ObjectRef<'a>> {
        [self.key_object(), self.value_object()].into_iter().flatten()
    }

    /// Take the objects of the entry out of the table.
    ///
    /// # Safety
    /// The entry is not used again.
    #[inline(always)]
    pub(crate) unsafe fn take_objects(self) -> (Option<Leaving>, Option<Leaving>) {
        // SAFETY: as the caller says.
        unsafe { (self.key_object().map(|key| key.take()), self.value_object().map(|value| value.take())) }
    }

    /// The key as an object.
    pub(crate) fn read_key(self, py: Python<'_>) -> PyResult<Read> {
        match self.layout.key_kind() {
            KeyKind::Int => Ok(Read::Done(make::signed(py, word(self.bytes) as i64)?.unbind())),
            KeyKind::Bytes => Ok(Read::Done(make::bytes(py, self.layout.text_key(self.bytes))?.unbind())),
            KeyKind::Str => read_text(py, self.layout.text_key(self.bytes)),
            KeyKind::Object => Ok(Read::Done(self.key_object().expect("an object").to_object(py))),
        }
    }

    /// The value as an object. Makes no object that the garbage collector tracks, and so runs no user code.
    #[inline(always)]
    pub(crate) fn read_value(self, py: Python<'_>) -> PyResult<Read> {
        match self.value_object() {
            Some(value) => Ok(Read::Done(value.to_object(py))),
            None => read_inline(py, self.layout.value_kind(), self.layout.value(self.bytes)),
        }
    }

    /// Key and value as objects.
    pub(crate) fn read_pair(self, py: Python<'_>) -> PyResult<(Read, Read)> {
        Ok((self.read_key(py)?, self.read_value(py)?))
    }

    /// The key, to find the entry again by.
    pub(crate) fn keep_key(self, py: Python<'_>) -> PyResult<KeptKey> {
        Ok(match self.layout.key_kind() {
            KeyKind::Int => KeptKey::Int(word(self.bytes) as i64),
            KeyKind::Str | KeyKind::Bytes => KeptKey::Text(copy_of(self.layout.text_key(self.bytes))?),
            KeyKind::Object => KeptKey::Object(self.key_object().expect("an object").to_object(py)),
        })
    }
}

/// Whether an entry's key is this object.
///
/// # Safety
/// The entry is one that a table of object keys holds.
#[inline(always)]
pub(crate) unsafe fn is_object(entry: &[u8], hash: u64, object: &Bound<'_, PyAny>) -> Match {
    // SAFETY: as the caller says.
    let candidate = unsafe { ObjectRef::new(&entry[8..16]) };
    if candidate.is(object) {
        return Match::Yes;
    }
    if word(entry) != hash {
        return Match::No;
    }
    candidate.builtin_equal(object).map_or(Match::Unsure, Match::of)
}

/// An object, or none where it could not be made: then an exception is set.
#[must_use]
pub(crate) struct Made<'py>(Option<Bound<'py, PyAny>>);

impl<'py> Made<'py> {
    #[inline(always)]
    fn of(py: Python<'py>, made: PyResult<Bound<'py, PyAny>>) -> Self {
        Made(made.map_err(|error| restore(py, error)).ok())
    }

    /// As the interpreter takes it: a new reference, or NULL.
    #[inline(always)]
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        self.0.map_or(std::ptr::null_mut(), Bound::into_ptr)
    }

    #[inline(always)]
    pub(crate) fn into_result(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.ok_or_else(|| PyErr::fetch(py))
    }
}

#[cold]
fn restore(py: Python<'_>, error: PyErr) {
    error.restore(py);
}

/// The value that `bytes` are, where that takes no codec.
///
/// # Safety
/// A table holds the bytes, as a value of this kind.
#[inline(always)]
pub(crate) unsafe fn new_object<'py>(py: Python<'py>, kind: ValueKind, bytes: &[u8]) -> Option<Made<'py>> {
    let made = match kind {
        ValueKind::Record(_) => return None,
        ValueKind::Str => match read_text(py, bytes) {
            Ok(Read::Done(text)) => return Some(Made(Some(text.into_bound(py)))),
            _ => return None,
        },
        // SAFETY: as the caller says.
        ValueKind::Object => return Some(Made(Some(unsafe { ObjectRef::new(bytes) }.bind(py).to_owned()))),
        ValueKind::Int => make::signed(py, i64::from_ne_bytes(eight(bytes))),
        ValueKind::Float => make::float(py, f64::from_ne_bytes(eight(bytes))),
        ValueKind::Bytes => make::bytes(py, bytes),
    };
    Some(Made::of(py, made))
}
