//! Many keys of a cache in one call.

use crate::cache::chest::expiry::using;
use crate::cache::chest::state::{BATCH, Chest};
use crate::cache::class::Cache;
use crate::cache::limits::Lives;
use crate::cache::moment::Moment;
use crate::cache::refused::Refused;
use crate::cache::settings::seconds;
use crate::cache::step::Step;
use crate::kinds::hash::hash_int;
use crate::kinds::kind::KeyKind;
use crate::kinds::new::{Key, New};
use crate::mapping::arrays::{Entries, Lookups, SomeEntries};
use crate::mapping::bulk::{
    collect, find_each, find_some_at_a_time, objects_of, objects_of_both, read_all, take_places,
};
use crate::mapping::pairs::set_pairs;
use crate::python::buffer::Elements;
use crate::python::calls::buffer;
use crate::python::make;
use crate::python::pace::Pace;
use crate::table::batches::in_batches;
use crate::table::store::Found;
use pyo3::prelude::*;
use pyo3::types::PyList;

impl Cache {
    fn keys_of<'a>(&self, py: Python<'_>, keys: &'a [Bound<'_, PyAny>], pace: &mut Pace) -> PyResult<Vec<Key<'a>>> {
        collect(py, keys.iter().map(|key| self.key(key)), pace)
    }
}

#[pymethods]
impl Cache {
    /// Set every pair of an iterable, in order. If its iterator raises `RuntimeError`, all are set anew, as `again()` lists
    /// them.
    #[pyo3(signature = (pairs, again=None))]
    fn _set_pairs(&self, pairs: &Bound<'_, PyAny>, again: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        set_pairs(pairs, again, "cache", |key, value| self.set_pair(key, value, None))
    }

    /// The values of an iterable of keys, as a list and a use of them; `absent` for those that are not there.
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
            let moment = self.moment(py)?;
            self.step(py, &moment, |chest, _| {
                read_all(chest, keys, reads, |chest, hash, key| {
                    let found = using(Found::inline(chest, hash, key), &moment);
                    found.ok().map(|found| found.entry().read_value(py))
                })
            })
        })
    }

    /// Set the keys of an iterable to the values of another one. One that is refused ends it; those before it are set.
    #[pyo3(signature = (keys, values, ttl=None))]
    fn _set_lists(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let mut pace = Pace::default();
        let (keys, values) = objects_of_both(keys, values, &mut pace)?;
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let keys = self.keys_of(py, &keys, &mut pace)?;
        let values = collect(py, values.iter().map(|value| self.value(value)), &mut pace)?;
        for (key, value) in keys.iter().zip(&values) {
            self.put(py, key, value, lives)?;
            pace.copied(py, value.len())?;
        }
        Ok(())
    }

    /// Remove the keys of an iterable that are there; how many were.
    fn _delete_list<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let mut pace = Pace::default();
        let keys = objects_of(keys, &mut pace)?;
        let keys = self.keys_of(py, &keys, &mut pace)?;
        let mut removed = 0;
        for key in &keys {
            removed += usize::from(self.delete(py, key)?);
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
        let layout = self.kinds().array_layout(py, "cache")?;
        let (keys, values, found) = (buffer(keys)?, buffer(values)?, buffer(found)?);
        let value_bytes = layout.value_kind().fixed_bytes();
        let mut lookups = Lookups::of(py, &keys, &values, &found, value_bytes)?;
        let given = self.moment(py)?.was_read(); // by a timer; the system's clock is read anew each time
        let mut next = 0;
        self.shared.chest.with_detached(py, move |chest| {
            let moment = given.map_or_else(Moment::later, Moment::at);
            let places = take_places(&mut next, lookups.len(), value_bytes);
            lookups.fill(places, chest, |chest, hash, key, answer| {
                let found = using(Found::int(chest, hash, key), &moment);
                found.into_iter().for_each(|found| answer.give(layout.value(found.entry().bytes())));
            });
            (next == lookups.len()).then_some(())
        })
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
        let (keys, values) = (buffer(keys)?, buffer(values)?);
        let value_bytes = layout.value_kind().fixed_bytes();
        let mut entries = Entries::of(py, &keys, &values, value_bytes, BATCH)?;
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let moment = self.moment(py)?;
        let mut pace = Pace::default();
        // Some hundred at a time, so that what has to leave for them is told and dropped between.
        for from in (0..entries.len()).step_by(BATCH) {
            let some = entries.take(from..entries.len().min(from + BATCH));
            let set = self.step(py, &moment, |chest, step| set_some(chest, &some, lives, step));
            set.map_err(|refused| self.refusal(py, refused))?;
            pace.copied(py, some.len() * (64 + value_bytes))?;
        }
        Ok(())
    }

    /// Remove the keys of an int array that are there; how many were.
    fn _delete_array<'py>(&self, py: Python<'py>, keys: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.kinds().int_keys_layout(py, "cache")?;
        let keys = buffer(keys)?;
        let keys = Elements::of(py, &keys)?;
        let (mut removed, mut pace) = (0, Pace::default());
        for i in 0..keys.len() {
            removed += usize::from(self.delete(py, &Key::Int(keys.get(i)))?);
            pace.step(py)?;
        }
        make::size(py, removed)
    }
}

/// Set some entries of an array.
fn set_some(chest: &mut Chest, some: &SomeEntries<'_>, lives: Lives, step: &mut Step<'_, '_>) -> Result<(), Refused> {
    let hash_at = |i| hash_int(some.key(i));
    in_batches(chest, some.len(), hash_at, |chest, i, hash| {
        let (found, key) = (Found::int(chest, hash, some.key(i)), Key::Int(some.key(i)));
        Chest::put(found, step, New { hash, key: &key, value: &some.value(i) }, lives)
    })
}
