//! Arrays of numbers that a caller gives, used while the interpreter is released.

use crate::kinds::hash::hash_int;
use crate::kinds::new::Value;
use crate::python::buffer::{Elements, Room};
use crate::python::errors::{error, with_room};
use crate::table::batches::in_batches;
use crate::table::store::Holder;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::convert::Infallible;
use std::ops::Range;

fn one_length(py: Python<'_>, what: &str) -> PyErr {
    error::<PyValueError>(py, format_args!("arrays of keys and {what} must be of one length"))
}

/// Keys and values to be set; values are given as their bytes.
pub(crate) struct Entries<'a> {
    keys: Elements<'a, i64>,
    values: Elements<'a, u8>,
    value_bytes: usize,
    /// A copy of the keys that were taken last.
    taken: Vec<i64>,
}

impl<'a> Entries<'a> {
    /// Of which at most `most` are taken at a time.
    pub(crate) fn of(
        py: Python<'_>,
        keys: &'a PyBuffer<i64>,
        values: &'a PyBuffer<u8>,
        value_bytes: usize,
        most: usize,
    ) -> PyResult<Self> {
        let (keys, values) = (Elements::of(py, keys)?, Elements::of(py, values)?);
        if keys.len().checked_mul(value_bytes) != Some(values.len()) {
            return Err(one_length(py, "values"));
        }
        let taken = with_room(keys.len().min(most))?;
        Ok(Entries { keys, values, value_bytes, taken })
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Some of them. Their keys are copied: each is read several times, and has to be the same each time.
    pub(crate) fn take(&mut self, places: Range<usize>) -> SomeEntries<'_> {
        self.taken.clear();
        self.taken.extend(places.clone().map(|i| self.keys.get(i)));
        SomeEntries { keys: &self.taken, values: &self.values, value_bytes: self.value_bytes, from: places.start }
    }
}

/// Some of the [`Entries`].
pub(crate) struct SomeEntries<'a> {
    keys: &'a [i64],
    values: &'a Elements<'a, u8>,
    value_bytes: usize,
    /// The place of the first.
    from: usize,
}

impl SomeEntries<'_> {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    #[inline]
    pub(crate) fn key(&self, i: usize) -> i64 {
        self.keys[i]
    }

    #[inline]
    pub(crate) fn value(&self, i: usize) -> Value<'_> {
        Value::Lent(self.values.part((self.from + i) * self.value_bytes, self.value_bytes))
    }
}

/// Keys to be looked up, with room for the bytes of their values, and for a mark where there is one.
pub(crate) struct Lookups<'a> {
    keys: Elements<'a, i64>,
    values: Room<'a>,
    found: Room<'a>,
    value_bytes: usize,
}

impl<'a> Lookups<'a> {
    pub(crate) fn of(
        py: Python<'_>,
        keys: &'a PyBuffer<i64>,
        values: &'a PyBuffer<u8>,
        found: &'a PyBuffer<u8>,
        value_bytes: usize,
    ) -> PyResult<Self> {
        let (keys, values, found) = (Elements::of(py, keys)?, Room::of(py, values)?, Room::of(py, found)?);
        if keys.len().checked_mul(value_bytes) != Some(values.len()) || found.len() != keys.len() {
            return Err(one_length(py, "results"));
        }
        Ok(Lookups { keys, values, found, value_bytes })
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Fill in what `find` answers for each hash and key at some places, and zeros where that is nothing.
    #[inline]
    pub(crate) fn fill<H: Holder>(
        &mut self,
        places: Range<usize>,
        holder: &mut H,
        find: impl Fn(&mut H, u64, i64, &mut Answer<'_, '_>),
    ) {
        let Lookups { keys, values, found, value_bytes } = self;
        let Ok(()) = in_batches(
            holder,
            places.len(),
            |i| hash_int(keys.get(places.start + i)),
            |holder, i, hash| {
                let i = places.start + i;
                let mut answer = Answer { values: &mut *values, at: i * *value_bytes, is_given: false };
                find(holder, hash, keys.get(i), &mut answer);
                let is_given = answer.is_given;
                if !is_given {
                    values.clear(i * *value_bytes, *value_bytes);
                }
                found.write(i, &[u8::from(is_given)]);
                Ok::<_, Infallible>(())
            },
        );
    }
}

/// The place of a value that is looked up.
pub(crate) struct Answer<'a, 'b> {
    values: &'a mut Room<'b>,
    at: usize,
    is_given: bool,
}

impl Answer<'_, '_> {
    /// The value's bytes.
    #[inline(always)]
    pub(crate) fn give(&mut self, value: &[u8]) {
        self.values.write(self.at, value);
        self.is_given = true;
    }
}
