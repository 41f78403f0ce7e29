//! The methods of `Cache` for one key, for all, and for the interpreter; those for many keys are in `bulk`.

use crate::cache::chest::expiry::{alive, drop_expired, using};
use crate::cache::chest::state::Chest;
use crate::cache::class::Cache;
use crate::cache::fast::get_value;
use crate::cache::iter::CacheIterator;
use crate::cache::limits::Limits;
use crate::cache::refused::Refused;
use crate::cache::settings::{Callable, Settings, first_time, seconds};
use crate::cache::shared::{Kept, Shared};
use crate::cache::{copies, walks};
use crate::kinds::given::Kinds;
use crate::kinds::kind::ValueKind;
use crate::kinds::layout::Layout;
use crate::kinds::new::{Key, New, Value};
use crate::kinds::read::Read;
use crate::mapping::iter::What;
use crate::mapping::methods::{Fallback, describe, note, pop};
use crate::mapping::slots::{HasLanes, made_without_arguments};
use crate::python::errors::{error, missing, out_of_memory};
use crate::python::make;
use crate::python::reserve::has_room_for;
use ebb::{Clock, RawTable};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

/// Bytes of a cache that are not in its table.
const OWN_BYTES: usize = size_of::<Cache>() + size_of::<Shared>() - size_of::<ebb::Cache>();

made_without_arguments!(Cache);

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        if !has_room_for::<Shared>() {
            return Err(out_of_memory(()));
        }
        Ok(Cache { shared: Kept::new(Shared::new()) })
    }

    /// Fix what the cache is; `Cache.__init__` calls it.
    #[allow(clippy::too_many_arguments)] // as many as a cache has settings
    fn _configure(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        ttl: Option<f64>,
        idle: Option<f64>,
        max_items: Option<usize>,
        max_bytes: Option<usize>,
        on_remove: Option<Py<PyAny>>,
        timer: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let kinds = Kinds::of(key, value)?;
        let limits = Limits {
            clock: clock_of(timer.as_ref().map(|timer| timer.bind(py)))?,
            ttl: ttl.filter(|seconds| seconds.is_finite()),
            idle: idle.filter(|seconds| seconds.is_finite()),
            max_items: max_items.unwrap_or(usize::MAX),
            max_bytes: max_bytes.map_or(usize::MAX, |bytes| bytes.saturating_sub(OWN_BYTES)),
            tells: on_remove.is_some(),
        };
        check_bound(py, &limits, kinds.layout(), max_bytes)?;
        let (on_remove, timer) = (Callable::new(on_remove), Callable::new(timer));
        self.configure(py, Settings { kinds, limits, max_bytes, on_remove, timer })
    }

    /// The names of the kinds, and the codec of a dtype.
    fn _kinds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.kinds().names(py)
    }

    /// Seconds an entry lives, if it is not set with others; None: for ever.
    #[getter]
    fn ttl<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::float_or_none(py, self.shared.settings().limits.ttl)
    }

    /// Seconds an entry lives without being used; None: for ever.
    #[getter]
    fn idle<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::float_or_none(py, self.shared.settings().limits.idle)
    }

    /// Entries the cache may have; None: any number.
    #[getter]
    fn max_items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let max_items = self.shared.settings().limits.max_items;
        make::size_or_none(py, (max_items != usize::MAX).then_some(max_items))
    }

    /// Bytes the cache may hold; None: any number.
    #[getter]
    fn max_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size_or_none(py, self.shared.settings().max_bytes)
    }

    /// What is called with those who leave.
    #[getter]
    fn on_remove(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.shared.settings().on_remove.get(py)
    }

    /// The clock the cache was given; None: the system's.
    #[getter]
    fn timer(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.shared.settings().timer.get(py)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.sweep_and(py, |chest, _| chest.store.table().len())
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.contains_item(key.py(), &self.key(key)?)
    }

    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Cache::get_item(slf, key, &slf.get().key(key)?)
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_pair(key, value, None)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.delete_item(key, &self.key(key)?)
    }

    fn __iter__(slf: &Bound<'_, Self>) -> CacheIterator {
        CacheIterator::new(slf, What::Keys)
    }

    fn _iter_values(slf: &Bound<'_, Self>) -> CacheIterator {
        CacheIterator::new(slf, What::Values)
    }

    fn _iter_items(slf: &Bound<'_, Self>) -> CacheIterator {
        CacheIterator::new(slf, What::Items)
    }

    /// All items that are there all along, as a list of pairs. O(n).
    fn _snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        walks::snapshot(self, py)
    }

    /// All items that are there all along, as a list of (key, value, seconds left, seconds left without use). O(n).
    fn _entries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        copies::entries(self, py)
    }

    /// Set what is alive in a cache of the same settings, to expire when it does there; keys and values as `copied`
    /// gives them, if there is one. O(n).
    #[pyo3(signature = (other, copied=None))]
    fn _copy_from(&self, other: &Bound<'_, Self>, copied: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        copies::copy(other.get(), self, copied, other.py())
    }

    /// Set what `_entries` has given; what was left of each life then is left now. O(n).
    fn _restore(&self, entries: &Bound<'_, PyAny>) -> PyResult<()> {
        copies::restore(self, entries)
    }

    /// The value of `key`, or `default`. A use of the entry. O(1).
    #[pyo3(signature = (key, /, default=None))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(get_value(self, key)?.or(default))
    }

    /// As `get`, but no use of the entry; and a `key` that can't be one here is not there.
    fn _peek(&self, key: &Bound<'_, PyAny>, default: Py<PyAny>) -> PyResult<Py<PyAny>> {
        let py = key.py();
        let Some(possible) = Key::new_if_possible(self.kinds().key, key)? else { return Ok(default) };
        let moment = self.moment(py)?;
        let read = self.locate(py, &possible, &moment, |found, _, _| {
            alive(found, &moment).ok().map(|found| found.entry().read_value(py))
        })?;
        Ok(self.kinds().finish(py, read)?.unwrap_or(default))
    }

    /// The value of `key` and the seconds that its ttl leaves it (inf for ever), or None. A use of the entry, unless
    /// only `peeking`. O(1).
    #[pyo3(signature = (key, peeking=false))]
    fn _get_with_lifetime<'py>(&self, key: &Bound<'py, PyAny>, peeking: bool) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = key.py();
        let read = self.get_with_lifetime(key, peeking)?;
        read.map(|(value, left)| make::tuple(py, [value.into_bound(py), make::float(py, left)?])).transpose()
    }

    /// Set `key` to `value`, to live for `ttl` (seconds, a timedelta, "10m"; None: the cache's). O(1).
    ///
    /// Raises `ValueError` if the entry alone takes more than `max_bytes`; nothing has changed then.
    #[pyo3(signature = (key, value, ttl=None))]
    fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.set_pair(key, value, seconds(ttl)?)
    }

    /// Whether an entry would be refused for taking more than `max_bytes`: not for what else is wrong with it. O(1).
    fn _is_too_large(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> bool {
        let (Ok(key_of), Ok(value_of)) = (self.key(key), self.value(value)) else { return false };
        let new = New { hash: 0, key: &key_of, value: &value_of };
        let checked = self.shared.chest.with(key.py(), |chest| chest.check_fits(new));
        matches!(checked, Err(Refused::TooLarge(_) | Refused::TooLong(_)))
    }

    /// Whether those who leave are announced to `on_remove`, if there is one.
    fn _set_telling(&self, py: Python<'_>, tells: bool) {
        let tells = tells && self.shared.settings().tells();
        self.shared.chest.with(py, |chest| chest.limits.tells = tells);
    }

    /// Let `key` live for `ttl` from now on (None: the cache's), as a use of it; whether it is there. O(1).
    #[pyo3(signature = (key, ttl=None))]
    fn touch(&self, key: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let py = key.py();
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let (key, moment) = (self.key(key)?, self.moment(py)?);
        self.locate(py, &key, &moment, |found, _, _| {
            alive(found, &moment).map(|mut found| found.touch(lives, &moment)).is_ok()
        })
    }

    /// Seconds until `key` expires, if nobody uses it; None: never. `KeyError` if it is not there. O(1).
    fn expires_in<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let (typed, moment) = (self.key(key)?, self.moment(py)?);
        let left = self.locate(py, &typed, &moment, |found, _, _| {
            let found = alive(found, &moment).ok()?;
            Some(found.holder().limits.seconds_left(found.deadlines().first(), &moment))
        })?;
        left.map_or_else(|| Err(missing(key)), |left| make::float_or_none(py, left))
    }

    /// Remove all that has expired, and return it as a list of (key, value). O(1) a removed entry. `MemoryError` if the list
    /// can't be made: what has been removed by then is told to `on_remove` alone.
    fn expire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        walks::expire(self, py)
    }

    /// Remove `key` and return its value, or `default`, or raise `KeyError`. O(1).
    #[pyo3(signature = (key, /, default=Fallback(None)), text_signature = "($self, key, /, default=...)")]
    fn pop(&self, key: &Bound<'_, PyAny>, default: Fallback<'_>) -> PyResult<Py<PyAny>> {
        pop(key, default, || self.take(key.py(), &self.key(key)?))
    }

    /// Remove some entry and return it as `(key, value)`; `KeyError` if there is none. O(1) on average.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.take_any(py)?.ok_or_else(|| error::<PyKeyError>(py, format_args!("popitem(): the cache is empty")))
    }

    /// The value of `key`, as a use of it; if it has none, `default`, which is set. O(1).
    #[pyo3(signature = (key, /, default=None))]
    fn setdefault(&self, key: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let none = make::none(key.py());
        self.set_default(key.py(), &self.key(key)?, default.unwrap_or(&none))
    }

    /// Remove everything and give all memory back. O(n).
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let contents = self.sweep_and(py, |chest, _| {
            chest.counts.cleared.add(chest.store.table().len() as u64);
            chest.take()
        })?;
        self.release_cleared(py, contents);
        Ok(())
    }

    /// Bytes held now: entries with their deadlines, index and this object's own. O(1).
    #[getter]
    fn nbytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        make::size(py, self.shared.chest.with(py, |chest| chest.store.table().bytes()) + OWN_BYTES)
    }

    /// Count a memoized call that took the result of another.
    fn _count_coalesced(&self, py: Python<'_>) {
        self.shared.chest.with(py, |chest| chest.counts.coalesced.add(1));
    }

    fn _stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (counts, (table, payload)) = self.sweep_and(py, |chest, _| (chest.counts.clone(), chest.store.stats()))?;
        let dict = make::dict(py)?;
        note(&dict, counts.named())?;
        describe(&dict, &table, payload, OWN_BYTES)?;
        Ok(dict)
    }

    /// Walk every invariant of the table; raises what is broken as a panic. For tests.
    fn _check(&self, py: Python<'_>) {
        self.shared.chest.with(py, |chest| {
            chest.store.check();
            assert!(chest.store.table().len() <= chest.limits.max_items);
            assert!(chest.store.table().bytes() <= chest.limits.max_bytes);
        });
    }

    /// Let only so many more allocations succeed (`None`: all). For tests.
    fn _set_allowance(&self, py: Python<'_>, allocations: Option<u64>) {
        self.shared.chest.with(py, |chest| chest.store.set_allowance(allocations));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(settings) = self.shared.settings.get() else { return Ok(()) };
        settings.on_remove.traverse(&visit)?;
        settings.timer.traverse(&visit)?;
        if !settings.kinds.layout().has_objects() {
            return Ok(());
        }
        // A busy table is skipped: what it holds then looks referenced from outside, which is safe.
        self.shared.chest.try_with(|chest| chest.store.traverse(visit)).unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        // A bound method of the cache's own would keep it for ever.
        if let Some(settings) = self.shared.settings.get() {
            drop((settings.on_remove.take(), settings.timer.take()));
        }
        if let Some(contents) = self.shared.chest.try_with(Chest::take) {
            Python::attach(|py| contents.release(py));
        }
    }
}

impl Cache {
    /// See `_get_with_lifetime`.
    pub(crate) fn get_with_lifetime(
        &self,
        key: &Bound<'_, PyAny>,
        peeking: bool,
    ) -> PyResult<Option<(Py<PyAny>, f64)>> {
        let py = key.py();
        let (key, moment) = (self.key(key)?, self.moment(py)?);
        let read = self.locate(py, &key, &moment, |found, _, _| {
            let found = if peeking { alive(found, &moment) } else { using(found, &moment) }.ok()?;
            let left = found.holder().limits.seconds_left(found.deadlines().hard, &moment);
            Some((found.entry().read_value(py), left.unwrap_or(f64::INFINITY)))
        })?;
        let Some((read, left)) = read else { return Ok(None) };
        Ok(self.kinds().finish(py, Some(read))?.map(|value| (value, left)))
    }

    /// Fix the settings.
    fn configure(&self, py: Python<'_>, settings: Settings) -> PyResult<()> {
        let (layout, limits) = (settings.kinds.layout(), settings.limits);
        let refused = self.shared.chest.with(py, |chest| {
            let refused = self.shared.settings.set(settings).err();
            if refused.is_none() {
                *chest = Chest::new(layout, limits);
            }
            refused // has objects, to be dropped outside
        });
        let message = format_args!("a cache can't be made anew once it is made or used");
        refused.map_or(Ok(()), |_| Err(error::<PyTypeError>(py, message)))
    }

    /// See `setdefault`.
    fn set_default(&self, py: Python<'_>, key: &Key<'_>, default: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        // An object is a value in any case: so keys are asked once.
        let is_object = self.kinds().value == ValueKind::Object;
        if !is_object && let Some(value) = self.find_value(py, key)? {
            return Ok(value);
        }
        let value = self.value(default)?;
        let made = self.kinds().read_back(py, &value, default)?; // before it is set: nothing fails after that
        let read = self.read_or_set(py, key, &value, is_object)?;
        Ok(self.kinds().finish(py, read)?.unwrap_or(made))
    }

    /// The value that is there, as a use of it if it is to `count`; nothing if there is none, and `value` was set.
    fn read_or_set(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        value: &Value<'_>,
        count: bool,
    ) -> PyResult<Option<PyResult<Read>>> {
        let (moment, lives) = (self.moment(py)?, self.shared.settings().limits.lives(None));
        let read = self.locate(py, key, &moment, |found, hash, step| {
            let found = drop_expired(found, step)?;
            match if count { using(found, &moment) } else { found } {
                Ok(found) => Ok(Some(found.entry().read_value(py))),
                absent => Chest::put(absent, step, New { hash, key, value }, lives).map(|()| None),
            }
        })?;
        read.map_err(|refused| self.refusal(py, refused))
    }
}

/// The system's clock, or a given one from what it shows now.
fn clock_of(timer: Option<&Bound<'_, PyAny>>) -> PyResult<Clock> {
    timer.map_or(Ok(Clock::System), |timer| first_time(timer).map(Clock::starting_at))
}

/// `ValueError` if no entry fits into `max_bytes`.
fn check_bound(py: Python<'_>, limits: &Limits, layout: Layout, max_bytes: Option<usize>) -> PyResult<()> {
    let Some(bytes) = max_bytes else { return Ok(()) };
    let least = limits.least_bytes(layout);
    if limits.max_bytes >= least {
        return Ok(());
    }
    let least = least + OWN_BYTES;
    let message =
        format_args!("max_bytes must be at least {least}, what a cache with one small entry takes, not {bytes}");
    Err(error::<PyValueError>(py, message))
}
