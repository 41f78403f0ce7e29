//! Python objects to the bytes of a kind and back. What may run Python code happens here, before a table is locked or
//! after.
#![allow(unsafe_code)] // borrowed views of str and bytes

use crate::calls;
use crate::errors::{Shown, error, is_out_of_memory, out_of_memory, with_room};
use crate::kinds::{Codec, KeyKind, ValueKind};
use crate::make::Name;
use crate::objects;
use crate::typed::{TypedKey, TypedValue, with_key_type, with_value_type};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString};
use std::borrow::Cow;

/// A key on its way into a table or to be looked up; borrowed from the object that it is.
pub(crate) enum Key<'a> {
    /// An object and its own hash.
    Object(Borrowed<'a, 'a, PyAny>, i64),
    Int(i64),
    /// Bytes, or a str as UTF-8 (lone surrogates as three bytes each).
    Text(Cow<'a, [u8]>),
}

impl<'a> Key<'a> {
    /// The key that an object is, for a map of this kind. Runs `__hash__` or `__index__`.
    #[inline]
    pub(crate) fn new(kind: KeyKind, object: &'a Bound<'_, PyAny>) -> PyResult<Key<'a>> {
        match Key::plain(kind, object) {
            Some(key) => Ok(key),
            None => Key::unusual(kind, object),
        }
    }

    /// As `new`, for the objects that keys mostly are, where it takes no Python code and can't fail.
    #[inline]
    pub(crate) fn plain(kind: KeyKind, object: &'a Bound<'_, PyAny>) -> Option<Key<'a>> {
        with_key_type!(kind, K => K::of(object).map(K::key))
    }

    /// As `new`, for the other objects.
    #[cold]
    pub(crate) fn unusual(kind: KeyKind, object: &'a Bound<'_, PyAny>) -> PyResult<Key<'a>> {
        match kind {
            KeyKind::Object => Ok(Key::Object(object.as_borrowed(), calls::hash(object)? as i64)),
            KeyKind::Int => Ok(Key::Int(int(object, "key")?)),
            KeyKind::Str => Ok(Key::Text(text(object, "key")?)),
            KeyKind::Bytes => Ok(Key::Text(bytes(object, "key")?)),
        }
    }

    /// The same key, its bytes borrowed from this one.
    pub(crate) fn borrowed(&self) -> Key<'_> {
        match self {
            Key::Object(object, hash) => Key::Object(*object, *hash),
            Key::Int(int) => Key::Int(*int),
            Key::Text(text) => Key::Text(Cow::Borrowed(text)),
        }
    }

    /// As `new`, but `None` where the object can't be a key of this kind: for comparing with other mappings.
    pub(crate) fn new_if_possible(kind: KeyKind, object: &'a Bound<'_, PyAny>) -> PyResult<Option<Key<'a>>> {
        let fits = match kind {
            KeyKind::Object => true,
            KeyKind::Int => has_index(object),
            KeyKind::Str => object.is_instance_of::<PyString>(),
            KeyKind::Bytes => object.is_instance_of::<PyBytes>(),
        };
        match fits.then(|| Key::new(kind, object)).transpose() {
            Err(error) if kind == KeyKind::Int && error.is_instance_of::<PyOverflowError>(object.py()) => Ok(None),
            other => other,
        }
    }
}

/// The hash of an int, str or bytes, which no user code has a part in.
#[inline]
pub(crate) fn plain_hash(object: &Bound<'_, PyAny>) -> Option<i64> {
    // SAFETY: the object is alive; hashing one of these types neither fails nor runs Python code.
    unsafe {
        let plain = objects::is_plain(ffi::Py_TYPE(object.as_ptr()));
        plain.then(|| ffi::PyObject_Hash(object.as_ptr()) as i64)
    }
}

#[inline]
pub(crate) fn plain_int(object: &Bound<'_, PyAny>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: the object is an int; the call neither fails nor runs Python code for one.
    unsafe {
        if ffi::PyLong_CheckExact(object.as_ptr()) == 0 {
            return None;
        }
        let value = ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &mut overflow);
        (overflow == 0).then_some(value)
    }
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
        read_int(py, value).is_ok_and(|int| short_int(int.bind(py)) == expected)
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

#[cold]
fn wrong(role: &str, wanted: &str, given: &Bound<'_, PyAny>) -> PyErr {
    let py = given.py();
    match type_name(given) {
        Ok((module, name)) if ["builtins", "__main__"].contains(&module.as_str()) => {
            error::<PyTypeError>(py, format_args!("{role} must be {wanted}, not {name}"))
        }
        Ok((module, name)) => error::<PyTypeError>(py, format_args!("{role} must be {wanted}, not {module}.{name}")),
        Err(error) if is_out_of_memory(py, &error) => error,
        Err(_) => error::<PyTypeError>(py, format_args!("{role} must be {wanted}, not ?")), // a metaclass's own code
    }
}

/// Module and name of an object's type.
fn type_name<'py>(object: &Bound<'py, PyAny>) -> PyResult<(Shown<'py>, Shown<'py>)> {
    static MODULE: Name = Name::new(c"__module__");
    static NAME: Name = Name::new(c"__qualname__");
    let (py, kind) = (object.py(), object.get_type());
    let text = |name: &Name| Shown::str(&kind.getattr(name.get(py)?)?);
    Ok((text(&MODULE)?, text(&NAME)?))
}

/// A 64-bit signed int; from an int, or what has `__index__` (as NumPy's ints do).
#[inline]
fn int(object: &Bound<'_, PyAny>, role: &str) -> PyResult<i64> {
    let mut overflow = 0;
    if object.is_instance_of::<PyInt>() {
        // SAFETY: the object is an int; the call neither fails nor runs Python code for one.
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &mut overflow) };
        return if overflow == 0 { Ok(value) } else { Err(too_large(object, role)) };
    }
    match calls::index(object) {
        Ok(index) => int(&index, role),
        Err(error) if error.is_instance_of::<PyTypeError>(object.py()) && !has_index(object) => {
            Err(wrong(role, "int", object))
        }
        Err(error) => Err(error),
    }
}

/// Whether an object is an int or says which int it is.
fn has_index(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is alive; its type is looked at, and none of its code runs.
    unsafe { ffi::PyIndex_Check(object.as_ptr()) != 0 }
}

#[cold]
fn too_large(object: &Bound<'_, PyAny>, role: &str) -> PyErr {
    let py = object.py();
    let given = Shown::str(object);
    let given = match &given {
        Ok(given) => given.as_str(),
        Err(error) if is_out_of_memory(py, error) => return out_of_memory(()),
        Err(_) => "an int of very many digits", // for which there is a limit
    };
    let message = format_args!("{role} must fit in 64 bits, signed, -2**63 to 2**63 - 1, not {given}");
    error::<PyOverflowError>(py, message)
}

fn text<'a>(object: &'a Bound<'_, PyAny>, role: &str) -> PyResult<Cow<'a, [u8]>> {
    if let Some(text) = plain_text(object) {
        return Ok(Cow::Borrowed(text));
    }
    let Ok(string) = object.cast::<PyString>() else {
        return Err(wrong(role, "str", object));
    };
    // Not `PyUnicode_AsUTF8`, which would leave a copy in the caller's object for good. "surrogatepass": a str may hold
    // lone surrogates, and so may a dict's key.
    // SAFETY: a new reference, or NULL with an exception set.
    let encoded = unsafe {
        let encoded = ffi::PyUnicode_AsEncodedString(string.as_ptr(), c"utf-8".as_ptr(), c"surrogatepass".as_ptr());
        Bound::from_owned_ptr_or_err(object.py(), encoded)?
    };
    Ok(Cow::Owned(copy_of(encoded.cast::<PyBytes>()?.as_bytes())?))
}

/// A copy of bytes that may be many.
pub(crate) fn copy_of(bytes: &[u8]) -> PyResult<Vec<u8>> {
    let mut copy = with_room(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

fn bytes<'a>(object: &'a Bound<'_, PyAny>, role: &str) -> PyResult<Cow<'a, [u8]>> {
    plain_bytes(object).map(Cow::Borrowed).ok_or_else(|| wrong(role, "bytes", object))
}

/// A value on its way into a table; borrowed from the object that it is.
pub(crate) enum Value<'a> {
    Object(Borrowed<'a, 'a, PyAny>),
    Word([u8; 8]),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// The value that an object is, for a map of this kind. May run `__index__`, `__float__` or NumPy.
    #[inline]
    pub(crate) fn new(kind: ValueKind, codec: Option<&Codec>, object: &'a Bound<'_, PyAny>) -> PyResult<Value<'a>> {
        match Value::plain(kind, object) {
            Some(value) => Ok(value),
            None => Value::unusual(kind, codec, object),
        }
    }

    /// As `new`, for the objects that values mostly are, where it takes no Python code and can't fail.
    #[inline]
    pub(crate) fn plain(kind: ValueKind, object: &'a Bound<'_, PyAny>) -> Option<Value<'a>> {
        with_value_type!(kind, V => V::of(kind, object).map(V::value), None)
    }

    #[cold]
    fn unusual(kind: ValueKind, codec: Option<&Codec>, object: &'a Bound<'_, PyAny>) -> PyResult<Value<'a>> {
        Ok(match kind {
            ValueKind::Object => Value::Object(object.as_borrowed()),
            ValueKind::Int => Value::Word(int(object, "value")?.to_ne_bytes()),
            ValueKind::Float => Value::Word(float(object)?.to_ne_bytes()),
            ValueKind::Str => Value::Bytes(text(object, "value")?),
            ValueKind::Bytes => Value::Bytes(bytes(object, "value")?),
            ValueKind::Record(_) => Value::Bytes(Cow::Owned(codec.expect("a dtype has a codec").encode(object)?)),
        })
    }

    /// The same value, its bytes borrowed from this one.
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Object(object) => Value::Object(*object),
            Value::Word(word) => Value::Word(*word),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
        }
    }

    /// A copy of the bytes of a value that is no object.
    pub(crate) fn to_bytes(&self) -> PyResult<Vec<u8>> {
        match self {
            Value::Object(_) => Ok(Vec::new()),
            Value::Word(word) => copy_of(word),
            Value::Bytes(bytes) => copy_of(bytes),
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Value::Object(_) | Value::Word(_) => 8,
            Value::Bytes(bytes) => bytes.len(),
        }
    }

    /// Write the value; an object's reference is not counted until `keep`.
    #[inline]
    pub(crate) fn write(&self, to: &mut [u8]) {
        match self {
            Value::Object(object) => to.copy_from_slice(&objects::word(object)),
            Value::Word(word) => to.copy_from_slice(word),
            Value::Bytes(bytes) => to.copy_from_slice(bytes),
        }
    }

    /// The value has been written to stay.
    #[inline]
    pub(crate) fn keep(&self) {
        if let Value::Object(object) = self {
            objects::keep(object);
        }
    }
}

fn float(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = object.cast::<PyFloat>() {
        return Ok(float.value());
    }
    static FLOAT: Name = Name::new(c"__float__");
    let to_float = FLOAT.get(object.py())?;
    if object.is_instance_of::<PyInt>() || object.get_type().hasattr(to_float)? || has_index(object) {
        return calls::float(object);
    }
    Err(wrong("value", "float", object))
}

/// What was read from a table, to become an object.
pub(crate) enum Read {
    Done(Py<PyAny>),
    /// A str that is not valid UTF-8: it has lone surrogates.
    Surrogates(Vec<u8>),
    Record(Vec<u8>),
}

/// Read `bytes` as a value of this kind. Makes no object that the garbage collector tracks, and so runs no user code.
#[inline(always)]
pub(crate) fn read_value(py: Python<'_>, kind: ValueKind, bytes: &[u8]) -> PyResult<Read> {
    Ok(Read::Done(match kind {
        ValueKind::Object => objects::clone_word(py, bytes),
        ValueKind::Int => read_int(py, i64::from_ne_bytes(bytes.try_into().expect("eight bytes")))?,
        ValueKind::Float => read_float(py, f64::from_ne_bytes(bytes.try_into().expect("eight bytes")))?,
        ValueKind::Bytes => read_bytes(py, bytes)?,
        ValueKind::Str => return read_text(py, bytes),
        ValueKind::Record(_) => return Ok(Read::Record(copy_of(bytes)?)),
    }))
}

pub(crate) fn read_int(py: Python<'_>, value: i64) -> PyResult<Py<PyAny>> {
    // SAFETY: a new reference, or NULL with MemoryError set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLongLong(value)) }.map(Bound::unbind)
}

fn read_float(py: Python<'_>, value: f64) -> PyResult<Py<PyAny>> {
    // SAFETY: a new reference, or NULL with MemoryError set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyFloat_FromDouble(value)) }.map(Bound::unbind)
}

#[inline]
pub(crate) fn read_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Py<PyAny>> {
    // SAFETY: as above; the call copies `bytes`.
    unsafe {
        let object = ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize);
        Bound::from_owned_ptr_or_err(py, object)
    }
    .map(Bound::unbind)
}

pub(crate) fn read_text(py: Python<'_>, bytes: &[u8]) -> PyResult<Read> {
    if std::str::from_utf8(bytes).is_err() {
        return Ok(Read::Surrogates(copy_of(bytes)?));
    }
    // SAFETY: as above; the bytes are valid UTF-8, so no error handler is called.
    let object = unsafe { ffi::PyUnicode_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize) };
    // SAFETY: a new reference, or NULL with MemoryError set.
    Ok(Read::Done(unsafe { Bound::from_owned_ptr_or_err(py, object) }?.unbind()))
}

/// An object, or none where it could not be made: then an exception is set.
#[must_use]
pub(crate) struct Made<'py>(Option<Bound<'py, PyAny>>);

impl<'py> Made<'py> {
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

/// As [`read_value`], for what needs no codec; `None` for the rest.
#[inline(always)]
pub(crate) fn new_object<'py>(py: Python<'py>, kind: ValueKind, bytes: &[u8]) -> Option<Made<'py>> {
    let word = || bytes.try_into().expect("eight bytes");
    // SAFETY: 1. Each call copies what it is given. 2. It gives a new reference, or NULL with an exception set.
    let made = unsafe {
        let object = match kind {
            ValueKind::Object => objects::clone_word(py, bytes).into_ptr(),
            ValueKind::Int => ffi::PyLong_FromLongLong(i64::from_ne_bytes(word())),
            ValueKind::Float => ffi::PyFloat_FromDouble(f64::from_ne_bytes(word())),
            ValueKind::Bytes => ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize),
            ValueKind::Str => match read_text(py, bytes) {
                Ok(Read::Done(text)) => text.into_ptr(),
                _ => return None,
            },
            ValueKind::Record(_) => return None,
        };
        Bound::from_owned_ptr_or_opt(py, object)
    };
    Some(Made(made))
}

impl Read {
    /// The object; runs codecs, so never under a lock.
    #[inline]
    pub(crate) fn finish(self, py: Python<'_>, codec: Option<&Codec>) -> PyResult<Py<PyAny>> {
        match self {
            Read::Done(object) => Ok(object),
            Read::Surrogates(bytes) => {
                let (data, errors) = (bytes.as_ptr().cast(), c"surrogatepass".as_ptr());
                // SAFETY: 1. The call copies `bytes`. 2. A new reference, or NULL with an exception set.
                let object = unsafe { ffi::PyUnicode_DecodeUTF8(data, bytes.len() as isize, errors) };
                // SAFETY: 2.
                unsafe { Bound::from_owned_ptr_or_err(py, object) }.map(Bound::unbind)
            }
            Read::Record(bytes) => codec.expect("a dtype has a codec").decode(py, &bytes),
        }
    }
}
