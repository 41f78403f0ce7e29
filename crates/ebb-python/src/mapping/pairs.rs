//! Pairs of an iterable, to be set one after another.

use crate::python::calls;
use crate::python::errors::{error, out_of_memory};
use crate::python::pace::Pace;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The two of a pair, with the errors `dict.update` gives.
pub(crate) fn pair<'py>(
    item: &Bound<'py, PyAny>,
    place: usize,
    what: &str,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(pair) = item.cast::<PyTuple>()
        && pair.len() == 2
    {
        return Ok((pair.get_item(0)?, pair.get_item(1)?));
    }
    let py = item.py();
    let parts = calls::items(item).map_err(|cause| match cause.is_instance_of::<PyTypeError>(py) {
        true => {
            let message = format_args!("cannot convert {what} update sequence element #{place} to a sequence");
            error::<PyTypeError>(py, message)
        }
        false => cause,
    })?;
    let mut collected = Vec::new();
    for part in parts {
        collected.try_reserve(1).map_err(out_of_memory)?;
        collected.push(part?);
    }
    let len = collected.len();
    let [key, value] = <[_; 2]>::try_from(collected).map_err(|_| {
        let message = format_args!("{what} update sequence element #{place} has length {len}; 2 is required");
        error::<PyValueError>(py, message)
    })?;
    Ok((key, value))
}

/// Why not all pairs were set.
enum Stopped {
    /// By what the iterator raised.
    Iterating(PyErr),
    Setting(PyErr),
}

impl From<PyErr> for Stopped {
    fn from(error: PyErr) -> Self {
        Stopped::Setting(error)
    }
}

/// Call `set` for every pair of an iterable, in order, with pauses; `what` takes them.
///
/// The iterator of a mapping raises `RuntimeError` if another thread adds or removes a key in a pause. Then all are set
/// anew, as `again` lists them in one step, if it is given.
pub(crate) fn set_pairs(
    pairs: &Bound<'_, PyAny>,
    again: Option<&Bound<'_, PyAny>>,
    what: &str,
    mut set: impl FnMut(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let stopped = match set_each(pairs, what, &mut set) {
        Ok(()) => return Ok(()),
        Err(stopped) => stopped,
    };
    match (stopped, again) {
        (Stopped::Iterating(error), Some(again)) if error.is_instance_of::<PyRuntimeError>(pairs.py()) => {
            match set_each(&calls::call(again, [])?, what, &mut set) {
                Ok(()) => Ok(()),
                Err(Stopped::Iterating(error) | Stopped::Setting(error)) => Err(error),
            }
        }
        (Stopped::Iterating(error) | Stopped::Setting(error), _) => Err(error),
    }
}

fn set_each(
    pairs: &Bound<'_, PyAny>,
    what: &str,
    set: &mut impl FnMut(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()>,
) -> Result<(), Stopped> {
    let mut pace = Pace::default();
    for (place, item) in calls::items(pairs)?.enumerate() {
        let (key, value) = pair(&item.map_err(Stopped::Iterating)?, place, what)?;
        set(&key, &value)?;
        pace.step(pairs.py())?;
    }
    Ok(())
}
