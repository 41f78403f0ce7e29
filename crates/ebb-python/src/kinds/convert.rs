//! Python objects to keys and values. What may run Python code happens here, before a table is locked.

use crate::kinds::codec::Codec;
use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::new::{Key, Value};
use crate::kinds::plain::{any_int, has_index, plain_bytes, plain_text};
use crate::kinds::typed::{TypedKey, TypedValue, with_key_type, with_value_type};
use crate::python::calls;
use crate::python::errors::{Shown, copy_of, error, is_out_of_memory, out_of_memory};
use crate::python::make::{self, Name};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString};
use std::borrow::Cow;

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
    let text = |name: &Name| Shown::str(&calls::getattr(&kind, name.get(py)?)?);
    Ok((text(&MODULE)?, text(&NAME)?))
}

/// A 64-bit signed int; from an int, or what has `__index__` (as NumPy's ints do).
#[inline]
fn int(object: &Bound<'_, PyAny>, role: &str) -> PyResult<i64> {
    if let Ok(int) = object.cast::<PyInt>() {
        return any_int(int).ok_or_else(|| too_large(object, role));
    }
    match calls::index(object) {
        Ok(index) => int(&index, role),
        Err(error) if error.is_instance_of::<PyTypeError>(object.py()) && !has_index(object) => {
            Err(wrong(role, "int", object))
        }
        Err(error) => Err(error),
    }
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
    let encoded = make::utf8(string, c"surrogatepass")?;
    Ok(Cow::Owned(copy_of(encoded.as_bytes())?))
}

fn bytes<'a>(object: &'a Bound<'_, PyAny>, role: &str) -> PyResult<Cow<'a, [u8]>> {
    plain_bytes(object).map(Cow::Borrowed).ok_or_else(|| wrong(role, "bytes", object))
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
}

fn float(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = object.cast::<PyFloat>() {
        return Ok(float.value());
    }
    static FLOAT: Name = Name::new(c"__float__");
    let to_float = FLOAT.get(object.py())?;
    if object.is_instance_of::<PyInt>() || calls::hasattr(&object.get_type(), to_float)? || has_index(object) {
        return calls::float(object);
    }
    Err(wrong("value", "float", object))
}
