//! What a cache is made with, and how what is given for it is read.

use crate::cache::limits::Limits;
use crate::kinds::given::Kinds;
use crate::python::calls;
use crate::python::errors::{Shown, error, is_out_of_memory};
use crate::python::make::Name;
use ebb::{Clock, Time};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyFloat};
use std::sync::{Mutex, PoisonError};

static MODULE: Name = Name::new(c"ebbmap._convert.units");
static SECONDS: Name = Name::new(c"seconds");
static TTL: Name = Name::new(c"ttl");
static ITS_MODULE: Name = Name::new(c"__module__");
static ITS_NAME: Name = Name::new(c"__name__");

/// What a cache is made with, fixed by its first `__init__`.
pub(crate) struct Settings {
    pub(crate) kinds: Kinds,
    pub(crate) limits: Limits,
    /// As given: with what the objects around the table take.
    pub(crate) max_bytes: Option<usize>,
    pub(crate) on_remove: Callable,
    pub(crate) timer: Callable,
}

impl Settings {
    pub(crate) fn plain() -> Self {
        let (on_remove, timer) = (Callable::new(None), Callable::new(None));
        Settings { kinds: Kinds::OBJECTS, limits: Limits::NONE, max_bytes: None, on_remove, timer }
    }

    /// Whether those who leave are announced.
    #[inline]
    pub(crate) fn tells(&self) -> bool {
        self.limits.tells
    }

    /// Whether entries leave without any Python code.
    pub(crate) fn is_silent(&self) -> bool {
        !self.tells() && !self.kinds.layout().has_objects()
    }

    /// Whether time is the system's.
    #[inline]
    pub(crate) fn is_on_system_time(&self) -> bool {
        self.limits.clock == Clock::System
    }
}

/// What the cache was given to call, until the garbage collector takes it, to break a cycle that goes through it.
pub(crate) struct Callable(Mutex<Option<Py<PyAny>>>);

impl Callable {
    pub(crate) fn new(given: Option<Py<PyAny>>) -> Self {
        Callable(Mutex::new(given))
    }

    // No Python code runs under this lock.
    pub(crate) fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.as_ref().map(|callable| callable.clone_ref(py))
    }

    pub(crate) fn take(&self) -> Option<Py<PyAny>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One in use is skipped, which is safe: it looks referenced from outside.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock().as_deref() {
            Ok(Some(callable)) => visit.call(callable),
            _ => Ok(()),
        }
    }
}

/// What a given clock shows.
pub(crate) fn read_timer(timer: &Bound<'_, PyAny>) -> PyResult<Time> {
    let shown = calls::call(timer, [])?;
    let seconds = match shown.cast_exact::<PyFloat>() {
        Ok(float) => float.value(),
        Err(_) => calls::float(&shown).map_err(|error| no_time(&shown, error))?,
    };
    let message = format_args!("timer must give a number of seconds, not nan");
    Clock::given(seconds).ok_or_else(|| error::<PyValueError>(timer.py(), message))
}

/// More seconds than any clock shows: some 30,000 years.
const TOO_LATE: f64 = 1e12;

/// What a clock shows that a cache is made with. `ValueError` if it can't be seconds: all deadlines would come at once.
pub(crate) fn first_time(timer: &Bound<'_, PyAny>) -> PyResult<Time> {
    let time = read_timer(timer)?;
    let seconds = Clock::seconds(time);
    if seconds.abs() > TOO_LATE || counts_nanoseconds(timer) {
        let shown = if seconds.abs() < 1e15 { seconds.to_string() } else { format!("{seconds:e}") };
        let given = Shown::repr(timer)?;
        let message = format_args!(
            "timer must give seconds, and {given} shows {shown}: use time.monotonic, or divide what it gives"
        );
        return Err(error::<PyValueError>(timer.py(), message));
    }
    Ok(time)
}

/// Whether it is `time.monotonic_ns` or one of its like, which may show little soon after a start.
fn counts_nanoseconds(timer: &Bound<'_, PyAny>) -> bool {
    let Ok(function) = timer.cast::<PyCFunction>() else { return false };
    let text = |name: &Name| Shown::text(calls::getattr(function, name.get(timer.py())?)?.cast()?);
    text(&ITS_MODULE).is_ok_and(|module| module.as_str() == "time")
        && text(&ITS_NAME).is_ok_and(|name| name.as_str().ends_with("_ns"))
}

/// What is said of what a clock shows that is no float; what a number's own code raises is raised.
#[cold]
fn no_time(shown: &Bound<'_, PyAny>, cause: PyErr) -> PyErr {
    let py = shown.py();
    let kind = match shown.get_type().name().and_then(|name| Shown::text(&name)) {
        Ok(kind) => kind,
        Err(error) if is_out_of_memory(py, &error) => return error,
        Err(_) => return cause,
    };
    let said = if cause.is_instance_of::<PyTypeError>(py) {
        error::<PyTypeError>(py, format_args!("timer must give seconds as a number, not {kind}"))
    } else if cause.is_instance_of::<PyOverflowError>(py) {
        error::<PyOverflowError>(py, format_args!("timer must give seconds that a float can hold, not this {kind}"))
    } else {
        return cause;
    };
    said.set_cause(py, Some(cause));
    said
}

/// A lifetime that a call gives: seconds, or whatever else stands for a duration.
pub(crate) fn seconds(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<f64>> {
    let Some(given) = given else { return Ok(None) };
    if let Ok(float) = given.cast_exact::<PyFloat>()
        && float.value() > 0.0
    {
        return Ok(Some(float.value()));
    }
    let py = given.py();
    let seconds = calls::getattr(&calls::import(MODULE.get(py)?)?, SECONDS.get(py)?)?;
    calls::float(&calls::call(&seconds, [given, TTL.get(py)?.as_any()])?).map(Some)
}
