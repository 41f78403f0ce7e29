//! Pairs of an iterable, to be set one after another.

use crate::python::calls;
use crate::python::errors::{error, push_with};
use crate::python::pace::Pace;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The two of a pair, with the errors `dict.update` gives.
pub(crate) fn pair<'py>(item: &Bound<'py, PyAny>, place: usize, what: &str) -> PyResult<Pair<'py>> {
    match item.cast::<PyTuple>() {
        Ok(pair) if pair.len() == 2 => Ok((pair.get_item(0)?, pair.get_item(1)?)),
        _ => pair_of_items(item, place, what),
    }
}

fn pair_of_items<'py>(item: &Bound<'py, PyAny>, place: usize, what: &str) -> PyResult<Pair<'py>> {
    let mut collected = Vec::new();
    for part in calls::items(item).map_err(|cause| no_items(item.py(), cause, place, what))? {
        push_with(&mut collected, || part)?;
    }
    let len = collected.len();
    let [key, value] = <[_; 2]>::try_from(collected).map_err(|_| {
        let message = format_args!("{what} update sequence element #{place} has length {len}; 2 is required");
        error::<PyValueError>(item.py(), message)
    })?;
    Ok((key, value))
}

#[cold]
fn no_items(py: Python<'_>, cause: PyErr, place: usize, what: &str) -> PyErr {
    if !cause.is_instance_of::<PyTypeError>(py) {
        return cause;
    }
    let message = format_args!("cannot convert {what} update sequence element #{place} to a sequence");
    error::<PyTypeError>(py, message)
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

impl From<Stopped> for PyErr {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Iterating(error) | Stopped::Setting(error) => error,
        }
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
    match (set_each(pairs, what, &mut set), again) {
        (Err(Stopped::Iterating(error)), Some(again)) if error.is_instance_of::<PyRuntimeError>(pairs.py()) => {
            set_each(&calls::call(again, [])?, what, &mut set).map_err(PyErr::from)
        }
        (done, _) => done.map_err(PyErr::from),
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
