//! Many keys in one call, given as iterables or as arrays.
//!
//! Such a call takes some keys at a time. Between two takes other threads may use the map, so no lock is held then, and
//! nothing that was found before is relied on.

use crate::kinds::codec::Codec;
use crate::kinds::new::{Key, Value};
use crate::kinds::read::Read;
use crate::python::calls;
use crate::python::errors::{error, push_with, with_room};
use crate::python::make;
use crate::python::pace::Pace;
use crate::table::batches::in_batches;
use crate::table::store::Holder;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::ops::Range;

/// Very short steps that are counted together.
const STEPS: usize = 64;
/// Keys that are read under one hold of the lock, where their values become objects.
const READ: usize = 256;
/// Keys that are served under one hold of the lock, and the bytes of their values: a millisecond at most.
pub(crate) const TAKEN: usize = 4096;
const BYTES_TAKEN: usize = 1 << 20;

/// The places served under the next hold of the lock, from `next` on, which is moved on; at each is a value of so many
/// bytes.
pub(crate) fn take_places(next: &mut usize, len: usize, value_bytes: usize) -> Range<usize> {
    let most = (BYTES_TAKEN / value_bytes.max(1)).clamp(1, TAKEN);
    let from = std::mem::replace(next, len.min(*next + most));
    from..*next
}

/// As [`take_places`], where the values are given; also how many bytes they have.
pub(crate) fn take_values(next: &mut usize, values: &[Value<'_>]) -> (Range<usize>, usize) {
    let (from, mut bytes) = (*next, 0);
    while *next < values.len() && *next < from + TAKEN && bytes < BYTES_TAKEN {
        bytes += values[*next].len();
        *next += 1;
    }
    (from..*next, bytes)
}

/// As `Iterator::collect`, with pauses, and `MemoryError` where there is no room for so many.
pub(crate) fn collect<T>(
    py: Python<'_>,
    items: impl ExactSizeIterator<Item = PyResult<T>>,
    pace: &mut Pace,
) -> PyResult<Vec<T>> {
    let mut collected = with_room(items.len())?;
    for item in items {
        collected.push(item?);
        if collected.len() % STEPS == 0 {
            pace.steps(py, STEPS)?;
        }
    }
    Ok(collected)
}

type Objects<'py> = Vec<Bound<'py, PyAny>>;

/// The items of an iterable, with pauses.
pub(crate) fn objects_of<'py>(iterable: &Bound<'py, PyAny>, pace: &mut Pace) -> PyResult<Objects<'py>> {
    if let Ok(list) = iterable.cast_exact::<PyList>() {
        return items_of(list, pace);
    }
    let mut objects = Vec::new();
    for item in calls::items(iterable)? {
        push_with(&mut objects, || item)?;
        pace.step(iterable.py())?;
    }
    Ok(objects)
}

/// The items of a list, which may change in a pause.
fn items_of<'py>(list: &Bound<'py, PyList>, pace: &mut Pace) -> PyResult<Objects<'py>> {
    let mut objects = with_room(list.len())?;
    while objects.len() < list.len() {
        let place = objects.len();
        push_with(&mut objects, || list.get_item(place))?;
        if objects.len() % STEPS == 0 {
            pace.steps(list.py(), STEPS)?;
        }
    }
    Ok(objects)
}

/// The keys and values of two iterables.
pub(crate) fn objects_of_both<'py>(
    keys: &Bound<'py, PyAny>,
    values: &Bound<'py, PyAny>,
    pace: &mut Pace,
) -> PyResult<(Objects<'py>, Objects<'py>)> {
    let py = keys.py();
    let (keys, values) = (objects_of(keys, pace)?, objects_of(values, pace)?);
    if keys.len() != values.len() {
        let (keys, values) = (keys.len(), values.len());
        let message = format_args!("set_many takes as many values as keys, not {values} values for {keys} keys");
        return Err(error::<PyValueError>(py, message));
    }
    Ok((keys, values))
}

/// The values of keys that are looked up one at a time; `absent` for those that are not there.
pub(crate) fn find_each<'py>(
    py: Python<'py>,
    keys: &[Bound<'_, PyAny>],
    absent: &Py<PyAny>,
    pace: &mut Pace,
    find: impl Fn(&Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>>,
) -> PyResult<Bound<'py, PyList>> {
    let values = make::list(py)?;
    for key in keys {
        values.append(find(key)?.unwrap_or_else(|| absent.clone_ref(py)))?;
        pace.step(py)?;
    }
    Ok(values)
}

/// The values of keys that are no objects, of which `read` reads some under the lock; `absent` for those that are not
/// there.
pub(crate) fn find_some_at_a_time<'py>(
    py: Python<'py>,
    keys: &[Key<'_>],
    absent: &Py<PyAny>,
    codec: Option<&Codec>,
    pace: &mut Pace,
    mut read: impl FnMut(&[Key<'_>], &mut Vec<Option<Read>>) -> PyResult<()>,
) -> PyResult<Bound<'py, PyList>> {
    let values = make::list(py)?;
    for keys in keys.chunks(READ) {
        let mut reads = with_room(keys.len())?;
        read(keys, &mut reads)?;
        pace.steps(py, keys.len())?;
        for read in reads {
            values.append(read.map_or_else(|| Ok(absent.clone_ref(py)), |read| read.finish(py, codec))?)?;
        }
    }
    Ok(values)
}

/// Look keys up that are no objects; `reads` has room for all.
#[inline]
pub(crate) fn read_all<H: Holder>(
    holder: &mut H,
    keys: &[Key<'_>],
    reads: &mut Vec<Option<Read>>,
    read: impl Fn(&mut H, u64, &Key<'_>) -> Option<PyResult<Read>>,
) -> PyResult<()> {
    in_batches(
        holder,
        keys.len(),
        |i| keys[i].hash(),
        |holder, i, hash| {
            reads.push(read(holder, hash, &keys[i]).transpose()?);
            Ok(())
        },
    )
}
