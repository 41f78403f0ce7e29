//! Keys and values of the commonest objects, a type for each kind: so the lanes are compiled for each. None of this
//! takes Python code, or fails.
#![allow(unsafe_code)] // references to objects

use crate::kinds::entry::{Leaving, ObjectRef, is_object};
use crate::kinds::hash::{hash_int, hash_text};
use crate::kinds::kind::ValueKind;
use crate::kinds::layout::{Layout, TextPlace, word};
use crate::kinds::lookup::Match;
use crate::kinds::new::{Key, Value};
use crate::kinds::plain::{self, plain_bytes, plain_hash, plain_int, plain_text, short_int, short_int_hash};
use pyo3::prelude::*;
use pyo3::types::PyFloat;
use std::borrow::Cow;
use std::ops::Range;

/// A kind of key.
///
/// # Safety
/// `BYTES` is what [`Layout::key_bytes`] says of such keys. `write` writes one: if `ARE_OBJECTS`, a hash and a reference,
/// which `keep` counts. `value` gives what [`Layout::value_range`] does.
pub(crate) unsafe trait TypedKey {
    type Key<'a>: Copy;
    /// Where in an entry the key is, as far as that varies.
    type Place: Copy;
    /// Bytes at the start of an entry; 0 where keys vary in length.
    const BYTES: usize;
    /// Whether they are references to objects.
    const ARE_OBJECTS: bool = false;

    /// The key that an object is; `None` where that takes Python code, or may fail.
    fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<Self::Key<'a>>;
    /// The table's hash of a key.
    fn hash(key: Self::Key<'_>) -> u64;
    /// As the store's own methods take it.
    fn key(key: Self::Key<'_>) -> Key<'_>;
    fn place(layout: &Layout) -> Self::Place;
    /// Whether an entry has this key.
    ///
    /// # Safety
    /// A table of such keys holds the entry.
    unsafe fn compare(key: Self::Key<'_>, hash: u64, place: Self::Place, entry: &[u8]) -> Match;
    /// The hash of an entry's key.
    fn rehash(place: Self::Place, entry: &[u8]) -> u64;
    /// Where in an entry the value is.
    fn value(layout: &Layout, entry: &[u8]) -> Range<usize>;
    /// Write a key of `BYTES`; an object's reference is not counted until `keep`.
    fn write(key: Self::Key<'_>, hash: u64, to: &mut [u8]);
    /// The key has been written to stay.
    fn keep(_: Self::Key<'_>) {}
    /// The reference that an entry's key is, to be dropped once the entry has let go of it.
    ///
    /// # Safety
    /// A table of such keys holds the entry, whose key is not used again.
    unsafe fn take(_entry: &[u8]) -> Option<Leaving> {
        None
    }
}

pub(crate) struct IntKeys;

// SAFETY: eight bytes, and no object; a value comes last, after the key.
unsafe impl TypedKey for IntKeys {
    type Key<'a> = i64;
    type Place = ();
    const BYTES: usize = 8;

    #[inline(always)]
    fn of(object: &Bound<'_, PyAny>) -> Option<i64> {
        short_int(object).or_else(|| plain_int(object))
    }

    #[inline(always)]
    fn hash(key: i64) -> u64 {
        hash_int(key)
    }

    #[inline(always)]
    fn key(key: Self::Key<'_>) -> Key<'_> {
        Key::Int(key)
    }

    #[inline(always)]
    fn place(_: &Layout) {}

    #[inline(always)]
    unsafe fn compare(key: i64, _: u64, (): (), entry: &[u8]) -> Match {
        Match::of(word(entry) == key as u64)
    }

    #[inline(always)]
    fn rehash((): (), entry: &[u8]) -> u64 {
        hash_int(word(entry) as i64)
    }

    #[inline(always)]
    fn value(_: &Layout, entry: &[u8]) -> Range<usize> {
        Self::BYTES..entry.len()
    }

    #[inline(always)]
    fn write(key: i64, _: u64, to: &mut [u8]) {
        to.copy_from_slice(&key.to_ne_bytes());
    }
}

pub(crate) struct ObjectKeys;

// SAFETY: a hash and a reference that `keep` counts, 16 bytes; a value comes last, after the key.
unsafe impl TypedKey for ObjectKeys {
    /// An object and its own hash.
    type Key<'a> = (Borrowed<'a, 'a, PyAny>, i64);
    type Place = ();
    const BYTES: usize = 16;
    const ARE_OBJECTS: bool = true;

    #[inline(always)]
    fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<Self::Key<'a>> {
        Some((object.as_borrowed(), short_int_hash(object).or_else(|| plain_hash(object))?))
    }

    #[inline(always)]
    fn hash((_, own): Self::Key<'_>) -> u64 {
        hash_int(own)
    }

    #[inline(always)]
    fn key((object, own): Self::Key<'_>) -> Key<'_> {
        Key::Object(object, own)
    }

    #[inline(always)]
    fn place(_: &Layout) {}

    #[inline(always)]
    unsafe fn compare((object, _): Self::Key<'_>, hash: u64, (): (), entry: &[u8]) -> Match {
        // SAFETY: as the caller says.
        unsafe { is_object(entry, hash, &object) }
    }

    #[inline(always)]
    fn rehash((): (), entry: &[u8]) -> u64 {
        word(entry)
    }

    #[inline(always)]
    fn value(_: &Layout, entry: &[u8]) -> Range<usize> {
        Self::BYTES..entry.len()
    }

    #[inline(always)]
    fn write((object, _): Self::Key<'_>, hash: u64, to: &mut [u8]) {
        to[..8].copy_from_slice(&hash.to_ne_bytes());
        to[8..].copy_from_slice(&plain::word_of(&object));
    }

    #[inline(always)]
    fn keep((object, _): Self::Key<'_>) {
        plain::keep(&object);
    }

    #[inline(always)]
    unsafe fn take(entry: &[u8]) -> Option<Leaving> {
        // SAFETY: as the caller says; the reference follows the hash.
        Some(unsafe { ObjectRef::new(&entry[8..]).take() })
    }
}

/// What strs and bytes have in common.
macro_rules! text_keys {
    ($kind:ident, $of:ident) => {
        pub(crate) struct $kind;

        // SAFETY: they vary in length, and are no objects; the layout says where the value is.
        unsafe impl TypedKey for $kind {
            type Key<'a> = &'a [u8];
            type Place = TextPlace;
            const BYTES: usize = 0;

            #[inline(always)]
            fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
                $of(object)
            }

            #[inline(always)]
            fn hash(key: &[u8]) -> u64 {
                hash_text(key)
            }

            #[inline(always)]
            fn key(key: Self::Key<'_>) -> Key<'_> {
                Key::Text(Cow::Borrowed(key))
            }

            #[inline(always)]
            fn place(layout: &Layout) -> TextPlace {
                layout.text_place()
            }

            #[inline(always)]
            unsafe fn compare(key: &[u8], _: u64, place: TextPlace, entry: &[u8]) -> Match {
                Match::of(place.key(entry) == key)
            }

            #[inline(always)]
            fn rehash(place: TextPlace, entry: &[u8]) -> u64 {
                hash_text(place.key(entry))
            }

            #[inline(always)]
            fn value(layout: &Layout, entry: &[u8]) -> Range<usize> {
                layout.value_range(entry)
            }

            fn write(_: &[u8], _: u64, _: &mut [u8]) {
                unreachable!("keys that vary are written with their value")
            }
        }
    };
}

text_keys!(StrKeys, plain_text);
text_keys!(BytesKeys, plain_bytes);

/// The object that was a value and was replaced, if it was one: to be dropped once the table is unlocked.
#[must_use]
pub(crate) struct Replaced(pub(crate) Option<Leaving>);

impl Replaced {
    /// Drop it. Runs `__del__`, so never under a lock.
    #[inline(always)]
    pub(crate) fn release(self, py: Python<'_>) {
        if let Some(object) = self.0 {
            object.release(py);
        }
    }
}

/// Values that are written alike.
///
/// # Safety
/// If `ARE_OBJECTS`, `write` writes a reference to an object, which `keep` counts, and `take` takes it.
pub(crate) unsafe trait TypedValue {
    type Value<'a>: Copy;
    /// Whether they are references to objects.
    const ARE_OBJECTS: bool = false;

    /// The value that an object is, for a table of this kind; `None` where that takes Python code, or may fail.
    fn of<'a>(kind: ValueKind, object: &'a Bound<'_, PyAny>) -> Option<Self::Value<'a>>;
    /// As the store's own methods take it.
    fn value(value: Self::Value<'_>) -> Value<'_>;
    fn len(value: Self::Value<'_>) -> usize;
    /// Write the value; an object's reference is not counted until `keep`.
    fn write(value: Self::Value<'_>, to: &mut [u8]);
    /// The value has been written to stay.
    fn keep(_: Self::Value<'_>) {}
    /// The reference that an entry's value is, to be dropped once the entry has let go of it.
    ///
    /// # Safety
    /// A table of such values holds this one, which is not used again.
    unsafe fn take(_value: &[u8]) -> Option<Leaving> {
        None
    }
}

pub(crate) struct ObjectValues;

// SAFETY: `write` writes a reference, `keep` counts it, and `take` takes it.
unsafe impl TypedValue for ObjectValues {
    type Value<'a> = Borrowed<'a, 'a, PyAny>;
    const ARE_OBJECTS: bool = true;

    #[inline(always)]
    fn of<'a>(_: ValueKind, object: &'a Bound<'_, PyAny>) -> Option<Self::Value<'a>> {
        Some(object.as_borrowed())
    }

    #[inline(always)]
    fn value(value: Self::Value<'_>) -> Value<'_> {
        Value::Object(value)
    }

    #[inline(always)]
    fn len(_: Self::Value<'_>) -> usize {
        8
    }

    #[inline(always)]
    fn write(value: Self::Value<'_>, to: &mut [u8]) {
        to.copy_from_slice(&plain::word_of(&value));
    }

    #[inline(always)]
    fn keep(value: Self::Value<'_>) {
        plain::keep(&value);
    }

    #[inline(always)]
    unsafe fn take(value: &[u8]) -> Option<Leaving> {
        // SAFETY: as the caller says.
        Some(unsafe { ObjectRef::new(value).take() })
    }
}

/// Ints and floats.
pub(crate) struct WordValues;

// SAFETY: no objects.
unsafe impl TypedValue for WordValues {
    type Value<'a> = [u8; 8];

    #[inline(always)]
    fn of(kind: ValueKind, object: &Bound<'_, PyAny>) -> Option<[u8; 8]> {
        if kind == ValueKind::Int {
            let int = short_int(object).or_else(|| plain_int(object))?;
            return Some(int.to_ne_bytes());
        }
        Some(object.cast_exact::<PyFloat>().ok()?.value().to_ne_bytes())
    }

    #[inline(always)]
    fn value(value: Self::Value<'_>) -> Value<'_> {
        Value::Word(value)
    }

    #[inline(always)]
    fn len(_: [u8; 8]) -> usize {
        8
    }

    #[inline(always)]
    fn write(value: [u8; 8], to: &mut [u8]) {
        to.copy_from_slice(&value);
    }
}

/// Strs and bytes.
pub(crate) struct TextValues;

// SAFETY: no objects.
unsafe impl TypedValue for TextValues {
    type Value<'a> = &'a [u8];

    #[inline(always)]
    fn of<'a>(kind: ValueKind, object: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
        if kind == ValueKind::Bytes { plain_bytes(object) } else { plain_text(object) }
    }

    #[inline(always)]
    fn value(value: Self::Value<'_>) -> Value<'_> {
        Value::Bytes(Cow::Borrowed(value))
    }

    #[inline(always)]
    fn len(value: &[u8]) -> usize {
        value.len()
    }

    #[inline(always)]
    fn write(value: &[u8], to: &mut [u8]) {
        to.copy_from_slice(value);
    }
}

/// `$work` with `$K` the type of a kind of key.
macro_rules! with_key_type {
    ($kind:expr, $K:ident => $work:expr) => {
        match $kind {
            $crate::kinds::kind::KeyKind::Int => {
                type $K = $crate::kinds::typed::IntKeys;
                $work
            }
            $crate::kinds::kind::KeyKind::Object => {
                type $K = $crate::kinds::typed::ObjectKeys;
                $work
            }
            $crate::kinds::kind::KeyKind::Str => {
                type $K = $crate::kinds::typed::StrKeys;
                $work
            }
            $crate::kinds::kind::KeyKind::Bytes => {
                type $K = $crate::kinds::typed::BytesKeys;
                $work
            }
        }
    };
}
pub(crate) use with_key_type;

/// `$work` with `$V` the type of a kind of value; `$otherwise` for records, which NumPy reads.
macro_rules! with_value_type {
    ($kind:expr, $V:ident => $work:expr, $otherwise:expr) => {
        match $kind {
            $crate::kinds::kind::ValueKind::Object => {
                type $V = $crate::kinds::typed::ObjectValues;
                $work
            }
            $crate::kinds::kind::ValueKind::Int | $crate::kinds::kind::ValueKind::Float => {
                type $V = $crate::kinds::typed::WordValues;
                $work
            }
            $crate::kinds::kind::ValueKind::Str | $crate::kinds::kind::ValueKind::Bytes => {
                type $V = $crate::kinds::typed::TextValues;
                $work
            }
            $crate::kinds::kind::ValueKind::Record(_) => $otherwise,
        }
    };
}
pub(crate) use with_value_type;
