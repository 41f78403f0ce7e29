//! Many keys of a map in one call. Where no object is involved, arrays are served with the interpreter released.

use crate::kinds::kind::KeyKind;
use crate::kinds::layout::word;
use crate::kinds::new::{Key, Value};
use crate::map::batches::{remove_all, set_all};
use crate::map::class::Map;
use crate::mapping::arrays::{Entries, Lookups};
use crate::mapping::bulk::{
    TAKEN, collect, find_each, find_some_at_a_time, objects_of, objects_of_both, read_all, take_places, take_values,
};
use crate::mapping::pairs::set_pairs;
use crate::python::buffer::Elements;
use crate::python::calls::buffer;
use crate::python::errors::out_of_memory;
use crate::python::make;
use crate::python::pace::Pace;
use crate::table::store::{Found, Store};
use ebb::RawTable;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyList;

impl Map {
    fn is_inline(&self) -> bool {
        !self.kinds().layout().has_objects()
    }

    fn keys_of<'a>(&self, py: Python<'_>, keys: &'a [Bound<'_, PyAny>], pace: &mut Pace) -> PyResult<Vec<Key<'a>>> {
        collect(py, keys.iter().map(|key| self.key(key)), pace)
    }

    /// Set keys and values that are no objects, many to a hold of the lock.
    fn set_inline(&self, py: Python<'_>, keys: &[Key<'_>], values: &[Value<'_>], pace: &mut Pace) -> PyResult<()> {
        let mut next = 0;
        while next < keys.len() {
            let (places, bytes) = take_values(&mut next, values);
            let (keys, values) = (&keys[places.clone()], &values[places]);
            let set = |store: &mut Store| set_all(store, keys.len(), |i| keys[i].borrowed(), |i| values[i].borrowed());
            self.store.with(py, set).map_err(|_| self.no_room_for_all(py, keys, values))?;
            pace.copied(py, keys.len() * 64 + bytes)?;
        }
        Ok(())
    }

    #[cold]
    fn no_room_for_all(&self, py: Python<'_>, keys: &[Key<'_>], values: &[Value<'_>]) -> PyErr {
        let mut errors = keys.iter().zip(values).map(|(key, value)| self.no_room(py, key, value));
        let too_long = errors.find(|error| !error.is_instance_of::<PyMemoryError>(py));
        too_long.unwrap_or_else(|| out_of_memory(()))
    }

    fn remove_inline(&self, py: Python<'_>, keys: &[Key<'_>], pace: &mut Pace) -> PyResult<usize> {
        let mut removed = 0;
        for keys in keys.chunks(TAKEN) {
            removed += self.store.with(py, |store| remove_all(store, keys.len(), |i| keys[i].borrowed()));
            pace.steps(py, keys.len())?;
        }
        Ok(removed)
    }

    fn remove_each(&self, py: Python<'_>, keys: &[Key<'_>], pace: &mut Pace) -> PyResult<usize> {
        let mut removed = 0;
        for key in keys {
            let dropped = self.locate(py, key, |found, _| found.ok().map(|found| found.remove().1))?;
            removed += usize::from(dropped.map(|dropped| dropped.release(py)).is_some());
            pace.step(py)?;
        }
        Ok(removed)
    }
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
                    Found::inline(store, hash, key).ok().map(|found| found.entry().read_value(py))
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
        if self.is_inline() {
            return self.set_inline(py, &keys, &values, &mut pace);
        }
        for (key, value) in keys.iter().zip(&values) {
            self.set_typed(py, key, value)?;
            pace.copied(py, value.len())?;
        }
        Ok(())
    }

    /// Remove the keys of an iterable that are there; how many were.
    fn _delete_list<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let mut pace = Pace::default();
        let keys = objects_of(keys, &mut pace)?;
        let keys = self.keys_of(py, &keys, &mut pace)?;
        let removed = match self.is_inline() {
            true => self.remove_inline(py, &keys, &mut pace)?,
            false => self.remove_each(py, &keys, &mut pace)?,
        };
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
        let (keys, values, found) = (buffer(keys)?, buffer(values)?, buffer(found)?);
        let value_bytes = layout.value_kind().fixed_bytes();
        let mut lookups = Lookups::of(py, &keys, &values, &found, value_bytes)?;
        let mut next = 0;
        self.store.with_detached(py, move |store| {
            let places = take_places(&mut next, lookups.len(), value_bytes);
            lookups.fill(places, store, |store, hash, key, answer| {
                let entry = store.table().get(hash, |entry| word(entry) == key as u64);
                entry.into_iter().for_each(|entry| answer.give(layout.value(entry)));
            });
            (next == lookups.len()).then_some(())
        })
    }

    /// Set an array of int keys to an array of values, given as its bytes. The interpreter is released.
    fn _set_array(&self, py: Python<'_>, keys: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let layout = self.kinds().array_layout(py, "map")?;
        let (keys, values) = (buffer(keys)?, buffer(values)?);
        let value_bytes = layout.value_kind().fixed_bytes();
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
        let keys = buffer(keys)?;
        let keys = Elements::of(py, &keys)?;
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
