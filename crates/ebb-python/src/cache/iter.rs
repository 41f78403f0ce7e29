//! Walks over a cache. Entries may come, go and expire meanwhile: what is there all along is met exactly once.

use crate::cache::chest::expiry::alive;
use crate::cache::chest::state::{Chest, this_thread};
use crate::cache::class::Cache;
use crate::cache::moment::Moment;
use crate::kinds::entry::KeptKey;
use crate::mapping::iter::{Ended, Next, What, reduced};
use crate::python::errors::{out_of_memory, push_with, with_room};
use crate::python::lock::Guarded;
use crate::python::make;
use crate::python::pace::{self, Pace};
use crate::table::store::Found;
use ebb::RawTable;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Over the keys, values or items of a cache. Threads that share one get each entry once.
#[pyclass(frozen, module = "ebbmap._core")]
pub(crate) struct CacheIterator {
    what: What,
    /// Taken after the cache's lock, where both are.
    walk: Guarded<Walk>,
}

struct Walk {
    /// `None` once the end was reached.
    cache: Option<Py<Cache>>,
    /// Where the next part of the table is; `None` after the last.
    position: Option<u64>,
    /// Keys of this part that are still to come.
    keys: Vec<(u64, KeptKey)>,
    /// The count of new keys at the last step. `None` before the first: `list` makes the iterator and then asks for
    /// the length, which removes what has expired and may call an `on_remove` that sets keys.
    changes: Option<u64>,
    left: usize,
    pace: Pace,
}

impl CacheIterator {
    pub(crate) fn new(cache: &Bound<'_, Cache>, what: What) -> Self {
        let left = cache.get().shared.chest.with(cache.py(), |chest| chest.store.table().len());
        let cache = Some(cache.clone().unbind());
        let walk = Walk { cache, position: Some(0), keys: Vec::new(), changes: None, left, pace: Pace::default() };
        CacheIterator { what, walk: Guarded::new(walk) }
    }

    /// What the walk comes to next.
    fn step(&self, py: Python<'_>, cache: &Cache) -> PyResult<Option<Next>> {
        let (moment, mut passed) = (cache.moment(py)?, Vec::new());
        let read = cache
            .shared
            .chest
            .with(py, |chest| self.walk.with(py, |walk| walk.next_read(py, chest, self.what, &moment, &mut passed)));
        drop(passed);
        read.map_err(|ended| ended.into_error(py, "cache got a new key during iteration"))
    }
}

impl Walk {
    /// Fails if this thread has set a new key since the last step.
    fn check_for_new(&mut self, chest: &Chest) -> Result<(), Ended> {
        let inserts = chest.inserts();
        if self.changes.is_some_and(|changes| changes != inserts) && chest.last_inserter == this_thread() {
            return Err(Ended::Changed);
        }
        self.changes = Some(inserts);
        Ok(())
    }

    /// The next entry that is alive; what it takes to read it is held, so nothing needs to be asked.
    fn next_read(
        &mut self,
        py: Python<'_>,
        chest: &mut Chest,
        what: What,
        moment: &Moment,
        passed: &mut Vec<KeptKey>,
    ) -> Result<Option<Next>, Ended> {
        self.check_for_new(chest)?;
        loop {
            if let Some(found) = self.next_alive(chest, moment, passed)? {
                self.left = self.left.saturating_sub(1);
                let entry = found.entry();
                let key = (what != What::Values).then(|| entry.read_key(py));
                let value = (what != What::Keys).then(|| entry.read_value(py));
                return Ok(Some((key.transpose()?, value.transpose()?)));
            }
            let Some(position) = self.position else { return Ok(None) };
            self.position = part_keys(py, chest, position, moment, &mut self.keys)?;
        }
    }

    /// The next entry of this part that is alive.
    fn next_alive<'c>(
        &mut self,
        chest: &'c mut Chest,
        moment: &Moment,
        passed: &mut Vec<KeptKey>,
    ) -> PyResult<Option<Found<'c, Chest>>> {
        let mut chest = chest;
        while !self.keys.is_empty() {
            passed.try_reserve(1).map_err(out_of_memory)?;
            let Some((hash, key)) = self.keys.pop() else { break };
            let found = alive(Found::kept(chest, hash, &key), moment);
            passed.push(key);
            match found {
                Ok(found) => return Ok(Some(found)),
                Err(none) => chest = none,
            }
        }
        Ok(None)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.cache.as_ref().map_or(Ok(()), |cache| visit.call(cache))?;
        self.keys.iter().filter_map(|(_, key)| key.object()).try_for_each(|object| visit.call(object))
    }
}

/// Collect the keys of a part of the table; where the next part is. Where memory is short, none: the part is still to
/// come.
fn part_keys(
    py: Python<'_>,
    chest: &Chest,
    position: u64,
    moment: &Moment,
    keys: &mut Vec<(u64, KeptKey)>,
) -> PyResult<Option<u64>> {
    let mut done = Ok(());
    let next = chest.store.visit(position, |hash, seen| {
        if done.is_ok() && !moment.is_past(seen.deadlines().first()) {
            done = push_with(keys, || Ok((hash, seen.entry().keep_key(py)?)));
        }
    });
    if done.is_err() {
        keys.clear(); // the table has these objects too, so none of them ends here
    }
    done.map(|()| next)
}

#[pymethods]
impl CacheIterator {
    /// What is left, for copies and pickles; the iterator stays where it is. O(n).
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let at = self.walk.with(py, |walk| {
            let Some(cache) = &walk.cache else { return Ok(None) };
            let mut keys = with_room(walk.keys.len())?;
            for (hash, key) in &walk.keys {
                keys.push((*hash, key.copy(py)?));
            }
            Ok::<_, PyErr>(Some((cache.clone_ref(py), walk.position, keys, walk.changes)))
        })?;
        let Some((cache, position, keys, changes)) = at else { return reduced(py, || Ok(None)) };
        let copy = CacheIterator::new(cache.bind(py), self.what);
        copy.walk.with(py, |walk| (walk.position, walk.keys, walk.changes) = (position, keys, changes));
        reduced(py, || copy.__next__(py))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __length_hint__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size(py, self.walk.with(py, |walk| walk.left))
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let (cache, due) = self.walk.with(py, |walk| {
            let cache = walk.cache.as_ref().map(|cache| cache.clone_ref(py));
            (cache, walk.pace.is_due(1))
        });
        let Some(cache) = cache else { return Ok(None) };
        if due {
            pace::pause(py)?;
        }
        let next = self.step(py, cache.get())?;
        if next.is_none() {
            drop(self.walk.with(py, |walk| walk.cache.take()));
        }
        next.map(|next| cache.get().kinds().finish_next(py, next)).transpose()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.walk.try_with(visit, |walk| walk.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.walk.try_with(py, |walk| (walk.cache.take(), std::mem::take(&mut walk.keys))));
    }
}
