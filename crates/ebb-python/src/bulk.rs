//! Many keys in one call: the cache lines of a batch are asked for before any is needed, and where no object is
//! involved the interpreter is released.

use crate::arrays::{Elements, Entries, Lookups};
use crate::calls;
use crate::convert::{Key, Read, Value};
use crate::errors::{error, out_of_memory, with_room};
use crate::hash::{hash, hash_int};
use crate::kinds::{Codec, KeyKind};
use crate::layout::{New, word};
use crate::make;
use crate::map::Map;
use crate::search::Holder;
use crate::store::Store;
use ebb::{OutOfMemory, RawTable};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::convert::Infallible;

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

impl Map {
    fn is_inline(&self) -> bool {
        !self.kinds().layout().has_objects()
    }

    fn keys_of<'a>(&self, keys: &'a [Bound<'_, PyAny>]) -> PyResult<Vec<Key<'a>>> {
        collect(keys.iter().map(|key| self.key(key)))
    }
}

/// As `Iterator::collect`, with `MemoryError` where there is no room for so many.
pub(crate) fn collect<T>(items: impl ExactSizeIterator<Item = PyResult<T>>) -> PyResult<Vec<T>> {
    let mut collected = with_room(items.len())?;
    for item in items {
        collected.push(item?);
    }
    Ok(collected)
}

pub(crate) fn objects_of<'py>(list: &Bound<'py, PyList>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    collect(list.iter().map(Ok))
}

type Objects<'py> = Vec<Bound<'py, PyAny>>;

/// The keys and values of two lists.
pub(crate) fn objects_of_both<'py>(
    keys: &Bound<'py, PyList>,
    values: &Bound<'py, PyList>,
) -> PyResult<(Objects<'py>, Objects<'py>)> {
    if keys.len() != values.len() {
        let (py, keys, values) = (keys.py(), keys.len(), values.len());
        let message = format_args!("set_many takes as many values as keys, not {values} values for {keys} keys");
        return Err(error::<PyValueError>(py, message));
    }
    Ok((objects_of(keys)?, objects_of(values)?))
}

/// The values of keys that are looked up one at a time; `absent` for those that are not there.
pub(crate) fn find_each<'py>(
    keys: &Bound<'py, PyList>,
    absent: &Py<PyAny>,
    find: impl Fn(&Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>>,
) -> PyResult<Bound<'py, PyList>> {
    let values = make::list(keys.py())?;
    for key in keys {
        values.append(find(&key)?.unwrap_or_else(|| absent.clone_ref(keys.py())))?;
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

/// What was read, as objects; `absent` for what was not there.
pub(crate) fn finish_all<'py>(
    py: Python<'py>,
    reads: Vec<Option<Read>>,
    absent: &Py<PyAny>,
    codec: Option<&Codec>,
) -> PyResult<Bound<'py, PyList>> {
    let values = make::list(py)?;
    for read in reads {
        values.append(read.map_or_else(|| Ok(absent.clone_ref(py)), |read| read.finish(py, codec))?)?;
    }
    Ok(values)
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

#[pymethods]
impl Map {
    /// Set every pair of an iterable, in order.
    fn _set_pairs(&self, pairs: &Bound<'_, PyAny>) -> PyResult<()> {
        for (place, item) in calls::items(pairs)?.enumerate() {
            let (key, value) = pair(&item?, place, "map")?;
            self.set(&key, &value)?;
        }
        Ok(())
    }

    /// The values of a list of keys; `absent` for those that are not there.
    fn _get_list<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyList>,
        absent: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        if self.kinds().key == KeyKind::Object {
            return find_each(keys, &absent, |key| self.find_value(py, &self.key(key)?));
        }
        let keys = objects_of(keys)?;
        let keys = self.keys_of(&keys)?;
        let mut reads = with_room(keys.len())?;
        self.store.with(py, |store| {
            read_all(store, &keys, &mut reads, |store, hash, key| {
                store.find_inline(hash, key).map(|found| store.read_value(py, found))
            })
        })?;
        finish_all(py, reads, &absent, self.kinds().codec.as_ref())
    }

    /// Set a list of keys to a list of values.
    fn _set_lists(&self, py: Python<'_>, keys: &Bound<'_, PyList>, values: &Bound<'_, PyList>) -> PyResult<()> {
        let (keys, values) = objects_of_both(keys, values)?;
        let typed = self.keys_of(&keys)?;
        let typed_values = collect(values.iter().map(|value| self.value(value)))?;
        if !self.is_inline() {
            for (key, value) in typed.iter().zip(&typed_values) {
                self.set_typed(py, key, value)?;
            }
            return Ok(());
        }
        let set =
            |store: &mut Store| set_all(store, typed.len(), |i| typed[i].borrowed(), |i| typed_values[i].borrowed());
        self.store.with(py, set).map_err(|_| {
            let mut errors = typed.iter().zip(&typed_values).map(|(key, value)| self.no_room(py, key, value));
            let too_long = errors.find(|error| !error.is_instance_of::<PyMemoryError>(py));
            too_long.unwrap_or_else(|| out_of_memory(()))
        })
    }

    /// Remove the keys of a list that are there; how many were.
    fn _delete_list<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyList>) -> PyResult<Bound<'py, PyAny>> {
        let keys = objects_of(keys)?;
        let keys = self.keys_of(&keys)?;
        if self.is_inline() {
            let remove = |store: &mut Store| keys.iter().filter(|key| remove_one(store, key)).count();
            return make::size(py, self.store.with(py, remove));
        }
        let mut removed = 0;
        for key in &keys {
            let dropped = self.locate(py, key, |store, _, found| found.map(|found| store.remove(found)))?;
            removed += usize::from(dropped.map(|dropped| dropped.release(py)).is_some());
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
        let mut lookups = Lookups::of(py, &keys, &values, &found, layout.value.fixed_bytes())?;
        self.store.with_detached(py, move |store| {
            lookups.fill(store, |store, hash, key| {
                let entry = store.table.get(hash, |entry| word(entry) == key as u64);
                entry.map(|entry| layout.value(entry))
            });
        });
        Ok(())
    }

    /// Set an array of int keys to an array of values, given as its bytes. The interpreter is released.
    fn _set_array(&self, py: Python<'_>, keys: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let layout = self.kinds().array_layout(py, "map")?;
        let (keys, values) = (PyBuffer::get(keys)?, PyBuffer::get(values)?);
        let entries = Entries::of(py, &keys, &values, layout.value.fixed_bytes())?;
        let set = move |store: &mut Store| {
            let entries = &entries;
            set_all(store, entries.len(), |i| Key::Int(entries.key(i)), |i| entries.value(i))
        };
        self.store.with_detached(py, set).map_err(out_of_memory)
    }

    /// Remove the keys of an int array that are there; how many were. The interpreter is released.
    fn _delete_array<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.kinds().int_keys_layout(py, "map")?;
        let keys = PyBuffer::get(keys)?;
        let keys = Elements::of(py, &keys, false)?;
        let removed = self.store.with_detached(py, move |store| {
            let keys = &keys;
            let mut removed = 0;
            let Ok(()) = in_batches(
                store,
                keys.len(),
                |i| hash_int(keys.get(i)),
                |store, i, hash| {
                    if let Some(found) = store.find_int(hash, keys.get(i)) {
                        store.remove_inline(found);
                        removed += 1;
                    }
                    Ok::<_, Infallible>(())
                },
            );
            removed
        });
        make::size(py, removed)
    }
}
