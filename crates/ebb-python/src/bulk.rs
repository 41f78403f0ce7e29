//! Many keys in one call: the cache lines of a batch are asked for before any is needed, and where no object is
//! involved the interpreter is released.
#![allow(unsafe_code)] // arrays used while other Python threads run

use crate::convert::{Key, Read, Value};
use crate::kinds::KeyKind;
use crate::map::{Map, out_of_memory};
use crate::search::Holder;
use crate::store::{New, Store, hash, hash_int, word};
use ebb::OutOfMemory;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::borrow::Cow;

/// Keys that are asked for at a time.
const BATCH: usize = 32;

/// The elements of a contiguous buffer, for as long as the buffer is held.
pub(crate) struct Elements<T>(*mut T, usize);
// SAFETY: plain numbers. As with NumPy's own functions that release the GIL, a program that writes to an array while
// another thread has it in a call gets some old and some new numbers.
unsafe impl<T: Copy + Send> Send for Elements<T> {}

impl<T: pyo3::buffer::Element> Elements<T> {
    pub(crate) fn of(buffer: &PyBuffer<T>, writable: bool) -> PyResult<Self> {
        if !buffer.is_c_contiguous() || (writable && buffer.readonly()) {
            return Err(PyValueError::new_err("an array must be contiguous, and writable to be filled"));
        }
        Ok(Elements(buffer.buf_ptr().cast(), buffer.item_count()))
    }

    pub(crate) fn len(&self) -> usize {
        self.1
    }

    #[inline]
    pub(crate) fn get(&self, i: usize) -> T {
        assert!(i < self.1);
        // SAFETY: in bounds; the buffer is held by the caller and contiguous, and `T` is its element type.
        unsafe { self.0.add(i).read_unaligned() }
    }
}

impl Elements<u8> {
    #[inline]
    pub(crate) fn slice(&self, from: usize, len: usize) -> &[u8] {
        assert!(from + len <= self.1);
        // SAFETY: in bounds, as in `get`.
        unsafe { std::slice::from_raw_parts(self.0.add(from), len) }
    }

    #[inline]
    pub(crate) fn write(&mut self, from: usize, bytes: &[u8]) {
        assert!(from + bytes.len() <= self.1);
        // SAFETY: in bounds, as in `get`; the buffer is writable.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.add(from), bytes.len()) }
    }
}

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

/// Set many keys of an inline map. The new ones first: they go again if memory runs out. Then the others are written
/// over, which takes memory only where values vary in size.
fn set_all<'a>(
    store: &mut Store,
    count: usize,
    key_at: impl Fn(usize) -> Key<'a>,
    value_at: impl Fn(usize) -> Value<'a>,
) -> Result<(), OutOfMemory> {
    let (mut inserted, mut others): (Vec<usize>, Vec<usize>) = Default::default();
    let done = in_batches(
        store,
        count,
        |i| hash(&key_at(i)),
        |store, i, hash| {
            let key = key_at(i);
            let is_new = store.find_inline(hash, &key).is_none();
            let list = if is_new { &mut inserted } else { &mut others };
            list.try_reserve(1).map_err(|_| OutOfMemory)?;
            list.push(i);
            if is_new { store.insert(New { hash, key: &key, value: &value_at(i) }) } else { Ok(()) }
        },
    );
    if done.is_err() {
        // The last one noted may not have got in.
        for &i in inserted.iter().rev() {
            remove_one(store, &key_at(i));
        }
        return done;
    }
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
    let mut collected = Vec::new();
    collected.try_reserve_exact(items.len()).map_err(out_of_memory)?;
    for item in items {
        collected.push(item?);
    }
    Ok(collected)
}

pub(crate) fn objects_of<'py>(list: &Bound<'py, PyList>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    collect(list.iter().map(Ok))
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
    let parts = item.try_iter().map_err(|_| {
        PyTypeError::new_err(format!("cannot convert {what} update sequence element #{place} to a sequence"))
    })?;
    let parts: Vec<_> = parts.collect::<PyResult<_>>()?;
    let len = parts.len();
    let [key, value] = <[_; 2]>::try_from(parts).map_err(|_| {
        PyValueError::new_err(format!("{what} update sequence element #{place} has length {len}; 2 is required"))
    })?;
    Ok((key, value))
}

#[pymethods]
impl Map {
    /// Set every pair of an iterable, in order.
    fn _set_pairs(&self, pairs: &Bound<'_, PyAny>) -> PyResult<()> {
        for (place, item) in pairs.try_iter()?.enumerate() {
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
        let values = PyList::empty(py);
        if self.kinds().key == KeyKind::Object {
            for key in keys {
                values.append(self.find_value(py, &self.key(&key)?)?.unwrap_or_else(|| absent.clone_ref(py)))?;
            }
            return Ok(values);
        }
        let keys = objects_of(keys)?;
        let keys = self.keys_of(&keys)?;
        let mut reads: Vec<Option<Read>> = Vec::new();
        reads.try_reserve_exact(keys.len()).map_err(out_of_memory)?;
        self.store
            .with(py, |store| {
                in_batches(
                    store,
                    keys.len(),
                    |i| hash(&keys[i]),
                    |store, i, hash| {
                        let found = store.find_inline(hash, &keys[i]);
                        reads.push(found.map(|found| store.read_value(py, found)).transpose()?);
                        Ok(())
                    },
                )
            })
            .map_err(|error: PyErr| error)?;
        let codec = self.kinds().codec.as_ref();
        for read in reads {
            values.append(read.map_or_else(|| Ok(absent.clone_ref(py)), |read| read.finish(py, codec))?)?;
        }
        Ok(values)
    }

    /// Set a list of keys to a list of values.
    fn _set_lists(&self, py: Python<'_>, keys: &Bound<'_, PyList>, values: &Bound<'_, PyList>) -> PyResult<()> {
        if keys.len() != values.len() {
            let (keys, values) = (keys.len(), values.len());
            return Err(PyValueError::new_err(format!(
                "set_many takes as many values as keys, not {values} values for {keys} keys"
            )));
        }
        let (keys, values) = (objects_of(keys)?, objects_of(values)?);
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
        self.store.with(py, set).map_err(out_of_memory)
    }

    /// Remove the keys of a list that are there; how many were.
    fn _delete_list(&self, py: Python<'_>, keys: &Bound<'_, PyList>) -> PyResult<usize> {
        let keys = objects_of(keys)?;
        let keys = self.keys_of(&keys)?;
        if self.is_inline() {
            let remove = |store: &mut Store| keys.iter().filter(|key| remove_one(store, key)).count();
            return Ok(self.store.with(py, remove));
        }
        let mut removed = 0;
        for key in &keys {
            let dropped = self.locate(py, key, |store, _, found| found.map(|found| store.remove(py, found)))?;
            removed += usize::from(dropped.map(|dropped| dropped.release(py)).is_some());
        }
        Ok(removed)
    }

    /// Fill `values`, the bytes of an array, and `found` for an array of int keys. The interpreter is released.
    fn _get_array(
        &self,
        py: Python<'_>,
        keys: PyBuffer<i64>,
        values: PyBuffer<u8>,
        found: PyBuffer<u8>,
    ) -> PyResult<()> {
        let layout = self.kinds().array_layout("map")?;
        let (keys, mut to, mut flags) =
            (Elements::of(&keys, false)?, Elements::of(&values, true)?, Elements::of(&found, true)?);
        let size = layout.value.fixed_bytes();
        if to.1 != keys.1 * size || flags.1 != keys.1 {
            return Err(PyValueError::new_err("arrays of keys and results must be of one length"));
        }
        self.store.with_detached(py, move |store| {
            let (keys, to, flags) = (&keys, &mut to, &mut flags);
            let _ = in_batches(
                store,
                keys.1,
                |i| hash_int(keys.get(i)),
                |store, i, hash| -> Result<(), ()> {
                    let key = keys.get(i) as u64;
                    if let Some(entry) = store.table.get(hash, |entry| word(entry) == key) {
                        to.write(i * size, layout.value(entry));
                        flags.write(i, &[1]);
                    }
                    Ok(())
                },
            );
        });
        Ok(())
    }

    /// Set an array of int keys to an array of values, given as its bytes. The interpreter is released.
    fn _set_array(&self, py: Python<'_>, keys: PyBuffer<i64>, values: PyBuffer<u8>) -> PyResult<()> {
        let layout = self.kinds().array_layout("map")?;
        let (keys, values) = (Elements::of(&keys, false)?, Elements::of(&values, false)?);
        let size = layout.value.fixed_bytes();
        if values.1 != keys.1 * size {
            return Err(PyValueError::new_err("arrays of keys and values must be of one length"));
        }
        let set = move |store: &mut Store| {
            let (keys, values) = (&keys, &values);
            let value_at = |i| Value::Bytes(Cow::Borrowed(values.slice(i * size, size)));
            set_all(store, keys.1, |i| Key::Int(keys.get(i)), value_at)
        };
        self.store.with_detached(py, set).map_err(out_of_memory)
    }

    /// Remove the keys of an int array that are there; how many were. The interpreter is released.
    fn _delete_array(&self, py: Python<'_>, keys: PyBuffer<i64>) -> PyResult<usize> {
        self.kinds().int_keys_layout("map")?;
        let keys = Elements::of(&keys, false)?;
        Ok(self.store.with_detached(py, move |store| {
            let keys = &keys;
            let mut removed = 0;
            let _ = in_batches(
                store,
                keys.1,
                |i| hash_int(keys.get(i)),
                |store, i, hash| -> Result<(), ()> {
                    if let Some(found) = store.find_int(hash, keys.get(i)) {
                        store.remove_inline(found);
                        removed += 1;
                    }
                    Ok(())
                },
            );
            removed
        }))
    }
}
