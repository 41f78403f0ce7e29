//! Many keys of a cache in one call.

use crate::arrays::{Elements, Entries, Lookups};
use crate::bulk::{collect, find_each, finish_all, in_batches, objects_of, objects_of_both, pair, read_all};
use crate::cache::Cache;
use crate::cache::chest::{BATCH, Chest, Refused};
use crate::cache::gone::Gone;
use crate::cache::settings::seconds;
use crate::calls;
use crate::convert::Key;
use crate::errors::with_room;
use crate::hash::hash_int;
use crate::kinds::KeyKind;
use crate::layout::New;
use crate::make;
use ebb::RawTable;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyList;

#[pymethods]
impl Cache {
    /// Set every pair of an iterable, in order.
    fn _set_pairs(&self, pairs: &Bound<'_, PyAny>) -> PyResult<()> {
        for (place, item) in calls::items(pairs)?.enumerate() {
            let (key, value) = pair(&item?, place, "cache")?;
            self.set_pair(&key, &value, None)?;
        }
        Ok(())
    }

    /// The values of a list of keys, as a use of them; `absent` for those that are not there.
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
        let keys = collect(keys.iter().map(|key| self.key(key)))?;
        let moment = self.moment(py)?;
        let mut reads = with_room(keys.len())?;
        self.step(py, &moment, |chest, _| {
            read_all(chest, &keys, &mut reads, |chest, hash, key| {
                let found = chest.using(chest.store.find_inline(hash, key), &moment);
                found.map(|found| chest.store.read_value(py, found))
            })
        })?;
        finish_all(py, reads, &absent, self.kinds().codec.as_ref())
    }

    /// Set a list of keys to a list of values. One that is refused ends it; those before it are set.
    #[pyo3(signature = (keys, values, ttl=None))]
    fn _set_lists(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, PyList>,
        values: &Bound<'_, PyList>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (keys, values) = objects_of_both(keys, values)?;
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let keys = collect(keys.iter().map(|key| self.key(key)))?;
        let values = collect(values.iter().map(|value| self.value(value)))?;
        keys.iter().zip(&values).try_for_each(|(key, value)| self.put(py, key, value, lives))
    }

    /// Remove the keys of a list that are there; how many were.
    fn _delete_list<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyList>) -> PyResult<Bound<'py, PyAny>> {
        let keys = objects_of(keys)?;
        let keys = collect(keys.iter().map(|key| self.key(key)))?;
        let mut removed = 0;
        for key in &keys {
            removed += usize::from(self.delete(py, key)?);
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
        let layout = self.kinds().array_layout(py, "cache")?;
        let (keys, values, found) = (PyBuffer::get(keys)?, PyBuffer::get(values)?, PyBuffer::get(found)?);
        let mut lookups = Lookups::of(py, &keys, &values, &found, layout.value.fixed_bytes())?;
        let moment = self.moment(py)?;
        self.shared.chest.with_detached(py, move |chest| {
            lookups.fill(chest, |chest, hash, key| {
                let found = chest.using(chest.store.find_int(hash, key), &moment);
                found.map(|found| layout.value(chest.store.table.entry(found)))
            });
        });
        Ok(())
    }

    /// Set an array of int keys to an array of values, given as its bytes. One that is refused ends it.
    #[pyo3(signature = (keys, values, ttl=None))]
    fn _set_array(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let layout = self.kinds().array_layout(py, "cache")?;
        let (keys, values) = (PyBuffer::get(keys)?, PyBuffer::get(values)?);
        let entries = Entries::of(py, &keys, &values, layout.value.fixed_bytes())?;
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let moment = self.moment(py)?;
        // Some hundred at a time, so that what has to leave for them is told and dropped between.
        for from in (0..entries.len()).step_by(BATCH) {
            let count = (entries.len() - from).min(BATCH);
            let set = |chest: &mut Chest, gone: &mut Gone| {
                in_batches(
                    chest,
                    count,
                    |i| hash_int(entries.key(from + i)),
                    |chest, i, hash| {
                        let key = entries.key(from + i);
                        let found = chest.store.find_int(hash, key);
                        let new = New { hash, key: &Key::Int(key), value: &entries.value(from + i) };
                        chest.put(py, found, new, lives, &moment, gone)
                    },
                )
            };
            self.step(py, &moment, set).map_err(|refused: Refused| self.refusal(py, refused))?;
        }
        Ok(())
    }

    /// Remove the keys of an int array that are there; how many were.
    fn _delete_array<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.kinds().int_keys_layout(py, "cache")?;
        let keys = PyBuffer::get(keys)?;
        let keys = Elements::of(py, &keys, false)?;
        let mut removed = 0;
        for i in 0..keys.len() {
            removed += usize::from(self.delete(py, &Key::Int(keys.get(i)))?);
        }
        make::size(py, removed)
    }
}
