//! `ebbmap._core.Cache`: an operation as Python sees it, before the cache is locked, under the lock, and after it. The rest
//! is in `ebbmap/_internal/cache.py`.

use crate::cache::chest::expiry::using;
use crate::cache::chest::state::{BATCH, Chest};
use crate::cache::gone::{self, Cause, Gone};
use crate::cache::limits::Lives;
use crate::cache::moment::Moment;
use crate::cache::refused::Refused;
use crate::cache::settings::read_timer;
use crate::cache::shared::Kept;
use crate::cache::step::Step;
use crate::cache::sweeper::announce::{announce, forget};
use crate::kinds::given::Kinds;
use crate::kinds::new::{Key, New, Value};
use crate::python::calls;
use crate::python::errors::error;
use crate::python::pace::Pace;
use crate::python::release::release_nested;
use crate::table::contents::Contents;
use crate::table::search;
use crate::table::store::Searched;
use crate::table::take::{Seen, take_out, take_out_pair};
use ebb::{Clock, Deadlines};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The native part of `ebbmap.Cache`.
#[pyclass(frozen, mapping, subclass, weakref, generic, module = "ebbmap._core")]
pub(crate) struct Cache {
    pub(super) shared: Kept,
}

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
        let timer = settings.timer.get(py);
        let timer = timer.ok_or_else(|| error::<PyRuntimeError>(py, format_args!("the cache is being collected")))?;
        read_timer(timer.bind(py)).map(Moment::at)
    }

    /// Do one step with the chest, and then what has to be done outside its lock.
    #[inline]
    pub(crate) fn step<'py, R>(
        &self,
        py: Python<'py>,
        moment: &Moment,
        work: impl FnOnce(&mut Chest, &mut Step<'_, 'py>) -> R,
    ) -> R {
        let mut gone = Gone::default();
        let result = self.shared.chest.with(py, |chest| {
            let mut step = Step { py, moment, gone: &mut gone };
            let result = work(chest, &mut step);
            self.end_step(chest, &mut step);
            result
        });
        self.after_step(py, gone);
        result
    }

    /// As [`step`](Self::step), with what a search for `key` finds.
    #[inline]
    pub(crate) fn locate<'py, R>(
        &self,
        py: Python<'py>,
        key: &Key<'_>,
        moment: &Moment,
        work: impl FnOnce(Searched<'_, Chest>, u64, &mut Step<'_, 'py>) -> R,
    ) -> PyResult<R> {
        let mut gone = Gone::default();
        let mut step = Step { py, moment, gone: &mut gone };
        let end = |chest: &mut Chest, step: &mut Step<'_, 'py>| self.end_step(chest, step);
        let result = search::locate(&self.shared.chest, py, key, &mut step, work, end);
        self.after_step(py, gone);
        result
    }

    #[inline(always)]
    pub(crate) fn end_step(&self, chest: &mut Chest, step: &mut Step<'_, '_>) {
        chest.tidy(step);
        self.note_due(chest);
    }

    /// Note when something expires next. Called under the lock.
    #[inline(always)]
    pub(crate) fn note_due(&self, chest: &Chest) {
        let until = chest.store.table().quiet_until();
        if until.millis() != self.shared.due_at() && chest.limits.clock == Clock::System {
            self.shared.note_due(until);
        }
    }

    #[inline(always)]
    pub(crate) fn after_step(&self, py: Python<'_>, gone: Gone) {
        announce(py, &self.shared);
        self.shared.settle(py, gone);
    }

    /// The value of a key that is alive, as a use of it.
    #[inline]
    pub(crate) fn find_value(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        let moment = self.moment(py)?;
        let read = self.locate(py, key, &moment, |found, _, _| {
            using(found, &moment).ok().map(|found| found.entry().read_value(py))
        })?;
        self.kinds().finish(py, read)
    }

    pub(crate) fn put(&self, py: Python<'_>, key: &Key<'_>, value: &Value<'_>, lives: Lives) -> PyResult<()> {
        let moment = self.moment(py)?;
        self.locate(py, key, &moment, |found, hash, step| Chest::put(found, step, New { hash, key, value }, lives))?
            .map_err(|refused| self.refusal(py, refused))
    }

    /// As [`put`](Self::put), to expire at given moments; nothing is done where they have come.
    pub(super) fn put_until(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        value: &Value<'_>,
        deadlines: Deadlines,
    ) -> PyResult<()> {
        let moment = self.moment(py)?;
        self.locate(py, key, &moment, |found, hash, step| {
            if moment.is_past(deadlines.first()) {
                return Ok(());
            }
            Chest::put_at(found, step, New { hash, key, value }, deadlines)
        })?
        .map_err(|refused| self.refusal(py, refused))
    }

    #[cold]
    pub(super) fn refusal(&self, py: Python<'_>, refused: Refused) -> PyErr {
        refused.into_error(py, self.shared.settings().max_bytes)
    }

    pub(crate) fn set_pair(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, ttl: Option<f64>) -> PyResult<()> {
        let lives = self.shared.settings().limits.lives(ttl);
        self.put(key.py(), &self.key(key)?, &self.value(value)?, lives)
    }

    /// Take an entry out, deleted, and give its value; where that can't be made, the entry stays.
    pub(super) fn take(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<Option<Py<PyAny>>> {
        let take = || {
            let moment = self.moment(py)?;
            self.locate(py, key, &moment, |found, _, step| match found {
                Ok(found) => found.take_value(step),
                Err(_) => Ok(None),
            })?
        };
        take_out(take, |read| read.finish(py, self.kinds().codec.as_ref()), |seen| self.take_seen(py, seen))
    }

    /// Take some entry out, deleted, and give its key and value; where they can't be made, it stays.
    pub(super) fn take_any<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let take = || self.sweep_and(py, |chest, step| chest.take_any(step))?;
        take_out_pair(py, take, |read| self.kinds().finish_both(py, read), |seen| self.take_seen(py, seen))
    }

    /// Take out what was seen, if nobody else has changed it; whether it was.
    fn take_seen(&self, py: Python<'_>, seen: &Seen) -> PyResult<bool> {
        self.step(py, &Moment::later(), |chest, step| chest.depart_seen(step, seen))
    }

    pub(crate) fn delete(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<bool> {
        let moment = self.moment(py)?;
        self.locate(py, key, &moment, |found, _, step| {
            let Ok(found) = found else { return Ok(false) };
            let over = found.is_over(&moment);
            found.depart(step, if over { Cause::Expired } else { Cause::Deleted })?;
            Ok(!over)
        })?
    }

    /// Remove all that has expired, some at a time, and then do `work` in one step with what is alive. `MemoryError`,
    /// and no work, where what has expired can't be told.
    pub(crate) fn sweep_and<'py, R>(
        &self,
        py: Python<'py>,
        mut work: impl FnMut(&mut Chest, &mut Step<'_, 'py>) -> R,
    ) -> PyResult<R> {
        let moment = self.moment(py)?;
        let mut pace = Pace::default();
        loop {
            let done = self.step(py, &moment, |chest, step| {
                Ok::<_, PyErr>(if chest.sweep_all(step)? { Some(work(chest, step)) } else { None })
            })?;
            if let Some(result) = done {
                return Ok(result);
            }
            pace.steps(py, BATCH)?;
        }
    }

    /// Tell of everything that a cache held, and drop it.
    pub(super) fn release_cleared(&self, py: Python<'_>, contents: Contents<ebb::Cache>) {
        let settings = self.shared.settings();
        if let Some(on_remove) = settings.on_remove.get(py) {
            contents.each(|entry| match entry.read_pair(py) {
                Ok(told) => gone::tell(py, &on_remove, settings.kinds.codec.as_ref(), told, Cause::Cleared),
                Err(error) => calls::write_unraisable(error, py, Some(on_remove.bind(py))),
            });
        }
        contents.release(py);
    }
}

impl Cache {
    /// Everything, as the cache goes; nothing if it is broken.
    fn take_last(&self) -> Option<Contents<ebb::Cache>> {
        loop {
            let contents = self.shared.chest.try_with(Chest::take);
            if contents.is_some() || self.shared.chest.is_broken() {
                return contents;
            }
            // The sweeper is at work here, for a moment: it holds no lock but this, and waits for nobody under it.
            std::thread::yield_now();
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if !self.shared.is_made() {
            return;
        }
        Python::attach(|py| {
            forget(py, &self.shared);
            self.shared.instances.release(py);
        });
        let Some(contents) = self.take_last() else { return };
        if contents.has_objects() || contents.is_large() {
            Python::attach(|py| release_nested(py, |py| contents.release(py)));
        }
    }
}
