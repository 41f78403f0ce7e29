//! Why an operation on a cache could not be done.

use crate::cache::gone::Gone;
use crate::kinds::layout::too_long;
use crate::python::errors::{error, out_of_memory};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Why an operation could not be done.
pub(crate) enum Refused {
    OutOfMemory,
    /// The entry alone takes more than `max_bytes`.
    TooLarge(usize),
    /// The entry takes more than any may.
    TooLong(usize),
    Error(PyErr),
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Refused::Error(error)
    }
}

impl Refused {
    /// Have it dropped after the lock.
    pub(crate) fn into_gone(self, gone: &mut Gone) {
        if let Refused::Error(error) = self {
            gone.push_error(error);
        }
    }

    /// To be raised; never under the lock.
    pub(crate) fn into_error(self, py: Python<'_>, max_bytes: Option<usize>) -> PyErr {
        match self {
            Refused::OutOfMemory => out_of_memory(()),
            Refused::TooLarge(bytes) => {
                let bound = max_bytes.unwrap_or(usize::MAX);
                let message =
                    format_args!("an entry must fit into max_bytes ({bound}), not take {bytes} bytes and more");
                error::<PyValueError>(py, message)
            }
            Refused::TooLong(bytes) => too_long(py, bytes),
            Refused::Error(error) => error,
        }
    }
}
