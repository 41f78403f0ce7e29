//! Copies of a cache, and what is pickled of it.

use crate::cache::class::Cache;
use crate::cache::instances::mark::mark_in;
use crate::cache::limits::Lives;
use crate::cache::walks::each_alive;
use crate::python::calls;
use crate::python::errors::error;
use crate::python::make;
use crate::python::pace::Pace;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

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
