//! Which interpreter this is: what the process has one of (the thread that sweeps, the lock that forks wait for) belongs
//! to the first.
#![allow(unsafe_code)] // the interpreter's number

use crate::errors::error;
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// `ImportError` in a subinterpreter. The module itself may be there already: CPython copies it from one interpreter to
/// the next without asking.
#[pyfunction]
pub(crate) fn _check_interpreter(py: Python<'_>) -> PyResult<()> {
    // SAFETY: `py` says that this thread is attached to an interpreter, which is alive meanwhile.
    let number = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match number {
        -1 => Err(PyErr::fetch(py)),
        0 => Ok(()),
        _ => Err(error::<PyImportError>(py, format_args!("ebbmap can't be used in a subinterpreter"))),
    }
}
