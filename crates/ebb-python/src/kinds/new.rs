//! Keys and values on their way into a table, or to be looked up; borrowed from the objects that they are.

use crate::kinds::hash::{hash_int, hash_text};
use crate::kinds::plain::{keep, word_of};
use crate::python::buffer::Elements;
use pyo3::prelude::*;
use std::borrow::Cow;

/// A key on its way into a table or to be looked up; borrowed from the object that it is.
pub(crate) enum Key<'a> {
    /// An object and its own hash.
    Object(Borrowed<'a, 'a, PyAny>, i64),
    Int(i64),
    /// Bytes, or a str as UTF-8 (lone surrogates as three bytes each).
    Text(Cow<'a, [u8]>),
}

impl Key<'_> {
    /// The table's hash of it.
    #[inline(always)]
    pub(crate) fn hash(&self) -> u64 {
        match self {
            Key::Object(_, hash) => hash_int(*hash),
            Key::Int(int) => hash_int(*int),
            Key::Text(text) => hash_text(text),
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
}

/// A value on its way into a table; borrowed from the object that it is.
pub(crate) enum Value<'a> {
    Object(Borrowed<'a, 'a, PyAny>),
    Word([u8; 8]),
    Bytes(Cow<'a, [u8]>),
    /// Bytes of an array, which others may write to meanwhile: only the copy in the table is read.
    Lent(Elements<'a, u8>),
}

impl Value<'_> {
    /// The same value, its bytes borrowed from this one.
    pub(crate) fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Object(object) => Value::Object(*object),
            Value::Word(word) => Value::Word(*word),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Value::Lent(elements) => Value::Lent(*elements),
        }
    }

    /// The bytes of a value that is no object.
    pub(crate) fn bytes(&self) -> PyResult<Cow<'_, [u8]>> {
        Ok(match self {
            Value::Object(_) => Cow::Borrowed(&[]),
            Value::Word(word) => Cow::Borrowed(word),
            Value::Bytes(bytes) => Cow::Borrowed(bytes),
            Value::Lent(elements) => Cow::Owned(elements.copied()?),
        })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Value::Object(_) | Value::Word(_) => 8,
            Value::Bytes(bytes) => bytes.len(),
            Value::Lent(elements) => elements.len(),
        }
    }

    /// Write the value; an object's reference is not counted until `keep`.
    #[inline]
    pub(crate) fn write(&self, to: &mut [u8]) {
        match self {
            Value::Object(object) => to.copy_from_slice(&word_of(object)),
            Value::Word(word) => to.copy_from_slice(word),
            Value::Bytes(bytes) => to.copy_from_slice(bytes),
            Value::Lent(elements) => elements.copy_to(to),
        }
    }

    /// The value has been written to stay.
    #[inline]
    pub(crate) fn keep(&self) {
        if let Value::Object(object) = self {
            keep(object);
        }
    }
}

/// A key and a value on their way into a table.
#[derive(Clone, Copy)]
pub(crate) struct New<'a> {
    /// The table's hash of the key.
    pub(crate) hash: u64,
    pub(crate) key: &'a Key<'a>,
    pub(crate) value: &'a Value<'a>,
}
