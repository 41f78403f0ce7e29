//! Walks over a cache. Entries may come, go and expire meanwhile: what is there all along is met exactly once.

use crate::cache::Cache;
use crate::cache::chest::{BATCH, Chest, this_thread};
use crate::cache::gone::{Cause, Gone};
use crate::cache::instances::mark_in;
use crate::cache::limits::Lives;
use crate::cache::moment::Moment;
use crate::calls;
use crate::convert::Read;
use crate::errors::{error, out_of_memory, with_room};
use crate::layout::KeptKey;
use crate::lock::{Guarded, forks};
use crate::make;
use crate::pace::{self, Pace};
use crate::store::{Part, Parts};
use ebb::{Deadlines, Found, RawTable};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::iter::reduced;
pub(super) use crate::iter::{Ended, Next, What};

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
        let left = cache.get().shared.chest.with(cache.py(), |chest| chest.store.table.len());
        let cache = Some(cache.clone().unbind());
        let walk = Walk { cache, position: Some(0), keys: Vec::new(), changes: None, left, pace: Pace::default() };
        CacheIterator { what, walk: Guarded::new(walk) }
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
            while !self.keys.is_empty() {
                passed.try_reserve(1).map_err(out_of_memory)?;
                let Some((hash, key)) = self.keys.pop() else { break };
                let found = chest.alive(chest.store.find_kept(hash, &key), moment);
                passed.push(key);
                let Some(found) = found else { continue };
                self.left = self.left.saturating_sub(1);
                let key = (what != What::Values).then(|| chest.store.read_key(py, chest.store.table.entry(found)));
                let value = (what != What::Keys).then(|| chest.store.read_value(py, found));
                return Ok(Some((key.transpose()?, value.transpose()?)));
            }
            let Some(position) = self.position else { return Ok(None) };
            self.position = part_keys(py, chest, position, moment, &mut self.keys)?;
        }
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
    let layout = chest.store.layout;
    let mut done = Ok(());
    let next = chest.store.table.visit_part(position, &|entry| layout.hash(entry), |hash, found| {
        if done.is_ok() && !chest.is_over(found, moment) {
            done = keys.try_reserve(1).map_err(out_of_memory).and_then(|()| {
                let entry = chest.store.table.entry(found);
                keys.push((hash, layout.keep_key(py, entry)?));
                Ok(())
            });
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
        let moment = cache.get().moment(py)?;
        let mut passed = Vec::new();
        let read =
            cache.get().shared.chest.with(py, |chest| {
                self.walk.with(py, |walk| walk.next_read(py, chest, self.what, &moment, &mut passed))
            });
        drop(passed);
        let next = read.map_err(|ended| ended.into_error(py, "cache got a new key during iteration"))?;
        if next.is_none() {
            drop(self.walk.with(py, |walk| walk.cache.take()));
        }
        next.map(|next| cache.get().kinds().finish_next(py, next)).transpose()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.walk.try_with(|walk| walk.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        drop(self.walk.try_with(|walk| (walk.cache.take(), std::mem::take(&mut walk.keys))));
    }
}

/// An entry that is alive, and when it expires.
type Alive = ((Read, Read), Deadlines);

/// Call `each` with all that is alive: in the order it came in, where the cache is bounded. Some entries at a time are read
/// under the lock, and there are pauses between: what is there all along is met exactly once.
fn each_alive(
    cache: &Cache,
    py: Python<'_>,
    moment: &Moment,
    mut each: impl FnMut(Alive) -> PyResult<()>,
) -> PyResult<()> {
    let (len, in_order) = cache.shared.chest.with(py, |chest| (chest.store.table.len(), begin_walk(chest)));
    let mut pace = Pace::default();
    let mut pass_on = |some: Vec<Alive>| {
        pace.steps(py, 2 * some.len())?;
        some.into_iter().try_for_each(&mut each)
    };
    if !in_order {
        return Parts::of(len)
            .try_for_each(|part| pass_on(cache.shared.chest.with(py, |chest| read_part(py, chest, part, moment))?));
    }
    let done = (0..len.div_ceil(BATCH))
        .try_for_each(|_| pass_on(cache.shared.chest.with(py, |chest| read_on(py, chest, moment))?));
    cache.shared.chest.with(py, |chest| chest.walked_in = None);
    done
}

/// Begin a walk in the order of coming, unless there is no order, or another thread walks.
fn begin_walk(chest: &mut Chest) -> bool {
    let begun = chest.walked_in != Some(forks()) && chest.store.table.begin_walk();
    if begun {
        chest.walked_in = Some(forks());
    }
    begun
}

/// Read what is alive of a part of the table.
fn read_part(py: Python<'_>, chest: &Chest, part: Part, moment: &Moment) -> PyResult<Vec<Alive>> {
    let (mut alive, mut done) = (Vec::new(), Ok(())); // as for a map's `read_part`
    chest.store.visit_part(part, |_, found| {
        if done.is_ok() {
            done = read(py, chest, found, moment, &mut alive);
        }
    });
    done.map(|()| alive)
}

/// Read what is alive of those that the walk comes to next.
fn read_on(py: Python<'_>, chest: &mut Chest, moment: &Moment) -> PyResult<Vec<Alive>> {
    let (mut alive, layout) = (Vec::new(), chest.store.layout);
    for _ in 0..BATCH {
        let Some(found) = chest.store.table.next_of_walk(&|entry| layout.hash(entry)) else { break };
        read(py, chest, found, moment, &mut alive)?;
    }
    Ok(alive)
}

fn read(py: Python<'_>, chest: &Chest, found: Found, moment: &Moment, alive: &mut Vec<Alive>) -> PyResult<()> {
    if !chest.is_over(found, moment) {
        alive.try_reserve(1).map_err(out_of_memory)?;
        alive.push((chest.store.read_pair(py, found)?, chest.store.table.deadlines(found)));
    }
    Ok(())
}

/// All items, as [`each_alive`] meets them.
pub(crate) fn snapshot<'py>(cache: &Cache, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let items = make::list(py)?;
    each_alive(cache, py, &cache.moment(py)?, |(read, _)| items.append(cache.kinds().finish_pair(py, read)?))?;
    Ok(items)
}

/// All items, with what is left of their lives; but for those of instances, which are not kept.
pub(crate) fn entries<'py>(cache: &Cache, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let items = make::list(py)?;
    let moment = cache.moment(py)?;
    each_alive(cache, py, &moment, |((key, value), deadlines)| {
        let lives = cache.shared.settings().limits.lives_left(deadlines, &moment);
        let key = key.finish(py, None)?;
        if mark_in(key.bind(py)).is_some() {
            return Ok(());
        }
        let value = value.finish(py, cache.kinds().codec.as_ref())?;
        let [hard, idle] = [make::float_or_none(py, lives.hard)?, make::float_or_none(py, lives.idle)?];
        items.append(make::tuple(py, [key.into_bound(py), value.into_bound(py), hard, idle])?)
    })?;
    Ok(items)
}

/// Set in `to`, which has the same clock, all that is alive in `from`, to expire when it does there; as `copied` gives
/// it, if there is one. Entries of instances that are not kept stay behind: nothing would remove them there.
pub(crate) fn copy(from: &Cache, to: &Cache, copied: Option<&Bound<'_, PyAny>>, py: Python<'_>) -> PyResult<()> {
    let copy = |object: Py<PyAny>| match copied {
        Some(copied) => calls::call(copied, [object.bind(py)]).map(Bound::unbind),
        None => Ok(object),
    };
    each_alive(from, py, &from.moment(py)?, |((key, value), deadlines)| {
        let key = key.finish(py, None)?;
        if mark_in(key.bind(py)).is_some() {
            return Ok(());
        }
        let value = value.finish(py, from.kinds().codec.as_ref())?;
        let (key, value) = (copy(key)?, copy(value)?);
        to.put_until(py, &to.key(key.bind(py))?, &to.value(value.bind(py))?, deadlines)
    })
}

/// Set what [`entries`] has given, to live on from now: what the reading takes is for none of them.
pub(crate) fn restore(cache: &Cache, entries: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = entries.py();
    let moment = cache.moment(py)?;
    let mut pace = Pace::default();
    for entry in calls::items(entries)? {
        let [key, value, hard, idle] = &parts(&entry?)?;
        let lives = Lives { hard: seconds_or_none(hard)?, idle: seconds_or_none(idle)? };
        let deadlines = cache.shared.settings().limits.deadlines(lives, &moment);
        cache.put_until(py, &cache.key(key)?, &cache.value(value)?, deadlines)?;
        pace.step(py)?;
    }
    Ok(())
}

/// What an entry of [`entries`] is made of.
fn parts<'py>(entry: &Bound<'py, PyAny>) -> PyResult<[Bound<'py, PyAny>; 4]> {
    match entry.cast::<PyTuple>() {
        Ok(entry) if entry.len() == 4 => {
            Ok([entry.get_item(0)?, entry.get_item(1)?, entry.get_item(2)?, entry.get_item(3)?])
        }
        _ => {
            let message = format_args!("an entry of a pickled cache must be a tuple of four");
            Err(error::<PyTypeError>(entry.py(), message))
        }
    }
}

fn seconds_or_none(given: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    if given.is_none() { Ok(None) } else { calls::float(given).map(Some) }
}

/// Remove all that has expired; the items.
pub(crate) fn expire<'py>(cache: &Cache, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let moment = cache.moment(py)?;
    let items = make::list(py)?;
    let mut pace = Pace::default();
    loop {
        let mut reads = Vec::new();
        let mut gone = Gone::default();
        // Without the sweeping that goes with an operation: what that removes would not be returned.
        let more = cache.shared.chest.with(py, |chest| {
            let more = expire_some(py, chest, &moment, &mut reads, &mut gone);
            cache.note_due(chest);
            more
        });
        cache.after_step(py, gone);
        for read in reads {
            items.append(cache.kinds().finish_pair(py, read)?)?;
        }
        if !more? {
            return Ok(items);
        }
        pace.steps(py, 2 * BATCH)?;
    }
}

/// Remove some that have expired; whether there are more.
fn expire_some(
    py: Python<'_>,
    chest: &mut Chest,
    moment: &Moment,
    reads: &mut Vec<(Read, Read)>,
    gone: &mut Gone,
) -> PyResult<bool> {
    let mut steps = BATCH;
    while let Some(found) = chest.next_expired(moment.time(), &mut steps) {
        reads.try_reserve(1).map_err(out_of_memory)?;
        let read = chest.store.read_pair(py, found)?;
        chest.depart(py, found, Cause::Expired, gone)?;
        reads.push(read);
    }
    Ok(chest.is_due(moment))
}
