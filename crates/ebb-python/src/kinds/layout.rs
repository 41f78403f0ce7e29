//! How the bytes of an entry are laid out, and keys and values written to them and read.
//!
//! An entry is `[key if of fixed size][value if of fixed size][the variable rest]`. Where key and value both vary, the
//! rest begins with the key's length.

use crate::kinds::hash::{hash_int, hash_text};
use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::new::{Key, New, Value};
use crate::kinds::plain::word_of;
use crate::python::errors::{error, out_of_memory};
use ebb::{EntrySize, MAX_ENTRY_BYTES};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use std::ops::Range;

/// Where in an entry what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    key: KeyKind,
    value: ValueKind,
    /// Bytes of a fixed key, which a fixed value follows, and of that value.
    key_bytes: usize,
    value_bytes: usize,
    /// Whether both vary in length.
    both_variable: bool,
}

/// Where in an entry a text key is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextPlace {
    /// Bytes before it, or before its length.
    from: usize,
    /// Whether its length stands before it. If not, it is the rest of the entry.
    has_len: bool,
}

impl TextPlace {
    #[inline]
    pub(crate) fn key(self, entry: &[u8]) -> &[u8] {
        let rest = &entry[self.from..];
        if !self.has_len {
            return rest;
        }
        let (len, prefix) = read_len(rest);
        &rest[prefix..][..len]
    }
}

#[inline]
pub(crate) fn word(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes"))
}

impl Layout {
    pub(crate) fn new(key: KeyKind, value: ValueKind) -> Self {
        let both_variable = key.is_variable() && value.is_variable();
        Layout { key, value, key_bytes: key.fixed_bytes(), value_bytes: value.fixed_bytes(), both_variable }
    }

    #[inline(always)]
    pub(crate) fn key_kind(self) -> KeyKind {
        self.key
    }

    #[inline(always)]
    pub(crate) fn value_kind(self) -> ValueKind {
        self.value
    }

    /// Bytes of a key, where all have as many; otherwise 0.
    #[inline(always)]
    pub(crate) fn key_bytes(self) -> usize {
        self.key_bytes
    }

    /// Whether values are references to objects.
    #[inline(always)]
    pub(crate) fn has_object_values(self) -> bool {
        self.value == ValueKind::Object
    }

    #[inline(always)]
    pub(crate) fn both_variable(self) -> bool {
        self.both_variable
    }

    fn fixed_bytes(self) -> usize {
        self.key_bytes + self.value_bytes
    }

    pub(crate) fn entry_size(self) -> EntrySize {
        if self.key.is_variable() || self.value.is_variable() {
            EntrySize::Variable
        } else {
            EntrySize::Fixed(self.fixed_bytes())
        }
    }

    #[inline]
    pub(crate) fn has_objects(self) -> bool {
        self.key == KeyKind::Object || self.value == ValueKind::Object
    }

    /// Where in an entry a value of variable size begins, which comes last.
    #[inline]
    fn variable_value(self, entry: &[u8]) -> usize {
        let from = self.fixed_bytes();
        if !self.both_variable {
            return from;
        }
        let (len, prefix) = read_len(&entry[from..]);
        from + prefix + len
    }

    #[inline]
    pub(crate) fn text_key(self, entry: &[u8]) -> &[u8] {
        self.text_place().key(entry)
    }

    /// Where text keys are.
    #[inline(always)]
    pub(crate) fn text_place(self) -> TextPlace {
        TextPlace { from: self.fixed_bytes(), has_len: self.both_variable }
    }

    #[inline(always)]
    pub(crate) fn value(self, entry: &[u8]) -> &[u8] {
        if self.value_bytes == 0 {
            return &entry[self.variable_value(entry)..];
        }
        &entry[self.fixed_value()]
    }

    /// Where in an entry a value of fixed size is.
    #[inline(always)]
    pub(crate) fn fixed_value(self) -> Range<usize> {
        self.key_bytes..self.key_bytes + self.value_bytes
    }

    /// Where in an entry the value is.
    #[inline]
    pub(crate) fn value_range(self, entry: &[u8]) -> Range<usize> {
        if self.value_bytes == 0 {
            return self.variable_value(entry)..entry.len();
        }
        self.fixed_value()
    }

    /// The table's hash of an entry's key.
    #[inline]
    pub(crate) fn hash(self, entry: &[u8]) -> u64 {
        match self.key {
            KeyKind::Object => word(entry),
            KeyKind::Int => hash_int(word(entry) as i64),
            KeyKind::Str | KeyKind::Bytes => hash_text(self.text_key(entry)),
        }
    }

    /// Whether an entry has this key, which is no object.
    #[inline(always)]
    pub(crate) fn has_key(self, entry: &[u8], key: &Key<'_>) -> bool {
        match key {
            Key::Int(int) => word(entry) == *int as u64,
            Key::Text(text) => self.text_key(entry) == &**text,
            Key::Object(..) => unreachable!("objects are searched with `probe`"),
        }
    }

    /// Bytes of the length that stands before a text key.
    pub(crate) fn prefix(self, key_len: usize) -> usize {
        if self.both_variable() { len_bytes(key_len) } else { 0 }
    }

    /// Bytes of an entry that are neither key nor value, nor a key's hash.
    pub(crate) fn overhead(self, entry: &[u8]) -> usize {
        if self.both_variable { read_len(&entry[self.fixed_bytes()..]).1 } else { 0 }
    }

    /// Bytes of the shortest entry.
    pub(crate) fn least_len(self) -> usize {
        (self.fixed_bytes() + self.prefix(0)).max(1)
    }

    /// Whether objects are objects here too, and what is none is none: so nothing else is taken for a reference.
    #[inline]
    pub(crate) fn takes(self, new: New<'_>) -> bool {
        matches!(new.key, Key::Object(..)) == (self.key == KeyKind::Object)
            && matches!(new.value, Value::Object(_)) == self.has_object_values()
    }

    pub(crate) fn entry_len(self, new: New<'_>) -> usize {
        let key_len = if let Key::Text(text) = new.key { text.len() } else { 0 };
        let value_len = if self.value.is_variable() { new.value.len() } else { 0 };
        self.fixed_bytes() + self.prefix(key_len) + key_len + value_len
    }

    #[inline]
    pub(crate) fn write(self, entry: &mut [u8], new: New<'_>) {
        let (fixed_key, tail) = entry.split_at_mut(self.key_bytes);
        let (fixed_value, mut rest) = tail.split_at_mut(self.value_bytes);
        match new.key {
            Key::Int(int) => fixed_key.copy_from_slice(&int.to_ne_bytes()),
            Key::Object(object, _) => write_object_key(fixed_key, new.hash, object),
            Key::Text(text) => rest = self.write_text_key(rest, text),
        }
        new.value.write(if self.value.is_variable() { rest } else { fixed_value });
    }

    /// Write a text key, with its length before it if a variable value follows; the rest after it.
    #[inline]
    fn write_text_key<'a>(self, to: &'a mut [u8], text: &[u8]) -> &'a mut [u8] {
        let (prefix, rest) = to.split_at_mut(self.prefix(text.len()));
        write_len(prefix, text.len());
        let (key, rest) = rest.split_at_mut(text.len());
        key.copy_from_slice(text);
        rest
    }
}

#[inline]
fn write_object_key(to: &mut [u8], hash: u64, object: &Bound<'_, PyAny>) {
    to[..8].copy_from_slice(&hash.to_ne_bytes());
    to[8..].copy_from_slice(&word_of(object));
}

/// Why an entry could not be put into a table.
#[cold]
pub(crate) fn no_room(py: Python<'_>, layout: Layout, new: New<'_>) -> PyErr {
    let bytes = layout.entry_len(new);
    if bytes > MAX_ENTRY_BYTES { too_long(py, bytes) } else { out_of_memory(()) }
}

#[cold]
pub(crate) fn too_long(py: Python<'_>, bytes: usize) -> PyErr {
    let message = format_args!("an entry takes at most {MAX_ENTRY_BYTES} bytes, its key and value, not {bytes}");
    error::<PyOverflowError>(py, message)
}

/// Bytes of a length, seven bits a byte.
fn len_bytes(len: usize) -> usize {
    (usize::BITS - (len | 1).leading_zeros()).div_ceil(7) as usize
}

fn write_len(to: &mut [u8], len: usize) {
    let bytes = to.len();
    for (i, byte) in to.iter_mut().enumerate() {
        *byte = (len >> (7 * i)) as u8 & 0x7f | if i + 1 < bytes { 0x80 } else { 0 };
    }
}

/// A length and the bytes it takes.
fn read_len(from: &[u8]) -> (usize, usize) {
    let bytes = from.iter().position(|byte| byte & 0x80 == 0).map_or(from.len(), |i| i + 1);
    let len = from[..bytes].iter().rev().fold(0, |len, &byte| len << 7 | usize::from(byte & 0x7f));
    (len, bytes)
}
