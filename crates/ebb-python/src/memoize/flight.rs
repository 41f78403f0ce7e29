//! A call that others wait for, as `ebbmap/_internal/flights.py` knows it: what must not be left half done.
//!
//! An exception that a signal handler or another thread raises comes between two steps of Python code, also between a
//! `finally` and the body of the function that it calls. Here is no such step.

use crate::kinds::plain::may_be_used_up;
use crate::mapping::slots::made_without_arguments;
use crate::python::calls;
use crate::python::errors::out_of_memory;
use crate::python::lock::Guarded;
use crate::python::make::{self, name};
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::collections::{TryReserveError, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

/// How often a waker that was interrupted is called.
const TRIES: usize = 3;

/// Whether a call is done, and whom to wake when it is.
#[pyclass(frozen, subclass, module = "ebbmap._core")]
pub(crate) struct Flight {
    done: AtomicBool,
    /// CPython drops a call that it has no memory to make, all zero bytes: [`Guarded`] then drops no value.
    wakers: Guarded<VecDeque<Py<PyAny>>>,
}

impl Flight {
    fn next_waker(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.wakers.with(py, VecDeque::pop_front)
    }
}

made_without_arguments!(Flight);

#[pymethods]
impl Flight {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Flight { done: AtomicBool::new(false), wakers: Guarded::new(VecDeque::new()) }
    }

    /// Whether nobody makes the call any more.
    #[getter]
    fn done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// The call is over, however it went: wake all who wait. A waker that is interrupted is called again; what
    /// interrupted it is raised once all are awake.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.done.store(true, Ordering::SeqCst);
        let mut interrupt = None;
        while let Some(waker) = self.next_waker(py) {
            interrupt = wake(&waker.into_bound(py)).or(interrupt);
        }
        interrupt.map_or(Ok(()), Err)
    }

    /// Have `wake` called when the call is done; True if it is already, and it may be called or not.
    fn when_done(&self, py: Python<'_>, wake: Py<PyAny>) -> PyResult<bool> {
        let mut wake = Some(wake); // one that is refused is dropped outside the lock
        let noted = self.wakers.with(py, |wakers| {
            wakers.try_reserve(1)?;
            wakers.extend(wake.take());
            Ok::<_, TryReserveError>(())
        });
        noted.map_err(out_of_memory)?;
        Ok(self.done())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // One in use is skipped, which is safe: its wakers look referenced from outside.
        let visit_all = |wakers: &mut VecDeque<_>| wakers.iter().try_for_each(|waker: &Py<PyAny>| visit.call(waker));
        self.wakers.try_with(visit, visit_all).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        while let Some(waker) = self.next_waker(py) {
            calls::release(py, waker);
        }
    }
}

/// Call a waker, and again if it is interrupted; what has interrupted it last.
fn wake(waker: &Bound<'_, PyAny>) -> Option<PyErr> {
    let (py, mut interrupt) = (waker.py(), None);
    for _ in 0..TRIES {
        match calls::call(waker, []) {
            Ok(_) => break,
            Err(error) if error.is_instance_of::<PyException>(py) => {
                calls::write_unraisable(error, py, Some(waker));
                break;
            }
            Err(error) => interrupt = Some(error),
        }
    }
    interrupt
}

// --- making a call ---------------------------------------------------------------------------------------------------
//
// No Python frame of ours is on the stack while the function runs, and of Rust's only small ones: what comes before and
// after it is in functions of their own. So it recurses as deep as below `functools.lru_cache`.

/// The result of a call of the function, made here or meanwhile elsewhere; with `anew` never one found in the cache.
#[inline(never)]
pub(crate) fn compute<'py>(
    flights: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
    anew: bool,
) -> PyResult<Bound<'py, PyAny>> {
    loop {
        match begin(flights, key, anew)? {
            Begun::Mine(mine) => return land(flights, &mine, key, call_function(flights, args, kwargs)),
            Begun::Done(result) => return Ok(result),
            Begun::Again => {}
        }
    }
}

/// The new result for who comes first; `old` for who comes meanwhile, and where the call fails.
#[inline(never)]
pub(crate) fn renew<'py>(
    flights: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    old: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    match begin_renewal(flights, key) {
        Ok(Begun::Mine(mine)) => {
            let made = land(flights, &mine, key, call_function(flights, args, kwargs));
            made.or_else(|error| report(flights, old, error))
        }
        Ok(Begun::Done(result)) => Ok(result),
        Ok(Begun::Again) => Ok(old.clone()),
        Err(error) => report(flights, old, error),
    }
}

/// Report why a result was not renewed, and give the old one; interrupts are raised.
#[inline(never)]
fn report<'py>(flights: &Bound<'py, PyAny>, old: &Bound<'py, PyAny>, error: PyErr) -> PyResult<Bound<'py, PyAny>> {
    let py = flights.py();
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    calls::call_method_with(name!(py, c"report"), [flights, error.value(py).as_any()])?;
    Ok(old.clone())
}

/// As [`compute`], for Python code.
#[pyfunction]
pub(crate) fn _compute<'py>(
    flights: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: &Bound<'py, PyDict>,
    anew: bool,
) -> PyResult<Bound<'py, PyAny>> {
    compute(flights, key, args, Some(kwargs), anew)
}

/// What comes before the function is called.
enum Begun<'py> {
    /// It has to be called here, and this call to be landed.
    Mine(Bound<'py, PyAny>),
    Done(Bound<'py, PyAny>),
    /// Another call came to nothing, or is under way and is not waited for.
    Again,
}

/// Join the call under way and wait for it, or begin one.
#[inline(never)]
fn begin<'py>(flights: &Bound<'py, PyAny>, key: &Bound<'py, PyAny>, anew: bool) -> PyResult<Begun<'py>> {
    let py = flights.py();
    let mine = calls::call_method_with(name!(py, c"begin"), [flights])?;
    let begun = calls::call_method_with(name!(py, c"board"), [flights, key, &mine])
        .and_then(|call| if call.is(&mine) { look(flights, &mine, key, anew) } else { follow(flights, &call, &mine) });
    end_unless_mine(flights, &mine, key, begun)
}

/// Begin a call if none is under way.
#[inline(never)]
fn begin_renewal<'py>(flights: &Bound<'py, PyAny>, key: &Bound<'py, PyAny>) -> PyResult<Begun<'py>> {
    let py = flights.py();
    let mine = calls::call_method_with(name!(py, c"begin"), [flights])?;
    let begun = calls::call_method_with(name!(py, c"join"), [flights, key, &mine])
        .and_then(|call| if call.is(&mine) { look(flights, &mine, key, false) } else { Ok(Begun::Again) });
    end_unless_mine(flights, &mine, key, begun)
}

fn end_unless_mine<'py>(
    flights: &Bound<'py, PyAny>,
    mine: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    begun: PyResult<Begun<'py>>,
) -> PyResult<Begun<'py>> {
    if matches!(begun, Ok(Begun::Mine(_))) { begun } else { end(flights, mine, key, begun) }
}

/// Look whether the result is there by now.
fn look<'py>(
    flights: &Bound<'py, PyAny>,
    mine: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    anew: bool,
) -> PyResult<Begun<'py>> {
    let py = flights.py();
    if anew {
        return Ok(Begun::Mine(mine.clone()));
    }
    let found = calls::call(&calls::getattr(flights, name!(py, c"look"))?, [key]);
    if let Ok(value) = &found
        && value.is(&calls::getattr(flights, name!(py, c"absent"))?)
    {
        return Ok(Begun::Mine(mine.clone()));
    }
    leave(mine, &found)?;
    found.map(Begun::Done)
}

/// Wait for another's call, and take what it came to.
fn follow<'py>(
    flights: &Bound<'py, PyAny>,
    call: &Bound<'py, PyAny>,
    mine: &Bound<'py, PyAny>,
) -> PyResult<Begun<'py>> {
    let py = flights.py();
    let answers = calls::call_method_with(name!(py, c"follow"), [flights, call, mine])?;
    if calls::is_true(&answers)? { outcome(call).map(Begun::Done) } else { Ok(Begun::Again) }
}

/// The result of a call that was waited for, or its error, without those of others in its traceback.
fn outcome<'py>(call: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = call.py();
    let error = calls::getattr(call, name!(py, c"error"))?;
    if error.is_none() {
        return calls::getattr(call, name!(py, c"value"));
    }
    calls::setattr(&error, name!(py, c"__traceback__"), &calls::getattr(call, name!(py, c"traceback"))?)?;
    Err(PyErr::from_value(error))
}

/// The call is over: take it off the list, and wake all who wait, whatever comes between.
fn end<'py, T>(
    flights: &Bound<'py, PyAny>,
    mine: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    made: PyResult<T>,
) -> PyResult<T> {
    let py = flights.py();
    let unlisted = calls::call_method_with(name!(py, c"unlist"), [flights, key, mine]);
    mine.cast::<Flight>()?.get().finish(py)?;
    unlisted?;
    made
}

/// Call the function.
fn call_function<'py>(
    flights: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    calls::call_with(&function_of(flights)?, args, kwargs)
}

#[inline(never)]
fn function_of<'py>(flights: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    calls::getattr(flights, name!(flights.py(), c"function"))
}

/// Keep what the function came to, leave it to those who wait, and end the call.
#[inline(never)]
fn land<'py>(
    flights: &Bound<'py, PyAny>,
    mine: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    made: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = flights.py();
    let kept = made.and_then(|value| {
        if may_be_used_up(&value) {
            calls::call_method_with(name!(py, c"refuse_used_up"), [flights, &value])?;
        }
        calls::call_method_with(name!(py, c"keep"), [flights, mine, key, &value])?;
        Ok(value)
    });
    let left = leave(mine, &kept);
    end(flights, mine, key, left.and(kept))
}

fn traceback_of<'py>(py: Python<'py>, error: &PyErr) -> Bound<'py, PyAny> {
    error.traceback(py).map_or_else(|| make::none(py), Bound::into_any)
}

/// Leave what a call came to, to those who wait for it.
fn leave<'py>(call: &Bound<'py, PyAny>, made: &PyResult<Bound<'py, PyAny>>) -> PyResult<()> {
    let py = call.py();
    match made {
        Ok(value) => calls::setattr(call, name!(py, c"value"), value),
        Err(error) if error.is_instance_of::<PyException>(py) => {
            calls::setattr(call, name!(py, c"traceback"), &traceback_of(py, error))?;
            calls::setattr(call, name!(py, c"error"), error.value(py))
        }
        Err(_) => Ok(()),
    }
}
