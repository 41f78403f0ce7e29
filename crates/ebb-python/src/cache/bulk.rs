//! Many keys of a cache in one call.

use crate::bulk::{Elements, collect, in_batches, objects_of, pair};
use crate::cache::chest::{Chest, Moment, Refused};
use crate::cache::gone::Gone;
use crate::cache::{Cache, seconds};
use crate::convert::{Key, Read, Value};
use crate::kinds::KeyKind;
use crate::map::out_of_memory;
use crate::store::{New, hash, hash_int};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::borrow::Cow;

#[pymethods]
impl Cache {
    /// Set every pair of an iterable, in order.
    fn _set_pairs(&self, pairs: &Bound<'_, PyAny>) -> PyResult<()> {
        for (place, item) in pairs.try_iter()?.enumerate() {
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
        let values = PyList::empty(py);
        if self.kinds().key == KeyKind::Object {
            for key in keys {
                values.append(self.find_value(py, &self.key(&key)?)?.unwrap_or_else(|| absent.clone_ref(py)))?;
            }
            return Ok(values);
        }
        let keys = objects_of(keys)?;
        let keys = collect(keys.iter().map(|key| self.key(key)))?;
        let moment = self.moment(py)?;
        let mut reads: Vec<Option<Read>> = Vec::new();
        reads.try_reserve_exact(keys.len()).map_err(out_of_memory)?;
        self.step(py, &moment, |chest, _| {
            in_batches(
                chest,
                keys.len(),
                |i| hash(&keys[i]),
                |chest, i, hash| {
                    let found = chest.using(chest.store.find_inline(hash, &keys[i]), &moment);
                    reads.push(found.map(|found| chest.store.read_value(py, found)).transpose()?);
                    Ok::<_, PyErr>(())
                },
            )
        })?;
        let codec = self.kinds().codec.as_ref();
        for read in reads {
            values.append(read.map_or_else(|| Ok(absent.clone_ref(py)), |read| read.finish(py, codec))?)?;
        }
        Ok(values)
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
        if keys.len() != values.len() {
            let (keys, values) = (keys.len(), values.len());
            return Err(PyValueError::new_err(format!(
                "set_many takes as many values as keys, not {values} values for {keys} keys"
            )));
        }
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let (keys, values) = (objects_of(keys)?, objects_of(values)?);
        let keys = collect(keys.iter().map(|key| self.key(key)))?;
        let values = collect(values.iter().map(|value| self.value(value)))?;
        keys.iter().zip(&values).try_for_each(|(key, value)| self.put(py, key, value, lives))
    }

    /// Remove the keys of a list that are there; how many were.
    fn _delete_list(&self, py: Python<'_>, keys: &Bound<'_, PyList>) -> PyResult<usize> {
        let keys = objects_of(keys)?;
        let keys = collect(keys.iter().map(|key| self.key(key)))?;
        let mut removed = 0;
        for key in &keys {
            removed += usize::from(self.delete(py, key)?);
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
        let layout = self.kinds().array_layout("cache")?;
        let (keys, mut to, mut flags) =
            (Elements::of(&keys, false)?, Elements::of(&values, true)?, Elements::of(&found, true)?);
        let size = layout.value.fixed_bytes();
        if to.len() != keys.len() * size || flags.len() != keys.len() {
            return Err(PyValueError::new_err("arrays of keys and results must be of one length"));
        }
        let moment = self.moment(py)?;
        self.shared.chest.with_detached(py, move |chest| {
            let (keys, to, flags, moment) = (&keys, &mut to, &mut flags, &moment);
            let _ = in_batches(
                chest,
                keys.len(),
                |i| hash_int(keys.get(i)),
                |chest, i, hash| -> Result<(), ()> {
                    if let Some(found) = chest.using(chest.store.find_int(hash, keys.get(i)), moment) {
                        to.write(i * size, layout.value(chest.store.table.entry(found)));
                        flags.write(i, &[1]);
                    }
                    Ok(())
                },
            );
        });
        Ok(())
    }

    /// Set an array of int keys to an array of values, given as its bytes. One that is refused ends it.
    #[pyo3(signature = (keys, values, ttl=None))]
    fn _set_array(
        &self,
        py: Python<'_>,
        keys: PyBuffer<i64>,
        values: PyBuffer<u8>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let layout = self.kinds().array_layout("cache")?;
        let (keys, values) = (Elements::of(&keys, false)?, Elements::of(&values, false)?);
        let size = layout.value.fixed_bytes();
        if values.len() != keys.len() * size {
            return Err(PyValueError::new_err("arrays of keys and values must be of one length"));
        }
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let moment = self.moment(py)?;
        // Some hundred at a time, so that what has to leave for them is told and dropped between.
        for from in (0..keys.len()).step_by(crate::cache::chest::BATCH) {
            let count = (keys.len() - from).min(crate::cache::chest::BATCH);
            let set = |chest: &mut Chest, gone: &mut Gone| {
                in_batches(
                    chest,
                    count,
                    |i| hash_int(keys.get(from + i)),
                    |chest, i, hash| {
                        let key = keys.get(from + i);
                        let found = chest.store.find_int(hash, key);
                        let (key, value) = (Key::Int(key), values.slice((from + i) * size, size));
                        let new = New { hash, key: &key, value: &Value::Bytes(Cow::Borrowed(value)) };
                        chest.put(py, found, new, lives, &moment, gone)
                    },
                )
            };
            self.step(py, &moment, set).map_err(|refused: Refused| self.refusal(refused))?;
        }
        Ok(())
    }

    /// Remove the keys of an int array that are there; how many were.
    fn _delete_array(&self, py: Python<'_>, keys: PyBuffer<i64>) -> PyResult<usize> {
        self.kinds().int_keys_layout("cache")?;
        let keys = Elements::of(&keys, false)?;
        let mut removed = 0;
        for i in 0..keys.len() {
            removed += usize::from(self.delete(py, &Key::Int(keys.get(i)))?);
        }
        Ok(removed)
    }
}

// A moment is one thread's at a time.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Moment>();
};
