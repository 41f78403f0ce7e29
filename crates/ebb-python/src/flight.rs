//! A call that others wait for, as `ebbmap/_flights.py` knows it: what must not be left half done.
//!
//! An exception that a signal handler or another thread raises comes between two steps of Python code, also between a
//! `finally` and the body of the function that it calls. Here is no such step.

use crate::calls;
use crate::errors::out_of_memory;
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// How often a waker that was interrupted is called.
const TRIES: usize = 3;

/// Whether a call is done, and whom to wake when it is.
#[pyclass(frozen, subclass, module = "ebbmap._core")]
pub(crate) struct Flight {
    done: AtomicBool,
    /// No Python code runs under this lock.
    wakers: Mutex<VecDeque<Py<PyAny>>>,
}

impl Flight {
    fn next_waker(&self) -> Option<Py<PyAny>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

crate::slots::made_without_arguments!(Flight);

#[pymethods]
impl Flight {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Flight { done: AtomicBool::new(false), wakers: Mutex::new(VecDeque::new()) }
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
        while let Some(waker) = self.next_waker() {
            let waker = waker.into_bound(py);
            for _ in 0..TRIES {
                match calls::call(&waker, []) {
                    Ok(_) => break,
                    Err(error) if error.is_instance_of::<PyException>(py) => {
                        error.write_unraisable(py, Some(&waker));
                        break;
                    }
                    Err(error) => interrupt = Some(error),
                }
            }
        }
        interrupt.map_or(Ok(()), Err)
    }

    /// Have `wake` called when the call is done; True if it is already, and it may be called or not.
    fn when_done(&self, wake: Py<PyAny>) -> PyResult<bool> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.try_reserve(1).map_err(out_of_memory)?;
        wakers.push_back(wake);
        drop(wakers);
        Ok(self.done())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // One in use is skipped, which is safe: its wakers look referenced from outside.
        self.wakers.try_lock().map_or(Ok(()), |wakers| wakers.iter().try_for_each(|waker| visit.call(waker)))
    }

    fn __clear__(&self, py: Python<'_>) {
        while let Some(waker) = self.next_waker() {
            calls::release(py, waker);
        }
    }
}
