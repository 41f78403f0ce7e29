//! Many keys in one call: the cache lines of a batch are asked for before any is needed, and where no object is
//! involved the interpreter is released.
//!
//! Such a call takes some keys at a time. Between two takes other threads may use the map, so no lock is held then, and
//! nothing that was found before is relied on.

use crate::arrays::{Elements, Entries, Lookups};
use crate::calls;
use crate::convert::{Key, Read, Value};
use crate::errors::{error, out_of_memory, with_room};
use crate::hash::hash;
use crate::kinds::{Codec, KeyKind};
use crate::layout::{New, word};
use crate::make;
use crate::map::Map;
use crate::pace::Pace;
use crate::search::Holder;
use crate::store::Store;
use ebb::{OutOfMemory, RawTable};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::convert::Infallible;
use std::ops::Range;

/// Keys that are asked for at a time.
const BATCH: usize = 32;

/// Call `each` with the place and hash of every key, batch by batch. The lines of the batch after next and the entries
/// of the next are on their way meanwhile.
#[inline]
pub(crate) fn in_batches<H: Holder, R>(
    holder: &mut H,
    count: usize,
    hash_at: impl Fn(usize) -> u64,
    mut each: impl FnMut(&mut H, usize, u64) -> Result<(), R>,
) -> Result<(), R> {
    let mut hashes = [[0; BATCH]; 3];
    let batches = count.div_ceil(BATCH);
    let places = |batch: usize| batch * BATCH..((batch + 1) * BATCH).min(count);
    for step in 0..batches + 2 {
        if step < batches {
            let coming = &mut hashes[step % 3];
            places(step).zip(&mut *coming).for_each(|(i, hash)| *hash = hash_at(i));
            holder.store().table.prefetch_lines(&coming[..places(step).len()]);
        }
        if (1..=batches).contains(&step) {
            holder.store().table.prefetch_entries(&hashes[(step - 1) % 3][..places(step - 1).len()]);
        }
        if let Some(batch) = step.checked_sub(2) {
            for (i, &hash) in places(batch).zip(&hashes[batch % 3]) {
                each(holder, i, hash)?;
            }
        }
    }
    Ok(())
}

/// Very short steps that are counted together.
const STEPS: usize = 64;
/// Keys that are read under one hold of the lock, where their values become objects.
const READ: usize = 256;
/// Keys that are served under one hold of the lock, and the bytes of their values: a millisecond at most.
const TAKEN: usize = 4096;
const BYTES_TAKEN: usize = 1 << 20;

/// The places served under the next hold of the lock, from `next` on, which is moved on; at each is a value of so many
/// bytes.
pub(crate) fn take_places(next: &mut usize, len: usize, value_bytes: usize) -> Range<usize> {
    let most = (BYTES_TAKEN / value_bytes.max(1)).clamp(1, TAKEN);
    let from = std::mem::replace(next, len.min(*next + most));
    from..*next
}

/// As [`take_places`], where the values are given; also how many bytes they have.
fn take_values(next: &mut usize, values: &[Value<'_>]) -> (Range<usize>, usize) {
    let (from, mut bytes) = (*next, 0);
    while *next < values.len() && *next < from + TAKEN && bytes < BYTES_TAKEN {
        bytes += values[*next].len();
        *next += 1;
    }
    (from..*next, bytes)
}

/// Set many keys of an inline map. The new ones first, then the others are written over, which takes memory only where
/// values vary in size. Where memory runs out, the new ones go again.
fn set_all<'a>(
    store: &mut Store,
    count: usize,
    key_at: impl Fn(usize) -> Key<'a>,
    value_at: impl Fn(usize) -> Value<'a>,
) -> Result<(), OutOfMemory> {
    let mut new = Vec::new();
    let set = set_new(store, count, &key_at, &value_at, &mut new);
    let done = set.and_then(|others| overwrite_all(store, &others, &key_at, &value_at));
    if done.is_err() {
        for &i in new.iter().rev() {
            remove_one(store, &key_at(i)); // the last one noted may not have got in
        }
    }
    done
}

/// Insert those that are `new`; which are not.
fn set_new<'a>(
    store: &mut Store,
    count: usize,
    key_at: &impl Fn(usize) -> Key<'a>,
    value_at: &impl Fn(usize) -> Value<'a>,
    new: &mut Vec<usize>,
) -> Result<Vec<usize>, OutOfMemory> {
    let mut others = Vec::new();
    let hash_at = |i| hash(&key_at(i));
    in_batches(store, count, hash_at, |store, i, hash| {
        let key = key_at(i);
        let is_new = store.find_inline(hash, &key).is_none();
        let list = if is_new { &mut *new } else { &mut others };
        list.try_reserve(1).map_err(|_| OutOfMemory)?;
        list.push(i);
        if is_new { store.insert(New { hash, key: &key, value: &value_at(i) }) } else { Ok(()) }
    })?;
    Ok(others)
}

/// Write over the values of keys that are there, in their order.
fn overwrite_all<'a>(
    store: &mut Store,
    others: &[usize],
    key_at: &impl Fn(usize) -> Key<'a>,
    value_at: &impl Fn(usize) -> Value<'a>,
) -> Result<(), OutOfMemory> {
    let hash_at = |i| hash(&key_at(others[i]));
    in_batches(store, others.len(), hash_at, |store, i, hash| {
        let key = key_at(others[i]);
        let found = store.find_inline(hash, &key).expect("found a moment ago");
        store.overwrite(found, New { hash, key: &key, value: &value_at(others[i]) }).map(drop)
    })
}

/// Remove a key of an inline map; whether it was there.
fn remove_one(store: &mut Store, key: &Key<'_>) -> bool {
    let found = store.find_inline(hash(key), key);
    found.map(|found| store.remove_inline(found)).is_some()
}

/// Remove many keys of an inline map; how many were there. A key that changes meanwhile, in an array that is written to,
/// counts as absent.
fn remove_all<'a>(store: &mut Store, count: usize, key_at: impl Fn(usize) -> Key<'a>) -> usize {
    let mut removed = 0;
    let Ok(()) = in_batches(
        store,
        count,
        |i| hash(&key_at(i)),
        |store, i, hash| {
            if let Some(found) = store.find_inline(hash, &key_at(i)) {
                store.remove_inline(found);
                removed += 1;
            }
            Ok::<_, Infallible>(())
        },
    );
    removed
}

impl Map {
    fn is_inline(&self) -> bool {
        !self.kinds().layout().has_objects()
    }

    fn keys_of<'a>(&self, py: Python<'_>, keys: &'a [Bound<'_, PyAny>], pace: &mut Pace) -> PyResult<Vec<Key<'a>>> {
        collect(py, keys.iter().map(|key| self.key(key)), pace)
    }
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
        objects.try_reserve(1).map_err(out_of_memory)?;
        objects.push(item?);
        pace.step(iterable.py())?;
    }
    Ok(objects)
}

/// The items of a list, which may change in a pause.
fn items_of<'py>(list: &Bound<'py, PyList>, pace: &mut Pace) -> PyResult<Objects<'py>> {
    let mut objects = with_room(list.len())?;
    while objects.len() < list.len() {
        objects.try_reserve(1).map_err(out_of_memory)?;
        objects.push(list.get_item(objects.len())?);
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
        |i| hash(&keys[i]),
        |holder, i, hash| {
            reads.push(read(holder, hash, &keys[i]).transpose()?);
            Ok(())
        },
    )
}

/// The two of a pair, with the errors `dict.update` gives.
pub(crate) fn pair<'py>(
    item: &Bound<'py, PyAny>,
    place: usize,
    what: &str,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(pair) = item.cast::<PyTuple>()
        && pair.len() == 2
    {
        return Ok((pair.get_item(0)?, pair.get_item(1)?));
    }
    let py = item.py();
    let parts = calls::items(item).map_err(|cause| match cause.is_instance_of::<PyTypeError>(py) {
        true => {
            let message = format_args!("cannot convert {what} update sequence element #{place} to a sequence");
            error::<PyTypeError>(py, message)
        }
        false => cause,
    })?;
    let mut collected = Vec::new();
    for part in parts {
        collected.try_reserve(1).map_err(out_of_memory)?;
        collected.push(part?);
    }
    let len = collected.len();
    let [key, value] = <[_; 2]>::try_from(collected).map_err(|_| {
        let message = format_args!("{what} update sequence element #{place} has length {len}; 2 is required");
        error::<PyValueError>(py, message)
    })?;
    Ok((key, value))
}

/// Why not all pairs were set.
enum Stopped {
    /// By what the iterator raised.
    Iterating(PyErr),
    Setting(PyErr),
}

impl From<PyErr> for Stopped {
    fn from(error: PyErr) -> Self {
        Stopped::Setting(error)
    }
}

/// Call `set` for every pair of an iterable, in order, with pauses; `what` takes them.
///
/// The iterator of a mapping raises `RuntimeError` if another thread adds or removes a key in a pause. Then all are set
/// anew, as `again` lists them in one step, if it is given.
pub(crate) fn set_pairs(
    pairs: &Bound<'_, PyAny>,
    again: Option<&Bound<'_, PyAny>>,
    what: &str,
    mut set: impl FnMut(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let stopped = match set_each(pairs, what, &mut set) {
        Ok(()) => return Ok(()),
        Err(stopped) => stopped,
    };
    match (stopped, again) {
        (Stopped::Iterating(error), Some(again)) if error.is_instance_of::<PyRuntimeError>(pairs.py()) => {
            match set_each(&calls::call(again, [])?, what, &mut set) {
                Ok(()) => Ok(()),
                Err(Stopped::Iterating(error) | Stopped::Setting(error)) => Err(error),
            }
        }
        (Stopped::Iterating(error) | Stopped::Setting(error), _) => Err(error),
    }
}

fn set_each(
    pairs: &Bound<'_, PyAny>,
    what: &str,
    set: &mut impl FnMut(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()>,
) -> Result<(), Stopped> {
    let mut pace = Pace::default();
    for (place, item) in calls::items(pairs)?.enumerate() {
        let (key, value) = pair(&item.map_err(Stopped::Iterating)?, place, what)?;
        set(&key, &value)?;
        pace.step(pairs.py())?;
    }
    Ok(())
}

#[pymethods]
impl Map {
    /// Set every pair of an iterable, in order. If its iterator raises `RuntimeError`, all are set anew, as `again()` lists
    /// them.
    #[pyo3(signature = (pairs, again=None))]
    fn _set_pairs(&self, pairs: &Bound<'_, PyAny>, again: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        set_pairs(pairs, again, "map", |key, value| self.set(key, value))
    }

    /// The values of an iterable of keys, as a list; `absent` for those that are not there.
    fn _get_list<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        absent: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut pace = Pace::default();
        let objects = objects_of(keys, &mut pace)?;
        if self.kinds().key == KeyKind::Object {
            return find_each(py, &objects, &absent, &mut pace, |key| self.find_value(py, &self.key(key)?));
        }
        let keys = self.keys_of(py, &objects, &mut pace)?;
        find_some_at_a_time(py, &keys, &absent, self.kinds().codec.as_ref(), &mut pace, |keys, reads| {
            self.store.with(py, |store| {
                read_all(store, keys, reads, |store, hash, key| {
                    store.find_inline(hash, key).map(|found| store.read_value(py, found))
                })
            })
        })
    }

    /// Set the keys of an iterable to the values of another one.
    fn _set_lists(&self, py: Python<'_>, keys: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut pace = Pace::default();
        let (keys, values) = objects_of_both(keys, values, &mut pace)?;
        let keys = self.keys_of(py, &keys, &mut pace)?;
        let values = collect(py, values.iter().map(|value| self.value(value)), &mut pace)?;
        if !self.is_inline() {
            for (key, value) in keys.iter().zip(&values) {
                self.set_typed(py, key, value)?;
                pace.copied(py, value.len())?;
            }
            return Ok(());
        }
        let mut next = 0;
        while next < keys.len() {
            let (places, bytes) = take_values(&mut next, &values);
            let (keys, values) = (&keys[places.clone()], &values[places]);
            let set = |store: &mut Store| set_all(store, keys.len(), |i| keys[i].borrowed(), |i| values[i].borrowed());
            self.store.with(py, set).map_err(|_| {
                let mut errors = keys.iter().zip(values).map(|(key, value)| self.no_room(py, key, value));
                let too_long = errors.find(|error| !error.is_instance_of::<PyMemoryError>(py));
                too_long.unwrap_or_else(|| out_of_memory(()))
            })?;
            pace.copied(py, keys.len() * 64 + bytes)?;
        }
        Ok(())
    }

    /// Remove the keys of an iterable that are there; how many were.
    fn _delete_list<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let mut pace = Pace::default();
        let keys = objects_of(keys, &mut pace)?;
        let keys = self.keys_of(py, &keys, &mut pace)?;
        let mut removed = 0;
        if self.is_inline() {
            for keys in keys.chunks(TAKEN) {
                removed += self.store.with(py, |store| remove_all(store, keys.len(), |i| keys[i].borrowed()));
                pace.steps(py, keys.len())?;
            }
            return make::size(py, removed);
        }
        for key in &keys {
            let dropped = self.locate(py, key, |store, _, found| found.map(|found| store.remove(found)))?;
            removed += usize::from(dropped.map(|dropped| dropped.release(py)).is_some());
            pace.step(py)?;
        }
        make::size(py, removed)
    }

    /// Fill `values`, the bytes of an array, and `found` for an array of int keys. The interpreter is released.
    fn _get_array(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        found: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let layout = self.kinds().array_layout(py, "map")?;
        let (keys, values, found) = (PyBuffer::get(keys)?, PyBuffer::get(values)?, PyBuffer::get(found)?);
        let value_bytes = layout.value.fixed_bytes();
        let mut lookups = Lookups::of(py, &keys, &values, &found, value_bytes)?;
        let mut next = 0;
        self.store.with_detached(py, move |store| {
            let places = take_places(&mut next, lookups.len(), value_bytes);
            lookups.fill(places, store, |store, hash, key| {
                let entry = store.table.get(hash, |entry| word(entry) == key as u64);
                entry.map(|entry| layout.value(entry))
            });
            (next == lookups.len()).then_some(())
        })
    }

    /// Set an array of int keys to an array of values, given as its bytes. The interpreter is released.
    fn _set_array(&self, py: Python<'_>, keys: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let layout = self.kinds().array_layout(py, "map")?;
        let (keys, values) = (PyBuffer::get(keys)?, PyBuffer::get(values)?);
        let value_bytes = layout.value.fixed_bytes();
        let mut entries = Entries::of(py, &keys, &values, value_bytes, TAKEN)?;
        let mut next = 0;
        let set = move |store: &mut Store| {
            let places = take_places(&mut next, entries.len(), value_bytes);
            let some = entries.take(places);
            let done = set_all(store, some.len(), |i| Key::Int(some.key(i)), |i| some.value(i));
            (done.is_err() || next == entries.len()).then_some(done)
        };
        self.store.with_detached(py, set)?.map_err(out_of_memory)
    }

    /// Remove the keys of an int array that are there; how many were. The interpreter is released.
    fn _delete_array<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.kinds().int_keys_layout(py, "map")?;
        let keys = PyBuffer::get(keys)?;
        let keys = Elements::of(py, &keys, false)?;
        let (mut next, mut removed) = (0, 0);
        let removed = self.store.with_detached(py, move |store| {
            let keys = &keys;
            let places = take_places(&mut next, keys.len(), 0);
            removed += remove_all(store, places.len(), |i| Key::Int(keys.get(places.start + i)));
            (next == keys.len()).then_some(removed)
        })?;
        make::size(py, removed)
    }
}
