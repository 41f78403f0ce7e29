//! `ebbmap._core.Cache`: what has to be native. The rest is in `ebbmap/_cache.py`.

mod bulk;
pub(crate) mod chest;
pub(crate) mod fast;
pub(crate) mod gone;
mod iter;
pub(crate) mod sweeper;

use crate::convert::{Key, Value};
use crate::kinds::{KeyKind, ValueKind, value_kind};
use crate::lock::Guarded;
use crate::map::{Kinds, missing};
use crate::objects::release_nested;
use crate::search;
use crate::store::{Contents, New};
use chest::{BATCH, Chest, Limits, Lives, Moment, Refused};
use ebb::{Clock, Deadlines, Found, Policies, Time};
use gone::{Cause, Gone};
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyTuple};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub(crate) use iter::CacheIterator;

/// What a cache is made with, fixed by its first `__init__`.
pub(crate) struct Settings {
    pub(crate) kinds: Kinds,
    limits: Limits,
    max_bytes: Option<usize>,
    on_remove: Callable,
    timer: Callable,
}

impl Settings {
    fn plain() -> Self {
        let none = || Callable(Mutex::new(None));
        Settings { kinds: Kinds::OBJECTS, limits: Limits::NONE, max_bytes: None, on_remove: none(), timer: none() }
    }

    /// Whether those who leave are announced.
    #[inline]
    pub(crate) fn tells(&self) -> bool {
        self.limits.tells
    }

    /// Whether entries leave without any Python code.
    fn is_silent(&self) -> bool {
        !self.tells() && !self.kinds.layout().has_objects()
    }

    /// Whether time is the system's.
    #[inline]
    pub(crate) fn is_on_system_time(&self) -> bool {
        self.limits.clock == Clock::System
    }
}

/// What the cache was given to call, until the garbage collector takes it, to break a cycle that goes through it.
struct Callable(Mutex<Option<Py<PyAny>>>);

impl Callable {
    // No Python code runs under this lock.
    fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.as_ref().map(|callable| callable.clone_ref(py))
    }

    fn take(&self) -> Option<Py<PyAny>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One in use is skipped, which is safe: it looks referenced from outside.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock().as_deref() {
            Ok(Some(callable)) => visit.call(callable),
            _ => Ok(()),
        }
    }
}

/// A cache, as its own object and the sweeper know it.
pub(crate) struct Shared {
    pub(crate) settings: OnceLock<Settings>,
    pub(crate) chest: Guarded<Chest, true>,
    /// Nothing expires before this millisecond.
    due_at: AtomicU64,
    /// When the sweeper, which found the cache busy, comes again; 0 if it did not.
    retry_at: AtomicU64,
    /// Whether the sweeper knows of it.
    known: AtomicBool,
}

impl Shared {
    pub(crate) fn settings(&self) -> &Settings {
        self.settings.get_or_init(Settings::plain)
    }

    fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// When the sweeper is wanted, in milliseconds, `lag` after something is due.
    fn wanted_at(&self, lag: u64) -> u64 {
        match self.retry_at.load(Ordering::Relaxed) {
            0 => self.due_at.load(Ordering::SeqCst).saturating_add(lag),
            retry => retry,
        }
    }

    fn want_at(&self, millis: u64) {
        self.retry_at.store(millis.max(1), Ordering::Relaxed);
    }

    fn begin_sweep(&self) {
        self.retry_at.store(0, Ordering::Relaxed);
    }

    /// Nothing expires before `until`. Called under the cache's lock.
    fn note_due(&self, until: Time) {
        self.due_at.store(until.millis(), Ordering::SeqCst);
    }

    /// Tell of those who left, and drop them. Runs Python code, so never under a lock.
    pub(crate) fn settle(&self, py: Python<'_>, gone: Gone) {
        if !gone.is_empty() {
            let settings = self.settings();
            let on_remove = if settings.tells() { settings.on_remove.get(py) } else { None };
            gone.settle(py, on_remove.as_ref(), settings.kinds.codec.as_ref());
        }
    }
}

/// The native part of `ebbmap.Cache`.
#[pyclass(frozen, mapping, subclass, weakref, generic, module = "ebbmap._core")]
pub(crate) struct Cache {
    pub(crate) shared: Arc<Shared>,
}

/// Bytes of a cache that are not in its table.
const OWN_BYTES: usize = size_of::<Cache>() + size_of::<Shared>() - size_of::<ebb::Cache>();

impl Cache {
    #[inline]
    pub(crate) fn kinds(&self) -> &Kinds {
        &self.shared.settings().kinds
    }

    pub(crate) fn key<'a>(&self, key: &'a Bound<'_, PyAny>) -> PyResult<Key<'a>> {
        Key::new(self.kinds().key, key)
    }

    pub(crate) fn value<'a>(&self, value: &'a Bound<'_, PyAny>) -> PyResult<Value<'a>> {
        let kinds = self.kinds();
        Value::new(kinds.value, kinds.codec.as_ref(), value)
    }

    /// Now. Calls a given timer, so never under a lock.
    pub(crate) fn moment(&self, py: Python<'_>) -> PyResult<Moment> {
        let settings = self.shared.settings();
        if settings.is_on_system_time() {
            return Ok(Moment::later());
        }
        let timer = settings.timer.get(py).ok_or_else(|| PyRuntimeError::new_err("the cache is being collected"))?;
        read_timer(timer.bind(py)).map(Moment::at)
    }

    /// Do one step with the chest, and then what has to be done outside its lock.
    #[inline]
    pub(crate) fn step<R>(&self, py: Python<'_>, moment: &Moment, work: impl FnOnce(&mut Chest, &mut Gone) -> R) -> R {
        let mut gone = Gone::default();
        let result = self.shared.chest.with(py, |chest| {
            let result = work(chest, &mut gone);
            self.end_step(py, chest, moment, &mut gone);
            result
        });
        self.after_step(py, gone);
        result
    }

    /// As [`step`](Self::step), with what a search for `key` finds.
    #[inline]
    pub(crate) fn locate<R>(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        moment: &Moment,
        work: impl FnOnce(&mut Chest, u64, Option<Found>, &mut Gone) -> R,
    ) -> PyResult<R> {
        let mut gone = Gone::default();
        let result = search::locate(&self.shared.chest, py, key, |chest, hash, found| {
            let result = work(chest, hash, found, &mut gone);
            self.end_step(py, chest, moment, &mut gone);
            result
        });
        self.after_step(py, gone);
        result
    }

    #[inline]
    pub(crate) fn end_step(&self, py: Python<'_>, chest: &mut Chest, moment: &Moment, gone: &mut Gone) {
        chest.tidy(py, moment, gone);
        self.note_due(chest);
    }

    /// Note when something expires next. Called under the lock.
    #[inline]
    pub(crate) fn note_due(&self, chest: &Chest) {
        let until = chest.store.table.quiet_until();
        if until.millis() != self.shared.due_at.load(Ordering::Relaxed) && chest.limits.clock == Clock::System {
            self.shared.note_due(until);
        }
    }

    #[inline]
    pub(crate) fn after_step(&self, py: Python<'_>, gone: Gone) {
        let due = self.shared.due_at.load(Ordering::Relaxed);
        if due != u64::MAX && (!self.shared.is_known() || sweeper::is_news(due)) {
            sweeper::announce(py, &self.shared, due);
        }
        self.shared.settle(py, gone);
    }

    /// The value of a key that is alive, as a use of it.
    #[inline]
    pub(crate) fn find_value(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        let moment = self.moment(py)?;
        let read = self.locate(py, key, &moment, |chest, _, found, _| {
            chest.using(found, &moment).map(|found| chest.store.read_value(py, found))
        })?;
        self.kinds().finish(py, read)
    }

    pub(crate) fn put(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>, lives: Lives) -> PyResult<()> {
        let moment = self.moment(py)?;
        self.locate(py, key, &moment, |chest, hash, found, gone| {
            chest.put(py, found, New { hash, key, value }, lives, &moment, gone)
        })?
        .map_err(|refused| self.refusal(refused))
    }

    /// As [`put`](Self::put), to expire at given moments; nothing is done where they have come.
    fn put_until(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>, deadlines: Deadlines) -> PyResult<()> {
        let moment = self.moment(py)?;
        self.locate(py, key, &moment, |chest, hash, found, gone| {
            if moment.is_past(deadlines.first()) {
                return Ok(());
            }
            chest.put_at(py, found, New { hash, key, value }, deadlines, &moment, gone)
        })?
        .map_err(|refused| self.refusal(refused))
    }

    fn refusal(&self, refused: Refused) -> PyErr {
        refused.into_error(self.shared.settings().max_bytes)
    }

    pub(crate) fn set_pair(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, ttl: Option<f64>) -> PyResult<()> {
        let lives = self.shared.settings().limits.lives(ttl);
        self.put(key.py(), &self.key(key)?, &self.value(value)?, lives)
    }

    /// Take an entry out, deleted, and give its value.
    fn take(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        let moment = self.moment(py)?;
        let taken = self.locate(py, key, &moment, |chest, _, found, gone| {
            let found = found?;
            let cause = if chest.is_over(found, &moment) { Cause::Expired } else { Cause::Deleted };
            // Read first: where the value's object can't be made, the entry stays.
            let read = match chest.store.read_value(py, found) {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            };
            match chest.depart(py, found, cause, gone) {
                Ok(()) => (cause == Cause::Deleted).then_some(Ok(read)),
                Err(error) => Some(Err(error)),
            }
        })?;
        self.kinds().finish(py, taken)
    }

    pub(crate) fn delete(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        let moment = self.moment(py)?;
        self.locate(py, key, &moment, |chest, _, found, gone| {
            let Some(found) = found else { return Ok(false) };
            let over = chest.is_over(found, &moment);
            chest.depart(py, found, if over { Cause::Expired } else { Cause::Deleted }, gone)?;
            Ok(!over)
        })?
    }

    /// Remove all that has expired, some at a time, and then do `work` in one step with what is alive. `MemoryError`, and
    /// no work, where what has expired can't be told.
    pub(crate) fn sweep_and<R>(&self, py: Python<'_>, mut work: impl FnMut(&mut Chest, &mut Gone) -> R) -> PyResult<R> {
        let moment = self.moment(py)?;
        loop {
            let done = self.step(py, &moment, |chest, gone| {
                if chest.is_due(&moment) {
                    chest.sweep(py, moment.time(), BATCH, gone)?;
                    if chest.is_due(&moment) {
                        return Ok::<_, PyErr>(None);
                    }
                }
                Ok(Some(work(chest, gone)))
            })?;
            if let Some(result) = done {
                return Ok(result);
            }
        }
    }

    /// Tell of everything that a cache held, and drop it.
    fn release_cleared(&self, py: Python<'_>, contents: Contents<Policies>) {
        let settings = self.shared.settings();
        if let Some(on_remove) = settings.on_remove.get(py) {
            contents.each(|layout, entry| {
                let told = layout.read_key(py, entry).and_then(|key| Ok((key, layout.read_value(py, entry)?)));
                match told {
                    Ok(told) => gone::tell(py, &on_remove, settings.kinds.codec.as_ref(), told, Cause::Cleared),
                    Err(error) => error.write_unraisable(py, Some(on_remove.bind(py))),
                }
            });
        }
        contents.release(py);
    }
}

fn read_timer(timer: &Bound<'_, PyAny>) -> PyResult<Time> {
    let shown = timer.call0()?;
    let seconds = match shown.cast_exact::<PyFloat>() {
        Ok(float) => float.value(),
        Err(_) => shown.extract::<f64>()?,
    };
    Clock::given(seconds).ok_or_else(|| PyValueError::new_err("timer must give a number of seconds, not nan"))
}

/// A lifetime that a call gives: seconds, or whatever else stands for a duration.
fn seconds(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<f64>> {
    let Some(given) = given else { return Ok(None) };
    if let Ok(float) = given.cast_exact::<PyFloat>()
        && float.value() > 0.0
    {
        return Ok(Some(float.value()));
    }
    let module = given.py().import(intern!(given.py(), "ebbmap._units"))?;
    module.call_method1(intern!(given.py(), "seconds"), (given, "ttl"))?.extract().map(Some)
}

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        let chest = Chest::new(Kinds::OBJECTS.layout(), Limits::NONE);
        Cache {
            shared: Arc::new(Shared {
                settings: OnceLock::new(),
                chest: Guarded::new(chest),
                due_at: AtomicU64::new(u64::MAX),
                retry_at: AtomicU64::new(0),
                known: AtomicBool::new(false),
            }),
        }
    }

    /// Fix what the cache is; `_cache.Cache.__init__` calls it.
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
        let key_kind = KeyKind::of(key)?;
        let (value_kind, codec) = value_kind(value)?;
        let kinds = Kinds { key: key_kind, value: value_kind, codec };
        let clock = match &timer {
            None => Clock::System,
            Some(timer) => Clock::starting_at(read_timer(timer.bind(py))?),
        };
        let limits = Limits {
            clock,
            ttl: ttl.filter(|seconds| seconds.is_finite()),
            idle: idle.filter(|seconds| seconds.is_finite()),
            max_items: max_items.unwrap_or(usize::MAX),
            max_bytes: max_bytes.map_or(usize::MAX, |bytes| bytes.saturating_sub(OWN_BYTES)),
            tells: on_remove.is_some(),
        };
        let layout = kinds.layout();
        if let Some(bytes) = max_bytes {
            let least = limits.least_bytes(layout);
            if limits.max_bytes < least {
                let least = least + OWN_BYTES;
                return Err(PyValueError::new_err(format!(
                    "max_bytes must be at least {least}, what a cache with one small entry takes, not {bytes}"
                )));
            }
        }
        let (on_remove, timer) = (Callable(Mutex::new(on_remove)), Callable(Mutex::new(timer)));
        let settings = Settings { kinds, limits, max_bytes, on_remove, timer };
        let refused = self.shared.chest.with(py, |chest| {
            let refused = self.shared.settings.set(settings).err();
            if refused.is_none() {
                *chest = Chest::new(layout, limits);
            }
            refused // has objects, to be dropped outside
        });
        match refused {
            None => Ok(()),
            Some(_) => Err(PyTypeError::new_err("a cache can't be made anew once it is made or used")),
        }
    }

    /// The names of the kinds, and the codec of a dtype.
    fn _kinds<'py>(&self, py: Python<'py>) -> (&'static str, &'static str, Option<Bound<'py, PyAny>>) {
        self.kinds().names(py)
    }

    /// Seconds an entry lives, if it is not set with others; None: for ever.
    #[getter]
    fn ttl(&self) -> Option<f64> {
        self.shared.settings().limits.ttl
    }

    /// Seconds an entry lives without being used; None: for ever.
    #[getter]
    fn idle(&self) -> Option<f64> {
        self.shared.settings().limits.idle
    }

    /// Entries the cache may have; None: any number.
    #[getter]
    fn max_items(&self) -> Option<usize> {
        let max_items = self.shared.settings().limits.max_items;
        (max_items != usize::MAX).then_some(max_items)
    }

    /// Bytes the cache may hold; None: any number.
    #[getter]
    fn max_bytes(&self) -> Option<usize> {
        self.shared.settings().max_bytes
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
        self.sweep_and(py, |chest, _| chest.store.table.len())
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = key.py();
        let (key, moment) = (self.key(key)?, self.moment(py)?);
        self.locate(py, &key, &moment, |chest, _, found, _| chest.alive(found, &moment).is_some())
    }

    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let cache = slf.get();
        match cache.find_value(key.py(), &cache.key(key)?)? {
            Some(value) => Ok(value),
            None => crate::map::call_missing(slf.as_any(), key),
        }
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_pair(key, value, None)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let deleted = self.delete(key.py(), &self.key(key)?)?;
        if deleted { Ok(()) } else { Err(missing(key)) }
    }

    fn __iter__(slf: &Bound<'_, Self>) -> CacheIterator {
        CacheIterator::new(slf, iter::What::Keys)
    }

    fn _iter_values(slf: &Bound<'_, Self>) -> CacheIterator {
        CacheIterator::new(slf, iter::What::Values)
    }

    fn _iter_items(slf: &Bound<'_, Self>) -> CacheIterator {
        CacheIterator::new(slf, iter::What::Items)
    }

    /// All items at one moment, as a list of pairs. O(n).
    fn _snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        iter::snapshot(self, py)
    }

    /// All items at one moment, as a list of (key, value, seconds left, seconds left without use). O(n).
    fn _entries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        iter::entries(self, py)
    }

    /// Set what is alive in a cache of the same settings, to expire when it does there. O(n).
    fn _copy_from(&self, other: &Bound<'_, Self>) -> PyResult<()> {
        iter::copy(other.get(), self, other.py())
    }

    /// Set a key that lives so many seconds, and so many without use.
    fn _restore(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        hard: Option<f64>,
        idle: Option<f64>,
    ) -> PyResult<()> {
        self.put(key.py(), &self.key(key)?, &self.value(value)?, Lives { hard, idle })
    }

    /// The value of `key`, or `default`. A use of the entry. O(1).
    #[pyo3(signature = (key, default=None, /))]
    fn get(&self, key: &Bound<'_, PyAny>, default: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.find_value(key.py(), &self.key(key)?)?.or(default))
    }

    /// As `get`, but no use of the entry; and a `key` that can't be one here is not there.
    fn _peek(&self, key: &Bound<'_, PyAny>, default: Py<PyAny>) -> PyResult<Py<PyAny>> {
        let py = key.py();
        let Some(possible) = Key::new_if_possible(self.kinds().key, key)? else { return Ok(default) };
        let moment = self.moment(py)?;
        let read = self.locate(py, &possible, &moment, |chest, _, found, _| {
            chest.alive(found, &moment).map(|found| chest.store.read_value(py, found))
        })?;
        Ok(self.kinds().finish(py, read)?.unwrap_or(default))
    }

    /// The value of `key` and the seconds that its ttl leaves it (inf for ever), or None. A use of the entry, unless
    /// only `peeking`. O(1).
    #[pyo3(signature = (key, peeking=false))]
    fn _get_with_lifetime(&self, key: &Bound<'_, PyAny>, peeking: bool) -> PyResult<Option<(Py<PyAny>, f64)>> {
        let py = key.py();
        let (key, moment) = (self.key(key)?, self.moment(py)?);
        let read = self.locate(py, &key, &moment, |chest, _, found, _| {
            let found = if peeking { chest.alive(found, &moment)? } else { chest.using(found, &moment)? };
            let deadlines = chest.store.table.deadlines(found);
            let left = chest.limits.seconds_left(deadlines.hard, &moment).unwrap_or(f64::INFINITY);
            Some((chest.store.read_value(py, found), left))
        })?;
        let Some((read, left)) = read else { return Ok(None) };
        Ok(self.kinds().finish(py, Some(read))?.map(|value| (value, left)))
    }

    /// Set `key` to `value`, to live for `ttl` (seconds, a timedelta, "10m"; None: the cache's). O(1).
    ///
    /// Raises `ValueError` if the entry alone takes more than `max_bytes`; nothing has changed then.
    #[pyo3(signature = (key, value, ttl=None))]
    fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.set_pair(key, value, seconds(ttl)?)
    }

    /// Let `key` live for `ttl` from now on (None: the cache's), as a use of it; whether it is there. O(1).
    #[pyo3(signature = (key, ttl=None))]
    fn touch(&self, key: &Bound<'_, PyAny>, ttl: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let py = key.py();
        let lives = self.shared.settings().limits.lives(seconds(ttl)?);
        let (key, moment) = (self.key(key)?, self.moment(py)?);
        self.locate(py, &key, &moment, |chest, _, found, _| {
            chest.alive(found, &moment).map(|found| chest.touch(found, lives, &moment)).is_some()
        })
    }

    /// Seconds until `key` expires, if nobody uses it; None: never. `KeyError` if it is not there. O(1).
    fn expires_in(&self, key: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
        let py = key.py();
        let (typed, moment) = (self.key(key)?, self.moment(py)?);
        let left = self.locate(py, &typed, &moment, |chest, _, found, _| {
            let deadlines = chest.store.table.deadlines(chest.alive(found, &moment)?);
            Some(chest.limits.seconds_left(deadlines.first(), &moment))
        })?;
        left.ok_or_else(|| missing(key))
    }

    /// Remove all that has expired, and return it as a list of (key, value). O(1) a removed entry.
    fn expire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        iter::expire(self, py)
    }

    /// Remove `key` and return its value, or `default`, or raise `KeyError`. O(1).
    #[pyo3(signature = (key, *default))]
    fn pop(&self, key: &Bound<'_, PyAny>, default: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        crate::map::pop(key, default, || self.take(key.py(), &self.key(key)?))
    }

    /// Remove some entry and return it as `(key, value)`; `KeyError` if there is none. O(1) on average.
    fn popitem(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let popped = self.sweep_and(py, |chest, gone| {
            let found = chest.store.table.any()?;
            let entry = chest.store.table.entry(found);
            let read = chest.store.read_key(py, entry).and_then(|key| Ok((key, chest.store.read_value(py, found)?)));
            Some(read.and_then(|read| chest.depart(py, found, Cause::Deleted, gone).map(|()| read)))
        })?;
        let (key, value) = popped.ok_or_else(|| PyKeyError::new_err("popitem(): the cache is empty"))??;
        Ok((key.finish(py, None)?, value.finish(py, self.kinds().codec.as_ref())?))
    }

    /// The value of `key`, as a use of it; if it has none, `default`, which is set. O(1).
    #[pyo3(signature = (key, default=None, /))]
    fn setdefault(&self, key: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let py = key.py();
        let none = py.None().into_bound(py);
        let default = default.unwrap_or(&none);
        let typed = self.key(key)?;
        if let Some(value) = self.find_value(py, &typed)? {
            return Ok(value);
        }
        let value = self.value(default)?;
        let (moment, lives) = (self.moment(py)?, self.shared.settings().limits.lives(None));
        let read = self.locate(py, &typed, &moment, |chest, hash, found, gone| match chest.alive(found, &moment) {
            Some(found) => Ok(Some(chest.store.read_value(py, found))),
            None => {
                let new = New { hash, key: &typed, value: &value };
                chest.put(py, found, new, lives, &moment, gone).map(|()| None)
            }
        })?;
        match self.kinds().finish(py, read.map_err(|refused| self.refusal(refused))?)? {
            Some(value) => Ok(value),
            None => self.read_back(py, &value, default),
        }
    }

    /// Remove everything and give all memory back. O(n).
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let contents = self.sweep_and(py, |chest, _| {
            chest.counts.cleared += chest.store.table.len() as u64;
            chest.take()
        })?;
        self.release_cleared(py, contents);
        Ok(())
    }

    /// Bytes held now: entries with their deadlines, index, spare pages and this object's own. O(1).
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> usize {
        self.shared.chest.with(py, |chest| chest.store.table.bytes()) + OWN_BYTES
    }

    fn _stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (counts, (table, payload)) = self.sweep_and(py, |chest, _| (chest.counts, chest.store.stats()))?;
        let dict = PyDict::new(py);
        for (name, count) in [
            ("hits", counts.hits),
            ("misses", counts.misses),
            ("sets", counts.sets),
            ("replaced", counts.replaced),
            ("expired", counts.expired),
            ("evicted_by_count", counts.evicted_by_count),
            ("evicted_by_bytes", counts.evicted_by_bytes),
            ("deleted", counts.deleted),
            ("cleared", counts.cleared),
            ("removed", counts.deleted + counts.cleared),
        ] {
            dict.set_item(name, count)?;
        }
        crate::map::describe(&dict, &table, payload, OWN_BYTES)?;
        Ok(dict)
    }

    /// Walk every invariant of the table; raises what is broken as a panic. For tests.
    fn _check(&self, py: Python<'_>) {
        self.shared.chest.with(py, |chest| {
            chest.store.check();
            assert!(chest.store.table.len() <= chest.limits.max_items);
            assert!(chest.store.table.bytes() <= chest.limits.max_bytes);
        });
    }

    /// Let only so many more allocations succeed (`None`: all). For tests.
    fn _set_allowance(&self, py: Python<'_>, allocations: Option<u64>) {
        self.shared.chest.with(py, |chest| chest.store.table.set_allowance(allocations.unwrap_or(u64::MAX)));
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
    /// What a value that was just set reads as: the object itself, unless it is kept as something else.
    fn read_back(&self, py: Python<'_>, value: &Value<'_>, given: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if self.kinds().value == ValueKind::Object {
            return Ok(given.clone().unbind());
        }
        let bytes = value.to_bytes()?;
        crate::convert::read_value(py, self.kinds().value, &bytes)?.finish(py, self.kinds().codec.as_ref())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        Python::attach(|py| sweeper::forget(py, &self.shared));
        // The sweeper may be at work here, for a moment: it holds no lock but this, and waits for nobody under it.
        let contents = loop {
            if let Some(contents) = self.shared.chest.try_with(Chest::take) {
                break contents;
            }
            std::thread::yield_now();
        };
        if contents.has_objects() {
            Python::attach(|py| release_nested(py, |py| contents.release(py)));
        }
    }
}
